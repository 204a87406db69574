// SPDX-License-Identifier: Apache-2.0
// Loops over single rows: exp, silu, norm, rotation, conversion. Templates over a Vec16 (rule:
// vec16.h).
#pragma once

#include "kernels/vec16.h"

namespace shoal::kernels {

// e^x: x = n ln 2 + r with |r| <= ln 2 / 2, a polynomial in r (Cephes expf), then times 2^n. At
// most 2 ulp from the truth where the result is normal; exactly 1 at 0; +0 far below, infinity far
// above; NaN stays NaN.
template <class V>
SHOAL_INLINE V exp(const V& x_in) {
  const V x = V::min(V::set1(89.0f), V::max(V::set1(-105.0f), x_in));
  const V magic =
      V::set1(12582912.0f);  // 1.5 * 2^23: adding it rounds to an integer in the low bits
  const V t = V::fma(x, V::set1(1.44269504088896341f), magic);
  const V n = V::sub(t, magic);
  const V r = V::fma(n, V::set1(2.12194440e-4f), V::fma(n, V::set1(-0.693359375f), x));
  V p = V::set1(1.9875691500e-4f);
  p = V::fma(p, r, V::set1(1.3981999507e-3f));
  p = V::fma(p, r, V::set1(8.3334519073e-3f));
  p = V::fma(p, r, V::set1(4.1665795894e-2f));
  p = V::fma(p, r, V::set1(1.6666665459e-1f));
  p = V::fma(p, r, V::set1(5.0000001201e-1f));
  p = V::add(V::fma(p, V::mul(r, r), r), V::set1(1.0f));
  return V::scale_by_power(p, t);
}

// Calls body(index, lanes) for runs of 16 values and one shorter tail.
template <class V, class Body>
SHOAL_INLINE void for_lanes(std::int64_t count, const Body& body) {
  std::int64_t i = 0;
  for (; i + 16 <= count; i += 16) body(i, 16);
  if (i < count) body(i, static_cast<int>(count - i));
}
template <class V, class T>
SHOAL_INLINE V load_lanes(const T* p, int lanes) {
  return lanes == 16 ? V::load(p) : V::load_tail(p, lanes);
}
template <class V, class T>
SHOAL_INLINE void store_lanes(const V& v, T* p, int lanes) {
  if (lanes == 16) {
    v.store(p);
  } else {
    v.store_tail(p, lanes);
  }
}

template <class V>
void exp_row(const float* x, std::int64_t count, float* out) {
  for_lanes<V>(count, [&](std::int64_t i, int lanes) SHOAL_LAMBDA {
    store_lanes<V>(exp<V>(load_lanes<V>(x + i, lanes)), out + i, lanes);
  });
}

template <class V>
void silu_mul_row(const float* gate, const float* up, std::int64_t count, float* out) {
  for_lanes<V>(count, [&](std::int64_t i, int lanes) SHOAL_LAMBDA {
    const V g = load_lanes<V>(gate + i, lanes);
    const V denominator = V::add(V::set1(1.0f), exp<V>(V::sub(V::zero(), g)));
    store_lanes<V>(V::mul(V::div(g, denominator), load_lanes<V>(up + i, lanes)), out + i, lanes);
  });
}

// The sum of squares is reduced in the order of linear.cc.
template <class V, class T>
SHOAL_INLINE void rms_norm_typed(const float* x, const T* weight, std::int64_t cols, float eps,
                                 float* out) {
  V squares = V::zero();
  for_lanes<V>(cols, [&](std::int64_t i, int lanes) SHOAL_LAMBDA {
    const V v = load_lanes<V>(x + i, lanes);
    squares = V::fma(v, v, squares);
  });
  const float mean = V::sum(squares) / static_cast<float>(cols);
  const V inverse = V::set1(1.0f / __builtin_sqrtf(mean + eps));
  for_lanes<V>(cols, [&](std::int64_t i, int lanes) SHOAL_LAMBDA {
    const V scaled = V::mul(load_lanes<V>(x + i, lanes), inverse);
    store_lanes<V>(V::mul(scaled, load_lanes<V>(weight + i, lanes)), out + i, lanes);
  });
}
template <class V>
void rms_norm_row(const float* x, const void* weight, DType dtype, std::int64_t cols, float eps,
                  float* out) {
  switch (dtype) {
    case DType::kF32:
      return rms_norm_typed<V>(x, static_cast<const float*>(weight), cols, eps, out);
    case DType::kBF16:
      return rms_norm_typed<V>(x, static_cast<const BF16*>(weight), cols, eps, out);
    case DType::kF16:
      return rms_norm_typed<V>(x, static_cast<const F16*>(weight), cols, eps, out);
  }
}

template <class V>
void rope_row(float* x, std::int64_t heads, std::int64_t head_dim, const float* cos,
              const float* sin) {
  const std::int64_t half = head_dim / 2;
  for (std::int64_t h = 0; h < heads; ++h) {
    float* first = x + h * head_dim;
    float* second = first + half;
    for_lanes<V>(half, [&](std::int64_t i, int lanes) SHOAL_LAMBDA {
      const V a = load_lanes<V>(first + i, lanes), b = load_lanes<V>(second + i, lanes);
      const V c = load_lanes<V>(cos + i, lanes), s = load_lanes<V>(sin + i, lanes);
      store_lanes<V>(V::sub(V::mul(a, c), V::mul(b, s)), first + i, lanes);
      store_lanes<V>(V::add(V::mul(b, c), V::mul(a, s)), second + i, lanes);
    });
  }
}

template <class V, class From, class To>
SHOAL_INLINE void convert_row(const From* from, std::int64_t count, To* to) {
  for_lanes<V>(count, [&](std::int64_t i, int lanes) SHOAL_LAMBDA {
    store_lanes<V>(load_lanes<V>(from + i, lanes), to + i, lanes);
  });
}
template <class V>
void to_f32_row(const void* from, DType dtype, std::int64_t count, float* to) {
  switch (dtype) {
    case DType::kF32:
      return convert_row<V>(static_cast<const float*>(from), count, to);
    case DType::kBF16:
      return convert_row<V>(static_cast<const BF16*>(from), count, to);
    case DType::kF16:
      return convert_row<V>(static_cast<const F16*>(from), count, to);
  }
}
template <class V>
void from_f32_row(const float* from, DType dtype, std::int64_t count, void* to) {
  switch (dtype) {
    case DType::kF32:
      return convert_row<V>(from, count, static_cast<float*>(to));
    case DType::kBF16:
      return convert_row<V>(from, count, static_cast<BF16*>(to));
    case DType::kF16:
      return convert_row<V>(from, count, static_cast<F16*>(to));
  }
}

// Eight streams at once: hardware prefetchers follow each within its memory page, so one alone
// would read slower.
template <class V>
float read_bytes(const void* from, std::int64_t bytes) {
  const float* p = static_cast<const float*>(from);
  const std::int64_t stream = bytes / 4 / 8;
  V sum[8];
  SHOAL_UNROLL
  for (int j = 0; j < 8; ++j) sum[j] = V::zero();
  for (std::int64_t i = 0; i + 16 <= stream; i += 16) {
    SHOAL_UNROLL
    for (int j = 0; j < 8; ++j) sum[j] = V::add(sum[j], V::load(p + j * stream + i));
  }
  SHOAL_UNROLL
  for (int j = 1; j < 8; ++j) sum[0] = V::add(sum[0], sum[j]);
  return V::sum(sum[0]);
}

// As many independent chains as hide the latency of a fused multiply-add and still fit the
// registers.
inline constexpr int kFmaChains = 6;
template <class V>
float fma_loop(std::int64_t iterations, float seed) {
  // Lanes that differ: equal halves of a chain would be one to a compiler.
  float lanes[16];
  for (int i = 0; i < 16; ++i) lanes[i] = seed / static_cast<float>(i + 1);
  const V factor = V::load(lanes), addend = V::set1(1.0f);
  V chain[2 * kFmaChains];
  constexpr int kChains = V::kDots > 4 ? 2 * kFmaChains : kFmaChains;
  SHOAL_UNROLL
  for (int j = 0; j < kChains; ++j) chain[j] = V::set1(static_cast<float>(j));
  for (std::int64_t i = 0; i < iterations; ++i) {
    SHOAL_UNROLL
    for (int j = 0; j < kChains; ++j) chain[j] = V::fma(chain[j], factor, addend);
  }
  float sum = 0;
  for (int j = 0; j < kChains; ++j) sum += V::sum(chain[j]);
  return sum;
}
template <class V>
constexpr std::int64_t fma_loop_flops() {
  return (V::kDots > 4 ? 2 : 1) * kFmaChains * 16 * 2;
}

}  // namespace shoal::kernels
