// SPDX-License-Identifier: Apache-2.0
// The list of a model's files, which comes from outside.
#include "model/hub/listing.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace shoal::model::hub {
namespace {

using ::testing::HasSubstr;

const std::string kCommit(40, 'c');
const std::string kSha1(40, 'a');
const std::string kSha256(64, 'b');

std::string listing_of(const std::string& siblings) {
  return "{\"sha\":\"" + kCommit + "\",\"private\":false,\"siblings\":[" + siblings + "]}";
}
std::string small_file(const std::string& path, const std::string& size = "5") {
  return R"({"rfilename":")" + path + R"(","size":)" + size + R"(,"blobId":")" + kSha1 + "\"}";
}

TEST(HubListing, HasNamesSizesAndHashes) {
  const auto listing = parse_listing(
      listing_of(small_file("config.json") +
                 R"(,{"rfilename":"a.safetensors","size":7,"blobId":")" + kSha1 +
                 R"(","lfs":{"sha256":")" + kSha256 + R"(","size":7,"pointerSize":130}})"),
      "x");
  ASSERT_TRUE(listing.ok()) << listing.status();
  EXPECT_EQ(listing->commit, kCommit);
  ASSERT_EQ(listing->files.size(), 2u);
  EXPECT_EQ(*listing->find("config.json"), (RemoteFile{"config.json", 5, kSha1}));
  EXPECT_EQ(*listing->find("a.safetensors"), (RemoteFile{"a.safetensors", 7, kSha256}));
  EXPECT_TRUE(listing->find("a.safetensors")->has_sha256());
  EXPECT_EQ(listing->find("b"), nullptr);
  EXPECT_EQ(parse_listing(listing_text(*listing), "x").value(), *listing);
}

TEST(HubListing, NamesThatLeadOutOfTheFolderAreNobodys) {
  for (const char* path : {"../a", "a/../../b", "/etc/passwd", "a//b", "./a", "a/.", "", "a\\\\b",
                           "a\\u0000b", "a\\nb", "a/"}) {
    const auto listing = parse_listing(listing_of(small_file(path)), "x");
    ASSERT_TRUE(listing.ok()) << path << listing.status();
    EXPECT_TRUE(listing->files.empty()) << path;
  }
  EXPECT_TRUE(is_safe_path("a/b/c..d/.e"));
  EXPECT_FALSE(is_safe_path(std::string(300, 'a')));
  EXPECT_FALSE(is_safe_path("a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a"));
}

TEST(HubListing, WhatHasNoSizeOrHashIsLeftOut) {
  const auto listing = parse_listing(
      listing_of(R"({"rfilename":"a"},{"rfilename":"b","size":-1,"blobId":")" + kSha1 +
                 R"("},{"rfilename":"c","size":1,"blobId":"../../x"},7,null,)" +
                 small_file("d", "1e3") + "," + small_file("e", "99999999999999999999")),
      "x");
  ASSERT_TRUE(listing.ok()) << listing.status();
  EXPECT_TRUE(listing->files.empty());
}

TEST(HubListing, OtherAnswersAreNamed) {
  const auto message = [](const std::string& text) {
    return std::string(parse_listing(text, "the hub").status().message());
  };
  for (const std::string text :
       {"", "<html>", "[]", "{}", R"({"sha":"main","siblings":[]})", R"({"siblings":[]})"}) {
    EXPECT_THAT(message(text), HasSubstr("the hub: ")) << text;
  }
  EXPECT_THAT(message(listing_of(small_file("a") + "," + small_file("a"))), HasSubstr("a twice"));
  std::string many;
  for (std::size_t i = 0; i <= kMaxFiles; ++i) many += i == 0 ? "{}" : ",{}";
  EXPECT_THAT(message(listing_of(many)), HasSubstr("more than"));
  EXPECT_THAT(message("{\"sha\":" + std::string(100, '[')), HasSubstr("the hub: "));
}

}  // namespace
}  // namespace shoal::model::hub
