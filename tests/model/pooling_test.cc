// SPDX-License-Identifier: Apache-2.0
// How a folder of sentence-transformers says how a text becomes a vector.
#include "model/pooling.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>

#include "tests/support/temp_dir.h"

namespace shoal::model {
namespace {

using tests::TempDir;
using tests::write_file;

class PoolingFolder {
 public:
  PoolingFolder() {
    std::filesystem::create_directory(dir_.file("1_Pooling"));
    write_file(dir_.file("config.json"), "{}");
    modules("");
    pooling(R"({"pooling_mode_mean_tokens": true, "pooling_mode_cls_token": false})");
  }
  void modules(const std::string& more) {
    write_file(dir_.file("modules.json"),
               R"([{"idx":0,"name":"0","path":"","type":"sentence_transformers.models.Transformer"},
                   {"idx":1,"path":"1_Pooling","type":"sentence_transformers.models.Pooling"})" +
                   more + "]");
  }
  void pooling(const std::string& text) { write_file(dir_.file("1_Pooling/config.json"), text); }
  void config(const std::string& text) { write_file(dir_.file("config.json"), text); }
  std::string file(const std::string& name) const { return dir_.file(name); }
  absl::StatusOr<Pooling> load() const { return load_pooling(dir_.path()); }

 private:
  TempDir dir_;
};

TEST(Pooling, IsReadFromTheFolder) {
  PoolingFolder folder;
  ASSERT_TRUE(folder.load().ok()) << folder.load().status();
  EXPECT_EQ(folder.load()->rows, Pooling::Rows::kMean);
  EXPECT_FALSE(folder.load()->normalize);
  folder.pooling(R"({"pooling_mode_lasttoken": true, "pooling_mode_mean_tokens": false})");
  EXPECT_EQ(folder.load()->rows, Pooling::Rows::kLast);
  folder.pooling(R"({"pooling_mode": "cls"})");  // the newer way
  EXPECT_EQ(folder.load()->rows, Pooling::Rows::kFirst);
  folder.modules(R"(,{"idx":2,"path":"2","type":"sentence_transformers.models.Normalize"})");
  EXPECT_TRUE(folder.load()->normalize);
}

TEST(Pooling, ShorterVectorsAreNamed) {
  PoolingFolder folder;
  EXPECT_FALSE(folder.load()->may_shorten_to(64));
  folder.config(R"({"is_matryoshka": true})");
  EXPECT_TRUE(folder.load()->may_shorten_to(64));
  folder.config(R"({"is_matryoshka": true, "matryoshka_dimensions": [32, 128]})");
  EXPECT_FALSE(folder.load()->may_shorten_to(64));
  EXPECT_TRUE(folder.load()->may_shorten_to(128));
  folder.config(R"({"matryoshka_dimensions": [32, -1]})");
  EXPECT_FALSE(folder.load().ok());
}

TEST(Pooling, WhatIsNotFollowedIsRefusedByName) {
  PoolingFolder folder;
  folder.pooling(R"({"pooling_mode_max_tokens": true})");
  EXPECT_THAT(std::string(folder.load().status().message()), ::testing::HasSubstr("max"));
  folder.pooling(R"({"pooling_mode_mean_tokens": true, "pooling_mode_cls_token": true})");
  EXPECT_EQ(folder.load().status().code(), absl::StatusCode::kUnimplemented);
  folder.pooling("{}");
  EXPECT_EQ(folder.load().status().code(), absl::StatusCode::kUnimplemented);
  folder.pooling(R"({"pooling_mode_mean_tokens": 7})");
  EXPECT_EQ(folder.load().status().code(), absl::StatusCode::kInvalidArgument);
  folder.pooling(R"({"pooling_mode": "mean"})");
  folder.modules(R"(,{"idx":2,"path":"2","type":"sentence_transformers.models.Dense"})");
  EXPECT_THAT(std::string(folder.load().status().message()), ::testing::HasSubstr("Dense"));
  for (const char* text :
       {"", "7", "[]", "[7,8]", R"([{"type":"a.Transformer"},{"type":"a.Pooling","path":7}])",
        R"([{"type":"a.Transformer"},{"type":"a.Pooling","path":"../1_Pooling"}])"}) {
    write_file(folder.file("modules.json"), text);
    EXPECT_FALSE(folder.load().ok()) << text;
    EXPECT_FALSE(absl::IsNotFound(folder.load().status())) << text;
  }
}

TEST(Pooling, AFolderWithoutARuleHasNone) {
  PoolingFolder folder;
  std::filesystem::remove(folder.file("modules.json"));
  EXPECT_TRUE(absl::IsNotFound(folder.load().status()));
  folder.modules("");
  std::filesystem::remove(folder.file("1_Pooling/config.json"));
  EXPECT_EQ(folder.load().status().code(), absl::StatusCode::kInvalidArgument);
}

}  // namespace
}  // namespace shoal::model
