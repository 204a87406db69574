// SPDX-License-Identifier: Apache-2.0
// The choice of an instruction set, and the yardsticks that benchmarks divide by.
#include <cstdlib>
#include <string>

#include "gtest/gtest.h"
#include "kernels/bandwidth.h"
#include "tests/kernels/instruction_sets.h"

namespace shoal::kernels {
namespace {

TEST(InstructionSet, IsOneThatTheMachineHas) {
  EXPECT_TRUE(isa_supported(IsaLevel::kBaseline));
  EXPECT_TRUE(isa_supported(isa_chosen()));
  EXPECT_STREQ(cpu_instruction_set(), isa_name(isa_chosen()));
}

// The choice is made once per process: each case is a child of its own.
TEST(InstructionSetDeathTest, FollowsTheEnvironmentAsFarAsTheMachineGoes) {
  GTEST_FLAG_SET(death_test_style, "threadsafe");
  const auto choose = [](const char* asked) {
    setenv("SHOAL_CPU", asked, 1);
    std::cerr << "chose " << cpu_instruction_set() << ".";
    std::exit(0);
  };
  for (const IsaLevel level : supported_levels()) {
    EXPECT_EXIT(choose(isa_name(level)), testing::ExitedWithCode(0),
                std::string("chose ") + isa_name(level) + ".");
  }
  EXPECT_EXIT(choose("mmx"), testing::ExitedWithCode(0),
              std::string("SHOAL_CPU=mmx is not available here.*using ") +
                  isa_name(supported_levels().back()));
}

TEST(Yardstick, MeasuresSomethingPlausible) {
  for (const IsaLevel level : supported_levels()) {
    for (const int threads : {1, 3}) {
      CpuExecutor executor(threads, cpu_kernels(level));
      EXPECT_GT(measure_read_bandwidth(executor, 4 << 20, 2), 1e7) << isa_name(level);
      EXPECT_LT(measure_read_bandwidth(executor, 4 << 20, 2), 1e14) << isa_name(level);
    }
  }
}

}  // namespace
}  // namespace shoal::kernels
