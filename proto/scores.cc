// SPDX-License-Identifier: Apache-2.0
#include "proto/scores.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstring>

#include "absl/strings/str_cat.h"
#include "base/check.h"
#include "base/finite.h"
#include "proto/limits.h"

namespace shoal::proto {
namespace {

static_assert(std::endian::native == std::endian::little, "the wire is little endian");

// More than the rounding errors of a sum over any vocabulary.
constexpr double kSumSlack = 1e-3;

absl::Status unfit(const std::string& why) { return absl::InvalidArgumentError(why); }

template <typename Value>
void append(std::string& bytes, Value value) {
  bytes.append(reinterpret_cast<const char*>(&value), sizeof(value));
}

template <typename Value>
Value value_at(std::string_view bytes, std::size_t index) {
  Value value;
  std::memcpy(&value, bytes.data() + index * sizeof(Value), sizeof(Value));
  return value;
}

// Each in the vocabulary, none twice, in their order.
absl::Status check_top(const std::vector<TopLogit>& top, std::uint32_t vocabulary) {
  std::vector<std::int32_t> ids;
  ids.reserve(top.size());
  for (std::size_t i = 0; i < top.size(); ++i) {
    if (top[i].id < 0 || static_cast<std::uint32_t>(top[i].id) >= vocabulary) {
      return unfit("scores name a token outside of the vocabulary");
    }
    if (!base::is_finite(top[i].value)) return unfit("scores have a logit that is not finite");
    if (i > 0 && !(top[i].value < top[i - 1].value ||
                   (top[i].value == top[i - 1].value && top[i].id > top[i - 1].id))) {
      return unfit("scores are not in falling order");
    }
    ids.push_back(top[i].id);
  }
  std::ranges::sort(ids);
  if (std::ranges::adjacent_find(ids) != ids.end()) return unfit("scores name a token twice");
  return absl::OkStatus();
}

// What was asked for by its id is what the top says of it, or lies below.
absl::Status check_also(const RowScores& row, std::span<const std::int32_t> ids) {
  std::vector<TopLogit> by_id = row.top;
  std::ranges::sort(by_id, {}, &TopLogit::id);
  for (std::size_t i = 0; i < ids.size(); ++i) {
    const float value = row.also[i];
    if (!base::is_finite(value)) return unfit("scores have a logit that is not finite");
    const auto found = std::ranges::lower_bound(by_id, ids[i], {}, &TopLogit::id);
    const bool is_top = found != by_id.end() && found->id == ids[i];
    if (is_top ? found->value != value : !(value <= row.top.back().value)) {
      return unfit("scores contradict themselves");
    }
  }
  return absl::OkStatus();
}

}  // namespace

std::string encode_ids(std::span<const std::int32_t> ids) {
  std::string bytes(ids.size_bytes(), '\0');
  if (!ids.empty()) std::memcpy(bytes.data(), ids.data(), bytes.size());
  return bytes;
}

absl::StatusOr<std::vector<std::int32_t>> decode_ids(std::string_view bytes, std::size_t most,
                                                     std::uint32_t vocabulary) {
  const std::size_t count = bytes.size() / sizeof(std::uint32_t);
  if (bytes.size() % sizeof(std::uint32_t) != 0 || count > most) {
    return unfit(absl::StrCat("token ids have ", bytes.size(), " bytes: 4 for each of at most ",
                              most, " are taken"));
  }
  std::vector<std::int32_t> ids(count);
  if (!ids.empty()) std::memcpy(ids.data(), bytes.data(), bytes.size());
  for (const std::int32_t id : ids) {
    if (static_cast<std::uint32_t>(id) >= vocabulary) {
      return unfit(absl::StrCat("token id ", static_cast<std::uint32_t>(id),
                                " is outside of the model's vocabulary of ", vocabulary));
    }
  }
  return ids;
}

wire::ScoresWanted to_wire(const ScoresWanted& wanted) {
  wire::ScoresWanted out;
  out.set_top(wanted.top);
  out.set_also(encode_ids(wanted.also));
  return out;
}

absl::StatusOr<ScoresWanted> from_wire(const wire::ScoresWanted& in, std::uint32_t rows,
                                       std::uint32_t vocabulary) {
  CHECK(rows > 0);
  if (in.top() == 0 || in.top() > kMaxTopLogits) {
    return unfit(absl::StrCat("the ", in.top(), " largest logits were asked for, 1 to ",
                              kMaxTopLogits, " are told"));
  }
  auto also = decode_ids(in.also(), kMaxAlsoIds, vocabulary);
  if (!also.ok()) return also.status();
  if (also->size() % rows != 0) {
    return unfit(absl::StrCat(also->size(), " token ids for ", rows, " rows: each has as many"));
  }
  if (std::size_t{in.top()} * rows + also->size() > kMaxScores) {
    return unfit(absl::StrCat("the ", in.top(), " largest logits of ", rows,
                              " rows are more than a result has: ask for fewer"));
  }
  return ScoresWanted{in.top(), *std::move(also)};
}

wire::Scores encode_scores(std::span<const RowScores> rows) {
  wire::Scores message;
  message.set_rows(static_cast<std::uint32_t>(rows.size()));
  if (rows.empty()) return message;
  message.set_top(static_cast<std::uint32_t>(rows.front().top.size()));
  for (const RowScores& row : rows) {
    CHECK(row.top.size() == rows.front().top.size() &&
          row.also.size() == rows.front().also.size() &&
          row.rest_log_sum.has_value() == rows.front().rest_log_sum.has_value());
    for (const TopLogit& top : row.top) {
      append(*message.mutable_ids(), static_cast<std::uint32_t>(top.id));
      append(*message.mutable_logits(), top.value);
    }
    if (row.rest_log_sum) append(*message.mutable_rest(), *row.rest_log_sum);
    for (const float value : row.also) append(*message.mutable_also(), value);
  }
  return message;
}

absl::StatusOr<std::vector<RowScores>> decode_scores(const wire::Scores& message,
                                                     const ScoresWanted& wanted, std::uint32_t rows,
                                                     std::uint32_t vocabulary) {
  CHECK(rows > 0 && wanted.also.size() % rows == 0);
  const std::size_t top = std::min(wanted.top, vocabulary), also = wanted.also.size() / rows;
  const std::size_t others = vocabulary - top;
  if (message.rows() != rows || message.top() != top ||
      message.ids().size() != rows * top * sizeof(std::uint32_t) ||
      message.logits().size() != rows * top * sizeof(float) ||
      message.rest().size() != (others > 0 ? rows * sizeof(double) : 0) ||
      message.also().size() != rows * also * sizeof(float)) {
    return unfit("scores are of another shape than was asked for");
  }
  std::vector<RowScores> result(rows);
  for (std::size_t r = 0; r < rows; ++r) {
    RowScores& row = result[r];
    row.top.reserve(top);
    for (std::size_t i = r * top; i < (r + 1) * top; ++i) {
      row.top.push_back(
          {value_at<std::int32_t>(message.ids(), i), value_at<float>(message.logits(), i)});
    }
    if (absl::Status fine = check_top(row.top, vocabulary); !fine.ok()) return fine;
    if (others > 0) {
      const double rest = value_at<double>(message.rest(), r);
      // None of the others is larger than the least of the top.
      if (!std::isfinite(rest) ||
          rest > row.top.back().value + std::log(static_cast<double>(others)) + kSumSlack) {
        return unfit("scores give all other tokens more weight than they can have");
      }
      row.rest_log_sum = rest;
    }
    for (std::size_t i = r * also; i < (r + 1) * also; ++i) {
      row.also.push_back(value_at<float>(message.also(), i));
    }
    const auto ids = std::span(wanted.also).subspan(r * also, also);
    if (absl::Status fine = check_also(row, ids); !fine.ok()) return fine;
  }
  return result;
}

}  // namespace shoal::proto
