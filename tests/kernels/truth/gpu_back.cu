// SPDX-License-Identifier: Apache-2.0
// The first GPU, by the runtime library alone: what is asked of it must not depend on how the
// product drives one.
#include <cuda_runtime.h>

#include <algorithm>
#include <cstdio>
#include <fstream>
#include <functional>
#include <iterator>
#include <utility>
#include <vector>

#include "kernels/cuda/gpu/reasons.h"
#include "tests/kernels/truth/back.h"
#include "tests/kernels/truth/ceilings.cuh"
#include "tests/kernels/truth/truth.cuh"

namespace shoal::kernels::cuda::truth {
namespace {

// The first failure; what follows it does nothing.
class Calls {
 public:
  bool well() const { return why_.empty(); }
  const std::string& why() const { return why_; }
  bool operator()(cudaError_t error, const char* call) {
    if (error != cudaSuccess && well()) why_ = std::string(call) + ": " + cudaGetErrorString(error);
    return well();
  }

 private:
  std::string why_;
};

class DeviceWords {
 public:
  DeviceWords(Calls& calls, std::size_t bytes) {
    if (calls.well()) calls(cudaMalloc(&data_, bytes), "cudaMalloc");
  }
  ~DeviceWords() { cudaFree(data_); }
  DeviceWords(const DeviceWords&) = delete;
  DeviceWords& operator=(const DeviceWords&) = delete;
  std::uint32_t* data() const { return static_cast<std::uint32_t*>(data_); }

 private:
  void* data_ = nullptr;
};

// The least time of some runs of what `queue` puts into the stream, the first of which warms up.
class Stopwatch {
 public:
  explicit Stopwatch(Calls& calls) : calls_(calls) {
    calls_(cudaStreamCreate(&stream_), "cudaStreamCreate");
    calls_(cudaEventCreate(&begin_), "cudaEventCreate");
    calls_(cudaEventCreate(&end_), "cudaEventCreate");
  }
  ~Stopwatch() {
    cudaEventDestroy(begin_);
    cudaEventDestroy(end_);
    cudaStreamDestroy(stream_);
  }
  Stopwatch(const Stopwatch&) = delete;
  Stopwatch& operator=(const Stopwatch&) = delete;

  cudaStream_t stream() const { return stream_; }
  double least_seconds(int runs, const std::function<void()>& queue) {
    float least = 0.0f;
    for (int run = -1; run < runs && calls_.well(); ++run) {
      calls_(cudaEventRecord(begin_, stream_), "cudaEventRecord");
      queue();
      calls_(cudaGetLastError(), "a launch");
      calls_(cudaEventRecord(end_, stream_), "cudaEventRecord");
      calls_(cudaEventSynchronize(end_), "cudaEventSynchronize");
      float ms = 0.0f;
      if (calls_.well()) calls_(cudaEventElapsedTime(&ms, begin_, end_), "cudaEventElapsedTime");
      if (run == 0 || (run > 0 && ms < least)) least = ms;
    }
    return static_cast<double>(least) * 1e-3;
  }

 private:
  Calls& calls_;
  cudaStream_t stream_ = nullptr;
  cudaEvent_t begin_ = nullptr, end_ = nullptr;
};

class GpuBack final : public Back {
 public:
  explicit GpuBack(const cudaDeviceProp& card) : card_(card) {}

  std::string name() const override {
    return std::string(card_.name) + ", compute capability " + std::to_string(card_.major) + "." +
           std::to_string(card_.minor);
  }
  emulator::MmaRule rule() const override {
    return card_.major >= 9 ? emulator::MmaRule::kHopper : emulator::MmaRule::kAmpere;
  }

  std::string run(Part part, std::span<const std::uint32_t> in, std::int64_t items,
                  std::span<std::uint32_t> out) override {
    Calls calls;
    const DeviceWords from(calls, in.size_bytes()), to(calls, out.size_bytes());
    if (!calls.well()) return calls.why();
    calls(cudaMemcpy(from.data(), in.data(), in.size_bytes(), cudaMemcpyHostToDevice), "an upload");
    // What nobody writes is no result by chance.
    calls(cudaMemset(to.data(), 0xa5, out.size_bytes()), "cudaMemset");
    if (!calls.well()) return calls.why();
    kernel_of(part)<<<static_cast<unsigned>(ctas_of(part, items)), kThreads, kSharedBytes>>>(
        Work{from.data(), to.data(), items});
    calls(cudaGetLastError(), "a launch");
    calls(cudaDeviceSynchronize(), "a kernel");
    if (!calls.well()) return calls.why();
    calls(cudaMemcpy(out.data(), to.data(), out.size_bytes(), cudaMemcpyDeviceToHost),
          "a download");
    return calls.why();
  }

  std::string ceilings() override {
    Calls calls;
    std::string text;
    const auto say = [&](const char* name, double value) {
      char line[80];
      std::snprintf(line, sizeof(line), "%s %.3f\n", name, value);
      if (calls.well()) text += line;
    };
    wake(calls);
    say_memory(calls, say);
    say_rates(calls, say);
    say_gaps(calls, say);
    return calls.well() ? text : "failed: " + calls.why() + "\n";
  }

 private:
  static constexpr int kRuns = 7;

  // A card that was idle takes a while to raise its clocks.
  void wake(Calls& calls) const {
    constexpr int kLaunches = 400, kRounds = 4096;  // a quarter of a second on a large card
    const int ctas = card_.multiProcessorCount * 8;
    const DeviceWords out(calls, std::size_t{4} * static_cast<std::size_t>(ctas) * kRateThreads);
    for (int i = 0; i < kLaunches && calls.well(); ++i) {
      rate_fma<<<static_cast<unsigned>(ctas), kRateThreads>>>(Rate{out.data(), kRounds});
      calls(cudaGetLastError(), "a launch");
    }
    calls(cudaDeviceSynchronize(), "a kernel");
  }

