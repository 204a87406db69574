// SPDX-License-Identifier: Apache-2.0
// shoal-gpu-tests: what must hold on a GPU, in one program.
//   shoal-gpu-tests operators [--gtest_...]   as cuda_gpu_test
//   shoal-gpu-tests models [--gtest_...]      as cuda_gpu_model_test; --gtest_filter=-X leaves X
//   out shoal-gpu-tests golden ...                as shoal-golden
#include <gtest/gtest.h>

#include <cstdio>
#include <string>

#include "tests/kernels/golden/golden_main.h"

namespace {

// Tests whose source lies in that folder, as a filter of GoogleTest.
std::string tests_of(const std::string& folder) {
  std::string filter;
  const testing::UnitTest& all = *testing::UnitTest::GetInstance();
  for (int i = 0; i < all.total_test_suite_count(); ++i) {
    const testing::TestSuite& suite = *all.GetTestSuite(i);
    const std::string file =
        suite.total_test_count() > 0 ? suite.GetTestInfo(0)->file() : std::string();
    if (file.find(folder) == std::string::npos) continue;
    filter += (filter.empty() ? "" : ":") + std::string(suite.name()) + ".*";
  }
  return filter;
}

}  // namespace

int main(int argc, char** argv) {
  const std::string what = argc > 1 ? argv[1] : "";
  if (what == "golden") return shoal::kernels::golden::golden_main(argc - 1, argv + 1);
  if (what != "operators" && what != "models") {
    std::fprintf(stderr, "shoal-gpu-tests: name operators, models or golden, not \"%s\"\n",
                 what.c_str());
    return 2;
  }
  testing::InitGoogleTest(&argc, argv);
  const std::string filter = GTEST_FLAG_GET(filter);
  if (filter == "*" || filter.rfind('-', 0) == 0) {
    const std::string tests = tests_of(what == "models" ? "tests/model/" : "tests/kernels/");
    GTEST_FLAG_SET(filter, filter == "*" ? tests : tests + filter);
  }
  return RUN_ALL_TESTS();
}
