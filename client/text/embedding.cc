// SPDX-License-Identifier: Apache-2.0
#include "client/text/embedding.h"

#include <algorithm>
#include <cmath>

#include "base/check.h"
#include "base/finite.h"

namespace shoal::client {
namespace {

// Bounds what is held of a long text.
constexpr std::size_t kRowsAtOnce = 128;

void to_length_1(std::span<float> values) {
  double squares = 0;
  for (const float value : values) squares += static_cast<double>(value) * value;
  if (squares == 0) return;
  const double length = std::sqrt(squares);
  for (float& value : values) value = static_cast<float>(value / length);
}

}  // namespace

absl::StatusOr<std::vector<float>> embedding_of(Pipeline& pipeline, const UserModel& user_model,
                                                const model::Pooling& pooling,
                                                std::span<const std::int32_t> ids) {
  using Rows = model::Pooling::Rows;
  CHECK(!ids.empty() && pipeline.position() == 0 && user_model.has_ends());
  const std::size_t hidden = user_model.hidden();
  std::vector<float> values, normed;
  std::vector<double> sum(hidden);
  // A row knows only those before it: of the first one, no more has to be computed.
  if (pooling.rows == Rows::kFirst) ids = ids.first(1);
  for (std::size_t begin = 0; begin < ids.size(); begin += kRowsAtOnce) {
    const std::size_t count = std::min(kRowsAtOnce, ids.size() - begin);
    const bool is_last = begin + count == ids.size();
    const RowsWanted wanted = pooling.rows != Rows::kLast ? RowsWanted::kAll
                              : is_last                   ? RowsWanted::kLast
                                                          : RowsWanted::kNone;
    const auto rows = pipeline.append(ids.subspan(begin, count), wanted);
    if (!rows.ok()) return rows.status();
    normed.resize(rows->size());
    user_model.final_norm(*rows, normed);
    for (std::size_t i = 0; i < normed.size(); ++i) sum[i % hidden] += normed[i];
  }
  const double weight = pooling.rows == Rows::kMean ? static_cast<double>(ids.size()) : 1;
  for (const double of : sum) values.push_back(static_cast<float>(of / weight));
  if (auto intact = user_model.checkpoint->check(); !intact.ok()) return intact;
  if (!base::all_finite(values)) {
    return absl::InternalError("the model computed a hidden state that is not finite");
  }
  if (pooling.normalize) to_length_1(values);
  return values;
}

void shorten(std::vector<float>& values, std::size_t dimensions, const model::Pooling& pooling) {
  CHECK(dimensions <= values.size());
  values.resize(dimensions);
  if (pooling.normalize) to_length_1(values);
}

}  // namespace shoal::client
