// SPDX-License-Identifier: Apache-2.0
#include "gtest/gtest.h"
#include "kernels/cpu_executor.h"
#include "kernels/cuda/executor.h"
#include "kernels/cuda/library.h"
#include "tests/kernels/executors.h"

namespace shoal::kernels {
namespace {

cuda::CudaExecutor::Opened first_gpu() {
  const cuda::Library& library = cuda::own_library();
  if (library.module == nullptr) return {nullptr, library.why};
  return cuda::CudaExecutor::open(*library.module, 0);
}

struct List {
  std::vector<NamedExecutor> executors;
  std::string why;  // there is no GPU among them
};
const List& list() {
  static const List made = [] {
    List list;
    list.executors.push_back(
        {"baseline x1", std::make_unique<CpuExecutor>(1, cpu_kernels(IsaLevel::kBaseline))});
    auto opened = first_gpu();
    if (opened.executor == nullptr) return list.why = opened.why, std::move(list);
    list.executors.push_back({opened.executor->facts().name, std::move(opened.executor)});
    return list;
  }();
  return made;
}

class NeedsGpu : public testing::Environment {
 public:
  void SetUp() override {
    if (!list().why.empty()) GTEST_SKIP() << "no GPU: " << list().why;
  }
};
// NOLINTNEXTLINE: gtest owns it
[[maybe_unused]] const auto* const kNeedsGpu = testing::AddGlobalTestEnvironment(new NeedsGpu);

}  // namespace

const std::vector<NamedExecutor>& all_executors() { return list().executors; }

Executor& cpu_executor() { return *list().executors.front().executor; }

bool sweeps_are_short() { return false; }

}  // namespace shoal::kernels
