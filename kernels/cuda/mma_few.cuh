// SPDX-License-Identifier: Apache-2.0
// Products of few rows on float tensor cores (kernels/mma.h): weights go from memory to registers,
// each once. A CTA has kTiles tiles of 16 outputs; a warp takes every so manieth segment of 512
// inputs, for which the law begins anew; the segments' sums are folded in ascending order in shared
// memory.
//
// A warp loads 8 pieces of 512 bytes while it computes with 8 others, and goes on loading while it
// waits for the other warps: 4 to 8 KB for each of 8 warps; an H200 needs 24 KB in each
// multiprocessor. A tile of 8 rows is rounded on the way: 28 integer operations of a
// warp for a step of 1 KB of weights, for which an H200 has time for 280. More rows come rounded
// and packed; 16 rows are half as many bytes as the two tiles of weights that are multiplied with
// them, and so are 32 rows with four tiles.
#pragma once

#include "kernels/cuda/mma_operands.cuh"

namespace shoal::kernels::cuda {

inline constexpr int kMmaFewWarps = 8;  // at most

// kRowTiles tiles of 8 rows; one is read as it is, more come packed. Rows for f16 always do: their
// scale is to be known first.
template <int kRowTiles, int kTiles>
struct MmaFewShape {
  static constexpr bool kOwn = kRowTiles == 1;
  static constexpr int kSteps = kTiles == 4 ? 2 : kMmaRunSteps;  // that are loaded together
  static constexpr int kOutputs = kTiles * kTileOuts;
  static constexpr int kRows = kRowTiles * kMmaRows;
  static constexpr int kResults = kOutputs * kRows;
  static_assert(kMmaRunSteps % kSteps == 0 && kSegmentSteps % (2 * kSteps) == 0);
};

template <int kRowTiles, int kTiles>
class MmaFewWarp {
 public:
  using Shape = MmaFewShape<kRowTiles, kTiles>;
  static constexpr int kSteps = Shape::kSteps;

  SHOAL_DEVICE MmaFewWarp(const MmaProducts& a, const MmaShare& share)
      : a_(a), steps_(a.runs * kMmaRunSteps), next_(warp() * kSegmentSteps) {
    SHOAL_DEVICE_UNROLL
    for (int i = 0; i < kTiles; ++i) weights_[i] = tile_of_cta(a, share, kTiles, i) + lane();
    load(held_[0]);
    load(held_[1]);
  }

  // The sums of segment `segment`, to be called in ascending order of the warp's own.
  SHOAL_DEVICE void add_segment(int segment) {
    SHOAL_DEVICE_UNROLL
    for (int i = 0; i < kTiles * kRowTiles * 4; ++i)
      acc_[i / 4 / kRowTiles][i / 4 % kRowTiles][i % 4] = 0.0f;
    const int left = steps_ - segment * kSegmentSteps;
    const int steps = left < kSegmentSteps ? left : kSegmentSteps;
    // Only the last segment of all may have an odd number of loads.
    for (int done = 0; done < steps; done += 2 * kSteps) {
      add(held_[0]);
      load(held_[0]);
      if (done + kSteps < steps) {
        add(held_[1]);
        load(held_[1]);
      }
    }
  }

  // to [outputs, rows].
  SHOAL_DEVICE void write_sums(float* to) const {
    const int g = lane() / 4, t = lane() % 4;
    SHOAL_DEVICE_UNROLL
    for (int i = 0; i < kTiles; ++i) {
      SHOAL_DEVICE_UNROLL
      for (int n = 0; n < kRowTiles; ++n) {
        float* const at = to + (i * kTileOuts + g) * Shape::kRows + n * kMmaRows + 2 * t;
        *reinterpret_cast<float2*>(at) = {acc_[i][n][0], acc_[i][n][1]};
        *reinterpret_cast<float2*>(at + 8 * Shape::kRows) = {acc_[i][n][2], acc_[i][n][3]};
      }
    }
  }

 private:
  struct Loaded {
    uint4 weights[kTiles][kSteps];
    float4 own[Shape::kOwn ? kSteps : 1];
    uint4 rows[Shape::kOwn ? 1 : kRowTiles][Shape::kOwn ? 1 : kSteps / 2];
  };

