// SPDX-License-Identifier: Apache-2.0
// shoal-kernel-bench: the CPU operators beside this machine's own limits, measured in the same run.
// Decode: weight bytes per second over the read bandwidth. Prefill: FLOP/s over the rate of fused
// multiply-adds (portable formats compute in integers: what exceeds 1 is theirs). SHOAL_THREADS
// sets the threads (default: all cores), SHOAL_CPU the instruction set.
#include <benchmark/benchmark.h>

#include <algorithm>
#include <chrono>
#include <cstdlib>
#include <cstring>
#include <iostream>
#include <memory>
#include <numeric>
#include <optional>
#include <span>
#include <vector>

#include "base/check.h"
#include "kernels/attention.h"
#include "kernels/bandwidth.h"
#include "kernels/cpu_executor.h"
#include "kernels/linear.h"

namespace shoal::kernels {
namespace {

constexpr std::int64_t kBandwidthBytes = std::int64_t{1} << 30;  // beyond most caches
constexpr std::int64_t kWeightBytes = kBandwidthBytes;
constexpr std::int64_t kHidden = 4096;
constexpr int kPairs = 15;  // decode passes, each beside a bare read

struct Machine {
  std::unique_ptr<CpuExecutor> executor;
  double read = 0;
  double fma = 0;
};

Machine& machine() {
  static Machine* const one = [] {
    const char* threads = std::getenv("SHOAL_THREADS");
    auto* m = new Machine;
    m->executor = std::make_unique<CpuExecutor>(threads == nullptr ? 0 : std::atoi(threads));
    m->read = measure_read_bandwidth(*m->executor, kBandwidthBytes, 5);
    m->fma = measure_fma_peak(*m->executor, 10);
    return m;
  }();
  return *one;
}

// Ratios are plain numbers, so they are computed here: the library's rates would print as "per
// second".
class Stopwatch {
 public:
  double seconds() const {
    return std::chrono::duration<double>(std::chrono::steady_clock::now() - start_).count();
  }

