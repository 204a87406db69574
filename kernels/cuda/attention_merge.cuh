// SPDX-License-Identifier: Apache-2.0
// The splits of a row and head, that CTAs of attend_kernel left behind, in ascending order into one
// result: kernels/attention.h. A CTA for each row, head and 128 values of head_dim. The factors of
// 32 splits are made at once, a lane each; their values come meanwhile, through two places in
// shared memory, so that no chain waits for memory.
#pragma once

#include "kernels/cuda/attention.cuh"

namespace shoal::kernels::cuda {

struct MergeRun {
  Attend a;
  Partials partials;
};

inline constexpr int kMergeThreads = 128;
inline constexpr int kMergeSplits = 32;  // at once
inline constexpr int kMergePlaceFloats = kMergeSplits * (kMergeThreads + 2);

class MergeCta {
 public:
  SHOAL_DEVICE MergeCta(const MergeRun& run, int row, int head, int first_value)
      : from_(run.partials),
        a_(run.a),
        row_(row),
        head_(head),
        first_(first_value),
        slot_(((row - run.partials.row_begin) * run.a.heads + head) * run.partials.slots) {
    const int position = a_.step.positions[row];
    splits_ = position / kSplit - first_seen(position, int_window(a_.window)) / kSplit + 1;
  }

  SHOAL_DEVICE void work() {
    Shared shared;
    places_ = shared.take<float>(2 * kMergePlaceFloats);
    factors_ = shared.take<float>(2 * kMergeSplits);
    carried_ = shared.take<float>(1);
    fetch(0);
    fetch(kMergeSplits);
    float value = 0.0f, sum = 0.0f;
    for (int begin = 0; begin < splits_; begin += kMergeSplits) {
      wait_copies<1>();
      barrier();
      const float* const values = place_of(begin) + thread();
      const float* const tails = place_of(begin) + kMergeSplits * kMergeThreads;
      if (warp() == 0) make_factors(begin, tails);
      barrier();
      const int left = splits_ - begin, count = left < kMergeSplits ? left : kMergeSplits;
      int i = 0;
      if (begin == 0) {
        value = values[0];
        sum = tails[1];
        i = 1;
      }
      for (; i < count; ++i) {
        const float kept = factors_[2 * i], added = factors_[2 * i + 1];
        value = fma(values[i * kMergeThreads], added, mul(value, kept));
        sum = add(mul(sum, kept), mul(tails[2 * i + 1], added));
      }
      barrier();
      fetch(begin + 2 * kMergeSplits);
    }
    const int head_dim = static_cast<int>(a_.kv.head_dim), d = first_ + thread();
    if (d < head_dim) a_.out.data[row_ * a_.out.stride + head_ * head_dim + d] = div(value, sum);
  }

 private:
  SHOAL_DEVICE float* place_of(int begin) const {
    return places_ + begin / kMergeSplits % 2 * kMergePlaceFloats;
  }

  // Splits from `begin` on: values [kMergeSplits, kMergeThreads], then maxima and sums.
  SHOAL_DEVICE void fetch(int begin) {
    const int left = splits_ - begin, count = left < kMergeSplits ? left : kMergeSplits;
    constexpr int kRowChunks = kMergeThreads / 4;
    float* const to = place_of(begin);
    for (int i = thread(); i < count * kRowChunks; i += kMergeThreads) {
      const int split = begin + i / kRowChunks, d = i % kRowChunks * 4;
      if (first_ + d >= from_.value_pitch) continue;
      copy_async(to + i * 4, from_.values + (slot_ + split) * from_.value_pitch + first_ + d, true);
    }
    // In twos: slots are an even number.
    if (thread() < (count + 1) / 2) {
      copy_async(to + kMergeSplits * kMergeThreads + thread() * 4,
                 from_.tails + (slot_ + begin) * 2 + thread() * 4, true);
    }
    commit_copies();
  }

  // Of each split, with the maximum of those before it and with its own: what is kept, and added.
  SHOAL_DEVICE void make_factors(int begin, const float* tails) {
    const int left = splits_ - begin, count = left < kMergeSplits ? left : kMergeSplits;
    float before = begin == 0 ? tails[0] : *carried_;
    for (int i = begin == 0 ? 1 : 0; i < count; ++i) {
      if (i < lane()) before = larger(tails[2 * i], before);
    }
    const float own = lane() < count ? tails[2 * lane()] : 0.0f;
    const float maximum = begin == 0 && lane() == 0 ? own : larger(own, before);
    factors_[2 * lane()] = exp(sub(before, maximum));
    factors_[2 * lane() + 1] = exp(sub(own, maximum));
    warp_barrier();
    if (lane() == kMergeSplits - 1) *carried_ = maximum;
  }

  const Partials& from_;
  const Attend& a_;
  const int row_, head_, first_;
  const std::int64_t slot_;  // of the row's first split
  int splits_ = 0;
  float* places_ = nullptr;
  float* factors_ = nullptr;  // [kMergeSplits, 2]
  float* carried_ = nullptr;
};

SHOAL_KERNEL void SHOAL_BOUNDS(kMergeThreads, 4) merge_kernel(MergeRun run) {
  const int row = run.partials.row_begin + block_x();
  if (row >= run.a.step.header->rows) return;
  MergeCta(run, row, block_y(), block_z() * kMergeThreads).work();
}

}  // namespace shoal::kernels::cuda
