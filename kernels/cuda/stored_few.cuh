// SPDX-License-Identifier: Apache-2.0
// Products of few rows with stored weights: half a warp has kStreams outputs (a gate and its `up`
// are two) of kRows rows, lane j their chain j. Weights go from memory to registers, each once, so
// many at a time that memory is busy; x comes from the first cache, 64 bytes for all lanes. No
// shared memory, no barrier.
//
// For a run of 128 inputs and narrow weights a warp has kStreams loads of weights (4 wavefronts of
// the first cache each), 8 kRows of x (1 each), 8 kStreams to widen, 8 kRows kStreams fma, and what
// counts and guards. For each 512 bytes of weights, by kRows and kStreams, as compiled for sm_90:
//   1 1: 34 instructions, 12 wavefronts     2 2: 39, 12    4 2: 63, 20    8 4: 101, 20
// An H100 at 3.35 TB/s has time for 138 and 34 in all of its multiprocessors, so memory is the
// bound. Registers: 72, 80, 98 and 168 there, no memory of a thread's own.
#pragma once

#include "kernels/cuda/stored_pack.cuh"
#include "kernels/cuda/stored_values.cuh"

namespace shoal::kernels::cuda {

inline constexpr int kFewThreads = 64;
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

// Some steps of each row's chain. They are loaded while those before them are used: that hides the
// latency of the first cache, which a compiler does not do by itself.
template <int kRows>
struct FewSteps {
  static constexpr int kSteps = 8 / kRows;
  static constexpr int kInputs = kSteps * kLanes;
  float values[kSteps][kRows];
};

// From input k on; kGuarded: x may end before they do.
template <bool kGuarded, int kRows>
SHOAL_DEVICE void load_steps(const FewRows<kRows>& x, int k, FewSteps<kRows>& steps) {
  SHOAL_DEVICE_UNROLL
  for (int step = 0; step < FewSteps<kRows>::kSteps; ++step) {
    const int at = k + step * kLanes;
    const int own = at + lane() % kLanes;
    SHOAL_DEVICE_UNROLL
    for (int r = 0; r < kRows; ++r) {
      if constexpr (kGuarded) {
        steps.values[step][r] = own < x.cols ? x.lane_of[r][at] : past_the_end(own, x.cols);
      } else {
        steps.values[step][r] = x.lane_of[r][at];
      }
    }
  }
}

// Which loads of x are guarded: none, those of what comes after the run, all.
enum class Guard : std::uint8_t { kNone, kNext, kAll };

// One run, from input k on. `steps` are its first, then those that come after it.
template <class Stored, Guard kGuard, int kRows, int kStreams>
SHOAL_DEVICE void few_run(const FewRows<kRows>& x, int k,
                          const uint4 (&pieces)[kStreams][Stored::kPieces], FewSteps<kRows>& steps,
                          float (&sums)[kRows * kStreams]) {
  using Steps = FewSteps<kRows>;
  SHOAL_DEVICE_UNROLL
  for (int first = 0; first < static_cast<int>(kRunSteps); first += Steps::kSteps) {
    const bool last = first + Steps::kSteps == static_cast<int>(kRunSteps);
    Steps next;
    if (kGuard == Guard::kAll || (kGuard == Guard::kNext && last)) {
      load_steps<true>(x, k + first * kLanes + Steps::kInputs, next);
    } else {
      load_steps<false>(x, k + first * kLanes + Steps::kInputs, next);
    }
    SHOAL_DEVICE_UNROLL
    for (int s = 0; s < kStreams; ++s) {
      float weights[2][kPartSteps];
      Stored::widen(pieces[s][piece_of<Stored>(0)], 0, weights[0]);
      Stored::widen(pieces[s][piece_of<Stored>(1)], 1, weights[1]);
      SHOAL_DEVICE_UNROLL
      for (int step = 0; step < Steps::kSteps; ++step) {
        const int at = first + step;
        SHOAL_DEVICE_UNROLL
        for (int r = 0; r < kRows; ++r) {
          float& sum = sums[r * kStreams + s];
          sum = fma(steps.values[step][r], weights[at / kPartSteps][at % kPartSteps], sum);
        }
      }
    }
    steps = next;
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

// Where a CTA's rows come from: as they are.
template <int kRows>
struct PlainRows {
  const ConstRows& x;
  std::int64_t first;
  SHOAL_DEVICE int cols() const { return static_cast<int>(x.cols); }
  SHOAL_DEVICE FewRows<kRows> rows() const { return few_rows<kRows>(x, first); }
};

// This lane's chains: sums[row, stream]. Loads of weights run kAhead runs ahead, and begin before
// the source is asked for its rows.
template <class Stored, int kRows, int kStreams, class Source>
SHOAL_DEVICE void few_sums(const Source& source, const uint4* const (&weights)[kStreams],
                           float (&sums)[kRows * kStreams]) {
  constexpr int kEach = kStreams * Stored::kPieces;
  constexpr int kAhead = kEach * 2 < kLoadsUnderWay ? kLoadsUnderWay / kEach : 2;
  SHOAL_DEVICE_UNROLL
  for (int i = 0; i < kRows * kStreams; ++i) sums[i] = 0.0f;
  const int runs = runs_of(source.cols());
  const int full_runs = source.cols() / kRunInputs;
  uint4 pieces[kAhead][kStreams][Stored::kPieces];
  SHOAL_DEVICE_UNROLL
  for (int p = 0; p < kAhead; ++p) {
    if (p < runs) load_run<Stored>(weights, p, pieces[p]);
  }
  const FewRows<kRows> x = source.rows();
  FewSteps<kRows> steps;
  load_steps<true>(x, 0, steps);
  int run = 0;
  for (; run + kAhead <= full_runs; run += kAhead) {
    SHOAL_DEVICE_UNROLL
    for (int p = 0; p < kAhead; ++p) {
      if (p + 1 < kAhead) {
        few_run<Stored, Guard::kNone>(x, (run + p) * kRunInputs, pieces[p], steps, sums);
      } else {
        few_run<Stored, Guard::kNext>(x, (run + p) * kRunInputs, pieces[p], steps, sums);
      }
      if (run + p + kAhead < runs) load_run<Stored>(weights, run + p + kAhead, pieces[p]);
    }
  }
  // What is left: not enough runs, or one that is not full.
  SHOAL_DEVICE_UNROLL
  for (int p = 0; p < kAhead; ++p) {
    if (run + p < runs) {
      few_run<Stored, Guard::kAll>(x, (run + p) * kRunInputs, pieces[p], steps, sums);
    }
  }
}

// Where a lane's weights of an output begin.
template <class Stored>
SHOAL_DEVICE const uint4* lane_weights(const Weight& weight, std::int64_t output) {
  const std::int64_t pieces = runs_of(weight.cols) * Stored::kPieces * kLanes;
  return static_cast<const uint4*>(weight.values) + output * pieces + lane() % kLanes;
}

// A half warp's group of outputs, of kRows rows from `first_row` on.
template <class Stored, int kRows, int kOutputs, class Source>
SHOAL_DEVICE void multiply_few(const Multiply& a, const Source& source, std::int64_t first_row,
                               int group) {
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
  few_sums<Stored, kRows, kOutputs>(source, weights, sums);
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

// CTAs of all outputs side by side; of each, kRows rows after the other, so that who comes later
// finds the weights in the second cache.
template <class Stored, int kRows, int kOutputs>
SHOAL_KERNEL void multiply_few_kernel(Multiply a) {
  const int passes = static_cast<int>((a.x.rows + kRows - 1) / kRows);
  const std::int64_t first_row = static_cast<std::int64_t>(block_x() % passes) * kRows;
  multiply_few<Stored, kRows, kOutputs>(a, PlainRows<kRows>{a.x, first_row}, first_row,
                                        block_x() / passes * kHalfWarps + thread() / kLanes);
}

template <class Stored, int kRows, int kOutputs, class Source>
SHOAL_DEVICE void gate_up_few(const GateUp& a, const Source& source, std::int64_t first_row,
                              int group) {
  constexpr int kStreams = 2 * kOutputs;
  constexpr int kPairs = kRows * kOutputs;
  const std::int64_t outputs = a.out.cols;
  const std::int64_t first = static_cast<std::int64_t>(group) * kOutputs;
  const uint4* weights[kStreams];
  SHOAL_DEVICE_UNROLL
  for (int o = 0; o < kOutputs; ++o) {
    const std::int64_t output = first + o < outputs ? first + o : outputs - 1;
    weights[o] = lane_weights<Stored>(a.gate, output);
    weights[kOutputs + o] = lane_weights<Stored>(a.up, output);
  }
  float sums[kRows * kStreams];
  few_sums<Stored, kRows, kStreams>(source, weights, sums);
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

template <class Stored, int kRows, int kOutputs>
SHOAL_KERNEL void gate_up_few_kernel(GateUp a) {
  const int passes = static_cast<int>((a.x.rows + kRows - 1) / kRows);
  const std::int64_t first_row = static_cast<std::int64_t>(block_x() % passes) * kRows;
  gate_up_few<Stored, kRows, kOutputs>(a, PlainRows<kRows>{a.x, first_row}, first_row,
                                       block_x() / passes * kHalfWarps + thread() / kLanes);
}

}  // namespace shoal::kernels::cuda
