// SPDX-License-Identifier: Apache-2.0
#include "client/ring/chunks.h"

#include <gtest/gtest.h>

namespace shoal::client {
namespace {

TEST(Chunks, FitTheWireAndTheSlowestHop) {
  EXPECT_EQ(max_chunk_rows(256, 4096), 1024u);   // 1 MiB of f32
  EXPECT_EQ(max_chunk_rows(16'384, 4096), 16u);  // a wide model
  EXPECT_EQ(max_chunk_rows(256, 100), 100u);     // what a hop takes
  EXPECT_EQ(max_chunk_rows(65'536, 4096), 4u);
  EXPECT_EQ(max_chunk_rows(1u << 20, 4096), 1u);  // never none
}

TEST(Chunks, KeepEveryHopBusy) {
  EXPECT_EQ(chunk_rows(1000, 1, 1024), 1024u);  // one hop: nothing to overlap
  EXPECT_EQ(chunk_rows(600, 3, 1024), 100u);
  EXPECT_EQ(chunk_rows(20, 3, 1024), 32u);  // not worth cutting
  EXPECT_EQ(chunk_rows(100'000, 3, 1024), 1024u);
  EXPECT_EQ(chunk_rows(100, 8, 4), 4u);
}

TEST(Chunks, StepsInFlightAreBounded) {
  for (std::size_t hops = 1; hops < 100; ++hops) {
    EXPECT_GE(steps_in_flight(hops), std::min<std::size_t>(hops + 1, 32));
    EXPECT_LE(steps_in_flight(hops), proto::kMaxStepsInFlight / 2);
  }
}

}  // namespace
}  // namespace shoal::client
