// SPDX-License-Identifier: Apache-2.0
// Any bytes give tensors that lie inside the file, or one error that names what is wrong.
#include "model/safetensors.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <random>
#include <string>
#include <utility>
#include <vector>

#include "tests/model/safetensors_file.h"

namespace shoal::model {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

using Entries = std::map<std::string, SafetensorsEntry>;

absl::StatusOr<Entries> parse(const std::string& file) {
  return parse_safetensors(std::as_bytes(std::span(file)), "m.safetensors");
}

void expect_refused(const std::string& header, std::size_t data_bytes, const std::string& named) {
  const absl::StatusOr<Entries> entries =
      parse(safetensors_bytes(header, std::string(data_bytes, 'x')));
  ASSERT_FALSE(entries.ok()) << header;
  EXPECT_THAT(std::string(entries.status().message()), HasSubstr(named)) << header;
  EXPECT_THAT(std::string(entries.status().message()), HasSubstr("m.safetensors: "));
}

const char* const kTwo =
    R"({"__metadata__":{"format":"pt"},
        "b":{"dtype":"BF16","shape":[2,3],"data_offsets":[8,20]},
        "a":{"data_offsets":[0,8],"shape":[2],"dtype":"F32"}}   )";

TEST(Safetensors, GivesShapesAndPlaces) {
  const absl::StatusOr<Entries> entries = parse(safetensors_bytes(kTwo, std::string(20, 'x')));
  ASSERT_TRUE(entries.ok()) << entries.status();
  ASSERT_EQ(entries->size(), 2u);
  const std::size_t data = 8 + std::string(kTwo).size();
  const SafetensorsEntry& a = entries->at("a");
  EXPECT_EQ(a.dtype, "F32");
  EXPECT_THAT(a.shape, ElementsAre(2));
  EXPECT_EQ(a.begin, data);
  EXPECT_EQ(a.end, data + 8);
  const SafetensorsEntry& b = entries->at("b");
  EXPECT_THAT(b.shape, ElementsAre(2, 3));
  EXPECT_EQ(b.end, data + 20);
}

TEST(Safetensors, ScalarsEmptyTensorsAndEmptyFilesAreFine) {
  EXPECT_TRUE(parse(safetensors_bytes("{}", "")).ok());
  EXPECT_TRUE(parse(safetensors_bytes(R"({"__metadata__":null})", "")).ok());
  EXPECT_TRUE(parse(safetensors_bytes(
                        R"({"s":{"dtype":"I64","shape":[],"data_offsets":[0,8]},
                            "e":{"dtype":"F32","shape":[0,7],"data_offsets":[8,8]},
                            "q":{"dtype":"F4","shape":[4],"data_offsets":[8,10]}})",
                        std::string(10, 'x')))
                  .ok());
}

TEST(Safetensors, EveryTruncationIsRefused) {
  const std::string file = safetensors_bytes(kTwo, std::string(20, 'x'));
  for (std::size_t size = 0; size < file.size(); ++size) {
    EXPECT_FALSE(parse(file.substr(0, size)).ok()) << size;
  }
  EXPECT_THAT(std::string(parse(file.substr(0, file.size() - 1)).status().message()),
              HasSubstr("truncated"));
  EXPECT_THAT(std::string(parse(file + "x").status().message()), HasSubstr("belong to none"));
}

TEST(Safetensors, TheHeaderLengthIsBounded) {
  std::string file = safetensors_bytes(kTwo, std::string(20, 'x'));
  for (const int byte : {3, 4, 7}) {
    std::string wrong = file;
    wrong[static_cast<std::size_t>(byte)] = '\x7f';
    EXPECT_THAT(std::string(parse(wrong).status().message()), HasSubstr("beyond the limit"));
  }
  EXPECT_THAT(std::string(parse("version https://git-lfs.github.com/spec/v1\n").status().message()),
              HasSubstr("is this a safetensors file?"));
}

