// SPDX-License-Identifier: Apache-2.0
// Shapes of models that people serve, by name. Sources: the config.json of each on the Hugging
// Face hub.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace shoal::bench {

struct Geometry {
  std::string_view name;
  std::int64_t hidden, heads, kv_heads, head_dim, mlp, blocks;
};

inline constexpr std::array<Geometry, 10> kGeometries = {{
    {"demo", 256, 8, 4, 32, 704, 8},
    {"qwen3-0.6b", 1024, 16, 8, 128, 3072, 28},
    {"tinyllama-1.1b", 2048, 32, 4, 64, 5632, 22},
    {"llama-3.2-1b", 2048, 32, 8, 64, 8192, 16},
    {"llama-3.2-3b", 3072, 24, 8, 128, 8192, 28},
    {"qwen2.5-7b", 3584, 28, 4, 128, 18944, 28},
    {"mistral-7b", 4096, 32, 8, 128, 14336, 32},
    {"llama-3.1-8b", 4096, 32, 8, 128, 14336, 32},
    {"qwen2.5-32b", 5120, 40, 8, 128, 27648, 64},
    {"llama-3.1-70b", 8192, 64, 8, 128, 28672, 80},
}};

// Of the matrices of one block.
constexpr std::int64_t block_weights(const Geometry& g) {
  return g.hidden * g.head_dim * (2 * g.heads + 2 * g.kv_heads) + 3 * g.hidden * g.mlp;
}

std::optional<Geometry> geometry_named(std::string_view name);
std::string geometry_names();  // "demo, qwen3-0.6b, ..."

}  // namespace shoal::bench
