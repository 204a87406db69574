// SPDX-License-Identifier: Apache-2.0
// Why a GPU cannot be used, in a sentence without a full stop, for the user. Pure.
#pragma once

#include <cstdint>
#include <string>

namespace shoal::kernels::cuda {

inline constexpr int kLeastMajor = 8;  // compute capability: copies into shared memory, int8 mma

// The number in what /proc/driver/nvidia/version says, "580.65.06"; empty where it has none.
std::string driver_number(const std::string& version_file);

struct DriverFacts {
  int driver = 0, runtime = 0;  // CUDA versions: 1000 major + 10 minor; 0 where there is no driver
  std::string number;           // of the kernel's module, or empty
};
// Empty where the driver will do.
std::string why_no_driver(const DriverFacts& facts);

std::string why_no_gpus();
std::string why_not_that_gpu(int index, int count);
// Empty where the card will do. `gpu`: "GPU 0 (NVIDIA L4)".
std::string why_not_this_card(const std::string& gpu, int major, int minor);
std::string why_no_memory(const std::string& gpu, std::uint64_t free, std::uint64_t wanted);

}  // namespace shoal::kernels::cuda
