// SPDX-License-Identifier: Apache-2.0
// Portable products of few rows (at most 32): weights are read once, and as fast as memory gives
// them. A CTA has two tiles of 16 outputs (of gate and up one each); a warp takes every so manieth
// segment of 512 inputs, for which the law begins anew; the segments' sums are folded in ascending
// order in shared memory.
//
// A warp copies runs of groups into a ring of its own in shared memory, asynchronously, so what is
// under way needs no registers: between 4.3 and 5.1 KB for each warp and at most 8 rows, 34 KB for
// 8 warps; an H200 needs 24 KB in each multiprocessor. Of up to 4 rows a warp quantizes itself what
// it needs, meanwhile: a launch less, and columns 2 r and 2 r + 1 of B are row r, so that half of
// the results need not be computed. One or two rows are normed here too (row_stage.cuh).
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
  static constexpr int kResults = kPairOutputs * kRows;
  using Row = QuantizedGroups<kOwn ? kOwnRows : kTileRows>;
  // The ring: groups of a run, and runs. A lone row's 8 groups keep all lanes quantizing; q8 has
  // twice the bytes of a group; where rows are many, x needs the room.
  static constexpr bool kQ8 = kFormat == WeightFormat::kQ8;
  static constexpr int kRun = kRowTiles > 1 ? 2 : kOwn && !kQ8 ? 8 : 4;
  static constexpr int kRuns = kRowTiles == 1 && (kOwn || kQ8) ? 2 : kTiles == 2 && !kQ8 ? 4 : 3;
  static constexpr int kTileBytes = kRun * PackedGroup<kFormat>::kBytes;
  static constexpr int kWeightBytes = 2 * kTileBytes;  // of a run
  static constexpr int kRowGroups = kRowTiles * kRun;  // likewise

  static constexpr int kWarpBytes =
      kRuns * (kWeightBytes + kRowGroups * static_cast<int>(sizeof(Row))) + kResults * 4;
  static constexpr int kCtaBytes = kResults * 4;
};

template <WeightFormat kFormat, int kTiles>
class FewWarp {
 public:
  using Shape = FewShape<kFormat, kTiles>;
  using Group = PackedGroup<kFormat>;
  using Row = typename Shape::Row;
  static constexpr int kSegment = static_cast<int>(kSegmentGroups);
  static constexpr int kRun = Shape::kRun;
  static constexpr int kFirstRuns = Shape::kRuns - 1;  // that are copied at the beginning

  // tile: lanes 0 to 15 read the first of the CTA's tiles, the others the second. The ring is the
  // warp's: weights [runs, 2, kRun], x [runs, row tiles, kRun].
  SHOAL_DEVICE FewWarp(const PortableProducts& a, const char* tile, char* weights, Row* x)
      : a_(a),
        g_(lane() / 4),
        t_(lane() % 4),
        tile_(tile + lane() % 16 * 16),
        weights_(weights + lane() / 16 * Shape::kTileBytes),
        x_(x),
        next_(warp() * kSegment) {
    for (int slot = 0; slot < kFirstRuns; ++slot) {
      copy(slot);
      if constexpr (!Shape::kOwn) advance();
    }
  }

  // Of rows that it quantizes itself, once they are there.
  SHOAL_DEVICE void take_rows(const ConstRows& rows) {
    static_assert(!Shape::kOwn || kFirstRuns == 1);
    rows_ = rows.data;
    row_stride_ = rows.stride;
    quantize(first_inputs(), 0);
    advance();
  }

