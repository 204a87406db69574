// SPDX-License-Identifier: Apache-2.0
// Scores from a last hop, and what a client asks of one: decoded to what a vocabulary can give, or
// refused. The first byte chooses what was asked for.
#include <cmath>
#include <string_view>

#include "base/check.h"
#include "proto/limits.h"
#include "proto/scores.h"

namespace {

using namespace shoal;

constexpr std::uint32_t kVocabulary = 16;

void read_scores(std::string_view bytes, std::uint8_t asked) {
  wire::Scores message;
  if (!message.ParseFromArray(bytes.data(), static_cast<int>(bytes.size()))) return;
  const std::uint32_t rows = 1 + asked % 3;
  proto::ScoresWanted wanted{1 + asked / 3u % 20, {}};
  for (std::uint32_t i = 0; i < rows * (asked / 64u); ++i) {
    wanted.also.push_back(static_cast<std::int32_t>(i * 5 % kVocabulary));
  }
  const auto scores = proto::decode_scores(message, wanted, rows, kVocabulary);
  if (!scores.ok()) return;
  CHECK(scores->size() == rows);
  for (const proto::RowScores& row : *scores) {
    CHECK(row.top.size() == std::min(wanted.top, kVocabulary));
    for (const proto::TopLogit& top : row.top) {
      CHECK(top.id >= 0 && top.id < static_cast<std::int32_t>(kVocabulary));
      CHECK(std::isfinite(top.value));
    }
    CHECK(!row.rest_log_sum || std::isfinite(*row.rest_log_sum));
  }
  const wire::Scores again = proto::encode_scores(*scores);
  CHECK(again.ids() == message.ids() && again.logits() == message.logits() &&
        again.rest() == message.rest() && again.also() == message.also())
      << "decoding lost something";
}

void read_wanted(std::string_view bytes, std::uint8_t rows) {
  wire::ScoresWanted message;
  if (!message.ParseFromArray(bytes.data(), static_cast<int>(bytes.size()))) return;
  const auto wanted = proto::from_wire(message, rows + 1u, kVocabulary);
  if (!wanted.ok()) return;
  CHECK(wanted->top > 0 && wanted->top <= proto::kMaxTopLogits);
  CHECK(wanted->also.size() <= proto::kMaxAlsoIds && wanted->also.size() % (rows + 1u) == 0);
  for (const std::int32_t id : wanted->also) {
    CHECK(id >= 0 && id < static_cast<std::int32_t>(kVocabulary));
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size == 0) return 0;
  const std::string_view bytes(reinterpret_cast<const char*>(data) + 1, size - 1);
  read_scores(bytes, data[0]);
  read_wanted(bytes, data[0]);
  return 0;
}
