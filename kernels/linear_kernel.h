// SPDX-License-Identifier: Apache-2.0
// The matrix product in the order of linear.cc: register tiles of rows x outputs, 16 partial sums
// for each. Templates over a Vec16 (rule: vec16.h).
#pragma once

#include "kernels/cpu_kernels.h"
#include "kernels/row_kernel.h"

namespace shoal::kernels {

// Adds K values to the R x N accumulators. x rows and w rows are x_stride and w_stride apart.
template <class V, int R, int N, class W>
SHOAL_INLINE void accumulate_tile(const float* x, std::int64_t x_stride, const W* w,
                                  std::int64_t w_stride, std::int64_t k, V (&acc)[R * N]) {
  const auto step = [&](std::int64_t i, int lanes) SHOAL_LAMBDA {
    V weights[N];
    SHOAL_UNROLL
    for (int n = 0; n < N; ++n) weights[n] = load_lanes<V>(w + n * w_stride + i, lanes);
    SHOAL_UNROLL
    for (int r = 0; r < R; ++r) {
      const V row = load_lanes<V>(x + r * x_stride + i, lanes);
      SHOAL_UNROLL
      for (int n = 0; n < N; ++n) acc[r * N + n] = V::fma(row, weights[n], acc[r * N + n]);
    }
  };
  for_lanes<V>(k, step);
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
  for (int r = 0; r < R; ++r) {
    float* out = part.out + (row + r) * part.out_stride + n;
    for (int i = 0; i < valid; ++i) {
      float value = sums[r * N + i];
      if (part.bias != nullptr) value = value + part.bias[n + i];
      out[i] = part.accumulate ? out[i] + value : value;
    }
  }
}

template <class V, int R, int N, class W>
SHOAL_INLINE void few_tile(const LinearPart& part, const W* w, std::int64_t row, std::int64_t n) {
  V acc[R * N];
  SHOAL_UNROLL
  for (int i = 0; i < R * N; ++i) acc[i] = V::zero();
  accumulate_tile<V, R, N>(part.x + row * part.x_stride, part.x_stride, w + n * part.k, part.k,
                           part.k, acc);
  finish_tile<V, R, N>(part, acc, row, n, N);
}

template <class V, int R, class W>
void few_rows(const LinearPart& part, const W* w, std::int64_t row) {
  constexpr int kOuts = V::few_outs(R);
  std::int64_t n = part.out_begin;
  for (; n + kOuts <= part.out_end; n += kOuts) few_tile<V, R, kOuts>(part, w, row, n);
  for (; n < part.out_end; ++n) few_tile<V, R, 1>(part, w, row, n);
}

template <class V, class W>
void linear_few_typed(const LinearPart& part, const W* w) {
  // Bands of outputs whose weights stay in the second-level cache while the rows pass over them.
  LinearPart band = part;
  const std::int64_t rows = part.row_end - part.row_begin;
  const std::int64_t width = rows <= 4 ? part.out_end - part.out_begin : 16;
  for (std::int64_t n = part.out_begin; n < part.out_end; n += width) {
    band.out_begin = n;
    band.out_end = n + width < part.out_end ? n + width : part.out_end;
    std::int64_t row = part.row_begin;
    for (; row + 4 <= part.row_end; row += 4) few_rows<V, 4>(band, w, row);
    const std::int64_t left = part.row_end - row;
    if (left == 3) few_rows<V, 3>(band, w, row);
    if (left == 2) few_rows<V, 2>(band, w, row);
    if (left == 1) few_rows<V, 1>(band, w, row);
  }
}

template <class V>
void linear_few(const LinearPart& part) {
  switch (part.dtype) {
    case DType::kF32:
      return linear_few_typed<V>(part, static_cast<const float*>(part.weight));
    case DType::kBF16:
      return linear_few_typed<V>(part, static_cast<const BF16*>(part.weight));
    case DType::kF16:
      return linear_few_typed<V>(part, static_cast<const F16*>(part.weight));
  }
}

// One register tile of a block: partial sums wait in memory between blocks of K, lane for lane.
template <class V, int R, int N>
SHOAL_INLINE void many_tile(const LinearPart& part, const float* panel, std::int64_t k_begin,
                            std::int64_t k_end, float* partial, std::int64_t row, std::int64_t n) {
  V acc[R * N];
  SHOAL_UNROLL
  for (int i = 0; i < R * N; ++i) acc[i] = k_begin == 0 ? V::zero() : V::load(partial + i * 16);
  accumulate_tile<V, R, N>(part.x + row * part.x_stride + k_begin, part.x_stride, panel, kBlockK,
                           k_end - k_begin, acc);
  if (k_end < part.k) {
    SHOAL_UNROLL
    for (int i = 0; i < R * N; ++i) acc[i].store(partial + i * 16);
  } else {
    const std::int64_t left = part.out_end - n;
    finish_tile<V, R, N>(part, acc, row, n, left < N ? static_cast<int>(left) : N);
  }
}

template <class V, int R>
void many_rows(const LinearPart& part, const float* panel, std::int64_t k_begin, std::int64_t k_end,
               float* partial, std::int64_t row) {
  constexpr int kOuts = V::kTileOuts;
  for (std::int64_t n = part.out_begin; n < part.out_end; n += kOuts) {
    const std::int64_t i = n - part.out_begin;
    many_tile<V, R, kOuts>(part, panel + i * kBlockK, k_begin, k_end, partial + i * R * 16, row, n);
  }
}

// Rows left over after whole tiles: R counts down to the number that is left.
template <class V, int R>
void many_left(const LinearPart& part, const float* panel, std::int64_t k_begin, std::int64_t k_end,
               float* partial, std::int64_t row) {
  if constexpr (R > 0) {
    if (part.row_end - row == R) return many_rows<V, R>(part, panel, k_begin, k_end, partial, row);
    many_left<V, R - 1>(part, panel, k_begin, k_end, partial, row);
  }
}

template <class V>
void linear_many(const LinearPart& part, float* scratch) {
  constexpr int kRows = V::kTileRows;
  float* panel = scratch;  // [kBlockOuts, kBlockK]
  float* partials = scratch + kBlockOuts * kBlockK;
  const std::int64_t outs = part.out_end - part.out_begin;
  const std::int64_t bytes = static_cast<std::int64_t>(dtype_bytes(part.dtype));
  for (std::int64_t k = 0; k < part.k; k += kBlockK) {
    const std::int64_t end = k + kBlockK < part.k ? k + kBlockK : part.k;
    for (std::int64_t i = 0; i < outs; ++i) {
      const char* row =
          static_cast<const char*>(part.weight) + ((part.out_begin + i) * part.k + k) * bytes;
      to_f32_row<V>(row, part.dtype, end - k, panel + i * kBlockK);
    }
    std::int64_t row = part.row_begin;
    float* partial = partials;
    for (; row + kRows <= part.row_end; row += kRows, partial += kRows * kBlockOuts * 16) {
      many_rows<V, kRows>(part, panel, k, end, partial, row);
    }
    many_left<V, kRows - 1>(part, panel, k, end, partial, row);
  }
}

}  // namespace shoal::kernels
