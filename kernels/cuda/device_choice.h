// SPDX-License-Identifier: Apache-2.0
// What --device says. Pure.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace shoal::kernels::cuda {

struct DeviceChoice {
  enum class Kind : std::uint8_t { kAuto, kCpu, kGpu };
  Kind kind = Kind::kAuto;
  std::vector<int> gpus;  // of kGpu: these, in this order; empty: the first that works

  bool operator==(const DeviceChoice&) const = default;
};

struct ParsedDevice {
  std::optional<DeviceChoice> choice;
  std::string error;  // where there is none: a sentence for the user, which names --device
};

// "auto", "cpu", "cuda", or "cuda:1", "cuda:0,cuda:1" for certain ones.
ParsedDevice parse_device(const std::string& text);

// As it is typed.
std::string text_of(const DeviceChoice& choice);

}  // namespace shoal::kernels::cuda
