// SPDX-License-Identifier: Apache-2.0
// Who runs the kernels of truth.cuh: a card (gpu_back.cu, where there is nvcc), or the emulator by
// one of its rules. One caller at a time. Owns the device's memory.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>

#include "kernels/cuda/emulator/machine.h"
#include "tests/kernels/truth/parts.h"

namespace shoal::kernels::cuda::truth {

class Back {
 public:
  virtual ~Back() = default;
  // For people: the card's name, or what emulates it.
  virtual std::string name() const = 0;
  virtual emulator::MmaRule rule() const = 0;  // what its tensor cores are said to do
  // in [items, words_of(part).in] to out [items, words_of(part).out]. Empty, or why it failed.
  virtual std::string run(Part part, std::span<const std::uint32_t> in, std::int64_t items,
                          std::span<std::uint32_t> out) = 0;
  // What it can do at most, as lines "name value": bytes and operations a second, microseconds.
  // Empty where a rate says nothing.
  virtual std::string ceilings() = 0;
};

struct OpenedBack {
  std::unique_ptr<Back> back;
  std::string why;  // where there is none: a sentence without a full stop
};
OpenedBack open_gpu_back();
std::unique_ptr<Back> emulated_back(emulator::MmaRule rule, std::uint64_t seed);

}  // namespace shoal::kernels::cuda::truth
