// SPDX-License-Identifier: Apache-2.0
// Values of a test, in one place at a time: in the host's memory, exactly as large as they are, so
// that the address sanitizer sees every step out of it; or, once an executor of another device
// wants them, in that device's. One caller at a time. Owns them; executors must outlive it.
#pragma once

#include <cstddef>
#include <optional>
#include <utility>
#include <vector>

#include "base/check.h"
#include "kernels/executor.h"

namespace shoal::kernels {

template <class T>
class Placed {
 public:
  Placed() = default;
  explicit Placed(std::vector<T> values) : host_(std::move(values)) {}

  // After all that the device has to do with them. Addresses of the device are worth nothing then.
  std::vector<T>& host() {
    fetch();
    return host_;
  }
  const std::vector<T>& host() const {
    fetch();
    return host_;
  }

  // Where the executor works: for as long as nobody asks for another place.
  T* at(Executor& executor) {
    if (executor.device() == Device::kCpu) return host().data();
    if (at_ == &executor) return static_cast<T*>(memory_.data());
    fetch();
    const std::size_t bytes = host_.size() * sizeof(T);
    std::optional<Buffer> memory = executor.allocate(bytes);
    CHECK(memory.has_value()) << "no memory for " << bytes << " bytes";
    memory_ = *std::move(memory);
    executor.upload(memory_.data(), host_.data(), bytes);
    at_ = &executor;
    return static_cast<T*>(memory_.data());
  }

 private:
  void fetch() const {
    if (at_ == nullptr) return;
    at_->download(host_.data(), memory_.data(), host_.size() * sizeof(T));
    at_->synchronize();
    at_ = nullptr;
    memory_ = {};
  }

  mutable std::vector<T> host_;
  mutable Executor* at_ = nullptr;  // null: the host has them
  mutable Buffer memory_;
};

}  // namespace shoal::kernels
