// SPDX-License-Identifier: Apache-2.0
// What is read off a BlockSpec, by hand: of the bundled model, 256 wide, 8 heads of 32 with 4 of
// keys, 704 between.
#include "model/block_spec.h"

#include <gtest/gtest.h>

#include "model/config.h"

namespace shoal::model {
namespace {

BlockSpec demo_block() { return load_config(SHOAL_SOURCE_DIR "/models/demo")->block(3); }

TEST(BlockSpec, KnowsItsWidths) {
  EXPECT_EQ(widths_of(demo_block()), (BlockWidths{.query = 256, .key = 128, .mlp = 704}));
}

TEST(BlockSpec, AttentionOutweighsTheRestFromAPositionOn) {
  // Matrices: 2 of 256 x 256, 2 of 128 x 256, 3 of 704 x 256; a position: two products of 256.
  EXPECT_EQ(attention_positions(demo_block()), (2 * 256 + 2 * 128 + 3 * 704) * 256 / (2.0 * 256));
}

TEST(BlockSpec, FindsAWeightByWhatItIs) {
  const BlockSpec block = demo_block();
  const WeightSpec* down = find_weight(block, BlockWeight::kDown);
  ASSERT_NE(down, nullptr);
  EXPECT_EQ(down->weight_name(), "mlp.down_proj.weight");
  EXPECT_EQ(down->rows, 256);
  EXPECT_EQ(down->cols, 704);
  EXPECT_EQ(find_weight(block, BlockWeight::kQueryNorm), nullptr);
}

}  // namespace
}  // namespace shoal::model