  // The sums of segment `segment`, to be called in ascending order of the warp's own.
  SHOAL_DEVICE void add_segment(int segment) {
    SHOAL_DEVICE_UNROLL
    for (int n = 0; n < Shape::kRowTiles; ++n) {
      SHOAL_DEVICE_UNROLL
      for (int i = 0; i < 8; ++i) acc_[n][i / 4][i % 4] = 0.0f;
    }
    const int left = a_.groups - segment * kSegment;
    const int groups = left < kSegment ? left : kSegment;
    for (int done = 0; done < groups; done += kRun) {
      wait_copies<Shape::kRuns - 2>();
      warp_barrier();  // this run is there, and nobody reads the one before it any more
      const int free = slot_ == 0 ? Shape::kRuns - 1 : slot_ - 1;
      copy(free);
      LaneInputs inputs;
      if constexpr (Shape::kOwn) inputs = first_inputs();
      add_run();
      if constexpr (Shape::kOwn) quantize(inputs, free);
      advance();
      slot_ = slot_ == Shape::kRuns - 1 ? 0 : slot_ + 1;
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
  // Of the next run to copy; a run is of one segment.
  SHOAL_DEVICE int next_count() const {
    const int left = a_.groups - next_;
    return left < kRun ? left : kRun;
  }
  // To the next run of the segment, or of the warp's next one.
  SHOAL_DEVICE void advance() {
    next_ += kRun;
    if (next_ % kSegment == 0) next_ += (threads() / 32 - 1) * kSegment;
  }

  // Begins to copy the next run. Where it is short there are zeros, which change nothing.
  SHOAL_DEVICE void copy(int slot) const {
    const int count = next_count();
    if (count > 0) {
      copy_weights(slot, count);
      if constexpr (!Shape::kOwn) copy_rows(slot, count);
    }
    commit_copies();
  }
  SHOAL_DEVICE void copy_weights(int slot, int count) const {
    constexpr int kUnits = Group::kBytes / 16;  // of 16 bytes, in a group
    const char* const from = tile_ + static_cast<std::int64_t>(next_) * Group::kBytes;
    char* const to = weights_ + slot * Shape::kWeightBytes + lane() % 16 * 16;
    SHOAL_DEVICE_UNROLL
    for (int i = 0; i < kRun * kUnits; i += 16) {
      const int unit = i + lane() % 16;
      if (unit >= kRun * kUnits) continue;
      copy_async(to + i * 16, from + i * 16, unit < count * kUnits);
    }
  }
  SHOAL_DEVICE void copy_rows(int slot, int count) const {
    constexpr int kUnits = static_cast<int>(sizeof(QuantizedTile)) / 16;
    SHOAL_DEVICE_UNROLL
    for (int n = 0; n < Shape::kRowTiles; ++n) {
      const auto* const from = reinterpret_cast<const char*>(
          a_.quantized + static_cast<std::int64_t>(n) * a_.groups + next_);
      auto* const to = reinterpret_cast<char*>(x_ + slot * Shape::kRowGroups + n * kRun);
      SHOAL_DEVICE_UNROLL
      for (int i = 0; i < kRun * kUnits; i += 32) {
        const int unit = i + lane();
        if (unit >= kRun * kUnits) continue;
        copy_async(to + unit * 16, from + unit * 16, unit < count * kUnits);
      }
    }
  }

  // Four lanes have a group of a row; the warp goes over the rows' groups of the next run, 8 at a
  // time.
  SHOAL_DEVICE LaneInputs inputs_of(int item) const {
    const int row = item / kRun, group = item % kRun;
    if (row >= static_cast<int>(a_.x.rows) || group >= next_count()) return LaneInputs{};
    return load_inputs<kFormat>(rows_ + row * row_stride_, static_cast<int>(a_.x.cols),
                                next_ + group, t_, a_.aligned);
  }
  SHOAL_DEVICE LaneInputs first_inputs() const { return inputs_of(g_); }
  SHOAL_DEVICE void quantize(LaneInputs inputs, int slot) const {
    Row* const to = x_ + slot * Shape::kRowGroups;
    const int items = next_count() > 0 ? static_cast<int>(a_.x.rows) * kRun : 0;
    for (int first = 0; first < items; first += 8) {
      const LaneInputs x = inputs;
      const int item = first + g_;
      if (first + 8 < items) inputs = inputs_of(item + 8);
      quantize_inputs<kFormat>(x, to[item % kRun], item / kRun, t_, item < items);
    }
  }

  // The lane's four outputs of a group, two by two.
  SHOAL_DEVICE void outputs_of(const char* group, Outputs (&w)[2]) const {
    const char* const values = group + Group::kValuesAt + t_ * 64 + g_ % 4 * 16;
    const uint4 first = *reinterpret_cast<const uint4*>(values);
    const uint4 behind =
        *reinterpret_cast<const uint4*>(values + (Group::kParts - 1) * Group::kPartBytes);
    as_operand<kFormat>(first.x, first.y, behind.x, behind.y, w[0].a);
    as_operand<kFormat>(first.z, first.w, behind.z, behind.w, w[1].a);
    const uint2 scales = *reinterpret_cast<const uint2*>(group + g_ % 4 * 8);
    w[0].scales = two_f16(scales.x);
    w[1].scales = two_f16(scales.y);
    if constexpr (Group::kMinima) {
      const uint2 minima = *reinterpret_cast<const uint2*>(group + 32 + g_ % 4 * 8);
      w[0].minima = two_f16(minima.x);
      w[1].minima = two_f16(minima.y);
    }
  }
  SHOAL_DEVICE Columns columns_of(const Row& x) const {
    if constexpr (Shape::kOwn) {
      Columns columns;
      columns.b = x.values[g_ / 2][t_];
      columns.scales = {x.scales[t_], 0.0f};
      if constexpr (kFormat != WeightFormat::kQ8) columns.sums = {x.sums[t_], 0.0f};
      return columns;
    } else {
      return both_columns<kFormat>(x, g_, t_);
    }
  }

  SHOAL_DEVICE void add_run() {
    const char* const weights = weights_ + slot_ * Shape::kWeightBytes;
    const Row* const x = x_ + slot_ * Shape::kRowGroups;
    SHOAL_DEVICE_UNROLL
    for (int u = 0; u < kRun; ++u) {
      Outputs w[2];
      outputs_of(weights + u * Group::kBytes, w);
      SHOAL_DEVICE_UNROLL
      for (int n = 0; n < Shape::kRowTiles; ++n) {
        const Columns columns = columns_of(x[n * kRun + u]);
        add_group<kFormat, !Shape::kOwn>(w[0], columns, acc_[n][0]);
        add_group<kFormat, !Shape::kOwn>(w[1], columns, acc_[n][1]);
      }
    }
  }

  const PortableProducts& a_;
  const int g_, t_;
  const char* const tile_;
  char* const weights_;
  Row* const x_;
  int slot_ = 0;  // of the ring: the next to be used
  int next_;      // first group of the next run to be copied
  const float* rows_ = nullptr;
  std::int64_t row_stride_ = 0;
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
  char* const weights = shared.take<char>(Shape::kRuns * Shape::kWeightBytes * warps);
  auto* const x = shared.take<typename Shape::Row>(Shape::kRuns * Shape::kRowGroups * warps);
  auto* const parts = shared.take<float>(Shape::kResults * warps);
  auto* const totals = shared.take<float>(Shape::kResults);

  const Share share = share_of(a, block_x());
  const int second = lane() / 16;
  const char* const tile =
      a.gated ? tile_at<kFormat>(a.products[second], share.block, a.groups)
              : tile_at<kFormat>(a.products[share.product], share.block * 2 + second, a.groups);
  const bool stages = Shape::kOwn && a.norm.weight != nullptr;
  const RowStage stage(shared, a.x, stages ? static_cast<int>(a.x.rows) : 0);
  if (stages) stage.copy(a.x);
  FewWarp<kFormat, kTiles> mine(a, tile, weights + Shape::kRuns * Shape::kWeightBytes * warp(),
                                x + Shape::kRuns * Shape::kRowGroups * warp());
  if constexpr (Shape::kOwn) {
    mine.take_rows(stages ? stage.template normed_rows<1>(a.norm) : a.x);
  }

  const int segments =
      (a.groups + static_cast<int>(kSegmentGroups) - 1) / static_cast<int>(kSegmentGroups);
  const int rows = static_cast<int>(a.x.rows);
  for (int first = 0; first < segments; first += warps) {
    if (first + warp() < segments) {
      mine.add_segment(first + warp());
      mine.write_sums(parts + Shape::kResults * warp());
    }
    barrier();
    const PortableProduct& product = a.products[share.product];
    const int count = segments - first < warps ? segments - first : warps;
    const bool last = first + warps >= segments;
    if (a.gated) {
      for (int i = thread(); i < rows * kOutputs; i += threads()) {
        const int row = i / kOutputs, at = row * kPairOutputs + i % kOutputs;
        const int n = share.block * kOutputs + i % kOutputs;
        const float gate = folded(parts, Shape::kResults, count, totals, first == 0, at);
        const float up = folded(parts, Shape::kResults, count, totals, first == 0, at + kOutputs);
        if (last && n < product.outputs) {
          product.out[row * product.stride + n] =
              silu_mul(with_bias(a.products[0], n, gate), with_bias(a.products[1], n, up));
        }
      }
    } else {
      for (int i = thread(); i < rows * kPairOutputs; i += threads()) {
        const int n = share.block * kPairOutputs + i % kPairOutputs;
        const float sum = folded(parts, Shape::kResults, count, totals, first == 0, i);
        if (last && n < product.outputs) {
          float* const out = product.out + i / kPairOutputs * product.stride + n;
          const float value = with_bias(product, n, sum);
          *out = a.accumulate ? add(*out, value) : value;
        }
      }
    }
    if (!last) barrier();
  }
}

}  // namespace shoal::kernels::cuda
