// SPDX-License-Identifier: Apache-2.0
// One kind of block as pure data: its mathematics, and for each of its weights the tensor that
// holds it. A family (model/families/) writes it; what loads, counts, checks or runs a block reads
// it and knows no family.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <variant>
#include <vector>

namespace shoal::model {

// What a weight is to the mathematics.
enum class BlockWeight : std::uint8_t {
  kAttentionNorm,
  kQuery,
  kKey,
  kValue,
  kAttentionOutput,
  kQueryNorm,  // of each head
  kKeyNorm,
  kMlpNorm,
  kGate,
  kUp,
  kDown,
};
inline constexpr std::size_t kBlockWeights = static_cast<std::size_t>(BlockWeight::kDown) + 1;

// The tensor NAME.weight and, if there is a bias, NAME.bias [rows].
struct WeightSpec {
  BlockWeight role = BlockWeight::kAttentionNorm;
  std::string name;       // within the block: "self_attn.q_proj"
  std::int64_t rows = 0;  // 0: a vector [cols]
  std::int64_t cols = 0;
  bool bias = false;

  bool is_vector() const { return rows == 0; }
  std::string weight_name() const { return name + ".weight"; }
  std::string bias_name() const { return name + ".bias"; }
};

// softmax(q k / sqrt(head_dim)) v, after rotation; q and k are normed first where they have norms.
struct AttentionSpec {
  std::int64_t heads = 0;
  std::int64_t kv_heads = 0;
  std::int64_t head_dim = 0;
  std::int64_t window = 0;  // sliding window, 0: none
};

// down(silu(gate(x)) * up(x))
struct DenseMlp {
  std::int64_t intermediate = 0;
};

// x += attention(norm(x)); x += mlp(norm(x))
struct BlockSpec {
  float norm_eps = 1e-6f;  // of all norms in the block
  AttentionSpec attention;
  std::variant<DenseMlp> mlp;
  std::vector<WeightSpec> weights;  // in the order of their use; the only list of a block's tensors
};

// Values of one row between the operators of a block.
struct BlockWidths {
  std::int64_t query = 0;  // heads * head_dim
  std::int64_t key = 0;    // kv_heads * head_dim, also of values
  std::int64_t mlp = 0;    // of gate, and of up

  bool operator==(const BlockWidths&) const = default;
};
BlockWidths widths_of(const BlockSpec& spec);

// The weight of this role, or nullptr when the block has none.
const WeightSpec* find_weight(const BlockSpec& spec, BlockWeight role);

// At which position attention has as many multiplications as all the rest of a row.
double attention_positions(const BlockSpec& spec);

}  // namespace shoal::model
