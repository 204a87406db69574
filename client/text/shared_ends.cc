// SPDX-License-Identifier: Apache-2.0
#include "client/text/shared_ends.h"

#include <algorithm>

namespace shoal::client {
namespace {

// Bounds what is copied: 20 MB of logits for a vocabulary of 150,000.
constexpr std::size_t kMostRows = 32;

}  // namespace

void SharedEnds::take() {
  base::MutexLock lock(mutex_);
  while (busy_) free_.wait(mutex_);
  busy_ = true;
}

void SharedEnds::give_back() {
  {
    base::MutexLock lock(mutex_);
    busy_ = false;
  }
  free_.notify_all();
}

absl::StatusOr<std::vector<float>> SharedEnds::embed(std::span<const std::int32_t> ids) {
  take();
  auto rows = ends_.embed(ids);
  give_back();
  return rows;
}

void SharedEnds::final_norm(std::span<const float> rows, std::span<float> normed) {
  take();
  ends_.final_norm(rows, normed);
  give_back();
}

void SharedEnds::logits(std::span<const float> rows, std::span<float> logits) {
  Waiting mine{rows, logits};
  mutex_.lock();
  waiting_.push_back(&mine);
  while (!mine.done) {
    if (busy_) {
      free_.wait(mutex_);
      continue;
    }
    busy_ = true;
    // Those who came first; one that is larger than the bound goes alone.
    std::size_t count = 0;
    auto end = waiting_.begin();
    for (; end != waiting_.end(); ++end) {
      const std::size_t more = (*end)->rows.size() / hidden_;
      if (count > 0 && count + more > kMostRows) break;
      count += more;
    }
    const std::vector<Waiting*> batch(waiting_.begin(), end);
    waiting_.erase(waiting_.begin(), end);
    largest_batch_ = std::max(largest_batch_, count);
    mutex_.unlock();
    compute(batch);
    mutex_.lock();
    for (Waiting* one : batch) one->done = true;
    busy_ = false;
    free_.notify_all();
  }
  mutex_.unlock();
}

void SharedEnds::compute(const std::vector<Waiting*>& batch) const {
  if (batch.size() == 1) return ends_.logits(batch.front()->rows, batch.front()->logits);
  std::vector<float> rows;
  for (const Waiting* one : batch) rows.insert(rows.end(), one->rows.begin(), one->rows.end());
  std::vector<float> all(rows.size() / hidden_ * vocabulary_);
  ends_.logits(rows, all);
  auto from = all.begin();
  for (const Waiting* one : batch) {
    const auto end = from + static_cast<std::ptrdiff_t>(one->logits.size());
    std::copy(from, end, one->logits.begin());
    from = end;
  }
}

std::size_t SharedEnds::largest_batch() const {
  base::MutexLock lock(mutex_);
  return largest_batch_;
}

}  // namespace shoal::client