TEST(Safetensors, TheHeaderIsJsonOfTheRightForm) {
  expect_refused("", 0, "start with {");
  expect_refused(" {}", 0, "start with {");
  expect_refused("[]", 0, "start with {");
  expect_refused("{", 0, "not JSON");
  expect_refused("{}{}", 0, "not JSON");
  expect_refused("{\"\xff\":1}", 0, "not JSON");
  expect_refused(R"({"a":1})", 0, "a number");
  expect_refused(R"({"a":null})", 0, "null");
  expect_refused(R"({"a":[]})", 0, "a list");
  expect_refused(R"({"a":{}})", 0, "missing");
  expect_refused(R"({"a":{"dtype":"U8","shape":[0]}})", 0, "missing");
  expect_refused(R"({"a":{"dtype":"U8","shape":[0],"data_offsets":[0,0],"x":1}})", 0, "\"x\"");
  expect_refused(R"({"a":{"dtype":5,"shape":[0],"data_offsets":[0,0]}})", 0, "a number");
  expect_refused(R"({"a":{"dtype":{},"shape":[0],"data_offsets":[0,0]}})", 0, "an object");
  expect_refused(R"({"a":{"dtype":"U8","shape":[[0]],"data_offsets":[0,0]}})", 0, "a list");
  expect_refused(R"({"a":{"dtype":"U8","shape":[0.0],"data_offsets":[0,0]}})", 0, "a fraction");
  expect_refused(R"({"a":{"dtype":"U8","shape":[-1],"data_offsets":[0,0]}})", 0, "negative");
  expect_refused(R"({"a":{"dtype":"U8","shape":[0],"data_offsets":[0]}})", 0, "two numbers");
  expect_refused(R"({"a":{"dtype":"U8","shape":[0],"data_offsets":[0,0,0]}})", 0, "two numbers");
  expect_refused(R"({"__metadata__":{"a":1}})", 0, "a number");
  expect_refused(R"({"__metadata__":{"a":{}}})", 0, "an object");
  expect_refused(R"({"a":)" + std::string(100'000, '['), 0, "a list");
}

TEST(Safetensors, NothingMayBeSaidTwice) {
  const std::string info = R"({"dtype":"U8","shape":[0],"data_offsets":[0,0]})";
  expect_refused(R"({"a":)" + info + R"(,"a":)" + info + "}", 0, "\"a\" is repeated");
  expect_refused(R"({"a":{"dtype":"U8","dtype":"U8","shape":[0],"data_offsets":[0,0]}})", 0,
                 "dtype is repeated");
  expect_refused(R"({"__metadata__":{},"__metadata__":{}})", 0, "repeated");
  expect_refused(R"({"__metadata__":{"k":"v","k":"v"}})", 0, "repeated");
}

TEST(Safetensors, SizesAgreeWithShapesAndTypes) {
  expect_refused(R"({"a":{"dtype":"F32","shape":[2],"data_offsets":[0,7]}})", 7, "need 8 bytes");
  expect_refused(R"({"a":{"dtype":"F33","shape":[2],"data_offsets":[0,8]}})", 8, "F33");
  expect_refused(R"({"a":{"dtype":"F4","shape":[3],"data_offsets":[0,2]}})", 2, "whole bytes");
  expect_refused(R"({"a":{"dtype":"U8","shape":[2],"data_offsets":[2,0]}})", 2, "before");
  expect_refused(R"({"a":{"dtype":"F32","shape":[4611686018427387904,4],"data_offsets":[0,0]}})", 0,
                 "overflows");
  expect_refused(R"({"a":{"dtype":"U8","shape":[18446744073709551615],"data_offsets":[0,1]}})", 1,
                 "too large");
  expect_refused(R"({"a":{"dtype":"U8","shape":[1],"data_offsets":[99999999999999999999,1]}})", 1,
                 "a fraction");
  expect_refused(R"({"a":{"dtype":"U8","shape":[1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1],)"
                 R"("data_offsets":[0,1]}})",
                 1, "too many dimensions");
}

TEST(Safetensors, TensorsNeitherOverlapNorLeaveHoles) {
  const auto two = [](int begin_a, int end_a, int begin_b, int end_b) {
    const auto one = [](int begin, int end) {
      return R"({"dtype":"U8","shape":[)" + std::to_string(end - begin) + R"(],"data_offsets":[)" +
             std::to_string(begin) + "," + std::to_string(end) + "]}";
    };
    return R"({"a":)" + one(begin_a, end_a) + R"(,"b":)" + one(begin_b, end_b) + "}";
  };
  EXPECT_TRUE(parse(safetensors_bytes(two(0, 4, 4, 8), std::string(8, 'x'))).ok());
  EXPECT_TRUE(parse(safetensors_bytes(two(4, 8, 0, 4), std::string(8, 'x'))).ok());
  expect_refused(two(0, 4, 0, 4), 4, "overlap");
  expect_refused(two(0, 4, 3, 8), 8, "overlap");
  expect_refused(two(0, 4, 5, 8), 8, "hole");
  expect_refused(two(1, 4, 4, 8), 8, "hole");
  expect_refused(two(0, 4, 4, 9), 8, "truncated");
  expect_refused(two(0, 4, 4, 8), 9, "belong to none");
}

// Changed, dropped, repeated and inserted bytes: whatever is accepted lies inside the file.
TEST(Safetensors, MutatedFilesNeverGiveTensorsOutsideOfTheFile) {
  const std::string good = safetensors_bytes(kTwo, std::string(20, 'x'));
  const std::vector<std::string> pieces = {
      "{",  "}",  "[",         "]",   ",",       ":",     "\"", "-1",   "99999999999",         "0",
      "e9", "\\", "\"shape\"", "F64", "\"a\":{", "null,", " ",  "\xc3", "18446744073709551616"};
  std::mt19937_64 random(7);
  int accepted = 0, refused = 0;
  for (int round = 0; round < 60'000; ++round) {
    std::string file = good;
    for (std::uint64_t edits = 1 + random() % 3; edits > 0; --edits) {
      const std::size_t at = random() % file.size();
      switch (random() % 5) {
        case 0:
          file[at] = static_cast<char>(random());
          break;
        case 1:
          file.erase(at, 1 + random() % 8);
          break;
        case 2:
          file.insert(at, pieces[random() % pieces.size()]);
          break;
        case 3:
          file.insert(at, file.substr(random() % file.size(), random() % 60));
          break;
        default:
          file[at] = static_cast<char>('0' + random() % 10);
      }
      if (file.empty()) file = good;
    }
    if (round % 2 == 0 && file.size() > 28) {  // a length that fits again
      const std::size_t header = file.size() - 28;
      for (std::size_t i = 0; i < 8; ++i) file[i] = static_cast<char>(header >> (8 * i));
    }
    const absl::StatusOr<Entries> entries = parse(file);
    (entries.ok() ? accepted : refused) += 1;
    if (!entries.ok()) continue;
    for (const auto& [name, entry] : *entries) {
      ASSERT_LE(entry.begin, entry.end);
      ASSERT_LE(entry.end, file.size());
    }
  }
  EXPECT_GT(accepted, 100);
  EXPECT_GT(refused, 1000);
}

}  // namespace
}  // namespace shoal::model
