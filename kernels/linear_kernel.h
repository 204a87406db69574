// SPDX-License-Identifier: Apache-2.0
// The matrix product in the order of linear.cc: register tiles of rows x outputs, 16 partial sums
// for each. Templates over a Vec16 (rule: vec16.h).
#pragma once

#include "kernels/cpu_kernels.h"
#include "kernels/row_kernel.h"
#include "kernels/weight_rows.h"

namespace shoal::kernels {

// One value of k per lane, for all R x N accumulators.
template <class V, int R, int N, class Rows>
SHOAL_INLINE void tile_step(const float* x, std::int64_t x_stride, const Rows& w, int lanes,
                            V (&acc)[R * N]) {
  V weights[N];
  SHOAL_UNROLL
  for (int n = 0; n < N; ++n) weights[n] = w.template load<V>(n, lanes);
  SHOAL_UNROLL
  for (int r = 0; r < R; ++r) {
    const V row = load_lanes<V>(x + r * x_stride, lanes);
    SHOAL_UNROLL
    for (int n = 0; n < N; ++n) acc[r * N + n] = V::fma(row, weights[n], acc[r * N + n]);
  }
}

template <class V, int R, int N, class Rows>
SHOAL_INLINE void full_step(const float* x, std::int64_t x_stride, const Rows& w, V (&acc)[R * N]) {
  if constexpr (V::kHasTileStep) {
    V::template tile_step<R, N>(x, x_stride, w, acc);
  } else {
    tile_step<V, R, N>(x, x_stride, w, 16, acc);
  }
}

// Adds K values to the R x N accumulators; x rows are x_stride apart. Meanwhile asks for the
// weights that are `ahead` outputs behind these, where that is not 0.
template <class V, int R, int N, class Rows>
SHOAL_INLINE void accumulate_tile(const float* x, std::int64_t x_stride, const Rows& w,
                                  std::int64_t k, std::int64_t ahead, V (&acc)[R * N]) {
  std::int64_t i = 0;
  for (; i + 16 <= k; i += 16) {
    if constexpr (R == 1) w.prefetch_soon(N, i);
    if (ahead != 0) w.prefetch(N, i, ahead);
    full_step<V, R, N>(x + i, x_stride, w.at(0, i), acc);
  }
  if (i < k) tile_step<V, R, N>(x + i, x_stride, w.at(0, i), static_cast<int>(k - i), acc);
}

// bias[n, n + count) as f32.
template <class V>
SHOAL_INLINE V load_bias(const LinearPart& part, std::int64_t n, int count) {
  switch (part.bias_dtype) {
    case DType::kF32:
      return load_lanes<V>(static_cast<const float*>(part.bias) + n, count);
    case DType::kBF16:
      return load_lanes<V>(static_cast<const BF16*>(part.bias) + n, count);
    case DType::kF16:
      return load_lanes<V>(static_cast<const F16*>(part.bias) + n, count);
  }
  return V::zero();
}

// Folds the lanes, adds the bias and writes the R x N results of row `row` and output `n` on;
// `valid` outputs exist.
template <class V, int R, int N>
SHOAL_INLINE void finish_tile(const LinearPart& part, const V (&acc)[R * N], std::int64_t row,
                              std::int64_t n, int valid) {
  constexpr int kPadded = (R * N + 15) / 16 * 16;
  float sums[kPadded];
  if constexpr (R * N < 4) {
    for (int i = 0; i < R * N; ++i) sums[i] = V::sum(acc[i]);
  } else {
    V padded[kPadded];
    SHOAL_UNROLL
    for (int i = 0; i < kPadded; ++i) padded[i] = i < R * N ? acc[i] : V::zero();
    for (int i = 0; i < kPadded; i += 16) V::sum16(padded + i).store(sums + i);
  }
  float bias[16] = {};
  if (part.bias != nullptr) load_bias<V>(part, n, valid).store(bias);
  for (int r = 0; r < R; ++r) {
    float* out = part.out + (row - part.out_row + r) * part.out_stride + (n - part.out_column);
    for (int i = 0; i < valid; ++i) {
      float value = sums[r * N + i];
      if (part.bias != nullptr) value = value + bias[i];
      out[i] = part.accumulate ? out[i] + value : value;
    }
  }
}

template <class V, int R, int N, class Rows>
SHOAL_INLINE void few_tile(const LinearPart& part, const Rows& w, std::int64_t row, std::int64_t n,
                           std::int64_t ahead) {
  V acc[R * N];
  SHOAL_UNROLL
  for (int i = 0; i < R * N; ++i) acc[i] = V::zero();
  accumulate_tile<V, R, N>(part.x + row * part.x_stride, part.x_stride, w.at(n, 0), part.k, ahead,
                           acc);
  finish_tile<V, R, N>(part, acc, row, n, N);
}

// `band`: as many outputs are done for all rows before the next; 0 where the weights that come next
// have been asked for.
template <class V, int R, class Rows>
void few_rows(const LinearPart& part, Rows w, std::int64_t row, std::int64_t band) {
  constexpr int kOuts = V::few_outs(R);
  std::int64_t n = part.out_begin;
  for (; n + kOuts <= part.out_end; n += kOuts) few_tile<V, R, kOuts>(part, w, row, n, band);
  for (; n < part.out_end; ++n) few_tile<V, R, 1>(part, w, row, n, band);
}
// R counts down to the number of rows.
template <class V, int R, class Rows>
SHOAL_INLINE void few_rows_of(const LinearPart& part, Rows w, std::int64_t row, std::int64_t rows,
                              std::int64_t band) {
  if (rows == R) return few_rows<V, R>(part, w, row, band);
  if constexpr (R > 1) few_rows_of<V, R - 1>(part, w, row, rows, band);
}

template <class V, class Rows>
void linear_few_typed(const LinearPart& part, Rows w) {
  constexpr std::int64_t kBand = 16;
  const std::int64_t rows = part.row_end - part.row_begin;
  const std::int64_t runs = (rows + V::kFewRows - 1) / V::kFewRows;
  if (runs == 1) {
    few_rows_of<V, V::kFewRows>(part, w, part.row_begin, rows, V::few_outs(rows));
    return;
  }
  // Bands of outputs whose weights stay in the second-level cache while the rows pass over them;
  // the last rows ask for the next band.
  LinearPart band = part;
  for (std::int64_t n = part.out_begin; n < part.out_end; n += kBand) {
    band.out_begin = n;
    band.out_end = n + kBand < part.out_end ? n + kBand : part.out_end;
    for (std::int64_t run = 0; run < runs; ++run) {
      const std::int64_t first = rows * run / runs, end = rows * (run + 1) / runs;
      few_rows_of<V, V::kFewRows>(band, w, part.row_begin + first, end - first,
                                  run + 1 == runs ? kBand : 0);
    }
  }
}

template <class V>
void linear_few(const LinearPart& part) {
  with_weights<V>(part, [&](const auto& rows) SHOAL_LAMBDA { linear_few_typed<V>(part, rows); });
}

// Rows [0, rows) x k values as f32, in the order in which a register tile of kTile rows reads them:
// [rows / kTile, k / 16, kTile, 16], the tail of k filled with zeros. The last tile has kTile rows
// too if kPad.
template <class V, int kTile, bool kPad, class Rows>
SHOAL_INLINE void pack(const Rows& from, std::int64_t rows, std::int64_t k, float* to) {
  for (std::int64_t first = 0; first < rows; first += kTile) {
    const std::int64_t present = rows - first < kTile ? rows - first : kTile;
    const std::int64_t width = kPad ? kTile : present;
    for (std::int64_t r = 0; r < width; ++r) {
      float* line = to + r * 16;
      const Rows row = from.at(first + r, 0);
      for_lanes<V>(k, [&](std::int64_t i, int lanes) SHOAL_LAMBDA {
        const V value = r < present ? row.at(0, i).template load<V>(0, lanes) : V::zero();
        value.store(line);
        line += width * 16;
      });
    }
    to += width * round_up_16(k);
  }
}
template <class V>
void pack_weights(const LinearPart& part, std::int64_t k_begin, std::int64_t k, float* to) {
  with_weights<V>(part, [&](const auto& rows) SHOAL_LAMBDA {
    pack<V, V::kTileOuts, true>(rows.at(part.out_begin, k_begin), part.out_end - part.out_begin, k,
                                to);
  });
}

// What a block of linear_many works on: packed values of one block of K, and partial sums that wait
// between blocks.
struct PackedBlock {
  const float* x;
  const float* weights;
  float* partials;
  std::int64_t k;  // a multiple of 16
  bool first, last;
};

template <class V, int R, int N>
SHOAL_INLINE void many_tile(const LinearPart& part, const PackedBlock& block, const float* weights,
                            float* partial, std::int64_t row, std::int64_t n) {
  V acc[R * N];
  if (block.first) {
    SHOAL_UNROLL
    for (int i = 0; i < R * N; ++i) acc[i] = V::zero();
  } else {
    SHOAL_UNROLL
    for (int i = 0; i < R * N; ++i) acc[i] = V::load(partial + i * 16);
  }
  const float* x = block.x;
  for (std::int64_t i = 0; i < block.k; i += 16, x += R * 16, weights += N * 16) {
    full_step<V, R, N>(x, 16, StoredRows<float>{weights, 16}, acc);
  }
  if (!block.last) {
    SHOAL_UNROLL
    for (int i = 0; i < R * N; ++i) acc[i].store(partial + i * 16);
  } else {
    const std::int64_t left = part.out_end - n;
    finish_tile<V, R, N>(part, acc, row, n, left < N ? static_cast<int>(left) : N);
  }
}

// R rows from `row` on against all outputs; moves the block on to the next rows.
template <class V, int R>
void many_rows(const LinearPart& part, PackedBlock& block, std::int64_t row) {
  constexpr int kOuts = V::kTileOuts;
  const float* weights = block.weights;
  for (std::int64_t n = part.out_begin; n < part.out_end; n += kOuts) {
    many_tile<V, R, kOuts>(part, block, weights, block.partials, row, n);
    weights += kOuts * block.k;
    block.partials += R * kOuts * 16;
  }
  block.x += R * block.k;
}

// Rows left over after whole tiles: R counts down to the number that is left.
template <class V, int R>
void many_left(const LinearPart& part, PackedBlock& block, std::int64_t row) {
  if constexpr (R > 0) {
    if (part.row_end - row == R) return many_rows<V, R>(part, block, row);
    many_left<V, R - 1>(part, block, row);
  }
}

template <class V>
void linear_many(const LinearPart& part, float* scratch) {
  constexpr int kRows = V::kTileRows;
  float* weights = scratch;
  float* x = weights + kBlockOuts * kBlockK;
  float* partials = x + kBlockRows * kBlockK;
  for (std::int64_t k = 0; k < part.k; k += kBlockK) {
    const std::int64_t end = k + kBlockK < part.k ? k + kBlockK : part.k;
    pack_weights<V>(part, k, end - k, weights);
    pack<V, kRows, false>(StoredRows<float>{part.x, part.x_stride}.at(part.row_begin, k),
                          part.row_end - part.row_begin, end - k, x);
    PackedBlock block{x, weights, partials, round_up_16(end - k), k == 0, end == part.k};
    std::int64_t row = part.row_begin;
    for (; row + kRows <= part.row_end; row += kRows) many_rows<V, kRows>(part, block, row);
    many_left<V, kRows - 1>(part, block, row);
  }
}

}  // namespace shoal::kernels
