// SPDX-License-Identifier: Apache-2.0
#include <utility>

#include "tests/kernels/truth/back.h"
#include "tests/kernels/truth/truth.cuh"

namespace shoal::kernels::cuda::truth {
namespace {

class EmulatedBack final : public Back {
 public:
  EmulatedBack(emulator::MmaRule rule, std::uint64_t seed)
      : rule_(rule), machine_({.seed = seed, .mma_rule = rule}) {}

  std::string name() const override { return "emulated card"; }
  emulator::MmaRule rule() const override { return rule_; }
  std::string run(Part part, std::span<const std::uint32_t> in, std::int64_t items,
                  std::span<std::uint32_t> out) override {
    const Kernel kernel = kernel_of(part);
    const Work work{in.data(), out.data(), items};
    machine_.run({ctas_of(part, items), 1, 1}, kThreads, kSharedBytes, [&] { kernel(work); });
    return {};
  }
  std::string ceilings() override { return {}; }

 private:
  const emulator::MmaRule rule_;
  emulator::Machine machine_;
};

}  // namespace

std::unique_ptr<Back> emulated_back(emulator::MmaRule rule, std::uint64_t seed) {
  return std::make_unique<EmulatedBack>(rule, seed);
}

}  // namespace shoal::kernels::cuda::truth
