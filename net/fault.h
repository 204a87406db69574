// SPDX-License-Identifier: Apache-2.0
// Why a connection is hung up on or slowed. Plain data.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>

namespace shoal::net {

enum class Fault : std::uint8_t {
  kNone,
  kFrame,          // no HTTP/2, or a frame that breaks its rules
  kHeaderBlock,    // a header block too long, or in too many pieces
  kStreams,        // too many streams open, or opened too fast for too long
  kResets,         // streams reset too fast, by the peer or by what it made us do
  kSettings,       //
  kPings,          //
  kPriorities,     //
  kWindowUpdates,  //
  kEmptyFrames,    //
  kOddFrames,      // of unknown types, padded, or headers that nobody needs
  kCrumbs,         // messages in tiny pieces
  kHalfMessages,   // too much of messages that are never finished
  kSilentStreams,  // streams on which no message comes
  kSlow,           // beginnings that take too long
  kWrapping,       // TLS records without content
  kNeverReads,     // talks, but takes nothing
  kBanned,         // for what the same peer did on another connection
  kTooMany,        // connections of one peer: no ban
  kStalled,        // the network's fault, perhaps: no ban
  kCount,
};
inline constexpr std::size_t kFaults = static_cast<std::size_t>(Fault::kCount);

// What becomes of some bytes.
struct Verdict {
  Fault fault = Fault::kNone;  // hang up
  // Until then they wait, and no more is read: too many calls in too short a time.
  std::chrono::steady_clock::time_point hold_until{};
};

const char* name_of(Fault fault);   // of a metric's label
const char* words_of(Fault fault);  // for the log, and the farewell to the peer

}  // namespace shoal::net
