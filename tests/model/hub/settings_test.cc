// SPDX-License-Identifier: Apache-2.0
// The environment as huggingface_hub reads it.
#include "model/hub/settings.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <map>

#include "tests/support/temp_dir.h"

namespace shoal::model::hub {
namespace {

using ::testing::HasSubstr;

Environment environment(std::map<std::string, std::string> values) {
  return [values](const char* name) -> std::optional<std::string> {
    const auto found = values.find(name);
    return found == values.end() ? std::nullopt : std::optional(found->second);
  };
}

Settings read(std::map<std::string, std::string> values) {
  return read_settings(environment(std::move(values))).value();
}

TEST(HubSettings, HaveTheDefaultsOfTheHubsOwnTools) {
  const Settings settings = read({{"HOME", "/home/a"}});
  EXPECT_EQ(settings.endpoint, "https://huggingface.co");
  EXPECT_EQ(settings.cache, "/home/a/.cache/huggingface/hub");
  EXPECT_EQ(settings.token, "");
  EXPECT_FALSE(settings.offline);
}

TEST(HubSettings, AreWhatTheEnvironmentSays) {
  EXPECT_EQ(read({{"HOME", "/h"}, {"XDG_CACHE_HOME", "/x"}}).cache, "/x/huggingface/hub");
  EXPECT_EQ(read({{"HOME", "/h"}, {"XDG_CACHE_HOME", "/x"}, {"HF_HOME", "~/hf"}}).cache,
            "/h/hf/hub");
  EXPECT_EQ(read({{"HF_HOME", "/f"}, {"HF_HUB_CACHE", "/c"}}).cache, "/c");
  EXPECT_EQ(read({{"HF_HOME", "/f"}, {"HUGGINGFACE_HUB_CACHE", "/old"}}).cache, "/old");
  EXPECT_EQ(read({{"HOME", "/h"}, {"HF_HUB_CACHE", ""}}).cache, "/h/.cache/huggingface/hub");
  EXPECT_EQ(read({{"HOME", "/h"}, {"HF_ENDPOINT", "http://127.0.0.1:5/"}}).endpoint,
            "http://127.0.0.1:5");
  for (const char* yes : {"1", "true", "Yes", "ON"}) {
    EXPECT_TRUE(read({{"HOME", "/h"}, {"HF_HUB_OFFLINE", yes}}).offline) << yes;
  }
  EXPECT_TRUE(read({{"HOME", "/h"}, {"TRANSFORMERS_OFFLINE", "1"}}).offline);
  for (const char* no : {"0", "", "false", "off"}) {
    EXPECT_FALSE(read({{"HOME", "/h"}, {"HF_HUB_OFFLINE", no}}).offline) << no;
  }
}

TEST(HubSettings, TakeTheTokenOfTheEnvironmentBeforeThatOfItsFile) {
  const tests::TempDir folder;
  tests::write_file(folder.file("token"), " hf_file\n");
  tests::write_file(folder.file("other"), "hf_other\r\n");
  const std::string home = folder.path();
  EXPECT_EQ(read({{"HF_HOME", home}}).token, "hf_file");
  EXPECT_EQ(read({{"HF_HOME", home}, {"HF_TOKEN", " hf_env\n"}}).token, "hf_env");
  EXPECT_EQ(read({{"HF_HOME", home}, {"HUGGING_FACE_HUB_TOKEN", "old"}}).token, "old");
  EXPECT_EQ(read({{"HF_HOME", home}, {"HF_TOKEN_PATH", folder.file("other")}}).token, "hf_other");
  EXPECT_EQ(read({{"HF_HOME", home}, {"HF_HUB_DISABLE_IMPLICIT_TOKEN", "1"}}).token, "");
}

TEST(HubSettings, WrongOnesAreNamed) {
  const auto message = [](std::map<std::string, std::string> values) {
    return std::string(read_settings(environment(std::move(values))).status().message());
  };
  EXPECT_THAT(message({}), HasSubstr("set HF_HOME"));
  for (const char* endpoint : {"huggingface.co", "ftp://a", "https://", "http://u:p@h"}) {
    EXPECT_THAT(message({{"HOME", "/h"}, {"HF_ENDPOINT", endpoint}}), HasSubstr("HF_ENDPOINT"));
  }
  EXPECT_THAT(message({{"HOME", "/h"}, {"HF_TOKEN", "a b"}}), HasSubstr("HF_TOKEN"));
}

}  // namespace
}  // namespace shoal::model::hub