 private:
  std::chrono::steady_clock::time_point start_ = std::chrono::steady_clock::now();
};

void report_bytes(benchmark::State& state, const Stopwatch& watch, double bytes) {
  const double rate = bytes * static_cast<double>(state.iterations()) / watch.seconds();
  state.counters["GB_per_s"] = rate / 1e9;
  state.counters["of_read"] = rate / machine().read;
}

void report_flops(benchmark::State& state, const Stopwatch& watch, double flops) {
  const double rate = flops * static_cast<double>(state.iterations()) / watch.seconds();
  state.counters["GFLOP_per_s"] = rate / 1e9;
  state.counters["of_fma"] = rate / machine().fma;
}

// Values are 1 in every dtype: the kernels' time does not depend on them.
std::vector<char> ones(DType dtype, std::int64_t count) {
  const std::size_t size = dtype_bytes(dtype);
  std::vector<char> bytes(static_cast<std::size_t>(count) * size);
  const std::uint32_t one = dtype == DType::kF16 ? 0x3c00u : dtype == DType::kBF16 ? 0x3f80u : 0;
  const float wide = 1.0f;
  for (std::int64_t i = 0; i < count; ++i) {
    std::memcpy(bytes.data() + i * static_cast<std::int64_t>(size),
                dtype == DType::kF32 ? static_cast<const void*>(&wide) : &one, size);
  }
  return bytes;
}

const char* format_name(WeightFormat format) {
  constexpr const char* kNames[] = {"f32", "bf16", "f16", "q8", "q4", "q4s"};
  return kNames[static_cast<std::size_t>(format)];
}

// As many layers [outs, k] of one format as fit `bytes`, at least one, side by side.
struct Layers {
  Layers(WeightFormat format, std::int64_t outs, std::int64_t k, std::int64_t bytes) {
    const std::vector<char> wide = ones(DType::kF32, outs * k);
    const std::optional<PackedLinear> packed =
        pack_linear(*machine().executor, {wide.data(), DType::kF32, outs, k}, WeightView(), format);
    CHECK(packed.has_value()) << "no memory";
    const std::size_t each = packed->weight().bytes();
    const std::size_t count = std::max<std::size_t>(1, static_cast<std::size_t>(bytes) / each);
    memory.resize(count * each);
    for (std::size_t i = 0; i < count; ++i) {
      LinearWeight weight = packed->weight();
      std::memcpy(memory.data() + i * each, weight.values, each);
      weight.values = memory.data() + i * each;
      weights.push_back(weight);
    }
  }
  std::vector<char> memory;
  std::vector<LinearWeight> weights;
};

// One pass over all matrices [kHidden, kHidden] that fit kWeightBytes, as a decode step makes it.
// Each is timed beside a bare read of the same bytes: on a shared machine the bandwidth of a minute
// ago says little about now, so the ratio is taken per pair.
void linear_decode(benchmark::State& state, WeightFormat format, std::int64_t rows) {
  const Layers layers(format, kHidden, kHidden, kWeightBytes);
  std::vector<float> x(static_cast<std::size_t>(rows * kHidden), 0.5f), y(x.size());
  // Whole lines of what the reader takes at once.
  const std::size_t floats = layers.memory.size() / 512 * 128;
  const std::span bytes(reinterpret_cast<const float*>(layers.memory.data()), floats);
  std::vector<double> ratios;
  double seconds = 0;
  for (auto _ : state) {
    const double read = time_read(*machine().executor, bytes);
    const Stopwatch watch;
    for (const LinearWeight& weight : layers.weights) {
      linear(*machine().executor, {x.data(), rows, kHidden, kHidden}, weight,
             {y.data(), rows, kHidden, kHidden});
    }
    benchmark::ClobberMemory();
    const double taken = watch.seconds();
    state.SetIterationTime(taken);
    seconds += taken;
    ratios.push_back(read / taken);
  }
  std::sort(ratios.begin(), ratios.end());
  const auto passes = static_cast<double>(state.iterations());
  state.counters["GB_per_s"] = static_cast<double>(layers.memory.size()) * passes / seconds / 1e9;
  state.counters["of_read"] = ratios[ratios.size() / 2];
  state.counters["of_read_least"] = ratios.front();
  state.counters["GOP_per_s"] = 2.0 * static_cast<double>(rows * kHidden * kHidden) *
                                static_cast<double>(layers.weights.size()) * passes / seconds / 1e9;
}

void linear_prefill(benchmark::State& state, WeightFormat format, std::int64_t rows, std::int64_t k,
                    std::int64_t n) {
  const Layers layers(format, n, k, 1);
  std::vector<float> x(static_cast<std::size_t>(rows * k), 0.5f);
  std::vector<float> y(static_cast<std::size_t>(rows * n));
  const Stopwatch watch;
  for (auto _ : state) {
    linear(*machine().executor, {x.data(), rows, k, k}, layers.weights.front(),
           {y.data(), rows, n, n});
    benchmark::ClobberMemory();
  }
  report_flops(state, watch, 2.0 * static_cast<double>(rows * n * k));
}

// Weights quantized and packed, in values of them a second.
void pack_layer(benchmark::State& state, WeightFormat format) {
  const std::vector<char> stored = ones(DType::kBF16, kHidden * kHidden);
  const Stopwatch watch;
  for (auto _ : state) {
    benchmark::DoNotOptimize(pack_linear(*machine().executor,
                                         {stored.data(), DType::kBF16, kHidden, kHidden},
                                         WeightView(), format));
  }
  state.counters["stored_GB_per_s"] = static_cast<double>(stored.size()) *
                                      static_cast<double>(state.iterations()) / watch.seconds() /
                                      1e9;
}

// The layers of a block that read the same rows, [hidden] to [outs]: as one operator, and one after
// the other.
void projections(benchmark::State& state, std::int64_t rows, std::int64_t hidden,
                 std::vector<std::int64_t> outs, bool together) {
  std::vector<std::vector<char>> values;
  std::vector<LinearWeight> weights;
  std::vector<std::vector<float>> y;
  std::vector<Projection> parts;
  for (const std::int64_t n : outs) {
    values.push_back(ones(DType::kBF16, n * hidden));
    weights.push_back(WeightView{values.back().data(), DType::kBF16, n, hidden});
    y.emplace_back(static_cast<std::size_t>(rows * n));
  }
  for (std::size_t i = 0; i < outs.size(); ++i) {
    parts.push_back({&weights[i], {y[i].data(), rows, outs[i], outs[i]}});
  }
  std::vector<float> x(static_cast<std::size_t>(rows * hidden), 0.5f);
  const ConstMatrixView view(x.data(), rows, hidden, hidden);
  for (auto _ : state) {
    if (together) {
      project(*machine().executor, view, parts);
    } else {
      for (const Projection& part : parts) {
        linear(*machine().executor, view, *part.weight, part.out);
      }
    }
    benchmark::ClobberMemory();
  }
}

// Rows that all see `positions`: decode has one row in each of `sessions`.
void attention_step(benchmark::State& state, std::int64_t sessions, std::int64_t rows,
                    std::int64_t positions, KvDType dtype) {
  constexpr std::int64_t kHeads = 32, kKvHeads = 8, kDim = 128;
  const std::int64_t page_bytes = kPagePositions * kv_position_bytes(dtype, kKvHeads, kDim);
  const KvLayout layout{kKvHeads, kDim, 0, page_bytes / 2};
  const std::int64_t pages = positions / kPagePositions;
  // A normal number in each type, and an i8 with a normal scale.
  std::vector<char> kv(static_cast<std::size_t>(sessions * pages * page_bytes), 0x3c);
  const KvPages pool{kv.data(), dtype, Device::kCpu, page_bytes};
  CpuExecutor& executor = *machine().executor;
  StepPlan plan =
      StepPlan::make(executor, {}, {.rows = sessions * rows, .pages = sessions * pages}).value();
  std::vector<std::int32_t> table(static_cast<std::size_t>(pages));
  for (std::int64_t s = 0; s < sessions; ++s) {
    std::iota(table.begin(), table.end(), static_cast<std::int32_t>(s * pages));
    plan.add(positions - rows, rows, table);
  }
  plan.seal(executor);
  const std::int64_t cols = kHeads * kDim;
  std::vector<float> q(static_cast<std::size_t>(sessions * rows * cols), 0.01f), out(q.size());
  const Stopwatch watch;
  for (auto _ : state) {
    attention(executor, {q.data(), sessions * rows, cols, cols}, kHeads, pool, layout, plan, 0.088f,
              0, {out.data(), sessions * rows, cols, cols});
    benchmark::ClobberMemory();
  }
  if (rows == 1) {
    report_bytes(state, watch, static_cast<double>(kv.size()));
  } else {
    const std::int64_t seen = positions - rows / 2;  // by a row, on average
    report_flops(state, watch, 4.0 * static_cast<double>(sessions * rows * cols * seen));
  }
}

void parallel_for_overhead(benchmark::State& state) {
  CpuExecutor& executor = *machine().executor;
  for (auto _ : state) {
    executor.parallel_for(executor.threads(), 1, [](std::int64_t begin, std::int64_t) {
      benchmark::DoNotOptimize(begin);
    });
  }
}

template <class... Arguments>
void add(const std::string& name, Arguments... arguments) {
  benchmark::RegisterBenchmark(name.c_str(), arguments...)
      ->UseRealTime()
      ->Unit(benchmark::kMillisecond);
}

void register_all() {
  for (const WeightFormat format : {WeightFormat::kF32, WeightFormat::kBF16, WeightFormat::kF16,
                                    WeightFormat::kQ8, WeightFormat::kQ4, WeightFormat::kQ4S}) {
    const std::string name = format_name(format);
    for (const std::int64_t rows : {1, 4}) {
      benchmark::RegisterBenchmark(
          ("linear_decode/" + name + "/rows:" + std::to_string(rows)).c_str(), linear_decode,
          format, rows)
          ->UseManualTime()
          ->Iterations(kPairs)
          ->Unit(benchmark::kMillisecond);
    }
    for (const std::int64_t rows : {8, 32, 128, 512}) {
      add("linear_prefill/" + name + "/rows:" + std::to_string(rows), linear_prefill, format, rows,
          kHidden, kHidden);
    }
    if (is_portable(format)) add("pack/" + name, pack_layer, format);
  }
  add("linear_prefill/bf16/down", linear_prefill, WeightFormat::kBF16, 256, 14336, 4096);
  add("linear_prefill/bf16/demo_model", linear_prefill, WeightFormat::kBF16, 128, 256, 704);
  // The demo model's query, key and value; a model's of eight billion weights.
  for (const bool together : {false, true}) {
    const std::string name = together ? "together" : "apart";
    add("projections/demo_model/" + name, projections, 1, 256,
        std::vector<std::int64_t>{256, 64, 64}, together);
    add("projections/hidden:4096/" + name, projections, 1, 4096,
        std::vector<std::int64_t>{4096, 1024, 1024}, together);
  }
  for (const KvDType dtype : kKvDTypes) {
    const std::string type =
        dtype == KvDType::kF32 ? std::string() : std::string("/kv:") + kv_dtype_name(dtype);
    add("attention_decode/positions:4096" + type, attention_step, 1, 1, 4096, dtype);
    add("attention_decode/sessions:16" + type, attention_step, 16, 1, 1024, dtype);
    add("attention_prefill/rows:256" + type, attention_step, 1, 256, 1024, dtype);
  }
  add("parallel_for/empty", parallel_for_overhead);
}

}  // namespace
}  // namespace shoal::kernels

int main(int argc, char** argv) {
  using namespace shoal::kernels;
  register_all();
  benchmark::Initialize(&argc, argv);
  if (benchmark::ReportUnrecognizedArguments(argc, argv)) return 1;
  const Machine& m = machine();
  std::cout << "instruction set " << cpu_instruction_set() << ", threads " << m.executor->threads()
            << ", read " << m.read / 1e9 << " GB/s, f32 fma " << m.fma / 1e9 << " GFLOP/s\n";
  benchmark::RunSpecifiedBenchmarks();
  benchmark::Shutdown();
  return 0;
}
