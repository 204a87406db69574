// SPDX-License-Identifier: Apache-2.0
// Portable products of few rows (at most 32): weights are read once, and as fast as memory gives
// them. A CTA has two tiles of 16 outputs (of gate and up one each); a warp takes every so manieth
// segment of 512 inputs, for which the law begins anew; the segments' sums are folded in ascending
// order in shared memory.
//
// A lane reads 16 bytes at once, of 4 outputs, so lanes 0 to 15 have the first tile and the others
// the second: a warp reads 2 x 256 bytes side by side. It asks for kAhead groups before it needs
// the first: 4.3 KiB (q8), 5.0 KiB (q4), 4.5 KiB (q4s) are under way for each warp, 34 KiB for 8
// warps; an H200 needs 24 KiB in each multiprocessor. Of up to 4 rows a warp quantizes itself what
// it needs, meanwhile: a launch less, and columns 2 r of B are row r, so that half of the results
// need not be computed.
#pragma once

#include "kernels/cuda/portable_weights.cuh"

namespace shoal::kernels::cuda {

inline constexpr int kOwnRows = 4;  // that the kernel quantizes itself
inline constexpr int kFewRows = 32;
inline constexpr int kPairOutputs = 2 * static_cast<int>(kTileOutputs);
inline constexpr int kMostFewWarps = 16;

// Of kTiles tiles of 8 rows; 0: of kOwnRows rows.
template <WeightFormat kFormat, int kTiles>
struct FewShape {
  static constexpr bool kOwn = kTiles == 0;
  static constexpr int kRowTiles = kOwn ? 1 : kTiles;
  static constexpr int kRows = kOwn ? kOwnRows : kTiles * kTileRows;
  // Groups that are under way; at 32 rows there are not enough registers for more.
  static constexpr int kAhead = kFormat == WeightFormat::kQ8 || kTiles == 4 ? 4 : 8;
  static constexpr int kResults = kPairOutputs * kRows;
  static constexpr int kBuffers = 2 * kAhead * kRowTiles;  // tiles of x for each warp

  static constexpr int kWarpBytes =
      kBuffers * static_cast<int>(sizeof(QuantizedTile)) + kResults * 4;
  static constexpr int kCtaBytes = kResults * 4;
};

// What is under way: a group of a lane's 4 outputs.
template <WeightFormat kFormat>
struct HeldGroup {
  uint4 values[PackedGroup<kFormat>::kParts];
  uint2 scales, minima;
};

template <WeightFormat kFormat>
SHOAL_DEVICE HeldGroup<kFormat> load_group(const char* scales, const char* values) {
  using Group = PackedGroup<kFormat>;
  HeldGroup<kFormat> held;
  held.scales = *reinterpret_cast<const uint2*>(scales);
  if constexpr (Group::kMinima) held.minima = *reinterpret_cast<const uint2*>(scales + 32);
  SHOAL_DEVICE_UNROLL
  for (int i = 0; i < Group::kParts; ++i) {
    held.values[i] = load_once(reinterpret_cast<const uint4*>(values + i * Group::kPartBytes));
  }
  return held;
}

// The first two of its outputs, or the last.
template <WeightFormat kFormat>
SHOAL_DEVICE Outputs outputs_of(const HeldGroup<kFormat>& held, int half) {
  const uint4& first = held.values[0];
  const uint4& behind = held.values[PackedGroup<kFormat>::kParts - 1];
  Outputs w;
  if (half == 0) {
    as_operand<kFormat>(first.x, first.y, behind.x, behind.y, w.a);
  } else {
    as_operand<kFormat>(first.z, first.w, behind.z, behind.w, w.a);
  }
  w.scales = two_f16(half == 0 ? held.scales.x : held.scales.y);
  if constexpr (PackedGroup<kFormat>::kMinima) {
    w.minima = two_f16(half == 0 ? held.minima.x : held.minima.y);
  }
  return w;
}

// Groups side by side, of one segment.
struct GroupRun {
  int begin, count;
};

template <WeightFormat kFormat, int kTiles>
class FewWarp {
 public:
  using Shape = FewShape<kFormat, kTiles>;
  using Group = PackedGroup<kFormat>;
  static constexpr int kSegment = static_cast<int>(kSegmentGroups);
  static constexpr int kAhead = Shape::kAhead;

  // tile: the lane's. buffers [2, row tiles, kAhead].
  SHOAL_DEVICE FewWarp(const PortableProducts& a, const char* tile, QuantizedTile* buffers)
      : a_(a),
        g_(lane() / 4),
        t_(lane() % 4),
        warps_(threads() / 32),
        scales_(tile + g_ % 4 * 8),
        values_(tile + Group::kValuesAt + t_ * 64 + g_ % 4 * 16),
        buffers_(buffers),
        now_(run_at(warp() * kSegment)) {
    SHOAL_DEVICE_UNROLL
    for (int u = 0; u < kAhead; ++u) {
      if (u < now_.count) held_[u] = load(now_, u);
    }
    if constexpr (Shape::kOwn) {
      quantize(now_, first_inputs(now_), buffers_);
    } else {
      copy(now_, buffers_);
    }
  }

