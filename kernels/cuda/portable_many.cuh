// SPDX-License-Identifier: Apache-2.0
// Portable products of many rows: weights and quantized rows go through shared memory, two groups
// at a time, three stages of which are under way.
//
// A warp has 32 outputs and 32 rows: 8 mma for each group, and of each mma 4 results in every lane,
// each of which takes 3 operations in f32 (5 in q4): less, the bias of kMagic, is not to be had. So
// the floor is 12 operations of 32 lanes for each mma of 4096 products, 3 clocks of a
// multiprocessor with 128 lanes; with unpacking and reading of shared memory it is about 16.
#pragma once

#include "kernels/cuda/portable_weights.cuh"

namespace shoal::kernels::cuda {

template <WeightFormat kFormat, int kOutWarps, int kRowWarps>
struct ManyShape {
  using Group = PackedGroup<kFormat>;
  static constexpr int kWarps = kOutWarps * kRowWarps;
  static constexpr int kTiles = 2 * kOutWarps;     // of outputs
  static constexpr int kRowTiles = 4 * kRowWarps;  // of rows
  static constexpr int kOutputs = kTiles * static_cast<int>(kTileOutputs);
  static constexpr int kRows = kRowTiles * kTileRows;
  static constexpr int kStageGroups = 2, kStages = 3;
  static constexpr int kWeightBytes = kTiles * kStageGroups * Group::kBytes;
  static constexpr int kStageTiles = kRowTiles * kStageGroups;
  static constexpr int kSharedBytes =
      kStages * (kWeightBytes + kStageTiles * static_cast<int>(sizeof(QuantizedTile)));
  // What a warp copies of a stage: tiles' groups of weights, and of x tiles of rows.
  static constexpr int kWeightPieces = kTiles * kStageGroups / kWarps;
  static constexpr int kRowPieces = kRowTiles / kWarps > 0 ? kRowTiles / kWarps : 1;
  static_assert(kWeightPieces * kWarps == kTiles * kStageGroups);
  static_assert(kRowPieces * kWarps == kRowTiles);
};

// Where 16 bytes of a group go: runs 2 and 3 of four change halves, so that the lanes of half a
// warp, which read 8 bytes of 4 runs each, find them in different banks.
template <WeightFormat kFormat>
SHOAL_DEVICE int unit_place(int unit) {
  constexpr int kScales = PackedGroup<kFormat>::kValuesAt / 16;
  if (unit < kScales) return unit;
  const int value = unit - kScales;
  return kScales + (value ^ (value / 8 % 2 * 2));
}

template <WeightFormat kFormat, int kOutWarps, int kRowWarps>
class ManyWarp {
 public:
  using Shape = ManyShape<kFormat, kOutWarps, kRowWarps>;
  using Group = PackedGroup<kFormat>;
  static constexpr int kUnits = Group::kBytes / 16;
  static constexpr int kTileBytes = static_cast<int>(sizeof(QuantizedTile));
  static constexpr int kRowUnits = Shape::kStageGroups * kTileBytes / 16;

  SHOAL_DEVICE ManyWarp(const PortableProducts& a, const Share& share, int row_block, char* weights,
                        QuantizedTile* x)
      : groups_(a.groups), g_(lane() / 4), t_(lane() % 4), weights_(weights), x_(x) {
    SHOAL_DEVICE_UNROLL
    for (int j = 0; j < Shape::kWeightPieces; ++j) {
      const int piece = warp() + j * Shape::kWarps, tile = piece / 2;
      const char* const at =
          a.gated
              ? tile_at<kFormat>(a.products[tile % 2], share.block * kOutWarps + tile / 2, groups_)
              : tile_at<kFormat>(a.products[share.product], share.block * Shape::kTiles + tile,
                                 groups_);
      weights_from_[j] = at + piece % 2 * Group::kBytes + lane() * 16;
    }
    const int last = (static_cast<int>(a.x.rows) - 1) / kTileRows;
    SHOAL_DEVICE_UNROLL
    for (int j = 0; j < Shape::kRowPieces; ++j) {
      const int tile = row_block * Shape::kRowTiles + warp() + j * Shape::kWarps;
      x_from_[j] =
          reinterpret_cast<const char*>(
              a.quantized + static_cast<std::int64_t>(tile < last ? tile : last) * groups_) +
          lane() * 16;
    }
  }

