// SPDX-License-Identifier: Apache-2.0
#include "tests/kernels/evex_vnni.h"

#include "kernels/cpu_table.h"
#include "kernels/int_dots_ymm_vnni.h"
#include "kernels/vec16_avx2.h"

namespace shoal::kernels {
namespace {

struct Evex {
  static SHOAL_INLINE __m256i add(__m256i sums, __m256i values, __m256i x) {
    return _mm256_dpbusd_epi32(sums, values, x);
  }
};

}  // namespace

constinit const IntKernels kEvexVnniIntegers =
    int_table<avx2::Vec16, IntDotsYmmVnni<avx2::Vec16, Evex>>();

}  // namespace shoal::kernels