  // The sums of segment `segment`, to be called in ascending order of the warp's own.
  SHOAL_DEVICE void add_segment(int segment) {
    SHOAL_DEVICE_UNROLL
    for (int n = 0; n < Shape::kRowTiles; ++n) {
      SHOAL_DEVICE_UNROLL
      for (int i = 0; i < 8; ++i) acc_[n][i / 4][i % 4] = 0.0f;
    }
    while (now_.count > 0 && now_.begin < (segment + 1) * kSegment) {
      const GroupRun next = run_behind(now_);
      QuantizedTile* const here = buffers_ + (flip_ ? Shape::kBuffers / 2 : 0);
      QuantizedTile* const there = buffers_ + (flip_ ? 0 : Shape::kBuffers / 2);
      wait_copies<0>();
      warp_barrier();  // `here` is filled, and nobody reads `there` any more
      LaneInputs inputs;
      if constexpr (Shape::kOwn) {
        inputs = first_inputs(next);
      } else {
        copy(next, there);
      }
      if (now_.count == kAhead) {
        add_run<true>(next, here);
      } else {
        add_run<false>(next, here);
      }
      if constexpr (Shape::kOwn) quantize(next, inputs, there);
      flip_ = !flip_;
      now_ = next;
    }
  }

  // to [rows, kPairOutputs].
  SHOAL_DEVICE void write_sums(float* to) const {
    const int output = g_ / 4 * static_cast<int>(kTileOutputs) + g_ % 4 * 4;
    SHOAL_DEVICE_UNROLL
    for (int n = 0; n < Shape::kRowTiles; ++n) {
      SHOAL_DEVICE_UNROLL
      for (int column = 0; column < (Shape::kOwn ? 1 : 2); ++column) {
        const int row = Shape::kOwn ? t_ : n * kTileRows + 2 * t_ + column;
        *reinterpret_cast<float4*>(to + row * kPairOutputs + output) = {
            acc_[n][0][column], acc_[n][0][column + 2], acc_[n][1][column], acc_[n][1][column + 2]};
      }
    }
  }

 private:
  SHOAL_DEVICE GroupRun run_at(int begin) const {
    const int left = a_.groups - begin;
    return {begin, left <= 0 ? 0 : (left < kAhead ? left : kAhead)};
  }
  // In the same segment, or in the warp's next.
  SHOAL_DEVICE GroupRun run_behind(const GroupRun& run) const {
    const int begin = run.begin + kAhead;
    if (begin % kSegment != 0 && begin < a_.groups) return run_at(begin);
    return run_at((run.begin / kSegment + warps_) * kSegment);
  }

  SHOAL_DEVICE HeldGroup<kFormat> load(const GroupRun& run, int u) const {
    const std::int64_t at = static_cast<std::int64_t>(run.begin) * Group::kBytes;
    return load_group<kFormat>(scales_ + at + u * Group::kBytes, values_ + at + u * Group::kBytes);
  }

  // Begins to copy a run of x.
  SHOAL_DEVICE void copy(const GroupRun& run, QuantizedTile* to) const {
    constexpr int kUnits = static_cast<int>(sizeof(QuantizedTile)) / 16;
    const int units = run.count * kUnits;
    SHOAL_DEVICE_UNROLL
    for (int n = 0; n < Shape::kRowTiles; ++n) {
      const auto* const from = reinterpret_cast<const char*>(
          a_.quantized + static_cast<std::int64_t>(n) * a_.groups + run.begin);
      for (int i = lane(); i < units; i += 32) {
        copy_async(reinterpret_cast<char*>(to + n * kAhead) + i * 16, from + i * 16, true);
      }
    }
    commit_copies();
  }

  // Four lanes have a group of a row; the warp goes over the run's groups of one row after the
  // other, 8 groups at a time.
  SHOAL_DEVICE LaneInputs inputs_of(const GroupRun& run, int item) const {
    const int row = item / kAhead, group = item % kAhead;
    if (row >= static_cast<int>(a_.x.rows) || group >= run.count) return LaneInputs{};
    return load_inputs<kFormat>(a_.x.data + row * a_.x.stride, static_cast<int>(a_.x.cols),
                                run.begin + group, t_, a_.aligned);
  }
  SHOAL_DEVICE LaneInputs first_inputs(const GroupRun& run) const { return inputs_of(run, g_); }
  SHOAL_DEVICE void quantize(const GroupRun& run, LaneInputs inputs, QuantizedTile* to) const {
    const int items = run.count > 0 ? static_cast<int>(a_.x.rows) * kAhead : 0;
    for (int first = 0; first < items; first += 8) {
      const LaneInputs x = inputs;
      const int item = first + g_;
      if (first + 8 < items) inputs = inputs_of(run, item + 8);
      quantize_inputs<kFormat>(x, to[item % kAhead], item / kAhead, t_, item < items);
    }
  }

