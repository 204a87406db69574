// SPDX-License-Identifier: Apache-2.0
#include "base/check.h"
#include "gtest/gtest.h"
#include "kernels/cuda/executor.h"
#include "kernels/cuda/library.h"
#include "tests/model/engine.h"

namespace shoal::model {
namespace {

using kernels::cuda::CudaExecutor;

CudaExecutor::Opened first_gpu() {
  const kernels::cuda::Library& library = kernels::cuda::own_library();
  if (library.module == nullptr) return {nullptr, library.why};
  return CudaExecutor::open(*library.module, 0);
}

class NeedsGpu : public testing::Environment {
 public:
  void SetUp() override {
    const CudaExecutor::Opened opened = first_gpu();
    if (opened.executor == nullptr) GTEST_SKIP() << "no GPU: " << opened.why;
  }
};
// NOLINTNEXTLINE: gtest owns it
[[maybe_unused]] const auto* const kNeedsGpu = testing::AddGlobalTestEnvironment(new NeedsGpu);

}  // namespace

std::unique_ptr<kernels::Executor> make_engine(int) {
  CudaExecutor::Opened opened = first_gpu();
  CHECK(opened.executor != nullptr) << opened.why;
  return std::move(opened.executor);
}

bool engine_is_slow() { return false; }

}  // namespace shoal::model
