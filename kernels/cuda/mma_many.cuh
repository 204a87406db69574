// SPDX-License-Identifier: Apache-2.0
// Products of many rows on float tensor cores (kernels/mma.h): weights and rounded rows go through
// shared memory, 64 inputs at a time, three stages of which are under way. Both lie there as lanes
// have them in registers, so copies and loads are of 512 bytes side by side.
//
// A warp has 64 outputs and 32 rows: 16 mma for 6 loads of 512 bytes from shared memory. Sums of a
// segment and of all before it take 128 registers. A wide CTA has 128 outputs and 128 rows: for 64
// inputs 32 KB from the second cache, 2^20 products.
#pragma once

#include "kernels/cuda/mma_operands.cuh"

namespace shoal::kernels::cuda {

template <int kOutWarps, int kRowWarps>
struct MmaManyShape {
  static constexpr int kWarps = kOutWarps * kRowWarps;
  static constexpr int kWarpTiles = 4, kWarpRowTiles = 4;
  static constexpr int kTiles = kWarpTiles * kOutWarps;
  static constexpr int kRowTiles = kWarpRowTiles * kRowWarps;
  static constexpr int kOutputs = kTiles * kTileOuts;
  static constexpr int kRows = kRowTiles * kMmaRows;
  static constexpr int kStages = 3;
  // Of a stage, in pieces of 16 bytes.
  static constexpr int kWeightPieces = kTiles * kRunWeightPieces;
  static constexpr int kRowPieces = kRowTiles * kRunRowPieces;
  static constexpr int kSharedBytes = kStages * (kWeightPieces + kRowPieces) * 16;
  // Tiles that a warp copies.
  static constexpr int kOwnTiles = kTiles / kWarps, kOwnRowTiles = kRowTiles / kWarps;
  static_assert(kOwnTiles * kWarps == kTiles && kOwnRowTiles * kWarps == kRowTiles);
};

template <int kOutWarps, int kRowWarps>
class MmaManyWarp {
 public:
  using Shape = MmaManyShape<kOutWarps, kRowWarps>;

  SHOAL_DEVICE MmaManyWarp(const MmaProducts& a, const MmaShare& share, int row_block,
                           uint4* weights, uint4* rows)
      : runs_(a.runs), weights_(weights), rows_(rows) {
    SHOAL_DEVICE_UNROLL
    for (int i = 0; i < Shape::kOwnTiles; ++i) {
      weights_from_[i] = tile_of_cta(a, share, Shape::kTiles, warp() + i * Shape::kWarps) + lane();
    }
    const int last = (static_cast<int>(a.x.rows) - 1) / kMmaRows;
    SHOAL_DEVICE_UNROLL
    for (int i = 0; i < Shape::kOwnRowTiles; ++i) {
      const int tile = row_block * Shape::kRowTiles + warp() + i * Shape::kWarps;
      rows_from_[i] = a.packed +
                      static_cast<std::int64_t>(tile < last ? tile : last) * runs_ * kRunRowPieces +
                      lane();
    }
  }

  // Begins to copy run `run`, if there is one, into stage `stage`.
  SHOAL_DEVICE void copy(int run, int stage) {
    if (run < runs_) {
      SHOAL_DEVICE_UNROLL
      for (int i = 0; i < Shape::kOwnTiles; ++i) {
        uint4* const to = weights_ + stage * Shape::kWeightPieces +
                          (warp() + i * Shape::kWarps) * kRunWeightPieces + lane();
        SHOAL_DEVICE_UNROLL
        for (int j = 0; j < kRunWeightPieces; j += 32)
          copy_async(to + j, weights_from_[i] + j, true);
        weights_from_[i] += kRunWeightPieces;
      }
      SHOAL_DEVICE_UNROLL
      for (int i = 0; i < Shape::kOwnRowTiles; ++i) {
        uint4* const to = rows_ + stage * Shape::kRowPieces +
                          (warp() + i * Shape::kWarps) * kRunRowPieces + lane();
        SHOAL_DEVICE_UNROLL
        for (int j = 0; j < kRunRowPieces; j += 32) copy_async(to + j, rows_from_[i] + j, true);
        rows_from_[i] += kRunRowPieces;
      }
    }
    commit_copies();
  }

  template <bool kF16>
  SHOAL_DEVICE void add_stage(int stage) {
    const uint4* const weights = weights_ + stage * Shape::kWeightPieces +
                                 warp() / kRowWarps * Shape::kWarpTiles * kRunWeightPieces + lane();
    const uint4* const rows = rows_ + stage * Shape::kRowPieces +
                              warp() % kRowWarps * Shape::kWarpRowTiles * kRunRowPieces + lane();
    SHOAL_DEVICE_UNROLL
    for (int two = 0; two < kMmaRunSteps / 2; ++two) {
      uint4 b[Shape::kWarpRowTiles];
      SHOAL_DEVICE_UNROLL
      for (int n = 0; n < Shape::kWarpRowTiles; ++n) b[n] = rows[n * kRunRowPieces + two * 32];
      SHOAL_DEVICE_UNROLL
      for (int half = 0; half < 2; ++half) {
        SHOAL_DEVICE_UNROLL
        for (int m = 0; m < Shape::kWarpTiles; ++m) {
          const uint4 w = weights[m * kRunWeightPieces + (two * 2 + half) * 32];
          SHOAL_DEVICE_UNROLL
          for (int n = 0; n < Shape::kWarpRowTiles; ++n) {
            add_step<kF16>(w, half == 0 ? b[n].x : b[n].z, half == 0 ? b[n].y : b[n].w, acc_[m][n]);
          }
        }
      }
    }
  }

