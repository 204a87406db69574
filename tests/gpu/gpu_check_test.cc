// SPDX-License-Identifier: Apache-2.0
// scripts/gpu-check where there is no GPU: each of its parts at tiny shapes on the CPU, and that
// what is wrong, hangs, sees no GPU or runs no test does not look right.
#include <gtest/gtest.h>
#include <sys/stat.h>

#include <filesystem>
#include <string>
#include <utility>
#include <vector>

#include "tests/support/process.h"
#include "tests/support/temp_dir.h"

namespace shoal::tests {
namespace {

namespace fs = std::filesystem;

constexpr const char* kPrograms[] = {"shoal", "shoal-bench", "shoal-node", "shoal-gpu-tests",
                                     "shoal-gpu-truth"};

class GpuCheck : public testing::Test {
 protected:
  GpuCheck() {
    fs::create_directory(bin());
    for (const char* name : kPrograms) fs::create_symlink(program(name), bin() + "/" + name);
  }

  std::string bin() const { return folder_.file("bin"); }
  std::string out() const { return folder_.file("out"); }
  std::string report() const { return read_file(out() + "/report.md"); }

  // A program that says and does something else.
  std::string script(const std::string& path, const std::string& text) {
    fs::remove(path);
    write_file(path, "#!/bin/bash\n" + text + "\n");
    ::chmod(path.c_str(), 0755);
    return path;
  }
  void replace(const std::string& name, const std::string& text) {
    script(bin() + "/" + name, text);
  }