  // Group u of x as the lane's columns.
  SHOAL_DEVICE Columns columns_of(const QuantizedTile& x) const {
    Columns columns;
    if constexpr (Shape::kOwn) {
      columns.b = x.values[g_ / 2][t_];
      columns.scales = {x.scales[t_], 0.0f};
      if constexpr (kFormat != WeightFormat::kQ8) columns.sums = {x.sums[t_], x.sums[t_]};
    } else {
      columns.b = x.values[g_][t_];
      const float2 scales = *reinterpret_cast<const float2*>(x.scales + 2 * t_);
      columns.scales = {scales.x, scales.y};
      if constexpr (kFormat != WeightFormat::kQ8) {
        const float2 sums = *reinterpret_cast<const float2*>(x.sums + 2 * t_);
        columns.sums = {sums.x, sums.y};
      }
    }
    return columns;
  }

  // kWhole: now_ is as long as can be.
  template <bool kWhole>
  SHOAL_DEVICE void add_run(const GroupRun& next, const QuantizedTile* x) {
    SHOAL_DEVICE_UNROLL
    for (int u = 0; u < kAhead; ++u) {
      if (kWhole || u < now_.count) {
        const Outputs low = outputs_of<kFormat>(held_[u], 0);
        const Outputs high = outputs_of<kFormat>(held_[u], 1);
        if (u < next.count) held_[u] = load(next, u);
        SHOAL_DEVICE_UNROLL
        for (int n = 0; n < Shape::kRowTiles; ++n) {
          const Columns columns = columns_of(x[n * kAhead + u]);
          add_group<kFormat, !Shape::kOwn>(low, columns, acc_[n][0]);
          add_group<kFormat, !Shape::kOwn>(high, columns, acc_[n][1]);
        }
      } else if (u < next.count) {
        held_[u] = load(next, u);
      }
    }
  }

  const PortableProducts& a_;
  const int g_, t_, warps_;
  const char* const scales_;
  const char* const values_;
  QuantizedTile* const buffers_;
  bool flip_ = false;
  GroupRun now_;
  HeldGroup<kFormat> held_[kAhead];
  float acc_[Shape::kRowTiles][2][4];
};

// Result `at` after the next `count` segments.
SHOAL_DEVICE float folded(const float* parts, int results, int count, float* totals, bool first,
                          int at) {
  float value = first ? parts[at] : add(totals[at], parts[at]);
  for (int i = 1; i < count; ++i) value = add(value, parts[i * results + at]);
  totals[at] = value;
  return value;
}

template <WeightFormat kFormat, int kTiles>
SHOAL_KERNEL SHOAL_BOUNDS(kMostFewWarps * 32, 1) void few_kernel(PortableProducts a) {
  using Shape = FewShape<kFormat, kTiles>;
  constexpr int kOutputs = static_cast<int>(kTileOutputs);
  const int warps = threads() / 32;
  Shared shared;
  auto* const buffers = shared.take<QuantizedTile>(Shape::kBuffers * warps);
  auto* const parts = shared.take<float>(Shape::kResults * warps);
  auto* const totals = shared.take<float>(Shape::kResults);

  const Share share = share_of(a, block_x());
  const int second = lane() / 16;
  const char* const tile =
      a.gated ? tile_at<kFormat>(second == 0 ? a.products[0] : a.products[1], share.block, a.groups)
              : tile_at<kFormat>(share.product, share.block * 2 + second, a.groups);
  FewWarp<kFormat, kTiles> mine(a, tile, buffers + Shape::kBuffers * warp());

  const int segments =
      (a.groups + static_cast<int>(kSegmentGroups) - 1) / static_cast<int>(kSegmentGroups);
  const int rows = static_cast<int>(a.x.rows);
  for (int first = 0; first < segments; first += warps) {
    if (first + warp() < segments) {
      mine.add_segment(first + warp());
      mine.write_sums(parts + Shape::kResults * warp());
    }
    barrier();
    const int count = segments - first < warps ? segments - first : warps;
    const bool last = first + warps >= segments;
    if (a.gated) {
      for (int i = thread(); i < rows * kOutputs; i += threads()) {
        const int row = i / kOutputs, at = row * kPairOutputs + i % kOutputs;
        const int n = share.block * kOutputs + i % kOutputs;
        const float gate = folded(parts, Shape::kResults, count, totals, first == 0, at);
        const float up = folded(parts, Shape::kResults, count, totals, first == 0, at + kOutputs);
        if (last && n < share.product.outputs) {
          share.product.out[row * share.product.stride + n] =
              silu_mul(with_bias(a.products[0], n, gate), with_bias(a.products[1], n, up));
        }
      }
    } else {
      for (int i = thread(); i < rows * kPairOutputs; i += threads()) {
        const int n = share.block * kPairOutputs + i % kPairOutputs;
        const float sum = folded(parts, Shape::kResults, count, totals, first == 0, i);
        if (last && n < share.product.outputs) {
          float* const out = share.product.out + i / kPairOutputs * share.product.stride + n;
          const float value = with_bias(share.product, n, sum);
          *out = a.accumulate ? add(*out, value) : value;
        }
      }
    }
    if (!last) barrier();
  }
}

}  // namespace shoal::kernels::cuda
