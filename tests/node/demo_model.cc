// SPDX-License-Identifier: Apache-2.0
#include "tests/node/demo_model.h"

#include <cstring>
#include <random>

#include "base/check.h"
#include "kernels/executor.h"
#include "model/kv_pool.h"
#include "model/span_runner.h"

namespace shoal::node {

const LoadedModel& demo() {
  static const LoadedModel model = [] {
    auto loaded = LoadedModel::open(kDemoModel, "");
    CHECK(loaded.ok()) << loaded.status();
    return std::move(*loaded);
  }();
  return model;
}

std::vector<float> random_rows(std::uint32_t seed, std::uint32_t count) {
  std::mt19937 random(seed);
  std::vector<float> x(std::size_t{count} * demo().config.hidden);
  for (float& value : x)
    value = static_cast<float>(static_cast<int>(random() % 2001) - 1000) / 1000.0f;
  return x;
}

std::vector<float> computed_alone(proto::Span span, const std::vector<float>& x) {
  const std::int64_t rows = static_cast<std::int64_t>(x.size()) / demo().config.hidden;
  const auto executor = kernels::Executor::cpu(1);
  auto runner = model::SpanRunner::load(demo().config, demo().checkpoint, span.begin, span.end,
                                        *executor, {.rows = rows, .kv_positions = rows});
  CHECK(runner.ok()) << runner.status();
  auto pool = model::KvPool::create(*executor, (*runner)->kv_shape(), rows);
  CHECK(pool.ok()) << pool.status();
  auto lease = (*pool)->lease(rows);
  CHECK(lease.has_value());
  lease->prepare(0, rows);
  std::vector<float> result = x;
  const model::SequenceStep step{&*lease, 0, rows, x, result};
  (*runner)->begin({&step, 1}, span.begin, span.end);
  (*runner)->finish();
  return result;
}

std::vector<float> joined(std::vector<float> a, const std::vector<float>& b) {
  a.insert(a.end(), b.begin(), b.end());
  return a;
}

bool bitwise_equal(const std::vector<float>& a, const std::vector<float>& b) {
  return a.size() == b.size() && std::memcmp(a.data(), b.data(), a.size() * sizeof(float)) == 0;
}

}  // namespace shoal::node
