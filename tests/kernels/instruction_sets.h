// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <vector>

#include "kernels/cpu_kernels.h"

namespace shoal::kernels {

// Of this machine, the last of them the best.
inline std::vector<IsaLevel> supported_levels() {
  std::vector<IsaLevel> levels;
  for (const IsaLevel level : {IsaLevel::kBaseline, IsaLevel::kAvx2, IsaLevel::kAvxVnni,
                               IsaLevel::kAvx512, IsaLevel::kAvx512Vnni}) {
    if (isa_supported(level)) levels.push_back(level);
  }
  return levels;
}

}  // namespace shoal::kernels
