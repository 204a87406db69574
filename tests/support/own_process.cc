// SPDX-License-Identifier: Apache-2.0
#include "tests/support/own_process.h"

#include <filesystem>
#include <iterator>

namespace shoal::tests {
namespace {

std::int64_t entries(const char* folder) {
  const std::filesystem::directory_iterator all(folder);
  return std::distance(begin(all), end(all));
}

}  // namespace

std::int64_t open_descriptors() { return entries("/proc/self/fd"); }

std::int64_t running_threads() { return entries("/proc/self/task"); }

}  // namespace shoal::tests
