// SPDX-License-Identifier: Apache-2.0
// A config.json from anywhere: sizes within their bounds and a finite rotary table, or an error.
#include <cmath>
#include <string>

#include "base/check.h"
#include "model/config.h"
#include "model/rope.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const auto config =
      shoal::model::parse_config(std::string(reinterpret_cast<const char*>(data), size));
  if (!config.ok()) return 0;
  CHECK(static_cast<std::int64_t>(config->block_kinds.size()) == config->block_count);
  for (std::int64_t block = 0; block < config->block_count; ++block) {
    const shoal::model::AttentionSpec& attention = config->block(block).attention;
    CHECK(attention.heads > 0 && attention.kv_heads > 0);
    CHECK(attention.heads % attention.kv_heads == 0);
    CHECK(attention.head_dim > 0 && attention.head_dim % 2 == 0 && attention.head_dim <= 1024);
    CHECK(attention.window >= 0);
  }
  for (const shoal::model::BlockSpec& kind : config->kinds) {
    for (const shoal::model::WeightSpec& weight : kind.weights) {
      CHECK(weight.rows >= 0 && weight.cols > 0 && !weight.name.empty());
    }
  }
  const std::int64_t head_dim = config->block(0).attention.head_dim;
  const auto table = shoal::model::make_rope_table(config->rope, head_dim, config->max_positions);
  CHECK(std::isfinite(table.attention_factor));
  for (const float frequency : table.inverse_frequency) CHECK(std::isfinite(frequency));
  return 0;
}
