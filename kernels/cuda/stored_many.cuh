// SPDX-License-Identifier: Apache-2.0
// Products of many rows with stored weights: a CTA of 8 warps makes kManyRows rows of kManyOutputs
// outputs. All chains of an output are summed at once, so a tile has 16 times as many partial sums
// as outputs: 32768, half of all registers of a multiprocessor. A warp has 16 rows of 16 outputs:
// in each half, lane j has chain j of 16 rows and 8 outputs. x comes packed (stored_pack.cuh), so
// that both sides are copied to shared memory 16 bytes at a time as they lie.
//
// For 4 steps of a chain a warp has 16 loads of x and 4 of narrow weights (8 of f32) of 512 bytes,
// 4 wavefronts each: 80 (96) in the 128 cycles in which a multiprocessor does that warp's 512 fma
// at 4 a cycle. Of the instructions of a run, 86 in 100 are fma (1024 of 1191 as compiled for
// sm_90, with 240 registers). From the second cache come, for 128 inputs, 32 KB in the 2048 cycles
// that their fma take: 16 bytes a cycle (24 where weights are f32).
#pragma once

#include "kernels/cuda/stored_values.cuh"

namespace shoal::kernels::cuda {

inline constexpr int kManyThreads = 256;
inline constexpr int kManyRows = 32;
inline constexpr int kManyOutputs = 64;
inline constexpr int kLaneRows = 16;
inline constexpr int kLaneOutputs = 8;
inline constexpr int kWarpsAcross = kManyOutputs / (2 * kLaneOutputs);
static_assert(kManyThreads / 32 / kWarpsAcross * kLaneRows == kManyRows);
// Tiles of rows that go together over all outputs, so that the second cache keeps their x.
inline constexpr int kRowTilesTogether = 8;

// Of a run, in pieces of 16 bytes.
inline constexpr int kRowPieces = kRunInputs / 4;
inline constexpr int kStageRows = kManyRows * kRowPieces;
template <class Stored>
struct ManyStage {
  static constexpr int kOutputPieces = kLanes * Stored::kPieces;
  static constexpr int kOutputs = kManyOutputs * kOutputPieces;
  // Runs in shared memory: 96 KB of the 99 that every card has.
  static constexpr int kStages = Stored::kPieces == 1 ? 3 : 2;
  static constexpr std::size_t kBytes =
      std::size_t{kStages} * (kStageRows + kOutputs) * sizeof(uint4);
};

// What a thread copies of each run: its piece of every kth row and every kth output.
struct ManySource {
  const uint4* x;  // of the next run
  const uint4* weights;
  int x_row, output;  // pieces from one to the next
  int outputs_step;   // outputs from one that it copies to the next
  int outputs_left;   // that exist, from its first on
};

template <class Stored>
SHOAL_DEVICE void copy_run(ManySource& from, uint4* x, uint4* weights) {
  using Stage = ManyStage<Stored>;
  constexpr int kRowsAtOnce = kManyThreads / kRowPieces;
  SHOAL_DEVICE_UNROLL
  for (int i = 0; i < kManyRows / kRowsAtOnce; ++i) {
    copy_async(x + i * kManyThreads + thread(), from.x + i * kRowsAtOnce * from.x_row, true);
  }
  from.x += kRowPieces;
  SHOAL_DEVICE_UNROLL
  for (int i = 0; i < Stage::kOutputs / kManyThreads; ++i) {
    const int output = i * from.outputs_step;
    copy_async(weights + i * kManyThreads + thread(), from.weights + output * from.output,
               output < from.outputs_left);
  }
  from.weights += Stage::kOutputPieces;
}

// x and weights from this lane's rows, outputs and chain on.
template <class Stored>
SHOAL_DEVICE void many_run(const uint4* x, const uint4* weights,
                           float (&sums)[kLaneRows * kLaneOutputs]) {
  uint4 pieces[kLaneOutputs];
  SHOAL_DEVICE_UNROLL
  for (int half = 0; half < 2; ++half) {
    float widened[kLaneOutputs][kPartSteps];
    SHOAL_DEVICE_UNROLL
    for (int o = 0; o < kLaneOutputs; ++o) {
      if (half == 0 || Stored::kPieces == 2) {
        pieces[o] = weights[o * ManyStage<Stored>::kOutputPieces + piece_of<Stored>(half) * kLanes];
      }
      Stored::widen(pieces[o], half, widened[o]);
    }
    SHOAL_DEVICE_UNROLL
    for (int r = 0; r < kLaneRows; ++r) {
      float row[kPartSteps];
      StoredF32::widen(x[r * kRowPieces + half * kLanes], half, row);
      SHOAL_DEVICE_UNROLL
      for (int step = 0; step < kPartSteps; ++step) {
        SHOAL_DEVICE_UNROLL
        for (int o = 0; o < kLaneOutputs; ++o) {
          float& sum = sums[r * kLaneOutputs + o];
          sum = fma(row[step], widened[o][step], sum);
        }
      }
    }
  }
}

// After it each lane has the outputs of one of its warp's rows.
template <class Stored>
SHOAL_DEVICE void many_sums(ManySource from, int runs, float (&sums)[kLaneRows * kLaneOutputs]) {
  using Stage = ManyStage<Stored>;
  Shared shared;
  uint4* const x = shared.take<uint4>(Stage::kStages * kStageRows);
  uint4* const weights = shared.take<uint4>(Stage::kStages * Stage::kOutputs);
  SHOAL_DEVICE_UNROLL
  for (int i = 0; i < kLaneRows * kLaneOutputs; ++i) sums[i] = 0.0f;
  SHOAL_DEVICE_UNROLL
  for (int i = 0; i + 1 < Stage::kStages; ++i) {
    if (i < runs) copy_run<Stored>(from, x + i * kStageRows, weights + i * Stage::kOutputs);
    commit_copies();
  }
  const int first_row = warp() / kWarpsAcross * kLaneRows;
  const int first_output = (warp() % kWarpsAcross * 2 + lane() / kLanes) * kLaneOutputs;
  const int x_at = first_row * kRowPieces + lane() % kLanes;
  const int weights_at = first_output * Stage::kOutputPieces + lane() % kLanes;
  int now = 0, next = Stage::kStages - 1;  // stages
  for (int run = 0; run < runs; ++run) {
    wait_copies<Stage::kStages - 2>();
    // Now all see this run, and have left the one before it.
    barrier();
    if (run + Stage::kStages - 1 < runs) {
      copy_run<Stored>(from, x + next * kStageRows, weights + next * Stage::kOutputs);
    }
    commit_copies();
    many_run<Stored>(x + now * kStageRows + x_at, weights + now * Stage::kOutputs + weights_at,
                     sums);
    now = now + 1 == Stage::kStages ? 0 : now + 1;
    next = next + 1 == Stage::kStages ? 0 : next + 1;
  }
  fold_and_share<kLaneRows * kLaneOutputs>(sums);
}

// Which rows a CTA has: grids are tiles of rows that go together, outputs, and how often.
SHOAL_DEVICE std::int64_t many_first_row() {
  return (static_cast<std::int64_t>(block_z()) * kRowTilesTogether + block_x()) * kManyRows;
}
SHOAL_DEVICE std::int64_t many_row_of_lane(std::int64_t first) {
  return first + warp() / kWarpsAcross * kLaneRows + lane() % kLanes;
}
// Of a CTA's kManyOutputs / kLaneOutputs blocks of outputs, a lane's.
SHOAL_DEVICE int many_block_of_lane() { return warp() % kWarpsAcross * 2 + lane() / kLanes; }

// x: of rows from `first` on. A thread's first output among those of the CTA is
// thread() / kOutputPieces.
template <class Stored>
SHOAL_DEVICE ManySource many_source(const ConstRows& x, std::int64_t first, const Weight& weight,
                                    std::int64_t output, int outputs_step) {
  using Stage = ManyStage<Stored>;
  ManySource from;
  from.x_row = static_cast<int>(x.stride / 4);
  from.x = reinterpret_cast<const uint4*>(x.data) + (first + thread() / kRowPieces) * from.x_row +
           thread() % kRowPieces;
  from.output = runs_of(weight.cols) * Stage::kOutputPieces;
  from.weights = static_cast<const uint4*>(weight.values) + output * from.output +
                 thread() % Stage::kOutputPieces;
  from.outputs_step = outputs_step;
  const std::int64_t left = weight.rows - output;
  from.outputs_left = left < kManyOutputs ? static_cast<int>(left) : kManyOutputs;
  return from;
}

// a.x is packed: [whole tiles of rows, padded_inputs], of which the first a.products[].out.rows
// count.
template <class Stored>
SHOAL_KERNEL void SHOAL_BOUNDS(kManyThreads, 1) multiply_many_kernel(Multiply a) {
  constexpr int kPieces = ManyStage<Stored>::kOutputPieces;
  const std::int64_t first_row = many_first_row();
  const OutputGroup at = output_group<kManyOutputs>(a, block_y());
  const Product product = product_at(a, at.product);
  if (first_row >= product.out.rows) return;
  float sums[kLaneRows * kLaneOutputs];
  many_sums<Stored>(many_source<Stored>(a.x, first_row, product.weight,
                                        at.first + thread() / kPieces, kManyThreads / kPieces),
                    runs_of(a.x.cols), sums);
  const std::int64_t row = many_row_of_lane(first_row);
  if (row >= product.out.rows) return;
  SHOAL_DEVICE_UNROLL
  for (int o = 0; o < kLaneOutputs; ++o) {
    const std::int64_t output = at.first + many_block_of_lane() * kLaneOutputs + o;
    if (output < product.weight.rows) put(product, a.accumulate, row, output, sums[o]);
  }
}

// Of each 8 outputs of a lane, 4 are gates and 4 their `up`.
template <class Stored>
SHOAL_KERNEL void SHOAL_BOUNDS(kManyThreads, 1) gate_up_many_kernel(GateUp a) {
  constexpr int kPieces = ManyStage<Stored>::kOutputPieces;
  constexpr int kPairs = kLaneOutputs / 2;
  const std::int64_t first_row = many_first_row();
  if (first_row >= a.out.rows) return;
  const std::int64_t first = static_cast<std::int64_t>(block_y()) * (kManyOutputs / 2);
  const int own = thread() / kPieces;  // among the CTA's kManyOutputs
  const bool is_gate = own % kLaneOutputs < kPairs;
  float sums[kLaneRows * kLaneOutputs];
  many_sums<Stored>(many_source<Stored>(a.x, first_row, is_gate ? a.gate : a.up,
                                        first + own / kLaneOutputs * kPairs + own % kPairs,
                                        kManyThreads / kPieces / 2),
                    runs_of(a.x.cols), sums);
  const std::int64_t row = many_row_of_lane(first_row);
  if (row >= a.out.rows) return;
  SHOAL_DEVICE_UNROLL
  for (int o = 0; o < kPairs; ++o) {
    const std::int64_t output = first + many_block_of_lane() * kPairs + o;
    if (output < a.out.cols) put_gated(a, row, output, sums[o], sums[kPairs + o]);
  }
}

}  // namespace shoal::kernels::cuda
