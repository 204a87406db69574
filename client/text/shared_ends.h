// SPDX-License-Identifier: Apache-2.0
// A model's ends for many sessions at once. Whoever finds the head free computes the logits of all
// who wait, in one call: a wide vocabulary is read once for all of them, and as the head is
// row-invariant each gets the bits that it would get alone. Thread-safe; the ends must outlive it,
// and nobody else uses them or their executor meanwhile.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "absl/status/statusor.h"
#include "base/mutex.h"
#include "model/model_ends.h"

namespace shoal::client {

class SharedEnds {
 public:
  SharedEnds(const model::ModelEnds& ends, std::size_t hidden, std::size_t vocabulary)
      : ends_(ends), hidden_(hidden), vocabulary_(vocabulary) {}
  SharedEnds(const SharedEnds&) = delete;
  SharedEnds& operator=(const SharedEnds&) = delete;

  absl::StatusOr<std::vector<float>> embed(std::span<const std::int32_t> ids);
  void final_norm(std::span<const float> rows, std::span<float> normed);
  // [rows, hidden] -> [rows, vocabulary]
  void logits(std::span<const float> rows, std::span<float> logits);

  std::size_t largest_batch() const;  // rows that were computed in one call, at most so far

 private:
  struct Waiting {
    std::span<const float> rows;
    std::span<float> logits;
    bool done = false;
  };
  void take();
  void give_back();
  void compute(const std::vector<Waiting*>& batch) const;

  const model::ModelEnds& ends_;
  const std::size_t hidden_, vocabulary_;
  mutable base::Mutex mutex_;
  base::CondVar free_;
  bool busy_ ABSL_GUARDED_BY(mutex_) = false;  // somebody computes, without the lock
  std::vector<Waiting*> waiting_ ABSL_GUARDED_BY(mutex_);
  std::size_t largest_batch_ ABSL_GUARDED_BY(mutex_) = 0;
};

}  // namespace shoal::client
