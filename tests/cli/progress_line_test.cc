// SPDX-License-Identifier: Apache-2.0
#include "cli/progress_line.h"

#include <gtest/gtest.h>

#include <chrono>
#include <string>
#include <thread>
#include <vector>

#include "cli/byte_progress.h"

namespace shoal::cli {
namespace {

TEST(ProgressText, SaysHowFarHowFastAndHowLong) {
  EXPECT_EQ(progress_text("prefill", 256, 512, 4, 80),
            "prefill [###############...............] 256/512 tokens  64/s  4 s left");
  EXPECT_EQ(progress_text("prefill", 0, 512, 4, 80),
            "prefill [..............................] 0/512 tokens");
  EXPECT_EQ(progress_text("prefill", 512, 512, 4, 80),
            "prefill [##############################] 512/512 tokens  128/s");
  EXPECT_EQ(progress_text("reads", 256, 512, 4, 36, "MiB"), "reads 256/512 MiB  64/s  4 s left");
  EXPECT_EQ(progress_text("x", 1, 1000, 1, 80).substr(35), "1/1000 tokens  1.0/s  17 min left");
}

TEST(ProgressText, FitsIntoANarrowTerminal) {
  for (std::size_t width = 0; width < 100; ++width) {
    EXPECT_LE(progress_text("prefill", 256, 512, 4, width).size(), width);
    EXPECT_LE(waiting_text(3, 60, width).size(), width);
  }
  EXPECT_EQ(progress_text("prefill", 256, 512, 4, 43), "prefill 256/512 tokens  64/s  4 s left");
}

TEST(ProgressText, OfAWait) {
  EXPECT_EQ(waiting_text(30.7, 60, 80), "waits [###############...............] 30 of 60 s");
  EXPECT_EQ(waiting_text(99, 60, 80).find('.'), std::string::npos);
}

TEST(ProgressLine, DrawsNothingElsewhereThanOnATerminal) {
  testing::internal::CaptureStderr();
  {
    ProgressLine line(false, false);
    for (int i = 0; i < 5; ++i) line.show("prefill", 1, 2);
    line.show_waiting(std::chrono::milliseconds(5), std::chrono::milliseconds(50));
    line.note("shoal: lost something");
    line.clear();
  }
  EXPECT_EQ(testing::internal::GetCapturedStderr(), "shoal: lost something\n");
}

TEST(ProgressLine, IsWipedBeforeAnythingElseIsPrinted) {
  testing::internal::CaptureStderr();
  {
    ProgressLine line(true, true);
    line.before_text("Once upon");
    line.show_waiting(std::chrono::milliseconds(5'000), std::chrono::milliseconds(50'000));
    line.note("shoal: goes on");
    line.before_text(" a time\n");
    line.note("shoal: lost it");
  }
  const std::string out = testing::internal::GetCapturedStderr();
  EXPECT_EQ(out.substr(0, 7), "\n\rwaits") << out;  // the text's own line stays as it is
  EXPECT_NE(out.find("\r\x1b[Kshoal: goes on\nshoal: lost it\n"), std::string::npos) << out;
}

TEST(ByteProgress, SaysNothingOfWhatIsQuick) {
  ProgressLine line(false, false);
  std::vector<std::string> said;
  const auto progress =
      byte_progress(line, "reads", [&](const std::string& text) { said.push_back(text); });
  for (std::uint64_t done = 0; done <= 100; ++done) progress(done << 20, 100u << 20);
  EXPECT_EQ(said, std::vector<std::string>{});
}

TEST(ByteProgress, SaysALineNowAndThenElsewhereThanOnATerminal) {
  ProgressLine line(false, false);
  std::vector<std::string> said;
  const auto progress =
      byte_progress(line, "reads", [&](const std::string& text) { said.push_back(text); });
  progress(0, 100u << 20);
  std::this_thread::sleep_for(std::chrono::milliseconds(2'050));  // from then on it is worth it
  for (std::uint64_t done = 1; done <= 100; ++done) progress(done << 20, 100u << 20);
  ASSERT_EQ(said.size(), 10u);
  EXPECT_EQ(said.front().substr(0, 26), "reads: 10 % of 100 MiB, 5 ") << said.front();
  EXPECT_EQ(said.back().substr(0, 25), "reads: 100 % of 100 MiB, ") << said.back();
}

}  // namespace
}  // namespace shoal::cli
