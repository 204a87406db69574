// SPDX-License-Identifier: Apache-2.0
// A folder as a user has it: what its files say together about the end of a text, and what is said
// of files that disagree.
#include "client/text/user_model.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>

#include "tests/support/temp_dir.h"

namespace shoal::client {
namespace {

using ::testing::Contains;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;
using tests::TempDir;

class UserModelFolder : public testing::Test {
 protected:
  UserModelFolder() {
    for (const auto& file : std::filesystem::directory_iterator(SHOAL_SOURCE_DIR "/models/demo")) {
      std::filesystem::create_symlink(file.path(), folder_.file(file.path().filename().string()));
    }
  }
  void write(const std::string& name, const std::string& content) {
    std::filesystem::remove(folder_.file(name));
    tests::write_file(folder_.file(name), content);
  }
  std::unique_ptr<UserModel> load() {
    auto loaded = load_user_model(folder_.path(), 1);
    EXPECT_TRUE(loaded.ok()) << loaded.status();
    return loaded.ok() ? *std::move(loaded) : nullptr;
  }

  const TempDir folder_;
};

TEST_F(UserModelFolder, TheBundledModelHasNothingToWarnOf) {
  EXPECT_THAT(load()->warnings, IsEmpty());
}

TEST_F(UserModelFolder, StopsAtTheMarkThatAnyFileNames) {
  for (const char* name : {"tokenizer_config.json", "special_tokens_map.json"}) {
    std::filesystem::remove(folder_.file("tokenizer_config.json"));
    std::filesystem::remove(folder_.file("special_tokens_map.json"));
    write(name, R"({"eos_token": "<|im_end|>", "additional_special_tokens": ["<|im_start|>"]})");
    const auto user_model = load();
    ASSERT_NE(user_model, nullptr);
    const auto id = user_model->tokenizer->id_of("<|im_end|>");
    ASSERT_TRUE(id.has_value()) << name;
    EXPECT_THAT(user_model->eos_ids, Contains(*id)) << name;
    EXPECT_TRUE(user_model->tokenizer->is_special(*id));
  }
}

TEST_F(UserModelFolder, SettingsThatAreNotFollowedAreNamedOnce) {
  write("generation_config.json",
        R"({"num_beams": 4, "guidance_scale": 1.5, "suppress_tokens": [1], "penalty_alpha": 0.6})");
  write("tokenizer_config.json", R"({"add_eos_token": true, "eos_token": "<|end_of_text|>"})");
  const auto user_model = load();
  ASSERT_NE(user_model, nullptr);
  EXPECT_THAT(user_model->warnings,
              ElementsAre(HasSubstr("ignores num_beams, penalty_alpha, guidance_scale of "),
                          HasSubstr("add_eos_token")));
  EXPECT_THAT(user_model->warnings, Not(Contains(HasSubstr("suppress_tokens"))));
}

}  // namespace
}  // namespace shoal::client
