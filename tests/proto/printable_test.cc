// SPDX-License-Identifier: Apache-2.0
#include "proto/printable.h"

#include <gtest/gtest.h>

namespace shoal::proto {
namespace {

TEST(Printable, IsBoundedAndCannotPlayWithTheTerminal) {
  EXPECT_EQ(printable("a sentence: ~ ok", 64), "a sentence: ~ ok");
  EXPECT_EQ(printable("\x1b[2J\nowned\x7f\xff\xc3\xa9", 64), "?[2J?owned????");
  EXPECT_EQ(printable("longer than it may be", 6), "longer");
  EXPECT_EQ(printable("", 6), "");
}

}  // namespace
}  // namespace shoal::proto