  // Begins to copy the stage that begins with group `group` into place `slot`; zeros where there
  // are no more groups, which change nothing.
  SHOAL_DEVICE void copy(int group, int slot) {
    char* const weights = weights_ + slot * Shape::kWeightBytes;
    SHOAL_DEVICE_UNROLL
    for (int j = 0; j < Shape::kWeightPieces; ++j) {
      const int piece = warp() + j * Shape::kWarps;
      SHOAL_DEVICE_UNROLL
      for (int i = 0; i < kUnits; i += 32) {
        if (i + lane() >= kUnits) continue;
        copy_async(weights + piece * Group::kBytes + unit_place<kFormat>(i + lane()) * 16,
                   weights_from_[j] + i * 16, group + piece % 2 < groups_);
      }
      weights_from_[j] += Shape::kStageGroups * Group::kBytes;
    }
    const int units = (groups_ - group) * (kRowUnits / Shape::kStageGroups);
    auto* const x = reinterpret_cast<char*>(x_ + slot * Shape::kStageTiles);
    SHOAL_DEVICE_UNROLL
    for (int j = 0; j < Shape::kRowPieces; ++j) {
      const int tile = warp() + j * Shape::kWarps;
      SHOAL_DEVICE_UNROLL
      for (int i = 0; i < kRowUnits; i += 32) {
        if (i + lane() >= kRowUnits) continue;
        copy_async(x + tile * Shape::kStageGroups * kTileBytes + (i + lane()) * 16,
                   x_from_[j] + i * 16, i + lane() < units);
      }
      x_from_[j] += Shape::kStageGroups * kTileBytes;
    }
    commit_copies();
  }

  SHOAL_DEVICE void add_stage(int slot) {
    SHOAL_DEVICE_UNROLL
    for (int i = 0; i < Shape::kStageGroups; ++i) {
      const char* const weights =
          weights_ + slot * Shape::kWeightBytes +
          (warp() / kRowWarps * 2 * Shape::kStageGroups + i) * Group::kBytes;
      const Outputs w[2] = {outputs_of(weights),
                            outputs_of(weights + Shape::kStageGroups * Group::kBytes)};
      const QuantizedTile* const x =
          x_ + slot * Shape::kStageTiles + warp() % kRowWarps * 4 * Shape::kStageGroups + i;
      SHOAL_DEVICE_UNROLL
      for (int n = 0; n < 4; ++n) {
        const Columns columns = both_columns<kFormat>(x[n * Shape::kStageGroups], g_, t_);
        SHOAL_DEVICE_UNROLL
        for (int m = 0; m < 2; ++m) add_group<kFormat, true>(w[m], columns, acc_[m][n]);
      }
    }
  }

  SHOAL_DEVICE void begin_segment() {
    SHOAL_DEVICE_UNROLL
    for (int m = 0; m < 2; ++m) {
      SHOAL_DEVICE_UNROLL
      for (int i = 0; i < 16; ++i) acc_[m][i / 4][i % 4] = 0.0f;
    }
  }
  SHOAL_DEVICE void end_segment(bool first) {
    SHOAL_DEVICE_UNROLL
    for (int m = 0; m < 2; ++m) {
      SHOAL_DEVICE_UNROLL
      for (int i = 0; i < 16; ++i) {
        const float sum = acc_[m][i / 4][i % 4];
        float& total = total_[m][i / 4][i % 4];
        total = first ? sum : add(total, sum);
      }
    }
  }

