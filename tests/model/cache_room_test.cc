// SPDX-License-Identifier: Apache-2.0
// What goes from a cache to make room: the longest unused first, never what is in use.
#include "model/cache_room.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace shoal::model {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;
using testing::Optional;

const std::vector<CachedFile> kFiles = {{"new", 100, 30, false},
                                        {"old", 100, 10, false},
                                        {"served", 100, 5, true},
                                        {"between", 100, 20, false}};
constexpr std::uint64_t kMuchDisk = 1'000'000;

TEST(CacheRoom, NothingGoesWhileThereIsRoom) {
  EXPECT_THAT(files_to_drop(kFiles, {500, kMuchDisk, 0}, 100), Optional(IsEmpty()));
  EXPECT_THAT(files_to_drop(kFiles, {std::nullopt, kMuchDisk, 0}, 900'000), Optional(IsEmpty()));
}

TEST(CacheRoom, WhatWasNotUsedForLongestGoesFirst) {
  EXPECT_THAT(files_to_drop(kFiles, {500, kMuchDisk, 0}, 101), Optional(ElementsAre("old")));
  EXPECT_THAT(files_to_drop(kFiles, {500, kMuchDisk, 0}, 250),
              Optional(ElementsAre("old", "between")));
  EXPECT_THAT(files_to_drop(kFiles, {500, kMuchDisk, 0}, 400),
              Optional(ElementsAre("old", "between", "new")));
}

TEST(CacheRoom, WhatIsInUseStaysAndNothingGoesForNothing) {
  EXPECT_EQ(files_to_drop(kFiles, {500, kMuchDisk, 0}, 401), std::nullopt);
  EXPECT_EQ(files_to_drop(kFiles, {50, kMuchDisk, 0}, 0), std::nullopt);
}

TEST(CacheRoom, ALowerLimitIsKeptAtOnce) {
  EXPECT_THAT(files_to_drop(kFiles, {200, kMuchDisk, 0}, 0),
              Optional(ElementsAre("old", "between")));
}

TEST(CacheRoom, ADiskIsNotFilled) {
  EXPECT_THAT(files_to_drop(kFiles, {std::nullopt, 150, 50}, 100), Optional(IsEmpty()));
  EXPECT_THAT(files_to_drop(kFiles, {std::nullopt, 150, 50}, 101), Optional(ElementsAre("old")));
  EXPECT_EQ(files_to_drop(kFiles, {std::nullopt, 150, 50}, 401), std::nullopt);
  // A full disk is no reason to drop what is there, as long as nothing is to be kept.
  EXPECT_THAT(files_to_drop(kFiles, {500, 0, 50}, 0), Optional(IsEmpty()));
}

}  // namespace
}  // namespace shoal::model
