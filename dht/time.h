// SPDX-License-Identifier: Apache-2.0
// Points in time as the core sees them: steady nanoseconds handed in by the caller, never read from
// a clock.
#pragma once

#include <chrono>

namespace shoal::dht {

using Duration = std::chrono::nanoseconds;
struct SteadyTime {  // a tag: it has no now()
  using duration = Duration;
  using rep = duration::rep;
  using period = duration::period;
};
using TimePoint = std::chrono::time_point<SteadyTime, Duration>;

using std::chrono::milliseconds;
using std::chrono::minutes;
using std::chrono::seconds;

}  // namespace shoal::dht
