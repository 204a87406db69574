// SPDX-License-Identifier: Apache-2.0
// One vector of keys or values as it is kept and read, from the text of kernels/kv_dtype.h: shares
// no code with the kernels but the roundings of base/half.h, which has its own tests.
#pragma once

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstdint>
#include <cstring>
#include <vector>

#include "base/half.h"
#include "kernels/kv_dtype.h"

namespace shoal::reference {

struct KeptVector {
  std::vector<char> values;  // [head_dim], in the type's bytes
  float scale = 1;           // of i8
  bool is_finite = true;     // i8 that is not says nothing in its values
};

inline KeptVector keep_i8(const float* x, std::int64_t head_dim) {
  KeptVector kept;
  float largest = 0;
  for (std::int64_t d = 0; d < head_dim; ++d) {
    kept.is_finite = kept.is_finite && std::isfinite(x[d]);
    largest = std::max(largest, std::abs(x[d]));
  }
  kept.scale = largest / 127.0f;
  if (kept.scale < 0x1p-126f) kept.scale = 0;
  const float inverse = kept.scale > 0 ? 1.0f / kept.scale : 0.0f;
  for (std::int64_t d = 0; d < head_dim; ++d) {
    const float q =
        kept.is_finite ? std::nearbyint(std::clamp(x[d] * inverse, -127.0f, 127.0f)) : 0.0f;
    kept.values.push_back(static_cast<char>(q));
  }
  if (!kept.is_finite) kept.scale = std::bit_cast<float>(0x7fc00000u);
  return kept;
}

inline KeptVector keep(kernels::KvDType dtype, const float* x, std::int64_t head_dim) {
  if (dtype == kernels::KvDType::kI8) return keep_i8(x, head_dim);
  KeptVector kept;
  for (std::int64_t d = 0; d < head_dim; ++d) {
    const auto put = [&](auto bits) {
      const auto* const bytes = reinterpret_cast<const char*>(&bits);
      kept.values.insert(kept.values.end(), bytes, bytes + sizeof(bits));
    };
    if (dtype == kernels::KvDType::kF32) put(x[d]);
    if (dtype == kernels::KvDType::kBF16) put(base::to_bf16(x[d]));
    if (dtype == kernels::KvDType::kF16) put(base::to_f16(x[d]));
  }
  return kept;
}

inline std::vector<float> read(kernels::KvDType dtype, const KeptVector& kept,
                               std::int64_t head_dim) {
  std::vector<float> x;
  for (std::int64_t d = 0; d < head_dim; ++d) {
    const auto take = [&](auto bits) {
      std::memcpy(&bits, kept.values.data() + d * static_cast<std::int64_t>(sizeof(bits)),
                  sizeof(bits));
      return bits;
    };
    switch (dtype) {
      case kernels::KvDType::kF32:
        x.push_back(take(0.0f));
        break;
      case kernels::KvDType::kBF16:
        x.push_back(base::from_bf16(take(std::uint16_t{})));
        break;
      case kernels::KvDType::kF16:
        x.push_back(base::from_f16(take(std::uint16_t{})));
        break;
      case kernels::KvDType::kI8:
        x.push_back(static_cast<float>(take(std::int8_t{})) * kept.scale);
        break;
    }
  }
  return x;
}

// How far value `d` of finite x may be from what is read: half a step of the type, and for i8 the
// roundings of its inverse, product and scale.
inline double kv_error(kernels::KvDType dtype, const float* x, std::int64_t head_dim,
                       std::int64_t d) {
  const double size = std::abs(static_cast<double>(x[d]));
  switch (dtype) {
    case kernels::KvDType::kF32:
      return 0;
    case kernels::KvDType::kBF16:
      return 0x1p-8 * size;
    case kernels::KvDType::kF16:
      return 0x1p-11 * size + 0x1p-25;
    case kernels::KvDType::kI8:
      break;
  }
  double largest = 0;
  for (std::int64_t i = 0; i < head_dim; ++i) {
    largest = std::max(largest, std::abs(static_cast<double>(x[i])));
  }
  return 0.50003 * largest / 127 + 0x1p-119;
}

}  // namespace shoal::reference