  SHOAL_DEVICE void begin_segment() {
    SHOAL_DEVICE_UNROLL
    for (int m = 0; m < Shape::kWarpTiles; ++m) {
      SHOAL_DEVICE_UNROLL
      for (int i = 0; i < 4 * Shape::kWarpRowTiles; ++i) acc_[m][i / 4][i % 4] = 0.0f;
    }
  }
  SHOAL_DEVICE void end_segment(bool first) {
    SHOAL_DEVICE_UNROLL
    for (int m = 0; m < Shape::kWarpTiles; ++m) {
      SHOAL_DEVICE_UNROLL
      for (int i = 0; i < 4 * Shape::kWarpRowTiles; ++i) {
        const float sum = acc_[m][i / 4][i % 4];
        float& total = total_[m][i / 4][i % 4];
        total = first ? sum : add(total, sum);
      }
    }
  }

  SHOAL_DEVICE void write(const MmaProducts& a, const MmaShare& share, int row_block) const {
    const MmaProduct& product = a.products[share.product];
    const int out_warp = warp() / kRowWarps, g = lane() / 4, t = lane() % 4;
    SHOAL_DEVICE_UNROLL
    for (int n = 0; n < Shape::kWarpRowTiles; ++n) {
      SHOAL_DEVICE_UNROLL
      for (int i = 0; i < 4; ++i) {
        const int row = row_block * Shape::kRows +
                        (warp() % kRowWarps * Shape::kWarpRowTiles + n) * kMmaRows + 2 * t + i % 2;
        if (row >= static_cast<int>(a.x.rows)) continue;
        const int output = g + i / 2 * 8;  // of a tile
        if (a.gated) {
          const int tile = (share.block * kOutWarps + out_warp) * (Shape::kWarpTiles / 2);
          SHOAL_DEVICE_UNROLL
          for (int m = 0; m < Shape::kWarpTiles; m += 2) {
            put_gated(a, row, (tile + m / 2) * kTileOuts + output, total_[m][n][i],
                      total_[m + 1][n][i]);
          }
        } else {
          const int tile = (share.block * kOutWarps + out_warp) * Shape::kWarpTiles;
          SHOAL_DEVICE_UNROLL
          for (int m = 0; m < Shape::kWarpTiles; ++m) {
            put(a, product, row, (tile + m) * kTileOuts + output, total_[m][n][i]);
          }
        }
      }
    }
  }

 private:
  const int runs_;
  uint4* const weights_;  // [stages, tiles, a run's pieces]
  uint4* const rows_;
  const uint4* weights_from_[Shape::kOwnTiles];
  const uint4* rows_from_[Shape::kOwnRowTiles];
  float acc_[Shape::kWarpTiles][Shape::kWarpRowTiles][4];
  float total_[Shape::kWarpTiles][Shape::kWarpRowTiles][4];
};

// A CTA for each kRows rows (x) and kOutputs outputs (y).
template <int kOutWarps, int kRowWarps>
SHOAL_KERNEL SHOAL_BOUNDS(kOutWarps* kRowWarps * 32,
                          kOutWarps* kRowWarps == 8 ? 1 : 4) void mma_many_kernel(MmaProducts a) {
  using Shape = MmaManyShape<kOutWarps, kRowWarps>;
  constexpr int kStages = Shape::kStages;
  constexpr int kSegmentRuns = kSegmentSteps / kMmaRunSteps;
  Shared shared;
  uint4* const weights = shared.take<uint4>(kStages * Shape::kWeightPieces);
  uint4* const rows = shared.take<uint4>(kStages * Shape::kRowPieces);
  const MmaShare share = share_of(a, block_y());
  MmaManyWarp<kOutWarps, kRowWarps> mine(a, share, block_x(), weights, rows);
  SHOAL_DEVICE_UNROLL
  for (int i = 0; i < kStages - 1; ++i) mine.copy(i, i);
  int stage = 0;
  for (int first = 0; first < a.runs; first += kSegmentRuns) {
    mine.begin_segment();
    const int end = first + kSegmentRuns < a.runs ? first + kSegmentRuns : a.runs;
    for (int run = first; run < end; ++run) {
      wait_copies<kStages - 2>();
      barrier();  // all have this stage, and have read the one before it
      mine.copy(run + kStages - 1, stage == 0 ? kStages - 1 : stage - 1);
      if (is_f16(a)) {
        mine.template add_stage<true>(stage);
      } else {
        mine.template add_stage<false>(stage);
      }
      stage = stage == kStages - 1 ? 0 : stage + 1;
    }
    mine.end_segment(first == 0);
  }
  mine.write(a, share, block_x());
}

}  // namespace shoal::kernels::cuda
