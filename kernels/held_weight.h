// SPDX-License-Identifier: Apache-2.0
// Values as a file stores them, where an executor reads them: in the file's mapping, or copied to
// the device. Move-only; owns the copy.
#pragma once

#include <optional>
#include <utility>

#include "kernels/buffer.h"
#include "kernels/executor.h"
#include "kernels/tensor.h"

namespace shoal::kernels {

class HeldWeight {
 public:
  HeldWeight() = default;
  HeldWeight(Buffer buffer, const WeightView& view) : buffer_(std::move(buffer)), view_(view) {}

  const WeightView& view() const { return view_; }
  bool present() const { return view_.present(); }

 private:
  Buffer buffer_;
  WeightView view_;
};

// Of a weight in the host's memory, which may be absent; nullopt when the device's memory is short.
std::optional<HeldWeight> hold_weight(Executor& executor, const WeightView& weight);

}  // namespace shoal::kernels
