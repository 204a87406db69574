// SPDX-License-Identifier: Apache-2.0
#include "kernels/cpu_kernels.h"

#include <cstdlib>
#include <string_view>

#if defined(__x86_64__)
#include <cpuid.h>
#endif

#include "base/check.h"
#include "kernels/executor.h"

namespace shoal::kernels {
namespace {

// The best first.
constexpr IsaLevel kLevels[] = {IsaLevel::kAvx512Vnni, IsaLevel::kAvx512, IsaLevel::kAvxVnni,
                                IsaLevel::kAvx2, IsaLevel::kBaseline};

#if defined(__x86_64__)
// clang 14's __builtin_cpu_supports does not know it.
bool has_f16c() {
  unsigned a = 0, b = 0, c = 0, d = 0;
  return __get_cpuid(1, &a, &b, &c, &d) != 0 && (c & bit_F16C) != 0;
}
bool has_avx_vnni() {
  constexpr unsigned kAvxVnniBit = 1u << 4;
  unsigned a = 0, b = 0, c = 0, d = 0;
  return __get_cpuid_count(7, 1, &a, &b, &c, &d) != 0 && (a & kAvxVnniBit) != 0;
}

CpuKernels with_integers(CpuKernels kernels, const IntKernels& integers) {
  kernels.integers = integers;
  return kernels;
}
#endif

// SHOAL_CPU may only name a set that this machine has: anything else falls back to the best, with a
// line on stderr.
IsaLevel choose() {
  IsaLevel best = IsaLevel::kBaseline;
  for (const IsaLevel level : kLevels) {
    if (isa_supported(level)) {
      best = level;
      break;
    }
  }
  const char* asked = std::getenv("SHOAL_CPU");
  if (asked == nullptr || *asked == '\0') return best;
  for (const IsaLevel level : kLevels) {
    if (std::string_view(asked) == isa_name(level) && isa_supported(level)) return level;
  }
  std::cerr << "SHOAL_CPU=" << asked << " is not available here (those that are:";
  for (const IsaLevel level : kLevels) {
    if (isa_supported(level)) std::cerr << ' ' << isa_name(level);
  }
  std::cerr << "); using " << isa_name(best) << '\n';
  return best;
}

}  // namespace

bool isa_supported(IsaLevel level) {
#if defined(__x86_64__)
  // libgcc asks CPUID, and XGETBV for the operating system's consent.
  switch (level) {
    case IsaLevel::kBaseline:
      return true;
    case IsaLevel::kAvx2:
      return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") && has_f16c();
    case IsaLevel::kAvxVnni:
      return isa_supported(IsaLevel::kAvx2) && has_avx_vnni();
    case IsaLevel::kAvx512Vnni:
      return isa_supported(IsaLevel::kAvx512) && __builtin_cpu_supports("avx512vnni");
    case IsaLevel::kAvx512:
      return isa_supported(IsaLevel::kAvx2) && __builtin_cpu_supports("avx512f") &&
             __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512dq") &&
             __builtin_cpu_supports("avx512vl");
  }
  return false;
#else
  return level == IsaLevel::kBaseline;
#endif
}

const char* isa_name(IsaLevel level) {
  switch (level) {
    case IsaLevel::kBaseline:
      return "baseline";
    case IsaLevel::kAvx2:
      return "avx2";
    case IsaLevel::kAvxVnni:
      return "avx_vnni";
    case IsaLevel::kAvx512:
      return "avx512";
    case IsaLevel::kAvx512Vnni:
      return "avx512_vnni";
  }
  return "unknown";
}

IsaLevel isa_chosen() {
  static const IsaLevel level = choose();
  return level;
}

const char* cpu_instruction_set() { return isa_name(isa_chosen()); }

const CpuKernels& cpu_kernels(IsaLevel level) {
  CHECK(isa_supported(level)) << isa_name(level) << " does not run on this machine";
#if defined(__x86_64__)
  static const CpuKernels avx_vnni = with_integers(kAvx2Kernels, kAvxVnniIntegers);
  static const CpuKernels avx512_vnni = with_integers(kAvx512Kernels, kAvx512VnniIntegers);
  if (level == IsaLevel::kAvx512Vnni) return avx512_vnni;
  if (level == IsaLevel::kAvx512) return kAvx512Kernels;
  if (level == IsaLevel::kAvxVnni) return avx_vnni;
  if (level == IsaLevel::kAvx2) return kAvx2Kernels;
#endif
  return kBaselineKernels;
}

}  // namespace shoal::kernels
