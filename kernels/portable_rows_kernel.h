// SPDX-License-Identifier: Apache-2.0
// The products of portable_kernel.h for any number of rows: one, which follows several tiles at
// once, or more, which share a segment of a tile. Templates over a Vec16 and the exact dots that go
// with it (rule: vec16.h).
#pragma once

#include "kernels/portable_kernel.h"

namespace shoal::kernels {

// Adds what a segment gave to `totals` [R, T, 16].
template <class V, int R, int T>
SHOAL_INLINE void add_totals(const V (&acc)[R * T], bool first, float* totals) {
  SHOAL_UNROLL
  for (int i = 0; i < R * T; ++i) {
    float* const total = totals + i * kTileOutputs;
    (first ? acc[i] : V::add(V::load(total), acc[i])).store(total);
  }
}

// Calls body(rows) with 1 to kMost as a type.
template <int kRows>
struct RowCount {
  static constexpr int kValue = kRows;
};
template <int kMost, class Body>
SHOAL_INLINE void with_count(std::int64_t rows, const Body& body) {
  if (rows == kMost) return body(RowCount<kMost>{});
  if constexpr (kMost > 1) with_count<kMost - 1>(rows, body);
}
// Rows in runs of at most kMost, as many as there are registers for, and no run much shorter than
// another: body(rows, first row).
template <int kMost, class Body>
SHOAL_INLINE void in_runs(std::int64_t row, std::int64_t end, const Body& body) {
  for (std::int64_t left; (left = end - row) > 0;) {
    const std::int64_t runs = (left + kMost - 1) / kMost;
    const std::int64_t rows = (left + runs - 1) / runs;
    with_count<kMost>(rows, [&](auto count) SHOAL_LAMBDA { body(count, row); });
    row += rows;
  }
}

// Rows [row_begin, row_end), at most kBlockRows, of T tiles: a segment of their weights stays in
// the first-level cache while the rows pass over it.
template <class V, class Dots, WeightFormat kFormat, int T>
void tile_rows(const LinearPart& part, const std::uint8_t* tile, std::int64_t row_begin,
               std::int64_t row_end, std::int64_t n) {
  constexpr std::int64_t kOutputs = T * kTileOutputs;
  const QuantizedRows& x = part.quantized;
  alignas(64) float totals[kBlockRows * kOutputs];
  for (std::int64_t begin = 0; begin < x.groups; begin += kSegmentGroups) {
    const std::int64_t end = segment_end(begin, x.groups);
    // The first rows ask for what all rows read next.
    const std::uint8_t* const ahead =
        tile + (end < x.groups ? end : T * x.groups) * packed_group_bytes(kFormat);
    in_runs<Dots::kRows>(row_begin, row_end, [&](auto rows, std::int64_t row) SHOAL_LAMBDA {
      constexpr int kRows = decltype(rows)::kValue;
      V acc[kRows * T];
      segment<V, Dots, kFormat, kRows, T>(x, tile, row, begin, end,
                                          row == row_begin ? ahead : nullptr, acc);
      add_totals<V, kRows, T>(acc, begin == 0, totals + (row - row_begin) * kOutputs);
    });
  }
  for (std::int64_t row = row_begin; row < row_end; ++row) {
    for (std::int64_t out = 0; out < kOutputs; out += kTileOutputs) {
      write_outputs<V>(part, V::load(totals + (row - row_begin) * kOutputs + out), row, n + out);
    }
  }
}

// Calls whole(n) for runs of T tiles, and single(n) for the tiles that are left.
template <int T, class Whole, class Single>
SHOAL_INLINE void in_tiles(const LinearPart& part, const Whole& whole, const Single& single) {
  std::int64_t n = part.out_begin;
  for (; n + (T - 1) * kTileOutputs < part.out_end; n += T * kTileOutputs) whole(n);
  for (; n < part.out_end; n += kTileOutputs) single(n);
}

template <class V, class Dots, WeightFormat kFormat>
void linear_portable_typed(const LinearPart& part) {
  constexpr int kStreams = 4, kTiles = Dots::kTiles;
  const std::int64_t tile_bytes = part.quantized.groups * packed_group_bytes(kFormat);
  const auto tile_at = [&](std::int64_t n) SHOAL_LAMBDA {
    return static_cast<const std::uint8_t*>(part.values) + n / kTileOutputs * tile_bytes;
  };
  if (part.row_end - part.row_begin == 1) {
    const std::int64_t row = part.row_begin;
    return in_tiles<kStreams>(
        part,
        [&](std::int64_t n)
            SHOAL_LAMBDA { one_row<V, Dots, kFormat, kStreams>(part, tile_at(n), row, n); },
        [&](std::int64_t n)
            SHOAL_LAMBDA { one_row<V, Dots, kFormat, 1>(part, tile_at(n), row, n); });
  }
  for (std::int64_t row = part.row_begin; row < part.row_end; row += kBlockRows) {
    const std::int64_t end = row + kBlockRows < part.row_end ? row + kBlockRows : part.row_end;
    in_tiles<kTiles>(
        part,
        [&](std::int64_t n)
            SHOAL_LAMBDA { tile_rows<V, Dots, kFormat, kTiles>(part, tile_at(n), row, end, n); },
        [&](std::int64_t n)
            SHOAL_LAMBDA { tile_rows<V, Dots, kFormat, 1>(part, tile_at(n), row, end, n); });
  }
}

// part.out_begin is a multiple of kTileOutputs.
template <class V, class Dots>
void linear_portable(const LinearPart& part) {
  switch (part.format) {
    case WeightFormat::kQ8:
      return linear_portable_typed<V, Dots, WeightFormat::kQ8>(part);
    case WeightFormat::kQ4:
      return linear_portable_typed<V, Dots, WeightFormat::kQ4>(part);
    default:
      return linear_portable_typed<V, Dots, WeightFormat::kQ4S>(part);
  }
}

}  // namespace shoal::kernels
