// SPDX-License-Identifier: Apache-2.0
// A model on a device gives the CPU's hidden states, bit for bit: so nodes of both may serve one
// session, and take over from each other.
#include <gtest/gtest.h>

#include <algorithm>
#include <cstdint>
#include <memory>
#include <nlohmann/json.hpp>
#include <string>
#include <tuple>
#include <vector>

#include "tests/model/fixture_models.h"
#include "tests/model/local_model.h"
#include "tests/support/source_folder.h"
#include "tests/support/temp_dir.h"

namespace shoal::model {
namespace {

using kernels::KvDType;
using Case = std::tuple<const char*, WeightChoice, KvDType>;

class DeviceLaw : public testing::TestWithParam<Case> {
 protected:
  void SetUp() override {
    const auto& [name, weights, kv_dtype] = GetParam();
    const std::string directory =
        SHOAL_SOURCE_FOLDER + std::string("/tests/fixtures/models/") + name;
    ids_ = nlohmann::json::parse(tests::read_file(directory + "/golden.json"))["ids"].get<Ids>();
    LocalModel::Options options{.cuts = {}, .kv_dtype = kv_dtype, .weights = weights};
    device_ = LocalModel::load(directory, options);
    options.on_cpu = true;
    cpu_ = LocalModel::load(directory, options);
  }
  Ids slice(std::int64_t begin, std::int64_t end) const {
    return {ids_.begin() + begin, ids_.begin() + end};
  }

  Ids ids_;
  std::unique_ptr<LocalModel> device_, cpu_;
};

TEST_P(DeviceLaw, GivesTheBitsOfTheCpu) {
  const auto run = [this](LocalModel& model) {
    LocalSession a = model.session(100), b = model.session(100);
    Rows all = model.run(a, 0, slice(0, 41));  // a prefill
    const auto add = [&](const Rows& rows) { all.insert(all.end(), rows.begin(), rows.end()); };
    for (std::int64_t at = 41; at < 44; ++at) add(model.run(a, at, slice(at, at + 1)));
    // A decode beside a prefill, both beside each other, and after what was taken back.
    add(model.run({{.session = &b, .start = 0, .ids = slice(0, 37)},
                   {.session = &a, .start = 44, .ids = slice(44, 45)}}));
    for (std::int64_t i = 0; i < 3; ++i) {
      add(model.run({{.session = &a, .start = 45 + i, .ids = slice(45 + i, 46 + i)},
                     {.session = &b, .start = 37 + i, .ids = slice(37 + i, 38 + i)}}));
    }
    add(model.run(a, 30, slice(40, 45)));
    return all;
  };
  const Rows expected = run(*cpu_), got = run(*device_);
  EXPECT_TRUE(got == expected);
  EXPECT_TRUE(device_->last_logits(got) == cpu_->last_logits(expected));
}

std::string name_of_case(const testing::TestParamInfo<Case>& info) {
  return std::string(std::get<0>(info.param)) + "_" + name_of(std::get<1>(info.param)) + "_" +
         kernels::kv_dtype_name(std::get<2>(info.param));
}

INSTANTIATE_TEST_SUITE_P(Families, DeviceLaw,
                         testing::Combine(testing::ValuesIn(kFixtureModels),
                                          testing::Values(WeightChoice::kStored, WeightChoice::kQ8),
                                          testing::Values(KvDType::kF32)),
                         name_of_case);
INSTANTIATE_TEST_SUITE_P(
    Formats, DeviceLaw,
    testing::Combine(testing::Values("llama_bias", "qwen3_bias"),
                     testing::Values(WeightChoice::kStored, WeightChoice::kQ4, WeightChoice::kQ4S),
                     testing::Values(KvDType::kBF16, KvDType::kF16, KvDType::kI8)),
    name_of_case);

}  // namespace
}  // namespace shoal::model
