// SPDX-License-Identifier: Apache-2.0
#include "tests/bench/span_bench.h"

#include <algorithm>
#include <chrono>
#include <memory>
#include <optional>
#include <span>
#include <utility>

#include "base/check.h"
#include "kernels/bandwidth.h"
#include "kernels/cpu_executor.h"
#include "model/checkpoint.h"
#include "model/config.h"
#include "model/kv_pool.h"
#include "model/span_runner.h"
#include "node/device/executors.h"
#include "tests/bench/latency.h"
#include "tests/bench/random_model.h"

namespace shoal::bench {
namespace {

using Clock = std::chrono::steady_clock;

constexpr std::size_t kLeastReadBytes = std::size_t{256} << 20;  // beyond most caches
constexpr std::size_t kMostReadBytes = std::size_t{1} << 30;
constexpr std::size_t kReadGrain = 64 * 1024;  // bandwidth.h

// Everything that one run needs, in the order in which it may be destroyed.
struct Loaded {
  std::unique_ptr<kernels::Executor> executor;
  kernels::CpuExecutor* cpu = nullptr;  // where it is one
  std::unique_ptr<model::SpanRunner> runner;
  std::unique_ptr<model::KvPool> pool;
  std::vector<float> bare;  // what the bare read reads
  double peak = 0;          // operations a second; 0: not known

