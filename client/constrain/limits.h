// SPDX-License-Identifier: Apache-2.0
// What a constraint may cost, each with its reason. A request that asks for more is refused.
#pragma once

#include <cstddef>
#include <cstdint>

namespace shoal::client::constrain {

inline constexpr std::size_t kMaxPatternBytes = 8192;       // of a regular expression
inline constexpr std::size_t kMaxSchemaBytes = 256u << 10;  // as compact JSON
inline constexpr std::size_t kMaxChoices = 1024;
inline constexpr std::size_t kMaxChoiceBytes = 64u << 10;  // of all of them
inline constexpr int kMaxNesting = 64;                     // of schemas, and of groups
inline constexpr std::int64_t kMaxRepeats = 10'000;        // of a counted repeat
// An automaton's memory: some 50 bytes a node.
inline constexpr std::size_t kMaxNodes = 200'000;
// Of making one, where nothing may come of much: (){1000}{1000}, parts of allOf ...
inline constexpr std::int64_t kMaxBuildSteps = 2'000'000;
// Calls within calls: what has this form nests at most so deep, so that what comes out can be sent
// in again (a body has 64 levels).
inline constexpr int kMaxFrames = 48;
// States met while looking at all tokens behind one text, 1 KiB each, and the steps of it.
inline constexpr std::size_t kMaxStates = 16'384;
inline constexpr std::size_t kKeptStates = 4096;
inline constexpr std::int64_t kMaxMaskSteps = 10'000'000;
inline constexpr std::size_t kKeptMasks = 256;  // of a bit for each token
inline constexpr std::size_t kMaxPieceBytes = 1024;

}  // namespace shoal::client::constrain
