// SPDX-License-Identifier: Apache-2.0
// A model on float tensor cores: a row has the same bits in a prefill, in decodes, beside others
// and in any spans, on devices of one kind; and is near what the CPU computes. What it keeps is
// what is planned for it.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <memory>
#include <nlohmann/json.hpp>
#include <string>
#include <tuple>
#include <vector>

#include "model/memory_needs.h"
#include "tests/model/engine.h"
#include "tests/model/local_model.h"
#include "tests/support/temp_dir.h"

namespace shoal::model {
namespace {

// Engines: late and early ones of mma8, and of mma9 (engine.h).
struct MmaDevice {
  const char* name;
  int one, other;
};
constexpr MmaDevice kMmaDevices[] = {{"mma8", 2, 1}, {"mma9", 4, 5}};
using MmaCase = std::tuple<const char*, MmaDevice>;

std::string folder_of(const std::string& name) {
  return name == "demo" ? std::string(SHOAL_SOURCE_DIR "/models/demo")
                        : SHOAL_SOURCE_DIR "/tests/fixtures/models/" + name;
}
Ids some_ids(const std::string& name) {
  if (name != "demo") {
    return nlohmann::json::parse(tests::read_file(folder_of(name) + "/golden.json"))["ids"]
        .get<Ids>();
  }
  Ids ids;
  for (std::int32_t i = 0; i < 64; ++i) ids.push_back(300 + 37 * i % 500);
  return ids;
}

class MmaModelLaw : public testing::TestWithParam<MmaCase> {
 protected:
  std::unique_ptr<LocalModel> load(int engine, std::vector<std::int64_t> cuts = {}) const {
    return LocalModel::load(folder_of(std::get<0>(GetParam())), {.cuts = std::move(cuts),
                                                                 .threads = engine,
                                                                 .positions = 256,
                                                                 .weights = WeightChoice::kMma});
  }
  MmaDevice kind() const { return std::get<1>(GetParam()); }
  Ids slice(std::int64_t begin, std::int64_t end) const {
    return {ids_.begin() + begin, ids_.begin() + end};
  }
  const Ids ids_ = some_ids(std::get<0>(GetParam()));
};

TEST_P(MmaModelLaw, ARowDoesNotDependOnWhatIsComputedBesideIt) {
  const auto whole = load(kind().one), cut = load(kind().other, {1});
  LocalSession at_once = whole->session(64);
  const Rows expected = whole->run(at_once, 0, slice(0, 44));
  const std::size_t width = expected.size() / 44;
  const auto of_rows = [&](std::int64_t begin, std::int64_t end) {
    return Rows(expected.begin() + begin * static_cast<std::int64_t>(width),
                expected.begin() + end * static_cast<std::int64_t>(width));
  };
  // One by one; in chunks, of which each takes other kernels; in two spans on another device.
  LocalSession decodes = whole->session(64), chunks = cut->session(64), beside = cut->session(64);
  for (std::int64_t at = 0; at < 6; ++at) {
    ASSERT_TRUE(whole->run(decodes, at, slice(at, at + 1)) == of_rows(at, at + 1)) << at;
  }
  ASSERT_TRUE(cut->run(chunks, 0, slice(0, 12)) == of_rows(0, 12));
  ASSERT_TRUE(cut->run(chunks, 12, slice(12, 40)) == of_rows(12, 40));
  // A decode of one beside the prefill of another.
  const Rows both = cut->run({{.session = &chunks, .start = 40, .ids = slice(40, 41)},
                              {.session = &beside, .start = 0, .ids = slice(0, 37)}});
  EXPECT_TRUE(Rows(both.begin(), both.begin() + static_cast<std::int64_t>(width)) ==
              of_rows(40, 41));
  EXPECT_TRUE(Rows(both.begin() + static_cast<std::int64_t>(width), both.end()) == of_rows(0, 37));
  // Steps that are repeated, after what was taken back.
  for (std::int64_t at = 30; at < 44; at += 7) {
    ASSERT_TRUE(cut->run(beside, at, slice(at, at + 7)) == of_rows(at, at + 7)) << at;
  }
}

// Of a block four activations are rounded before seven products: to bf16 by at most 2^-8 of each
// value, to f16 by 2^-11, so of their length. What a block adds to the stream is off by no more
// than that, but for what later blocks make of it; the norms keep that in proportion. So all
// together at most so much of the logits' length.
TEST_P(MmaModelLaw, IsNearTheCpu) {
  const std::string folder = folder_of(std::get<0>(GetParam()));
  const auto device = load(kind().one);
  const auto cpu = LocalModel::load(folder, {.cuts = {}, .on_cpu = true, .positions = 256});
  LocalSession a = device->session(64), b = cpu->session(64);
  const Rows got = device->last_logits(device->run(a, 0, slice(0, 40)));
  const Rows expected = cpu->last_logits(cpu->run(b, 0, slice(0, 40)));
  double error = 0, length = 0;
  for (std::size_t i = 0; i < got.size(); ++i) {
    error += std::pow(double{got[i]} - double{expected[i]}, 2);
    length += std::pow(double{expected[i]}, 2);
  }
  const double share = std::sqrt(error / length);
  RecordProperty("share", std::to_string(share));
  const bool f16 = stored_type(device->config(), device->checkpoint()) == "f16";
  const double rounding = f16 ? 0x1p-11 : 0x1p-8;
  EXPECT_LT(share, 4.0 * static_cast<double>(device->config().block_count) * rounding);
  EXPECT_GT(share, 0) << "of another law";
}

TEST_P(MmaModelLaw, KeepsWhatIsPlanned) {
  const std::string folder = folder_of(std::get<0>(GetParam()));
  const ModelConfig config = load_config(folder).value();
  const Checkpoint checkpoint = Checkpoint::open(folder).value();
  const auto engine = make_engine(kind().one);
  const auto runner =
      SpanRunner::load(config, checkpoint, 0, config.block_count, *engine,
                       {.rows = 1, .kv_positions = 32, .weights = WeightChoice::kMma});
  ASSERT_TRUE(runner.ok()) << runner.status();
  EXPECT_EQ((*runner)->weight_bytes(),
            static_cast<std::uint64_t>(config.block_count) *
                memory_needs(config, checkpoint, 1, kernels::KvDType::kF32, WeightChoice::kMma)
                    .block_weight_bytes);
}

std::string name_of_mma_case(const testing::TestParamInfo<MmaCase>& info) {
  return std::string(std::get<0>(info.param)) + "_" + std::get<1>(info.param).name;
}

INSTANTIATE_TEST_SUITE_P(Kinds, MmaModelLaw,
                         testing::Combine(testing::Values("qwen2_window", "qwen3", "llama_bias"),
                                          testing::ValuesIn(kMmaDevices)),
                         name_of_mma_case);
INSTANTIATE_TEST_SUITE_P(Demo, MmaModelLaw,
                         testing::Combine(testing::Values("demo"), testing::Values(kMmaDevices[1])),
                         name_of_mma_case);

}  // namespace
}  // namespace shoal::model
