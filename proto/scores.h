// SPDX-License-Identifier: Apache-2.0
// Token ids and scores between memory and the wire: what a first hop embeds, and what a last hop
// answers in place of rows. Decoding is total: sizes are checked before anything is allocated, ids
// lie in the vocabulary, values are finite and in order. Pure functions.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"
#include "proto/scores.pb.h"

namespace shoal::proto {

// u32 little endian.
std::string encode_ids(std::span<const std::int32_t> ids);
// INVALID_ARGUMENT: not whole, more than `most`, or one outside of the vocabulary.
absl::StatusOr<std::vector<std::int32_t>> decode_ids(std::string_view bytes, std::size_t most,
                                                     std::uint32_t vocabulary);

// What is asked of a last hop.
struct ScoresWanted {
  std::uint32_t top = 0;             // 1 to kMaxTopLogits, of each row
  std::vector<std::int32_t> also{};  // [rows, also_of_row()]
};

wire::ScoresWanted to_wire(const ScoresWanted& wanted);
// For so many rows (1 at least) that are returned. INVALID_ARGUMENT says what is wrong.
absl::StatusOr<ScoresWanted> from_wire(const wire::ScoresWanted& in, std::uint32_t rows,
                                       std::uint32_t vocabulary);

struct TopLogit {
  std::int32_t id = 0;
  float value = 0;
  friend bool operator==(const TopLogit&, const TopLogit&) = default;
};

// Of one row.
struct RowScores {
  std::vector<TopLogit> top;  // falling; lower ids first among equals
  // The logarithm of the sum of exp of all others; nullopt: there are no others.
  std::optional<double> rest_log_sum;
  std::vector<float> also;  // the logits of the ids that were named
  friend bool operator==(const RowScores&, const RowScores&) = default;
};

// All rows have as many of everything.
wire::Scores encode_scores(std::span<const RowScores> rows);
// The answer to `wanted` for so many rows. INVALID_ARGUMENT: not what was asked for, or what no
// vocabulary can give.
absl::StatusOr<std::vector<RowScores>> decode_scores(const wire::Scores& message,
                                                     const ScoresWanted& wanted, std::uint32_t rows,
                                                     std::uint32_t vocabulary);

}  // namespace shoal::proto
