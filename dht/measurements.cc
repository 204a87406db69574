// SPDX-License-Identifier: Apache-2.0
#include "dht/measurements.h"

#include <algorithm>
#include <numeric>

#include "base/check.h"

namespace shoal::dht {
namespace {

constexpr std::array kMilliseconds = {1.0,   5.0,   20.0,   50.0,   100.0,  150.0,  200.0,
                                      300.0, 550.0, 1000.0, 1500.0, 3000.0, 10000.0};
constexpr std::array kRequests = {1.0,  2.0,  5.0,  10.0,  15.0,  20.0,  28.0,
                                  40.0, 50.0, 75.0, 100.0, 250.0, 1000.0};
constexpr std::array kHops = {0.0, 1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 8.0};
constexpr std::array kReplicas = {0.0, 1.0, 2.0, 3.0, 4.0, 6.0, 8.0, 12.0, 16.0, 20.0, 30.0};
constexpr std::array kAgeSeconds = {5.0, 15.0, 30.0, 45.0, 60.0, 75.0, 90.0, 120.0, 150.0, 180.0};

}  // namespace

Histogram::Histogram(std::span<const double> bounds) : bounds_(bounds) {
  CHECK(bounds.size() <= kMaxBounds && std::is_sorted(bounds.begin(), bounds.end()));
}

void Histogram::add(double value) {
  const auto bucket = std::lower_bound(bounds_.begin(), bounds_.end(), value) - bounds_.begin();
  ++counts_[static_cast<std::size_t>(bucket)];
  sum_ += value;
}

std::uint64_t Histogram::count() const {
  return std::accumulate(counts_.begin(), counts_.end(), std::uint64_t{0});
}

double Histogram::quantile(double q) const {
  const double wanted = q * static_cast<double>(count());
  double below = 0;
  for (std::size_t i = 0; i < bounds_.size(); ++i) {
    const auto here = static_cast<double>(counts_[i]);
    if (here > 0 && below + here >= wanted) {
      const double low = i == 0 ? std::min(0.0, bounds_[0]) : bounds_[i - 1];
      return low + (bounds_[i] - low) * std::max(0.0, wanted - below) / here;
    }
    below += here;
  }
  return below == static_cast<double>(count()) ? 0 : bounds_.back();
}

Measurements::Measurements()
    : find_ms(kMilliseconds),
      first_record_ms(kMilliseconds),
      publish_ms(kMilliseconds),
      find_requests(kRequests),
      publish_requests(kRequests),
      hops(kHops),
      replicas_found(kReplicas),
      replicas_made(kReplicas),
      record_age_s(kAgeSeconds) {}

}  // namespace shoal::dht
