// SPDX-License-Identifier: Apache-2.0
#include "tests/e2e/footprint.h"

#include <fmt/format.h>
#include <gtest/gtest.h>
#include <malloc.h>
#include <unistd.h>

#include <algorithm>
#include <fstream>

#include "base/check.h"
#include "tests/support/own_process.h"

namespace shoal::tests {
namespace {

double median(std::vector<double> values) {
  const auto middle = values.begin() + static_cast<std::ptrdiff_t>(values.size() / 2);
  std::nth_element(values.begin(), middle, values.end());
  return *middle;
}

}  // namespace

Footprint Footprint::now() {
  malloc_trim(0);
  const struct mallinfo2 heap = mallinfo2();
  double pages = 0, resident_pages = 0;
  std::ifstream("/proc/self/statm") >> pages >> resident_pages;
  CHECK(resident_pages > 0);
  return {.descriptors = static_cast<double>(open_descriptors()),
          .threads = static_cast<double>(running_threads()),
          .heap_bytes = static_cast<double>(heap.uordblks + heap.hblkhd),
          .resident_bytes = resident_pages * static_cast<double>(sysconf(_SC_PAGESIZE))};
}

std::size_t Growth::third() const {
  CHECK(samples_.size() >= 3);
  return samples_.size() / 3;
}

double Growth::of(double Footprint::*what) const {
  const auto size = static_cast<std::ptrdiff_t>(third());
  std::vector<double> values;
  for (const Footprint& sample : samples_) values.push_back(sample.*what);
  return median({values.end() - size, values.end()}) -
         median({values.begin(), values.begin() + size});
}

double Growth::per_cycle(double Footprint::*what) const {
  return of(what) / (static_cast<double>(samples_.size() - third()) * distance_);
}

std::string Growth::describe() const {
  std::string text = "descriptors threads heap_kb resident_kb\n";
  const std::size_t step = std::max<std::size_t>(1, samples_.size() / 15);
  for (std::size_t i = 0; i < samples_.size(); i += step) {
    const Footprint& sample = samples_[i];
    text += fmt::format("{:11} {:7} {:7.1f} {:11.0f}\n", sample.descriptors, sample.threads,
                        sample.heap_bytes / 1024, sample.resident_bytes / 1024);
  }
  return text;
}

Growth measure_growth(Cycles plan, const std::function<void(int)>& work) {
  Growth growth(plan.every);
  for (int cycle = 1; cycle <= plan.warm_up + plan.cycles; ++cycle) {
    work(cycle);
    if (::testing::Test::HasFatalFailure()) break;
    if (cycle > plan.warm_up && cycle % plan.every == 0) growth.add(Footprint::now());
  }
  return growth;
}

}  // namespace shoal::tests
