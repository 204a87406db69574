// SPDX-License-Identifier: Apache-2.0
// The operators of every device at small shapes, held against the file of hashes; and that a wrong
// hash, one that is not there, and a row that differs alone are found.
#include "tests/kernels/golden/golden.h"

#include <fstream>
#include <iterator>
#include <string>

#include "gtest/gtest.h"
#include "tests/kernels/executors.h"
#include "tests/support/source_folder.h"

namespace shoal::kernels::golden {
namespace {

Read the_file() {
  std::ifstream file(SHOAL_SOURCE_FOLDER + "/tests/fixtures/operator_hashes.txt");
  return read_hashes({std::istreambuf_iterator<char>(file), {}});
}

TEST(Golden, SmallShapesHaveTheHashesOfTheFile) {
  const Read read = the_file();
  ASSERT_EQ(read.wrong, "");
  std::size_t small = 0;
  for (const auto& [name, hash] : read.hashes) small += name.rfind("small/", 0) == 0 ? 1 : 0;
  for (const NamedExecutor& each : all_executors()) {
    std::size_t found = 0;
    golden::run(*each.executor, small_shapes(), {"", in_sweep(1, 16)}, [&](const Found& one) {
      ++found;
      EXPECT_EQ(fault_of(read.hashes, one), "") << one.name << " on " << each.name;
    });
    EXPECT_EQ(found, small) << each.name;
    EXPECT_GT(found, 60u);
  }
}

TEST(Golden, TheFileHasTheShapesOfARealModel) {
  const Read read = the_file();
  for (const char* name :
       {"real/linear/bf16/4096x14336/rows=2048", "real/linear/q4/14336x4096/rows=33",
        "real/attention/64over8x128/kv=i8/8192/rows=8"}) {
    EXPECT_EQ(read.hashes.count(name), 1u) << name;
  }
}

TEST(Golden, EachBitCounts) {
  Found one;
  golden::run(cpu_executor(), small_shapes(), {"silu_mul", 1}, [&](const Found& f) { one = f; });
  Hashes written{{one.name, one.hash}};
  EXPECT_EQ(fault_of(written, one), "");
  Found other = one;
  other.hash ^= 1u;
  EXPECT_EQ(fault_of(written, other), "is not what a CPU makes of it");
  EXPECT_EQ(fault_of({}, one), "is not in the file of hashes");
  other = one;
  other.alone = 9;
  other.differ = 2;
  EXPECT_EQ(fault_of(written, other), "2 of 9 rows have other bits alone");
}

TEST(Golden, ReadsNothingButNamesAndHashes) {
  EXPECT_EQ(read_hashes("# a\nx 0123456789abcdef\n").hashes.at("x"), 0x0123456789abcdefu);
  for (const char* text : {"", "# a\n", "x\n", "x 12\n", "x 0123456789abcdeg\n",
                           "x 0123456789abcdef y\n", "x 0123456789abcdef\nx 0123456789abcdef\n"}) {
    EXPECT_NE(read_hashes(text).wrong, "") << text;
  }
}

}  // namespace
}  // namespace shoal::kernels::golden
