// SPDX-License-Identifier: Apache-2.0
#include "node/device/memory.h"

#include <malloc.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>

namespace shoal::node {
namespace {

// Chunks of activations are larger than this: each is mapped for itself and unmapped when freed.
// Setting it also keeps the allocator from raising it to 32 MiB by itself.
constexpr int kMmapThreshold = 256 << 10;
constexpr int kTrimThreshold = 1 << 20;
// Arenas keep what was freed in them: by default eight for each core.
constexpr int kArenas = 4;
// Grown by so much since the last time, and growing no more.
constexpr std::int64_t kWorthIt = 16 << 20;
constexpr auto kInterval = std::chrono::seconds(10);

}  // namespace

void settle_allocator() {
  mallopt(M_ARENA_MAX, kArenas);
  mallopt(M_MMAP_THRESHOLD, kMmapThreshold);
  mallopt(M_TRIM_THRESHOLD, kTrimThreshold);
}

bool TrimDecision::due(std::int64_t resident_bytes, TimePoint now) {
  const bool grows = resident_bytes > last_ + (1 << 20);
  last_ = resident_bytes;
  peak_ = std::max(peak_, resident_bytes);
  if (floor_ == 0) floor_ = resident_bytes;  // the start
  floor_ = std::min(floor_, resident_bytes);
  if (grows || now < next_ || peak_ - floor_ < kWorthIt) return false;
  next_ = now + kInterval;
  return true;
}

void MemoryKeeper::sweep(std::chrono::steady_clock::time_point now) {
  if (!decision_.due(resident_bytes(), now)) return;
  malloc_trim(0);
  decision_.trimmed(resident_bytes());
}

std::int64_t resident_bytes() {
  std::FILE* file = std::fopen("/proc/self/statm", "re");
  if (file == nullptr) return 0;
  long long total = 0;
  long long resident = 0;
  const int read = std::fscanf(file, "%lld %lld", &total, &resident);
  std::fclose(file);
  return read == 2 ? resident * sysconf(_SC_PAGESIZE) : 0;
}

}  // namespace shoal::node
