// SPDX-License-Identifier: Apache-2.0
// Peers of another major version are refused with a sentence that names both; minor ones are not.
#include "proto/version.h"

#include <gtest/gtest.h>

#include "proto/limits.h"

namespace shoal::proto {
namespace {

wire::Version version(std::uint32_t major, std::uint32_t minor) {
  wire::Version result;
  result.set_major(major);
  result.set_minor(minor);
  return result;
}

TEST(VersionTest, IsTwoTwo) {
  EXPECT_EQ(our_version().major(), 2u);
  EXPECT_EQ(our_version().minor(), 2u);
  EXPECT_EQ(our_version().major(), kProtocolMajor);
}

TEST(VersionTest, AnotherMajorIsRefusedWithBothNamed) {
  EXPECT_EQ(why_version_refused(version(1, 0), "you speak", "this node speaks"),
            "you speak protocol 1.0, this node speaks 2.2: use the same major version");
  EXPECT_EQ(why_version_refused(version(3, 7), "it speaks", "this program speaks"),
            "it speaks protocol 3.7, this program speaks 2.2: use the same major version");
  EXPECT_TRUE(why_version_refused(wire::Version(), "it speaks", "this program speaks"));
  EXPECT_FALSE(why_version_refused(version(2, 99), "it speaks", "this program speaks"));
}

}  // namespace
}  // namespace shoal::proto