  // The next steps, if there are any; then to those that come after them, of the segment or of the
  // warp's next one.
  SHOAL_DEVICE void load(Loaded& to) {
    if (next_ < steps_) {
      SHOAL_DEVICE_UNROLL
      for (int i = 0; i < kTiles; ++i) {
        SHOAL_DEVICE_UNROLL
        for (int s = 0; s < kSteps; ++s)
          to.weights[i][s] = load_once(weights_[i] + (next_ + s) * 32);
      }
      load_rows(to);
    }
    next_ += kSteps;
    if (next_ % kSegmentSteps == 0) next_ += (threads() / 32 - 1) * kSegmentSteps;
  }
  SHOAL_DEVICE void load_rows(Loaded& to) const {
    if constexpr (Shape::kOwn) {
      const int row = lane() / 4;
      SHOAL_DEVICE_UNROLL
      for (int s = 0; s < kSteps; ++s) {
        to.own[s] = row < static_cast<int>(a_.x.rows)
                        ? four_inputs(a_.x.data + row * a_.x.stride, static_cast<int>(a_.x.cols),
                                      (next_ + s) * kStepInputs + lane() % 4 * 4, a_.aligned)
                        : float4{0.0f, 0.0f, 0.0f, 0.0f};
      }
    } else {
      SHOAL_DEVICE_UNROLL
      for (int n = 0; n < kRowTiles; ++n) {
        const uint4* const from = a_.packed + n * a_.runs * kRunRowPieces + next_ / 2 * 32 + lane();
        SHOAL_DEVICE_UNROLL
        for (int s = 0; s < kSteps / 2; ++s) to.rows[n][s] = from[s * 32];
      }
    }
  }

  SHOAL_DEVICE void add(const Loaded& from) {
    if constexpr (!Shape::kOwn) {
      if (is_f16(a_)) return add_loaded<true>(from);
    }
    add_loaded<false>(from);
  }
  template <bool kF16>
  SHOAL_DEVICE void add_loaded(const Loaded& from) {
    SHOAL_DEVICE_UNROLL
    for (int s = 0; s < kSteps; ++s) {
      SHOAL_DEVICE_UNROLL
      for (int n = 0; n < kRowTiles; ++n) {
        std::uint32_t first, second;
        if constexpr (Shape::kOwn) {
          first = bf16_pair(from.own[s].x, from.own[s].y);
          second = bf16_pair(from.own[s].z, from.own[s].w);
        } else {
          const uint4& rows = from.rows[n][s / 2];
          first = s % 2 == 0 ? rows.x : rows.z;
          second = s % 2 == 0 ? rows.y : rows.w;
        }
        SHOAL_DEVICE_UNROLL
        for (int i = 0; i < kTiles; ++i)
          add_step<kF16>(from.weights[i][s], first, second, acc_[i][n]);
      }
    }
  }

  const MmaProducts& a_;
  const int steps_;
  int next_;  // step to be loaded
  const uint4* weights_[kTiles];
  Loaded held_[2];
  float acc_[kTiles][kRowTiles][4];
};

// Result `at` after the next `count` segments.
SHOAL_DEVICE float folded_segments(const float* parts, int results, int count, float* totals,
                                   bool first, int at) {
  float value = first ? parts[at] : add(totals[at], parts[at]);
  for (int i = 1; i < count; ++i) value = add(value, parts[i * results + at]);
  totals[at] = value;
  return value;
}

template <int kRowTiles, int kTiles>
SHOAL_KERNEL SHOAL_BOUNDS(kMmaFewWarps * 32,
                          kTiles == 4 ? 1 : 2) void mma_few_kernel(MmaProducts a) {
  using Shape = MmaFewShape<kRowTiles, kTiles>;
  const int warps = threads() / 32;
  Shared shared;
  auto* const parts = shared.take<float>(Shape::kResults * warps);
  auto* const totals = shared.take<float>(Shape::kResults);
  const MmaShare share = share_of(a, block_x());
  MmaFewWarp<kRowTiles, kTiles> mine(a, share);

  const int segments = (a.runs * kMmaRunSteps + kSegmentSteps - 1) / kSegmentSteps;
  const int rows = static_cast<int>(a.x.rows);
  for (int first = 0; first < segments; first += warps) {
    if (first + warp() < segments) {
      mine.add_segment(first + warp());
      mine.write_sums(parts + Shape::kResults * warp());
    }
    barrier();
    const int count = segments - first < warps ? segments - first : warps;
    const bool last = first + warps >= segments;
    const auto sum = [&](int output, int row) {
      return folded_segments(parts, Shape::kResults, count, totals, first == 0,
                             output * Shape::kRows + row);
    };
    if (a.gated) {
      // Every second tile is a gate's, with the one behind it.
      for (int i = thread(); i < rows * Shape::kOutputs / 2; i += threads()) {
        const int row = i / (Shape::kOutputs / 2), output = i % (Shape::kOutputs / 2);
        const int at = output / kTileOuts * 2 * kTileOuts + output % kTileOuts;
        const float gate = sum(at, row), up = sum(at + kTileOuts, row);
        if (last) put_gated(a, row, share.block * (Shape::kOutputs / 2) + output, gate, up);
      }
    } else {
      const MmaProduct& product = a.products[share.product];
      for (int i = thread(); i < rows * Shape::kOutputs; i += threads()) {
        const int row = i / Shape::kOutputs, output = i % Shape::kOutputs;
        const float value = sum(output, row);
        if (last) put(a, product, row, share.block * Shape::kOutputs + output, value);
      }
    }
    if (!last) barrier();
  }
}

}  // namespace shoal::kernels::cuda
