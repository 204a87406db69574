// SPDX-License-Identifier: Apache-2.0
// The energy that this machine's processors and GPUs take, where the system tells it: Linux's
// powercap counters (RAPL: Intel and AMD; often for root alone) and NVIDIA's NVML, which is loaded
// where it is. It counts what all programs use. One thread. Owns the loaded library.
#pragma once

#include <chrono>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>

namespace shoal::node {

inline constexpr const char* kPowercapFolder = "/sys/class/powercap";
inline constexpr const char* kNvmlLibrary = "libnvidia-ml.so.1";

// What a counter that begins anew behind `range` has grown by.
std::uint64_t grown(std::uint64_t before, std::uint64_t now, std::uint64_t range);

class EnergyMeter {
 public:
  using Time = std::chrono::steady_clock::time_point;

  // `powercap`: a folder; kPowercapFolder, or a test's.
  explicit EnergyMeter(const std::string& powercap = kPowercapFolder);
  ~EnergyMeter();
  EnergyMeter(EnergyMeter&& other) noexcept;
  EnergyMeter& operator=(EnergyMeter&&) = delete;

  // All GPUs of the machine count too from now on, if `library` is there and tells. Idempotent.
  void count_gpus(const std::string& library = kNvmlLibrary);

  // "processors and 1 GPU", or why nothing: a phrase for people.
  std::string sources() const;
  bool tells() const;
  // Joules since the call before; about once a second, so that no counter comes round twice.
  // nullopt: the first call, or the system does not tell.
  std::optional<double> take(Time now);

 private:
  class Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace shoal::node