  Outcome check(std::vector<std::string> arguments, std::vector<std::string> environment = {}) {
    std::vector<std::string> command = {"env", "CUDA_VISIBLE_DEVICES=", "SHOAL_PYTHON=none"};
    command.insert(command.end(), environment.begin(), environment.end());
    command.push_back(SHOAL_SOURCE_DIR "/scripts/gpu-check");
    command.insert(command.end(), arguments.begin(), arguments.end());
    command.insert(command.end(), {bin(), out()});
    return run(std::move(command), 100'000);
  }
  testing::AssertionResult says(const std::string& text) const {
    const std::string all = report();
    if (all.find(text) != std::string::npos) return testing::AssertionSuccess();
    return testing::AssertionFailure() << "no \"" << text << "\" in\n" << all;
  }

  TempDir folder_;
};

TEST_F(GpuCheck, TriesEachPart) {
  const std::string sanitizer = script(folder_.file("sanitizer"), "shift 4; exec \"$@\"");
  const Outcome done = check({"--try"}, {"SHOAL_COMPUTE_SANITIZER=" + sanitizer});
  EXPECT_EQ(done.status, 0) << done.out << done.err;
  for (const char* part :
       {"facts",          "ceilings",        "truth",           "hashes",
        "truth_memcheck", "truth_racecheck", "truth_synccheck", "truth_initcheck",
        "decode_bf16",    "decode_q8",       "decode_q4",       "prefill_bf16",
        "prefill_q8",     "prefill_q4",      "attention_bf16",  "attention_i8",
        "gaps",           "sessions_bf16",   "sessions_q4",     "swarm"}) {
    EXPECT_TRUE(says("\n## " + std::string(part) + ": right"));
    EXPECT_TRUE(says("\n| " + std::string(part) + " | right | "));
    EXPECT_TRUE(fs::exists(out() + "/" + part + ".txt")) << part;
  }
  for (const char* part : {"operators", "models", "operators_memcheck"}) {
    EXPECT_TRUE(says("| " + std::string(part) + " | left out: it needs a GPU |"));
  }
  EXPECT_TRUE(says("| pytorch | left out: there is no none |"));
  EXPECT_TRUE(says("| hashes | right | 138 hashes, 0 wrong; 50 rows alone too"));
  EXPECT_TRUE(says("| swarm | right | the same 64 tokens |"));
  EXPECT_EQ(report().find("KEY: "), std::string::npos) << "only the table has these";
  // Each speed has its share of a ceiling.
  EXPECT_TRUE(says("| decode_q4 | right | of read_gb_s, rows 1 at 64: "));
  EXPECT_TRUE(says("| prefill_bf16 | right | of fma_tflop_s, rows 33: "));
  EXPECT_TRUE(says("all right that ran"));
}

TEST_F(GpuCheck, IsOneLineWithoutAGpu) {
  const Outcome done = check({});
  EXPECT_EQ(done.status, 77);
  EXPECT_EQ(done.out.rfind("gpu-check: no GPU: ", 0), 0u) << done.out;
  EXPECT_EQ(done.out.find('\n'), done.out.size() - 1) << done.out;
  EXPECT_EQ(done.err, "");
  EXPECT_FALSE(fs::exists(out()));
}

TEST_F(GpuCheck, NamesWhatItDoesNotKnow) {
  EXPECT_EQ(check({"--tri"}).status, 2);
  const Outcome none = check({"--try", "--only", "prefil_"});
  EXPECT_EQ(none.status, 2);
  EXPECT_NE(none.err.find("no part has prefil_ in its name"), std::string::npos) << none.err;
  fs::remove(bin() + "/shoal-bench");
  const Outcome missing = check({"--try"});
  EXPECT_EQ(missing.status, 2);
  EXPECT_NE(missing.err.find("no shoal-bench in "), std::string::npos) << missing.err;
}

TEST_F(GpuCheck, WhatIsWrongIsNotRight) {
  replace("shoal-gpu-truth", "echo '| mma | 1 | 1 | 1 | WRONG |'; exit 1");
  replace("shoal-gpu-tests", "echo 'CPU: 3 hashes, 1 wrong'; exit 1");
  replace("shoal-bench", "echo 'shoal-bench: no memory' >&2; exit 1");
  const Outcome done = check({"--try", "--only", "truth", "--only", "hashes", "--only", "decode_q8",
                              "--only", "sessions_q4", "--only", "gaps"},
                             {"SHOAL_COMPUTE_SANITIZER=/none"});
  EXPECT_EQ(done.status, 1) << done.out << done.err;
  for (const char* part : {"truth", "hashes", "decode_q8", "sessions_q4", "gaps"}) {
    EXPECT_TRUE(says("\n| " + std::string(part) + " | WRONG, status 1 |"));
  }
  EXPECT_TRUE(says("NOT all right"));
}

// A column that is renamed must not give shares of nothing.
TEST_F(GpuCheck, ATableWithoutItsColumnIsWrong) {
  replace("shoal-bench", "printf '| rows | other |\\n| --- | --- |\\n| 1 | 2 |\\n'");
  const Outcome done = check({"--try", "--only", "decode_q4", "--only", "prefill_q4"});
  EXPECT_EQ(done.status, 1);
  EXPECT_TRUE(says("there is no column read_gb_s"));
  EXPECT_TRUE(says("there is no column gop_s"));
}

TEST_F(GpuCheck, WhatHangsCostsItselfOnly) {
  replace("shoal-gpu-truth", "sleep 60");
  const Outcome done = check({"--try", "--only", "truth", "--only", "hashes"},
                             {"SHOAL_GPU_CHECK_SECONDS=5", "SHOAL_COMPUTE_SANITIZER=/none"});
  EXPECT_EQ(done.status, 1) << done.out << done.err;
  EXPECT_LT(done.seconds, 20);
  EXPECT_TRUE(says("| truth | not done after "));
  EXPECT_TRUE(says("| hashes | left out: no time is left of 5 s |"));
}

// GoogleTest is content with tests that were all skipped, and with none.
TEST_F(GpuCheck, WhatSeesNoGpuIsNotRightWhereThereIsOne) {
  replace("shoal-gpu-truth", "echo all as it should be");
  EXPECT_EQ(check({"--only", "operators"}, {"SHOAL_COMPUTE_SANITIZER=/none"}).status, 1);
  EXPECT_TRUE(says("| operators | WRONG, status of a program that sees no GPU |"));
  replace("shoal-gpu-tests", "echo '[==========] Running 0 tests from 0 test suites.'");
  EXPECT_EQ(check({"--only", "models"}).status, 1);
  EXPECT_TRUE(says("| models | WRONG, status of a program that ran no test |"));
}

TEST_F(GpuCheck, WhatTheSanitizerFindsIsWrong) {
  const std::string sanitizer = script(folder_.file("sanitizer"), "echo '1 error'; exit 9");
  const Outcome done =
      check({"--try", "--only", "racecheck"}, {"SHOAL_COMPUTE_SANITIZER=" + sanitizer});
  EXPECT_EQ(done.status, 1);
  EXPECT_TRUE(says("| truth_racecheck | WRONG, status 9 |"));
  EXPECT_TRUE(says("| operators_racecheck | WRONG, status 9 |"));
}

}  // namespace
}  // namespace shoal::tests
