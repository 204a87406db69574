// SPDX-License-Identifier: Apache-2.0
#include "kernels/cuda/gpu/reasons.h"

#include <cctype>
#include <sstream>

namespace shoal::kernels::cuda {
namespace {

std::string cuda_version(int version) {
  return std::to_string(version / 1000) + "." + std::to_string(version % 1000 / 10);
}

// The first driver of each CUDA: NVIDIA's release notes, "minimum required driver version".
int first_driver_for(int runtime) { return runtime >= 13000 ? 580 : 525; }

std::string mebibytes(std::uint64_t bytes) { return std::to_string(bytes >> 20) + " MiB"; }

}  // namespace

std::string driver_number(const std::string& version_file) {
  std::istringstream words(version_file);
  for (std::string word; words >> word;) {
    const bool is_number = word.find_first_not_of("0123456789.") == std::string::npos;
    const std::size_t dot = word.find('.');
    if (is_number && dot != std::string::npos && dot >= 3) return word;
  }
  return {};
}

std::string why_no_driver(const DriverFacts& facts) {
  if (facts.driver == 0 && facts.number.empty()) return "no NVIDIA driver on this machine";
  if (facts.driver == 0) {
    return "NVIDIA driver " + facts.number +
           " runs on this machine, but its library libcuda.so.1 is not to be found: install it, or "
           "start the container with GPUs (--gpus all)";
  }
  if (facts.driver / 1000 >= facts.runtime / 1000) return {};
  const std::string found = facts.number.empty() ? "" : " " + facts.number;
  return "the NVIDIA driver" + found + " is too old: it knows CUDA " + cuda_version(facts.driver) +
         ", and CUDA " + cuda_version(facts.runtime) + " needs driver " +
         std::to_string(first_driver_for(facts.runtime)) + " or newer";
}

std::string why_no_gpus() {
  return "the NVIDIA driver shows no GPU (CUDA_VISIBLE_DEVICES can hide them)";
}

std::string why_not_that_gpu(int index, int count) {
  const std::string wanted = "there is no GPU " + std::to_string(index) + ": this machine has ";
  if (count == 1) return wanted + "one, number 0";
  return wanted + std::to_string(count) + ", numbers 0 to " + std::to_string(count - 1);
}

std::string why_not_this_card(const std::string& gpu, int major, int minor) {
  if (major >= kLeastMajor) return {};
  return gpu + " is too old: it has compute capability " + std::to_string(major) + "." +
         std::to_string(minor) + ", and 8.0 is needed (Ampere, RTX 30, or newer)";
}

std::string why_no_memory(const std::string& gpu, std::uint64_t free, std::uint64_t wanted) {
  return gpu + " has too little free memory: " + mebibytes(free) + ", and " + mebibytes(wanted) +
         " are needed before any block is loaded";
}

}  // namespace shoal::kernels::cuda
