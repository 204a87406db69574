// SPDX-License-Identifier: Apache-2.0
// Memory of a device, made by Executor::allocate and given back by the destructor. Move-only; as
// thread-safe as a pointer.
#pragma once

#include <cstddef>
#include <utility>

#include "kernels/tensor.h"

namespace shoal::kernels {

class Buffer {
 public:
  using Release = void (*)(void* data, std::size_t bytes);

  Buffer() = default;
  Buffer(void* data, std::size_t bytes, Device device, Release release)
      : data_(data), bytes_(bytes), device_(device), release_(release) {}
  Buffer(Buffer&& other) noexcept { swap(other); }
  Buffer& operator=(Buffer&& other) noexcept {
    Buffer taken(std::move(other));
    swap(taken);
    return *this;
  }
  ~Buffer() {
    if (data_ != nullptr) release_(data_, bytes_);
  }

  void* data() const { return data_; }  // an address of the device
  std::size_t bytes() const { return bytes_; }
  Device device() const { return device_; }

 private:
  void swap(Buffer& other) noexcept {
    std::swap(data_, other.data_);
    std::swap(bytes_, other.bytes_);
    std::swap(device_, other.device_);
    std::swap(release_, other.release_);
  }

  void* data_ = nullptr;
  std::size_t bytes_ = 0;
  Device device_ = Device::kCpu;
  Release release_ = nullptr;
};

}  // namespace shoal::kernels