  SHOAL_DEVICE void write(const PortableProducts& a, const Share& share, int row_block) const {
    const PortableProduct& product = a.products[share.product];
    SHOAL_DEVICE_UNROLL
    for (int n = 0; n < 4; ++n) {
      SHOAL_DEVICE_UNROLL
      for (int i = 0; i < 4; ++i) {
        const int row =
            row_block * Shape::kRows + (warp() % kRowWarps * 4 + n) * kTileRows + 2 * t_ + i % 2;
        const int tile = a.gated ? share.block * kOutWarps + warp() / kRowWarps
                                 : share.block * Shape::kTiles + warp() / kRowWarps * 2;
        const int output = tile * static_cast<int>(kTileOutputs) + 2 * g_ + i / 2;
        if (row >= static_cast<int>(a.x.rows)) continue;
        if (a.gated) {
          if (output >= product.outputs) continue;
          product.out[row * product.stride + output] =
              silu_mul(with_bias(a.products[0], output, total_[0][n][i]),
                       with_bias(a.products[1], output, total_[1][n][i]));
          continue;
        }
        SHOAL_DEVICE_UNROLL
        for (int m = 0; m < 2; ++m) {
          const int at = output + m * static_cast<int>(kTileOutputs);
          if (at >= product.outputs) continue;
          float* const out = product.out + row * product.stride + at;
          const float value = with_bias(product, at, total_[m][n][i]);
          *out = a.accumulate ? add(*out, value) : value;
        }
      }
    }
  }

 private:
  SHOAL_DEVICE Outputs outputs_of(const char* group) const {
    Outputs w;
    const char* const values = group + Group::kValuesAt + t_ * 64 + ((g_ * 8) ^ (t_ / 2 * 32));
    const uint2 first = *reinterpret_cast<const uint2*>(values);
    const uint2 behind =
        *reinterpret_cast<const uint2*>(values + (Group::kParts - 1) * Group::kPartBytes);
    as_operand<kFormat>(first.x, first.y, behind.x, behind.y, w.a);
    w.scales = two_f16(*reinterpret_cast<const std::uint32_t*>(group + g_ * 4));
    if constexpr (Group::kMinima) {
      w.minima = two_f16(*reinterpret_cast<const std::uint32_t*>(group + 32 + g_ * 4));
    }
    return w;
  }

  const int groups_, g_, t_;
  char* const weights_;  // [stages, tiles, groups of a stage]
  QuantizedTile* const x_;
  const char* weights_from_[Shape::kWeightPieces];
  const char* x_from_[Shape::kRowPieces];
  float acc_[2][4][4], total_[2][4][4];
};

// A CTA for each kRows rows (x) and kOutputs outputs (y).
template <WeightFormat kFormat, int kOutWarps, int kRowWarps>
SHOAL_KERNEL SHOAL_BOUNDS(kOutWarps* kRowWarps * 32,
                          kOutWarps* kRowWarps == 16 ? 1 : 3) void many_kernel(PortableProducts a) {
  using Shape = ManyShape<kFormat, kOutWarps, kRowWarps>;
  constexpr int kStages = Shape::kStages, kStageGroups = Shape::kStageGroups;
  constexpr int kSegment = static_cast<int>(kSegmentGroups);
  Shared shared;
  char* const weights = shared.take<char>(kStages * Shape::kWeightBytes);
  auto* const x = shared.take<QuantizedTile>(kStages * Shape::kStageTiles);
  const Share share = share_of(a, block_y());
  ManyWarp<kFormat, kOutWarps, kRowWarps> mine(a, share, block_x(), weights, x);
  SHOAL_DEVICE_UNROLL
  for (int i = 0; i < kStages - 1; ++i) mine.copy(i * kStageGroups, i);
  int slot = 0;
  for (int first = 0; first < a.groups; first += kSegment) {
    mine.begin_segment();
    const int end = first + kSegment < a.groups ? first + kSegment : a.groups;
    for (int group = first; group < end; group += kStageGroups) {
      wait_copies<kStages - 2>();
      barrier();  // all have this stage, and have read the one before it
      mine.copy(group + (kStages - 1) * kStageGroups, slot == 0 ? kStages - 1 : slot - 1);
      mine.add_stage(slot);
      slot = slot == kStages - 1 ? 0 : slot + 1;
    }
    mine.end_segment(first == 0);
  }
  mine.write(a, share, block_x());
}

}  // namespace shoal::kernels::cuda
