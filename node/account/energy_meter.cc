// SPDX-License-Identifier: Apache-2.0
#include "node/account/energy_meter.h"

#include <dlfcn.h>
#include <fmt/format.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <vector>

#include "node/account/amounts.h"

namespace shoal::node {
namespace {

namespace fs = std::filesystem;

constexpr std::size_t kMostCounters = 64;
constexpr double kJoulesPerMicrojoule = 1e-6, kJoulesPerMillijoule = 1e-3;

std::optional<std::uint64_t> number_in(const fs::path& file) {
  std::ifstream in(file);
  std::uint64_t number = 0;
  return in >> number ? std::optional(number) : std::nullopt;
}

// "intel-rapl:0" is a package, and AMD's too; "intel-rapl:0:1" a part of one, "intel-rapl-mmio:0"
// the same package by another way, and psys, where it is, the package and more.
bool is_package(const fs::path& zone) {
  const std::string name = zone.filename().string();
  constexpr std::string_view kPrefix = "intel-rapl:";
  if (!name.starts_with(kPrefix)) return false;
  const std::string number = name.substr(kPrefix.size());
  if (number.empty() || !std::ranges::all_of(number, [](char c) { return c >= '0' && c <= '9'; })) {
    return false;
  }
  std::string called;
  std::ifstream(zone / "name") >> called;
  return called.starts_with("package");
}

}  // namespace

std::uint64_t grown(std::uint64_t before, std::uint64_t now, std::uint64_t range) {
  if (now >= before) return now - before;
  return range >= before ? range - before + now : 0;
}

class EnergyMeter::Impl {
 public:
  explicit Impl(const std::string& powercap) {
    std::error_code error;
    for (const auto& entry : fs::directory_iterator(powercap, error)) {
      if (!is_package(entry.path()) || zones_.size() == kMostCounters) continue;
      const fs::path counter = entry.path() / "energy_uj";
      found_ = true;
      if (!number_in(counter)) continue;
      zones_.push_back({counter, number_in(entry.path() / "max_energy_range_uj").value_or(0), {}});
    }
  }
  ~Impl() {
    if (nvml_.library == nullptr) return;
    nvml_.shutdown();
    dlclose(nvml_.library);
  }
  Impl(const Impl&) = delete;
  Impl& operator=(const Impl&) = delete;

  void count_gpus(const std::string& library) {
    if (nvml_.library != nullptr) return;
    nvml_.library = dlopen(library.c_str(), RTLD_NOW | RTLD_LOCAL);
    if (nvml_.library == nullptr) return;
    int (*init)() = nullptr;
    int (*count)(unsigned*) = nullptr;
    int (*device)(unsigned, NvmlDevice*) = nullptr;
    const bool whole = nvml_.find(init, "nvmlInit_v2") &&
                       nvml_.find(nvml_.shutdown, "nvmlShutdown") &&
                       nvml_.find(count, "nvmlDeviceGetCount_v2") &&
                       nvml_.find(device, "nvmlDeviceGetHandleByIndex_v2") &&
                       nvml_.find(nvml_.energy_mj, "nvmlDeviceGetTotalEnergyConsumption") &&
                       nvml_.find(nvml_.power_mw, "nvmlDeviceGetPowerUsage");
    if (!whole || init() != 0) {
      dlclose(nvml_.library);
      nvml_.library = nullptr;
      return;
    }
    unsigned gpus = 0;
    if (count(&gpus) != 0) return;
    for (unsigned i = 0; i < std::min<unsigned>(gpus, kMostCounters); ++i) {
      Gpu gpu;
      unsigned long long energy = 0;
      unsigned power = 0;
      if (device(i, &gpu.device) != 0) continue;
      gpu.counts = nvml_.energy_mj(gpu.device, &energy) == 0;
      if (gpu.counts || nvml_.power_mw(gpu.device, &power) == 0) gpus_.push_back(gpu);
    }
  }

  bool tells() const { return !zones_.empty() || !gpus_.empty(); }

  std::string sources() const {
    if (zones_.empty() && gpus_.empty()) {
      return found_ ? "not told by this system to this user (root may read it)"
                    : "not told by this system";
    }
    std::string text = zones_.empty() ? "" : "processors";
    if (!gpus_.empty()) {
      text += (text.empty() ? "" : " and ") + count_of(gpus_.size(), "GPU", "GPUs");
    }
    return text;
  }

  std::optional<double> take(Time now) {
    if (!tells()) return std::nullopt;
    double joules = 0;
    for (PowerZone& zone : zones_) {
      const auto uj = number_in(zone.counter);
      if (uj && zone.before_uj) {
        joules +=
            kJoulesPerMicrojoule * static_cast<double>(grown(*zone.before_uj, *uj, zone.range_uj));
      }
      zone.before_uj = uj;
    }
    const double seconds = before_ ? std::chrono::duration<double>(now - *before_).count() : 0;
    for (Gpu& gpu : gpus_) joules += take(gpu, seconds);
    const bool first = !before_;
    before_ = now;
    return first ? std::nullopt : std::optional(joules);
  }

 private:
  struct PowerZone {
    fs::path counter;
    std::uint64_t range_uj = 0;
    std::optional<std::uint64_t> before_uj;
  };

  // Of NVML, as its header has them; no header is needed to build.
  using NvmlDevice = void*;
  struct Nvml {
    void* library = nullptr;
    int (*shutdown)() = nullptr;
    int (*energy_mj)(NvmlDevice, unsigned long long*) = nullptr;  // since the driver was loaded
    int (*power_mw)(NvmlDevice, unsigned*) = nullptr;

    template <typename Function>
    bool find(Function& function, const char* name) const {
      function = reinterpret_cast<Function>(dlsym(library, name));
      return function != nullptr;
    }
  };

  struct Gpu {
    NvmlDevice device = nullptr;
    bool counts = true;  // energy; else its power is summed up here
    std::optional<std::uint64_t> before_mj;
  };

  double take(Gpu& gpu, double seconds) const {
    if (!gpu.counts) {
      unsigned mw = 0;
      return nvml_.power_mw(gpu.device, &mw) == 0 ? 1e-3 * mw * seconds : 0;
    }
    unsigned long long mj = 0;
    if (nvml_.energy_mj(gpu.device, &mj) != 0) return 0;
    // A driver that was loaded anew counts from 0.
    const std::uint64_t more = gpu.before_mj ? grown(*gpu.before_mj, mj, 0) : 0;
    gpu.before_mj = mj;
    return kJoulesPerMillijoule * static_cast<double>(more);
  }

  bool found_ = false;  // a package, readable or not
  std::vector<PowerZone> zones_;
  Nvml nvml_;
  std::vector<Gpu> gpus_;
  std::optional<Time> before_;
};

EnergyMeter::EnergyMeter(const std::string& powercap) : impl_(std::make_unique<Impl>(powercap)) {}
EnergyMeter::~EnergyMeter() = default;
EnergyMeter::EnergyMeter(EnergyMeter&& other) noexcept = default;

void EnergyMeter::count_gpus(const std::string& library) { impl_->count_gpus(library); }
std::string EnergyMeter::sources() const { return impl_->sources(); }
bool EnergyMeter::tells() const { return impl_->tells(); }
std::optional<double> EnergyMeter::take(Time now) { return impl_->take(now); }

}  // namespace shoal::node
