// SPDX-License-Identifier: Apache-2.0
// A list of measured times and what one reports of it.
#pragma once

#include <algorithm>
#include <vector>

namespace shoal::bench {

struct Latency {
  std::vector<double> samples_us;

  double percentile(double p) const {
    if (samples_us.empty()) return 0;
    std::vector<double> sorted = samples_us;
    std::sort(sorted.begin(), sorted.end());
    return sorted[static_cast<std::size_t>(p * static_cast<double>(sorted.size() - 1))];
  }
  double p50() const { return percentile(0.50); }
  double p99() const { return percentile(0.99); }
};

}  // namespace shoal::bench