  template <class Say>
  void say_memory(Calls& calls, const Say& say) {
    std::size_t free = 0, total = 0;
    if (!calls(cudaMemGetInfo(&free, &total), "cudaMemGetInfo")) return;
    constexpr std::size_t kEach = std::size_t{kReadThreads} * kReadUnder * 16;
    const std::size_t bytes = std::min(free / 4, std::size_t{2} << 30) / kEach * kEach;
    const int ctas = card_.multiProcessorCount * 8;
    const DeviceWords from(calls, bytes), to(calls, bytes);
    const DeviceWords out(calls, std::size_t{4} * static_cast<std::size_t>(ctas) * kReadThreads);
    if (!calls.well()) return;
    calls(cudaMemset(from.data(), 0x3c, bytes), "cudaMemset");
    Stopwatch watch(calls);
    const Read read{from.data(), out.data(), static_cast<std::int64_t>(bytes / 16), ctas};
    const double seconds = watch.least_seconds(kRuns, [&] {
      read_all<<<static_cast<unsigned>(ctas), kReadThreads, 0, watch.stream()>>>(read);
    });
    say("read_gb_s", static_cast<double>(bytes) / seconds / 1e9);
    const double copied = watch.least_seconds(kRuns, [&] {
      cudaMemcpyAsync(to.data(), from.data(), bytes, cudaMemcpyDeviceToDevice, watch.stream());
    });
    say("copy_gb_s", 2.0 * static_cast<double>(bytes) / copied / 1e9);
  }

  template <class Say>
  void say_rates(Calls& calls, const Say& say) {
    constexpr int kRounds = 4096, kCtasEach = 8;
    const int ctas = card_.multiProcessorCount * kCtasEach;
    const DeviceWords out(calls, std::size_t{4} * static_cast<std::size_t>(ctas) * kRateThreads);
    if (!calls.well()) return;
    Stopwatch watch(calls);
    const auto rate = [&](const char* name, void (*kernel)(Rate), double products_of_thread) {
      const double seconds = watch.least_seconds(kRuns, [&] {
        kernel<<<static_cast<unsigned>(ctas), kRateThreads, 0, watch.stream()>>>(
            Rate{out.data(), kRounds});
      });
      const double products = products_of_thread * kRounds * kRateThreads * ctas;
      say(name, 2.0 * products / seconds / 1e12);
    };
    rate("fma_tflop_s", &rate_fma, kFmaChains);
    rate("mma_bf16_tflop_s", &rate_mma_bf16, static_cast<double>(kMmaChains * kBf16Products) / 32);
    rate("mma_s8_top_s", &rate_mma_s8, static_cast<double>(kMmaChains * kS8Products) / 32);
  }

  // From the beginning of one kernel that does nothing to that of the next.
  template <class Say>
  void say_gaps(Calls& calls, const Say& say) {
    constexpr int kKernels = 500;
    const DeviceWords out(calls, 4);
    if (!calls.well()) return;
    Stopwatch watch(calls);
    const auto queue = [&] {
      for (int i = 0; i < kKernels; ++i) nothing<<<1, 32, 0, watch.stream()>>>(Nothing{out.data()});
    };
    say("launch_us", watch.least_seconds(kRuns, queue) / kKernels * 1e6);
    cudaGraph_t graph = nullptr;
    cudaGraphExec_t repeated = nullptr;
    calls(cudaStreamBeginCapture(watch.stream(), cudaStreamCaptureModeThreadLocal), "a capture");
    queue();
    calls(cudaStreamEndCapture(watch.stream(), &graph), "the end of a capture");
    if (calls.well()) calls(cudaGraphInstantiate(&repeated, graph, 0), "cudaGraphInstantiate");
    if (calls.well()) {
      const double seconds =
          watch.least_seconds(kRuns, [&] { cudaGraphLaunch(repeated, watch.stream()); });
      say("graph_kernel_us", seconds / kKernels * 1e6);
    }
    if (repeated != nullptr) cudaGraphExecDestroy(repeated);
    if (graph != nullptr) cudaGraphDestroy(graph);
  }

  const cudaDeviceProp card_;
};

std::string driver_of_this_machine() {
  std::ifstream file("/proc/driver/nvidia/version");
  return driver_number({std::istreambuf_iterator<char>(file), {}});
}

}  // namespace

OpenedBack open_gpu_back() {
  DriverFacts facts;
  cudaDriverGetVersion(&facts.driver);
  cudaRuntimeGetVersion(&facts.runtime);
  facts.number = driver_of_this_machine();
  if (std::string why = why_no_driver(facts); !why.empty()) return {nullptr, std::move(why)};
  int count = 0;
  const cudaError_t counted = cudaGetDeviceCount(&count);
  if (counted == cudaErrorNoDevice || (counted == cudaSuccess && count == 0)) {
    return {nullptr, why_no_gpus()};
  }
  Calls calls;
  cudaDeviceProp card;
  if (!calls(counted, "cudaGetDeviceCount") ||
      !calls(cudaGetDeviceProperties(&card, 0), "cudaGetDeviceProperties") ||
      !calls(cudaSetDevice(0), "cudaSetDevice")) {
    return {nullptr, calls.why()};
  }
  const std::string name = std::string("GPU 0 (") + card.name + ")";
  if (std::string why = why_not_this_card(name, card.major, card.minor); !why.empty()) {
    return {nullptr, std::move(why)};
  }
  return {std::make_unique<GpuBack>(card), {}};
}

}  // namespace shoal::kernels::cuda::truth
