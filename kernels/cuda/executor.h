// SPDX-License-Identifier: Apache-2.0
// A GPU behind Executor, over the table of a module: the library's, or the emulator's. One caller
// at a time, failure() from any thread. Owns the device's context; the module must outlive it.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>

#include "kernels/cuda/module.h"
#include "kernels/executor.h"
#include "kernels/operators.h"

namespace shoal::kernels::cuda {

class CudaExecutor final : public Executor {
 public:
  struct Opened {
    std::unique_ptr<CudaExecutor> executor;  // null: `why` says why, in a sentence
    std::string why;
  };
  static Opened open(const Module& module, int index);
  ~CudaExecutor() override;
  CudaExecutor(const CudaExecutor&) = delete;
  CudaExecutor& operator=(const CudaExecutor&) = delete;

  Device device() const override { return Device::kCuda; }
  const Operators& operators() const override;
  std::optional<Buffer> allocate(std::size_t bytes) override;
  void discard(void* begin, void* end) override;  // a GPU keeps what it gave
  void upload(void* device, const void* host, std::size_t bytes) override;
  void download(void* host, const void* device, std::size_t bytes) override;
  void copy(void* to, const void* from, std::size_t bytes) override;
  void synchronize() override;
  Mark mark() override;
  bool reached(Mark mark) override;
  void wait(Mark mark) override;
  bool works_ahead() const override { return true; }
  MmaKind mma() const override;
  std::int64_t padded_rows(std::int64_t rows) const override;
  void run_step(const StepKey& key, base::FunctionRef<void()> body) override;
  std::optional<DeviceMemory> memory() const override;
  std::string failure() const override;

  DeviceFacts facts() const;
  const Module& module() const { return module_; }
  Context* context() const { return context_; }

 private:
  CudaExecutor(const Module& module, Context* context) : module_(module), context_(context) {}

  const Module& module_;
  Context* const context_;
};

}  // namespace shoal::kernels::cuda
