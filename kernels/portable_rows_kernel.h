// SPDX-License-Identifier: Apache-2.0
// The products of portable_kernel.h for any number of rows: one, which follows several tiles at
// once, or more, which share a segment of a tile. Templates over a Vec16 and the exact dots that go
// with it (rule: vec16.h).
#pragma once

#include "kernels/portable_kernel.h"

namespace shoal::kernels {

// Adds what a segment gave to `totals` [R, 16].
template <class V, int R>
SHOAL_INLINE void add_totals(const V (&acc)[R], bool first, float* totals) {
  SHOAL_UNROLL
  for (int r = 0; r < R; ++r) {
    float* const total = totals + r * kTileOutputs;
    (first ? acc[r] : V::add(V::load(total), acc[r])).store(total);
  }
}

// Calls body(R, row) with R as a type: as many rows at once as there are registers for, then what
// is left.
template <int kRows>
struct RowCount {
  static constexpr int kValue = kRows;
};
template <class Body>
SHOAL_INLINE void in_fours(std::int64_t row, std::int64_t end, const Body& body) {
  for (; row + 4 <= end; row += 4) body(RowCount<4>{}, row);
  if (end - row == 3) body(RowCount<3>{}, row);
  if (end - row == 2) body(RowCount<2>{}, row);
  if (end - row == 1) body(RowCount<1>{}, row);
}

// Rows [row_begin, row_end), at most kBlockRows, of one tile: a segment of its weights stays in the
// first-level cache while the rows pass over it.
template <class V, class Dots, WeightFormat kFormat>
void tile_rows(const LinearPart& part, const std::uint8_t* tile, std::int64_t row_begin,
               std::int64_t row_end, std::int64_t n) {
  const QuantizedRows& x = part.quantized;
  alignas(64) float totals[kBlockRows * kTileOutputs];
  for (std::int64_t begin = 0; begin < x.groups; begin += kSegmentGroups) {
    const std::int64_t end = segment_end(begin, x.groups);
    in_fours(row_begin, row_end, [&](auto rows, std::int64_t row) SHOAL_LAMBDA {
      constexpr int kRows = decltype(rows)::kValue;
      V acc[kRows];
      segment<V, Dots, kFormat, kRows, 1>(x, tile, row, begin, end, acc);
      add_totals<V>(acc, begin == 0, totals + (row - row_begin) * kTileOutputs);
    });
  }
  for (std::int64_t row = row_begin; row < row_end; ++row) {
    write_outputs<V>(part, V::load(totals + (row - row_begin) * kTileOutputs), row, n);
  }
}

template <class V, class Dots, WeightFormat kFormat>
void linear_portable_typed(const LinearPart& part) {
  constexpr int kStreams = 4;
  const std::int64_t tile_bytes = part.quantized.groups * packed_group_bytes(kFormat);
  const auto tile_at = [&](std::int64_t n) SHOAL_LAMBDA {
    return static_cast<const std::uint8_t*>(part.values) + n / kTileOutputs * tile_bytes;
  };
  if (part.row_end - part.row_begin == 1) {
    std::int64_t n = part.out_begin;
    for (; n + (kStreams - 1) * kTileOutputs < part.out_end; n += kStreams * kTileOutputs) {
      one_row<V, Dots, kFormat, kStreams>(part, tile_at(n), part.row_begin, n);
    }
    for (; n < part.out_end; n += kTileOutputs) {
      one_row<V, Dots, kFormat, 1>(part, tile_at(n), part.row_begin, n);
    }
    return;
  }
  for (std::int64_t row = part.row_begin; row < part.row_end; row += kBlockRows) {
    const std::int64_t end = row + kBlockRows < part.row_end ? row + kBlockRows : part.row_end;
    for (std::int64_t n = part.out_begin; n < part.out_end; n += kTileOutputs) {
      tile_rows<V, Dots, kFormat>(part, tile_at(n), row, end, n);
    }
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
