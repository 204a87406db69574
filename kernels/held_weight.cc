// SPDX-License-Identifier: Apache-2.0
#include "kernels/held_weight.h"

#include "base/check.h"

namespace shoal::kernels {

std::optional<HeldWeight> hold_weight(Executor& executor, const WeightView& weight) {
  CHECK(weight.device == Device::kCpu) << "weights come from the host's memory";
  if (executor.device() == Device::kCpu || !weight.present()) return HeldWeight({}, weight);
  std::optional<Buffer> buffer = executor.allocate(weight.bytes());
  if (!buffer) return std::nullopt;
  executor.upload(buffer->data(), weight.data, weight.bytes());
  WeightView view = weight;
  view.data = buffer->data();
  view.device = executor.device();
  return HeldWeight(*std::move(buffer), view);
}

}  // namespace shoal::kernels
