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
  CHECK(config->heads > 0 && config->kv_heads > 0 && config->heads % config->kv_heads == 0);
  CHECK(config->head_dim > 0 && config->head_dim % 2 == 0 && config->head_dim <= 1024);
  CHECK(static_cast<std::int64_t>(config->sliding_window.size()) == config->block_count);
  for (const std::int64_t window : config->sliding_window) CHECK(window >= 0);
  const auto table =
      shoal::model::make_rope_table(config->rope, config->head_dim, config->max_positions);
  CHECK(std::isfinite(table.attention_factor));
  for (const float frequency : table.inverse_frequency) CHECK(std::isfinite(frequency));
  return 0;
}