  // Bytes a second, now: of a GPU, of copies within it.
  double read_rate() const {
    if (cpu == nullptr) return kernels::measure_copy_bandwidth(*executor, kMostReadBytes / 4, 1);
    return static_cast<double>(bare.size() * sizeof(float)) / kernels::time_read(*cpu, bare);
  }
};

absl::Status open(const SpanBench& bench, Loaded& loaded) {
  auto chosen = node::open_chosen(bench.device);
  if (!chosen.ok()) return chosen.status();
  if (bench.weights == model::WeightChoice::kMma) {
    if (const auto kind = node::mma_of(*chosen); !kind.ok()) return kind.status();
  }
  if (chosen->executors.size() > 1) {
    return absl::InvalidArgumentError(
        "--device: a span is measured on one GPU; sessions on several");
  }
  if (!chosen->executors.empty()) {
    loaded.executor = std::move(chosen->executors.front());
    return absl::OkStatus();
  }
  auto cpu = std::make_unique<kernels::CpuExecutor>(bench.threads);
  loaded.cpu = cpu.get();
  loaded.executor = std::move(cpu);
  return absl::OkStatus();
}

// Keys and values that no kernel can be quick about: these bytes are a normal number in each type,
// and an i8 with a normal scale.
constexpr int kByte = 0x3c;
void fill(kernels::Executor& executor, const model::KvPool& pool, const model::KvLease& lease) {
  const kernels::KvPages pages = pool.pages();
  const std::vector<char> content(pool.shape().page_bytes(), kByte);
  for (const std::int32_t page : lease.pages()) {
    executor.upload(static_cast<char*>(pages.data) + page * pages.stride_bytes, content.data(),
                    content.size());
  }
}

absl::StatusOr<nlohmann::ordered_json> measure_point(const SpanBench& bench, Loaded& loaded,
                                                     std::int64_t rows, std::int64_t context) {
  const Geometry& g = bench.geometry;
  const std::int64_t sessions = bench.prefill ? 1 : rows;
  const std::int64_t rows_each = rows / sessions;
  std::vector<model::KvLease> leases;
  for (std::int64_t i = 0; i < sessions; ++i) {
    std::optional<model::KvLease> lease = loaded.pool->lease(context + rows_each);
    CHECK(lease.has_value()) << "KV is sized for the largest point";
    lease->prepare(0, context + rows_each);
    fill(*loaded.executor, *loaded.pool, *lease);
    lease->advance(context);
    leases.push_back(*std::move(lease));
  }
  std::vector<float> x(static_cast<std::size_t>(rows * g.hidden)), out(x.size());
  for (std::size_t i = 0; i < x.size(); ++i) x[i] = 0.01f * static_cast<float>(i % 13) - 0.06f;
  std::vector<model::SequenceStep> steps;
  const auto each = static_cast<std::size_t>(rows_each * g.hidden);
  for (std::size_t i = 0; i < leases.size(); ++i) {
    steps.push_back({&leases[i], context, rows_each, std::span(x).subspan(i * each, each),
                     std::span(out).subspan(i * each, each)});
  }

  Latency step;
  std::vector<double> shares, reads;
  const auto kv_bytes =
      static_cast<double>(sessions * bench.blocks * (context + rows_each) *
                          kernels::kv_position_bytes(bench.kv, g.kv_heads, g.head_dim));
  const double bytes = static_cast<double>(loaded.runner->weight_bytes()) + kv_bytes;
  for (int pass = -1; pass < bench.passes; ++pass) {  // the first warms up
    const double read = loaded.read_rate();
    for (model::KvLease& lease : leases) lease.prepare(context, rows_each);
    const auto start = Clock::now();
    loaded.runner->begin(steps, 0, bench.blocks);
    loaded.runner->finish();
    const double us = std::chrono::duration<double, std::micro>(Clock::now() - start).count();
    if (pass < 0) continue;
    step.samples_us.push_back(us);
    reads.push_back(read);
    shares.push_back(bytes / (us * 1e-6) / read);
  }
  std::sort(shares.begin(), shares.end());
  std::sort(reads.begin(), reads.end());
  const double seconds = step.p50() * 1e-6;
  const double seen = static_cast<double>(context) + static_cast<double>(rows_each + 1) / 2;
  const double operations = static_cast<double>(rows * bench.blocks) *
                            (2.0 * static_cast<double>(block_weights(g)) +
                             4.0 * static_cast<double>(g.heads * g.head_dim) * seen);
  nlohmann::ordered_json point;
  point["rows"] = rows;
  point["context"] = context;
  point["step_us"] = step.p50();
  point["rows_per_s"] = static_cast<double>(rows) / seconds;
  point["read_gb_s"] = bytes / seconds / 1e9;
  point["machine_read_gb_s"] = reads[reads.size() / 2] / 1e9;
  point["read_share"] = shares[shares.size() / 2];
  point["gop_s"] = operations / seconds / 1e9;
  point["machine_gop_s"] = loaded.peak / 1e9;
  point["product_share"] = loaded.peak > 0 ? operations / seconds / loaded.peak : 0.0;
  point["share"] = bench.prefill ? point["product_share"] : point["read_share"];
  return point;
}

}  // namespace

absl::StatusOr<Report> measure_span(const SpanBench& bench) {
  const auto model = RandomModel::make(bench.geometry, bench.blocks, false);
  if (!model.ok()) return model.status();
  const auto config = model::load_config(model->directory());
  if (!config.ok()) return config.status();
  const auto checkpoint = model::Checkpoint::open(model->directory());
  if (!checkpoint.ok()) return checkpoint.status();

  const std::int64_t rows = *std::max_element(bench.rows.begin(), bench.rows.end());
  const std::int64_t context = *std::max_element(bench.contexts.begin(), bench.contexts.end());
  const std::int64_t page = model::kPagePositions;
  const std::int64_t positions = bench.prefill ? (context + rows + page - 1) / page * page
                                               : (context + 1 + page - 1) / page * page * rows;
  Loaded loaded;
  if (absl::Status status = open(bench, loaded); !status.ok()) return status;
  auto runner =
      model::SpanRunner::load(*config, *checkpoint, 0, bench.blocks, *loaded.executor,
                              {.rows = rows, .kv_positions = positions, .weights = bench.weights});
  if (!runner.ok()) return runner.status();
  loaded.runner = *std::move(runner);
  auto pool = model::KvPool::create(*loaded.executor, loaded.runner->kv_shape(bench.kv), positions);
  if (!pool.ok()) return pool.status();
  loaded.pool = *std::move(pool);
  const bool portable = model::is_portable(bench.weights);
  if (loaded.cpu != nullptr) {
    loaded.peak = portable ? kernels::measure_int_dot_peak(*loaded.cpu, 10)
                           : kernels::measure_fma_peak(*loaded.cpu, 10);
    const std::size_t bare =
        std::clamp(loaded.runner->weight_bytes(), kLeastReadBytes, kMostReadBytes);
    loaded.bare.assign(bare / kReadGrain * kReadGrain / sizeof(float), 1.0f);
  }

  Report report;
  report.facts["geometry"] = bench.geometry.name;
  report.facts["blocks"] = bench.blocks;
  report.facts["weights"] = model::name_of(bench.weights);
  report.facts["compute"] = bench.weights == model::WeightChoice::kMma ? "mma" : "exact";
  report.facts["kv"] = kernels::kv_dtype_name(bench.kv);
  if (loaded.cpu != nullptr) {
    report.facts["threads"] = loaded.cpu->threads();
    report.facts["instruction_set"] = kernels::cpu_instruction_set();
  } else {
    report.facts["device"] = loaded.executor->memory()->name;
  }
  report.facts["weight_bytes"] = loaded.runner->weight_bytes();
  report.x = bench.contexts.size() > bench.rows.size() ? "context" : "rows";
  report.y = "share";
  for (const std::int64_t each : bench.contexts) {
    for (const std::int64_t count : bench.rows) {
      auto point = measure_point(bench, loaded, count, each);
      if (!point.ok()) return point.status();
      report.points.push_back(*std::move(point));
    }
  }
  return report;
}

}  // namespace shoal::bench
