// SPDX-License-Identifier: Apache-2.0
// What a simulation costs on this machine: memory and wall time. Nothing in it reaches the
// simulated world.
#pragma once

#include <sys/resource.h>

#include <chrono>
#include <cstdint>
#include <fstream>

#include "tests/sim/report.h"
#include "tests/sim/swarm.h"

namespace shoal::sim {

inline std::uint64_t resident_bytes() {
  std::ifstream file("/proc/self/statm");
  std::uint64_t all = 0, resident = 0;
  file >> all >> resident;
  return resident * 4096;
}

inline std::uint64_t peak_resident_bytes() {
  rusage usage{};
  getrusage(RUSAGE_SELF, &usage);
  return static_cast<std::uint64_t>(usage.ru_maxrss) * 1024;
}

// From its construction, or from lap() to lap().
class Meter {
 public:
  double lap_s() {
    const auto now = std::chrono::steady_clock::now();
    const double result = std::chrono::duration<double>(now - lap_).count();
    lap_ = now;
    return result;
  }
  double total_s() const {
    return std::chrono::duration<double>(std::chrono::steady_clock::now() - start_).count();
  }

 private:
  std::chrono::steady_clock::time_point start_ = std::chrono::steady_clock::now(), lap_ = start_;
};

}  // namespace shoal::sim
