// SPDX-License-Identifier: Apache-2.0
// How the products of linear_kernel.h read weights, one reader per format: rows that begin at any
// output and input, and give 16 values of a row as f32. Templates over a Vec16 or always inlined
// (rule: vec16.h).
#pragma once

#include "kernels/cpu_kernels.h"
#include "kernels/row_kernel.h"

namespace shoal::kernels {

// Values as they are: f32, bf16 and f16, row after row.
template <class T>
struct StoredRows {
  static constexpr std::int64_t kSoon = 128;  // inputs

  const T* values;
  std::int64_t stride;

  // The same rows, from output n and input k on.
  SHOAL_INLINE StoredRows at(std::int64_t n, std::int64_t k) const {
    return {values + n * stride + k, stride};
  }
  // The first `lanes` inputs of output n.
  template <class V>
  SHOAL_INLINE V load(int n, int lanes) const {
    return load_lanes<V>(values + n * stride, lanes);
  }
  // Of `outs` outputs what is read soon, once for each line of narrow values: a processor's own
  // prefetching begins anew with every page.
  SHOAL_INLINE void prefetch_soon(int outs, std::int64_t k) const {
    if constexpr (sizeof(T) == 2) {
      if (k % 32 != 0) return;
      for (int n = 0; n < outs; ++n) __builtin_prefetch(values + n * stride + k + kSoon);
    }
  }
  // Input k of `outs` outputs, `ahead` outputs behind these, into the second-level cache.
  SHOAL_INLINE void prefetch(int outs, std::int64_t k, std::int64_t ahead) const {
    if (k % (64 / sizeof(T)) != 0) return;
    for (int n = 0; n < outs; ++n) __builtin_prefetch(values + (n + ahead) * stride + k, 0, 2);
  }
  // Inputs [k, k + 8) of output n, for sets whose registers hold half of a Vec16.
  template <class V>
  SHOAL_INLINE auto load_half(int n, int k) const {
    return V::load_half(values + n * stride + k);
  }
};

// Calls body(reader) with the reader of the part's weights.
template <class V, class Body>
SHOAL_INLINE void with_weights(const LinearPart& part, const Body& body) {
  switch (part.format) {
    case WeightFormat::kF32:
      return body(StoredRows<float>{static_cast<const float*>(part.values), part.k});
    case WeightFormat::kBF16:
      return body(StoredRows<BF16>{static_cast<const BF16*>(part.values), part.k});
    case WeightFormat::kF16:
      return body(StoredRows<F16>{static_cast<const F16*>(part.values), part.k});
    default:  // portable: linear_portable
      return;
  }
}

}  // namespace shoal::kernels
