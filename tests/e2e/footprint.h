// SPDX-License-Identifier: Apache-2.0
// What this process holds at a moment, and how it grows over many cycles of the same work. Linux
// and glibc. One thread at a time.
#pragma once

#include <cstddef>
#include <functional>
#include <string>
#include <vector>

namespace shoal::tests {

struct Footprint {
  double descriptors = 0;
  double threads = 0;
  double heap_bytes = 0;      // that malloc has given out and not got back
  double resident_bytes = 0;  // after free memory went back to the system

  static Footprint now();
};

// Samples at even distances. A level is the median of many of them, so that a pool that swings
// does not look like growth, and a leak cannot hide in one lucky moment.
class Growth {
 public:
  explicit Growth(int cycles_between_samples) : distance_(cycles_between_samples) {}
  void add(const Footprint& footprint) { samples_.push_back(footprint); }
  // From the median of the first third to that of the last third.
  double of(double Footprint::*what) const;
  double per_cycle(double Footprint::*what) const;
  std::string describe() const;  // some of the samples, a line each

 private:
  std::size_t third() const;

  const int distance_;
  std::vector<Footprint> samples_;
};

struct Cycles {
  int warm_up = 0;  // pools and caches fill
  int cycles = 0;
  int every = 1;  // cycles between samples
};

// Numbers the cycles from 1, those of the warm-up included. Ends early when one fails the test.
Growth measure_growth(Cycles plan, const std::function<void(int cycle)>& work);

}  // namespace shoal::tests
