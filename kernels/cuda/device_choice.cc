// SPDX-License-Identifier: Apache-2.0
#include "kernels/cuda/device_choice.h"

#include <algorithm>
#include <string_view>

namespace shoal::kernels::cuda {
namespace {

constexpr std::string_view kGpu = "cuda:";
constexpr std::size_t kMostDigits = 3;

ParsedDevice wrong(const std::string& sentence) { return {std::nullopt, sentence}; }

ParsedDevice unknown(const std::string& text) {
  return wrong("--device is \"" + text +
               "\", but must be auto, cpu, cuda (the first GPU that works), or GPUs by their "
               "numbers: cuda:0 or cuda:0,cuda:1");
}

// The number behind "cuda:"; -1 if it is none.
int gpu_number(std::string_view text) {
  if (text.substr(0, kGpu.size()) != kGpu) return -1;
  text.remove_prefix(kGpu.size());
  if (text.empty() || text.size() > kMostDigits) return -1;
  int number = 0;
  for (const char c : text) {
    if (c < '0' || c > '9') return -1;
    number = number * 10 + (c - '0');
  }
  return number;
}

}  // namespace

ParsedDevice parse_device(const std::string& text) {
  using Kind = DeviceChoice::Kind;
  if (text == "auto") return {DeviceChoice{Kind::kAuto, {}}, {}};
  if (text == "cpu") return {DeviceChoice{Kind::kCpu, {}}, {}};
  if (text == "cuda") return {DeviceChoice{Kind::kGpu, {}}, {}};
  DeviceChoice choice{Kind::kGpu, {}};
  for (std::size_t begin = 0; begin <= text.size();) {
    const std::size_t end = std::min(text.find(',', begin), text.size());
    const int number = gpu_number(std::string_view(text).substr(begin, end - begin));
    if (number < 0) return unknown(text);
    if (std::find(choice.gpus.begin(), choice.gpus.end(), number) != choice.gpus.end()) {
      return wrong("--device names cuda:" + std::to_string(number) + " twice");
    }
    choice.gpus.push_back(number);
    begin = end + 1;
  }
  return {choice, {}};
}

std::string text_of(const DeviceChoice& choice) {
  if (choice.kind == DeviceChoice::Kind::kAuto) return "auto";
  if (choice.kind == DeviceChoice::Kind::kCpu) return "cpu";
  if (choice.gpus.empty()) return "cuda";
  std::string text;
  for (const int gpu : choice.gpus) {
    text += (text.empty() ? "" : ",") + std::string(kGpu) + std::to_string(gpu);
  }
  return text;
}

}  // namespace shoal::kernels::cuda
