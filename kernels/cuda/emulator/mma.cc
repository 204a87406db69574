// SPDX-License-Identifier: Apache-2.0
#include "kernels/cuda/emulator/mma.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstring>
#include <vector>

#include "base/half.h"
#include "kernels/cuda/emulator/sanitizer.h"

namespace shoal::kernels::cuda::emulator {
namespace {

struct MmaIn {
  const std::uint32_t* a;
  const std::uint32_t* b;
};

// Value i of a lane's accumulators, in both kinds.
int row_of_d(int lane, int i) { return lane / 4 + i / 2 * 8; }
int column_of_d(int lane, int i) { return lane % 4 * 2 + i % 2; }

// Four bytes of a row with k contiguous, as registers of fragments hold them.
template <class T, int kDepth>
void put(T (&row)[kDepth], int k, std::uint32_t values) {
  std::memcpy(row + k, &values, sizeof(values));
}

void act_s8(const Options&, const void* const* ins, void* const* outs) {
  std::int8_t left[16][32], right[8][32];
  for (int lane = 0; lane < 32; ++lane) {
    const MmaIn& in = *static_cast<const MmaIn*>(ins[lane]);
    for (int i = 0; i < 4; ++i) {
      put(left[lane / 4 + i % 2 * 8], lane % 4 * 4 + i / 2 * 16, in.a[i]);
    }
    for (int i = 0; i < 2; ++i) put(right[lane / 4], lane % 4 * 4 + i * 16, in.b[i]);
  }
  std::int32_t sums[16][8];
  for (int row = 0; row < 16; ++row) {
    for (int column = 0; column < 8; ++column) {
      std::int32_t sum = 0;
      for (int k = 0; k < 32; ++k) sum += std::int32_t{left[row][k]} * right[column][k];
      sums[row][column] = sum;
    }
  }
  for (int lane = 0; lane < 32; ++lane) {
    auto* const d = static_cast<std::int32_t*>(outs[lane]);
    for (int i = 0; i < 4; ++i) {
      d[i] = static_cast<std::int32_t>(
          static_cast<std::uint32_t>(d[i]) +
          static_cast<std::uint32_t>(sums[row_of_d(lane, i)][column_of_d(lane, i)]));
    }
  }
}

// significand * 2^(exponent - fraction bits of its type). A zero has the least exponent.
struct Parts {
  std::int32_t significand;
  std::int32_t exponent;
};
Parts parts(std::uint32_t magnitude, bool negative, int fraction_bits) {
  const auto field = static_cast<std::int32_t>(magnitude >> fraction_bits);
  const auto fraction = static_cast<std::int32_t>(magnitude & ((1u << fraction_bits) - 1u));
  const std::int32_t significand = field == 0 ? fraction : fraction | 1 << fraction_bits;
  return {negative ? -significand : significand, std::max(field, 1) - 127};
}
Parts parts_of_f32(float v) {
  const std::uint32_t bits = base::bits_of(v);
  return parts(bits & 0x7fffffffu, bits >> 31 != 0, 23);
}

// Types of operands.
struct Bf16 {
  static constexpr int kFractionBits = 7, kBias = 127;
  static float widened(std::uint16_t v) { return base::float_of(std::uint32_t{v} << 16); }
};
struct F16 {
  static constexpr int kFractionBits = 10, kBias = 15;
  static float widened(std::uint16_t v) { return base::from_f16(v); }
};

// A row of a or a column of b.
template <class T>
struct Operand {
  explicit Operand(const std::uint16_t (&values)[16]) {
    for (int k = 0; k < 16; ++k) {
      const std::uint16_t v = values[k];
      widened[k] = T::widened(v);
      split[k] = parts(v & 0x7fffu, (v & 0x8000u) != 0, T::kFractionBits);
      if ((v & 0x7fffu) != 0) split[k].exponent += 127 - T::kBias;
      finite[k / 8] = finite[k / 8] && std::isfinite(widened[k]);
    }
  }
  float widened[16];
  Parts split[16];
  bool finite[2] = {true, true};  // the halves
};

// v * 2^exponent as f32, cut toward zero; past the largest it is infinite.
float cut_to_f32(std::int64_t v, int exponent) {
  const std::uint64_t magnitude = static_cast<std::uint64_t>(v < 0 ? -v : v);
  const int width = static_cast<int>(std::bit_width(magnitude));
  const int unit = std::max(exponent + width - 24, -149);  // of the last place that stays
  const int cut = unit - exponent;
  const std::uint64_t kept = cut >= 0 ? magnitude >> std::min(cut, 63) : magnitude << -cut;
  const float size = std::ldexp(static_cast<float>(kept), unit);
  return v < 0 && kept != 0 ? -size : size;
}

// Products [first, first + kCount) and c.
template <int kCount, int kFractionBits, class T>
float fused_sum(const Operand<T>& a, const Operand<T>& b, int first, float c) {
  constexpr int kProductBits = 2 * T::kFractionBits, kAccumulatorBits = 23;  // of their fractions
  const Parts start = parts_of_f32(c);
  std::int32_t products[kCount], exponents[kCount];
  std::int32_t largest = start.exponent;
  for (int i = 0; i < kCount; ++i) {
    const Parts &x = a.split[first + i], &y = b.split[first + i];
    products[i] = x.significand * y.significand;
    exponents[i] = x.exponent + y.exponent;
    largest = std::max(largest, exponents[i]);
  }
  const auto aligned = [largest](std::int32_t v, int up, std::int32_t exponent) {
    const std::int32_t size = (v < 0 ? -v : v) << up >> std::min(largest - exponent, 31);
    return v < 0 ? -size : size;
  };
  std::int64_t sum = aligned(start.significand, kFractionBits - kAccumulatorBits, start.exponent);
  for (int i = 0; i < kCount; ++i) {
    sum += aligned(products[i], kFractionBits - kProductBits, exponents[i]);
  }
  return cut_to_f32(sum, largest - kFractionBits);
}

// Where an operand is infinite or NaN no order matters, and no NaN is told from another.
template <class T>
float sum_with_infinities(const Operand<T>& a, const Operand<T>& b, int first, int count, float c) {
  double sum = c;
  for (int k = first; k < first + count; ++k) {
    sum += double{a.widened[k]} * double{b.widened[k]};
  }
  return std::isnan(sum) ? base::float_of(0x7fffffffu) : static_cast<float>(sum);
}

template <int kCount, int kFractionBits, class T>
float sum_by_tensor_core(const Operand<T>& a, const Operand<T>& b, float c) {
  for (int first = 0; first < 16; first += kCount) {
    const int low = first / 8, high = (first + kCount - 1) / 8;
    const bool finite = a.finite[low] && a.finite[high] && b.finite[low] && b.finite[high];
    c = finite && std::isfinite(c) ? fused_sum<kCount, kFractionBits>(a, b, first, c)
                                   : sum_with_infinities(a, b, first, kCount, c);
  }
  return c;
}

template <class T>
float multiply(MmaRule rule, const Operand<T>& a, const Operand<T>& b, float c) {
  switch (rule) {
    case MmaRule::kAmpere:
      return sum_by_tensor_core<8, 24>(a, b, c);
    case MmaRule::kHopper:
      return sum_by_tensor_core<16, 25>(a, b, c);
    case MmaRule::kOrdered:
      break;
  }
  for (int k = 0; k < 16; ++k) c = std::fma(a.widened[k], b.widened[k], c);
  return c;
}

template <class T>
void act_floats(const Options& options, const void* const* ins, void* const* outs) {
  std::uint16_t left[16][16], right[8][16];
  for (int lane = 0; lane < 32; ++lane) {
    const MmaIn& in = *static_cast<const MmaIn*>(ins[lane]);
    for (int i = 0; i < 4; ++i) {
      put(left[lane / 4 + i % 2 * 8], lane % 4 * 2 + i / 2 * 8, in.a[i]);
    }
    for (int i = 0; i < 2; ++i) put(right[lane / 4], lane % 4 * 2 + i * 8, in.b[i]);
  }
  std::vector<Operand<T>> rows(left, left + 16), columns(right, right + 8);
  for (int lane = 0; lane < 32; ++lane) {
    auto* const d = static_cast<float*>(outs[lane]);
    for (int i = 0; i < 4; ++i) {
      d[i] = multiply(options.mma_rule, rows[static_cast<std::size_t>(row_of_d(lane, i))],
                      columns[static_cast<std::size_t>(column_of_d(lane, i))], d[i]);
    }
  }
}

}  // namespace

float multiply_bf16(MmaRule rule, const std::uint16_t (&a)[16], const std::uint16_t (&b)[16],
                    float c) {
  return multiply(rule, Operand<Bf16>(a), Operand<Bf16>(b), c);
}
float multiply_f16(MmaRule rule, const std::uint16_t (&a)[16], const std::uint16_t (&b)[16],
                   float c) {
  return multiply(rule, Operand<F16>(a), Operand<F16>(b), c);
}

SHOAL_UNSEEN void mma_s8(std::int32_t (&d)[4], const std::uint32_t (&a)[4],
                         const std::uint32_t (&b)[2]) {
  const MmaIn in{a, b};
  meet(Together::kMmaS8, &in, &d, &act_s8);
}

SHOAL_UNSEEN void mma_bf16(float (&d)[4], const std::uint32_t (&a)[4],
                           const std::uint32_t (&b)[2]) {
  const MmaIn in{a, b};
  meet(Together::kMmaBf16, &in, &d, &act_floats<Bf16>);
}
SHOAL_UNSEEN void mma_f16(float (&d)[4], const std::uint32_t (&a)[4], const std::uint32_t (&b)[2]) {
  const MmaIn in{a, b};
  meet(Together::kMmaF16, &in, &d, &act_floats<F16>);
}

namespace {

struct MatrixRow {
  std::uint16_t values[8];
  bool transposed;
};

void act_load(const Options&, const void* const* ins, void* const* outs) {
  for (int lane = 0; lane < 32; ++lane) {
    const bool transposed = static_cast<const MatrixRow*>(ins[lane])->transposed;
    for (int matrix = 0; matrix < 4; ++matrix) {
      std::uint32_t pair = 0;
      for (int i = 0; i < 2; ++i) {
        const int along = lane % 4 * 2 + i, across = lane / 4;
        const int row = transposed ? along : across, column = transposed ? across : along;
        const auto& from = *static_cast<const MatrixRow*>(ins[matrix * 8 + row]);
        pair |= std::uint32_t{from.values[column]} << 16 * i;
      }
      static_cast<std::uint32_t*>(outs[lane])[matrix] = pair;
    }
  }
}

}  // namespace

// The lane that names a row reads it: seen as its own.
void load_matrices(std::uint32_t (&r)[4], const void* row, bool transposed) {
  check_aligned(row, 16);
  MatrixRow in{{}, transposed};
  std::memcpy(in.values, row, sizeof(in.values));
  meet(transposed ? Together::kLoadTransposed : Together::kLoadMatrices, &in, &r, &act_load);
}

}  // namespace shoal::kernels::cuda::emulator
