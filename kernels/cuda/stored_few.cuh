// SPDX-License-Identifier: Apache-2.0
// Products of few rows with stored weights: half a warp has kStreams outputs (a gate and its `up`
// are two) of kRows rows, lane j their chain j. Weights go from memory to registers, each once, so
// many at a time that memory is busy; x comes from the first cache, 64 bytes for all lanes. No
// shared memory, no barrier.
//
// For a run of 128 inputs and narrow weights a warp has kStreams loads of weights (4 wavefronts of
// the first cache each), 8 kRows of x (1 each), 8 kStreams to widen, 8 kRows kStreams fma. For each
// of 512 bytes of weights, kRows and kStreams:
//   1 1: 25 instructions, 12 wavefronts     2 2: 33, 12    4 2: 57, 20    8 4: 89, 20
// An H100 at 3.35 TB/s has time for 138 and 34 in all of its multiprocessors, so memory is the
// bound.
#pragma once

#include "kernels/cuda/stored_pack.cuh"
#include "kernels/cuda/stored_values.cuh"

namespace shoal::kernels::cuda {

inline constexpr int kFewThreads = 128;
inline constexpr int kHalfWarps = kFewThreads / kLanes;
// Loads that a lane has under way: with 16 bytes each a warp has 4 KB.
inline constexpr int kLoadsUnderWay = 8;

template <int kRows>
struct FewRows {
  const float* lane_of[kRows];  // x of each row, from this lane's chain on
  int cols;
};

// Rows that are not there are the last one again.
template <int kRows>
SHOAL_DEVICE FewRows<kRows> few_rows(const ConstRows& x, std::int64_t first) {
  FewRows<kRows> rows;
  rows.cols = static_cast<int>(x.cols);
  SHOAL_DEVICE_UNROLL
  for (int r = 0; r < kRows; ++r) {
    const std::int64_t row = first + r < x.rows ? first + r : x.rows - 1;
    rows.lane_of[r] = x.data + row * x.stride + lane() % kLanes;
  }
  return rows;
}

// One run, from input k on; kEnds: x ends within it.
template <class Stored, bool kEnds, int kRows, int kStreams>
SHOAL_DEVICE void few_run(const FewRows<kRows>& x, int k,
                          const uint4 (&pieces)[kStreams][Stored::kPieces],
                          float (&sums)[kRows * kStreams]) {
  SHOAL_DEVICE_UNROLL
  for (int half = 0; half < 2; ++half) {
    float weights[kStreams][kPartSteps];
    SHOAL_DEVICE_UNROLL
    for (int s = 0; s < kStreams; ++s) {
      Stored::widen(pieces[s][piece_of<Stored>(half)], half, weights[s]);
    }
    SHOAL_DEVICE_UNROLL
    for (int step = 0; step < kPartSteps; ++step) {
      const int at = k + (half * kPartSteps + step) * kLanes;
      SHOAL_DEVICE_UNROLL
      for (int r = 0; r < kRows; ++r) {
        float value;
        if constexpr (kEnds) {
          const int own = at + lane() % kLanes;
          value = own < x.cols ? x.lane_of[r][at] : past_the_end(own, x.cols);
        } else {
          value = x.lane_of[r][at];
        }
        SHOAL_DEVICE_UNROLL
        for (int s = 0; s < kStreams; ++s) {
          sums[r * kStreams + s] = fma(value, weights[s][step], sums[r * kStreams + s]);
        }
      }
    }
  }
}

template <class Stored, int kStreams>
SHOAL_DEVICE void load_run(const uint4* const (&weights)[kStreams], int run,
                           uint4 (&pieces)[kStreams][Stored::kPieces]) {
  SHOAL_DEVICE_UNROLL
  for (int s = 0; s < kStreams; ++s) {
    SHOAL_DEVICE_UNROLL
    for (int p = 0; p < Stored::kPieces; ++p) {
      pieces[s][p] = load_once(weights[s] + (run * Stored::kPieces + p) * kLanes);
    }
  }
}

// This lane's chains: sums[row, stream]. Loads run ahead by kAhead runs. Runs are counted so that
// the last one, which may not be full, always falls into the last place of the loop: the first
// turn leaves out the places before run 0.
template <class Stored, int kRows, int kStreams>
SHOAL_DEVICE void few_sums(const FewRows<kRows>& x, const uint4* const (&weights)[kStreams],
                           float (&sums)[kRows * kStreams]) {
  constexpr int kEach = kStreams * Stored::kPieces;
  constexpr int kAhead = kEach * 2 < kLoadsUnderWay ? kLoadsUnderWay / kEach : 2;
  SHOAL_DEVICE_UNROLL
  for (int i = 0; i < kRows * kStreams; ++i) sums[i] = 0.0f;
  const int runs = runs_of(x.cols);
  const bool ends = x.cols % kRunInputs != 0;
  uint4 pieces[kAhead][kStreams][Stored::kPieces];
  int run = (runs + kAhead - 1) / kAhead;
  run = runs - run * kAhead;
  SHOAL_DEVICE_UNROLL
  for (int p = 0; p < kAhead; ++p) {
    if (run + p >= 0 && run + p < runs) load_run<Stored>(weights, run + p, pieces[p]);
  }
  for (; run < runs; run += kAhead) {
    const bool more = run + kAhead < runs;
    SHOAL_DEVICE_UNROLL
    for (int p = 0; p < kAhead; ++p) {
      const int k = (run + p) * kRunInputs;
      if (p + 1 == kAhead && !more && ends) {
        few_run<Stored, true>(x, k, pieces[p], sums);
      } else if (k >= 0) {
        few_run<Stored, false>(x, k, pieces[p], sums);
      }
      if (more) load_run<Stored>(weights, run + p + kAhead, pieces[p]);
    }
  }
}

// Where a lane's weights of an output begin.
template <class Stored>
SHOAL_DEVICE const uint4* lane_weights(const Weight& weight, std::int64_t output) {
  const std::int64_t pieces = runs_of(weight.cols) * Stored::kPieces * kLanes;
  return static_cast<const uint4*>(weight.values) + output * pieces + lane() % kLanes;
}

// CTAs of all outputs side by side; of each, kRows rows after the other, so that who comes later
// finds the weights in the second cache.
template <class Stored, int kRows, int kOutputs>
SHOAL_KERNEL void multiply_few_kernel(Multiply a) {
  const int passes = static_cast<int>((a.x.rows + kRows - 1) / kRows);
  const std::int64_t first_row = static_cast<std::int64_t>(block_x() % passes) * kRows;
  const int group = block_x() / passes * kHalfWarps + thread() / kLanes;
  const OutputGroup at = output_group<kOutputs>(a, group);
  const Product product = product_at(a, at.product);
  const std::int64_t outputs = product.weight.rows;
  // Half warps and outputs that are not there: the last again, for nothing.
  const uint4* weights[kOutputs];
  SHOAL_DEVICE_UNROLL
  for (int o = 0; o < kOutputs; ++o) {
    const std::int64_t output = at.first + o < outputs ? at.first + o : outputs - 1;
    weights[o] = lane_weights<Stored>(product.weight, output);
  }
  float sums[kRows * kOutputs];
  few_sums<Stored, kRows, kOutputs>(few_rows<kRows>(a.x, first_row), weights, sums);
  fold_and_share<kRows * kOutputs>(sums);
  using Fold = Folded<kRows * kOutputs>;
  const int own = lane() % kLanes;
  if (own % Fold::kSame != 0) return;
  SHOAL_DEVICE_UNROLL
  for (int i = 0; i < Fold::kEach; ++i) {
    const int value = own / Fold::kSame * Fold::kEach + i;
    const std::int64_t row = first_row + value / kOutputs;
    const std::int64_t output = at.first + value % kOutputs;
    if (row < a.x.rows && output < outputs) put(product, a.accumulate, row, output, sums[i]);
  }
}

template <class Stored, int kRows, int kOutputs>
SHOAL_KERNEL void gate_up_few_kernel(GateUp a) {
  constexpr int kStreams = 2 * kOutputs;
  constexpr int kPairs = kRows * kOutputs;
  const int passes = static_cast<int>((a.x.rows + kRows - 1) / kRows);
  const std::int64_t first_row = static_cast<std::int64_t>(block_x() % passes) * kRows;
  const std::int64_t outputs = a.out.cols;
  const std::int64_t first =
      (static_cast<std::int64_t>(block_x() / passes) * kHalfWarps + thread() / kLanes) * kOutputs;
  const uint4* weights[kStreams];
  SHOAL_DEVICE_UNROLL
  for (int o = 0; o < kOutputs; ++o) {
    const std::int64_t output = first + o < outputs ? first + o : outputs - 1;
    weights[o] = lane_weights<Stored>(a.gate, output);
    weights[kOutputs + o] = lane_weights<Stored>(a.up, output);
  }
  float sums[kRows * kStreams];
  few_sums<Stored, kRows, kStreams>(few_rows<kRows>(a.x, first_row), weights, sums);
  float gates[kPairs], ups[kPairs];
  SHOAL_DEVICE_UNROLL
  for (int i = 0; i < kPairs; ++i) {
    gates[i] = sums[i / kOutputs * kStreams + i % kOutputs];
    ups[i] = sums[i / kOutputs * kStreams + kOutputs + i % kOutputs];
  }
  fold_and_share<kPairs>(gates);
  fold_and_share<kPairs>(ups);
  using Fold = Folded<kPairs>;
  const int own = lane() % kLanes;
  if (own % Fold::kSame != 0) return;
  SHOAL_DEVICE_UNROLL
  for (int i = 0; i < Fold::kEach; ++i) {
    const int value = own / Fold::kSame * Fold::kEach + i;
    const std::int64_t row = first_row + value / kOutputs;
    const std::int64_t output = first + value % kOutputs;
    if (row < a.x.rows && output < outputs) put_gated(a, row, output, gates[i], ups[i]);
  }
}

}  // namespace shoal::kernels::cuda
