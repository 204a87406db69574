// SPDX-License-Identifier: Apache-2.0
// What --device may say, and which executors come of it.
#include "kernels/cuda/device_choice.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <utility>
#include <vector>

#include "kernels/cuda/emulator/context.h"
#include "kernels/cuda/library.h"
#include "kernels/cuda/open_devices.h"

namespace shoal::kernels::cuda {
namespace {

using Kind = DeviceChoice::Kind;
using ::testing::HasSubstr;
using ::testing::StartsWith;

TEST(DeviceChoice, EveryFormThatIsUnderstood) {
  const std::vector<std::pair<std::string, DeviceChoice>> forms = {
      {"auto", {Kind::kAuto, {}}},
      {"cpu", {Kind::kCpu, {}}},
      {"cuda", {Kind::kGpu, {}}},
      {"cuda:0", {Kind::kGpu, {0}}},
      {"cuda:15", {Kind::kGpu, {15}}},
      {"cuda:999", {Kind::kGpu, {999}}},
      {"cuda:0,cuda:1", {Kind::kGpu, {0, 1}}},
      {"cuda:3,cuda:0,cuda:2", {Kind::kGpu, {3, 0, 2}}},
  };
  for (const auto& [text, choice] : forms) {
    const ParsedDevice parsed = parse_device(text);
    ASSERT_TRUE(parsed.choice.has_value()) << text << ": " << parsed.error;
    EXPECT_EQ(*parsed.choice, choice) << text;
    EXPECT_EQ(text_of(choice), text);
  }
}

TEST(DeviceChoice, EverythingElseIsRefusedAndNamed) {
  for (const std::string text : {"",           "gpu",
                                 "CPU",        "Auto",
                                 "cuda:",      "cuda:x",
                                 "cuda:-1",    "cuda:+1",
                                 "cuda: 1",    "cuda:1 ",
                                 "cuda:1000",  "cuda:99999999999999999999",
                                 "cuda0",      "cuda:0,",
                                 ",cuda:0",    "cuda:0,,cuda:1",
                                 "cuda:0,1",   "cuda:0,cuda",
                                 "cuda:0,cpu", "cpu,cuda:0",
                                 "auto,cpu",   "0"}) {
    const ParsedDevice parsed = parse_device(text);
    EXPECT_FALSE(parsed.choice.has_value()) << text;
    EXPECT_THAT(parsed.error, StartsWith("--device is \"" + text + "\", but must be auto, cpu"));
  }
  EXPECT_EQ(parse_device("cuda:1,cuda:0,cuda:1").error, "--device names cuda:1 twice");
  EXPECT_EQ(parse_device("cuda:1,cuda:01").error, "--device names cuda:1 twice");
}

DeviceChoice choice_of(const std::string& text) { return parse_device(text).choice.value(); }

Library without_driver() { return {nullptr, "no NVIDIA driver on this machine", nullptr}; }
Library with_gpu() { return {&emulator::module({}), {}, nullptr}; }

TEST(OpenDevices, AutoTakesTheCpuWhereNoGpuWorksAndSaysWhy) {
  const OpenedDevices opened = open_devices(choice_of("auto"), without_driver());
  EXPECT_FALSE(opened.refused);
  EXPECT_TRUE(opened.gpus.empty());
  EXPECT_EQ(opened.line, "using the CPU: no NVIDIA driver on this machine");
}

TEST(OpenDevices, AutoTakesAGpuThatWorks) {
  for (const std::string text : {"auto", "cuda", "cuda:0"}) {
    const OpenedDevices opened = open_devices(choice_of(text), with_gpu());
    EXPECT_FALSE(opened.refused);
    ASSERT_EQ(opened.gpus.size(), 1u) << opened.line;
    EXPECT_EQ(opened.gpus[0]->device(), Device::kCuda);
    EXPECT_EQ(opened.line, "using GPU 0 (emulated GPU, 4.0 GiB, 4.0 free)");
  }
}

TEST(OpenDevices, AGpuThatWasAskedForIsNeverReplaced) {
  for (const std::string text : {"cuda", "cuda:0", "cuda:0,cuda:1"}) {
    const OpenedDevices opened = open_devices(choice_of(text), without_driver());
    EXPECT_TRUE(opened.refused);
    EXPECT_TRUE(opened.gpus.empty());
    EXPECT_EQ(opened.line, "--device " + text + ": no NVIDIA driver on this machine");
  }
  const OpenedDevices opened = open_devices(choice_of("cuda:0,cuda:1"), with_gpu());
  EXPECT_TRUE(opened.refused);
  EXPECT_TRUE(opened.gpus.empty()) << "one of two is not what was asked for";
  EXPECT_EQ(opened.line, "--device cuda:0,cuda:1: there is one emulated GPU, number 0");
}

TEST(OpenDevices, TheCpuNeedsNoGpu) {
  const OpenedDevices opened = open_devices(choice_of("cpu"), with_gpu());
  EXPECT_FALSE(opened.refused);
  EXPECT_TRUE(opened.gpus.empty());
  EXPECT_EQ(opened.line, "using the CPU");
}

// On this machine, whatever it has.
TEST(OpenDevices, AutoAlwaysFindsSomething) {
  const OpenedDevices opened = open_devices(choice_of("auto"));
  EXPECT_FALSE(opened.refused);
  EXPECT_THAT(opened.line, StartsWith(opened.gpus.empty() ? "using the CPU: " : "using GPU "));
}

}  // namespace
}  // namespace shoal::kernels::cuda
