// SPDX-License-Identifier: Apache-2.0
#include "model/block_weights.h"

#include <array>
#include <string>

#include "base/check.h"
#include "model/tensor_list.h"

namespace shoal::model {
namespace {

using kernels::WeightView;

// Where a weight is kept.
struct Member {
  BlockWeight role;
  WeightView BlockWeights::*weight;
  WeightView BlockWeights::*bias = nullptr;  // null: this weight never has one
};
constexpr std::array<Member, kBlockWeights> kMembers = {{
    {BlockWeight::kAttentionNorm, &BlockWeights::input_norm},
    {BlockWeight::kQuery, &BlockWeights::q, &BlockWeights::q_bias},
    {BlockWeight::kKey, &BlockWeights::k, &BlockWeights::k_bias},
    {BlockWeight::kValue, &BlockWeights::v, &BlockWeights::v_bias},
    {BlockWeight::kAttentionOutput, &BlockWeights::output, &BlockWeights::output_bias},
    {BlockWeight::kQueryNorm, &BlockWeights::q_norm},
    {BlockWeight::kKeyNorm, &BlockWeights::k_norm},
    {BlockWeight::kMlpNorm, &BlockWeights::mlp_norm},
    {BlockWeight::kGate, &BlockWeights::gate, &BlockWeights::gate_bias},
    {BlockWeight::kUp, &BlockWeights::up, &BlockWeights::up_bias},
    {BlockWeight::kDown, &BlockWeights::down, &BlockWeights::down_bias},
}};

const Member& member_of(const WeightSpec& spec) {
  for (const Member& member : kMembers) {
    if (member.role == spec.role) {
      CHECK(!spec.bias || member.bias != nullptr) << spec.name << " has no place for a bias";
      return member;
    }
  }
  CHECK(false) << "no place for " << spec.name;
  return kMembers.front();
}

}  // namespace

absl::StatusOr<BlockWeights> BlockWeights::load(const ModelConfig& config,
                                                const Checkpoint& checkpoint, std::int64_t block) {
  const std::string prefix = block_prefix(config, block);
  BlockWeights weights;
  const auto take = [&](WeightView BlockWeights::*member, absl::StatusOr<WeightView> view) {
    if (view.ok()) weights.*member = *view;
    return view.status();
  };
  for (const WeightSpec& spec : config.block(block).weights) {
    const Member& member = member_of(spec);
    const std::string name = prefix + spec.weight_name();
    absl::Status taken =
        take(member.weight, spec.is_vector() ? checkpoint.vector(name, spec.cols)
                                             : checkpoint.weight(name, spec.rows, spec.cols));
    if (taken.ok() && spec.bias) {
      taken = take(member.bias, checkpoint.vector(prefix + spec.bias_name(), spec.rows));
    }
    if (!taken.ok()) return taken;
  }
  return weights;
}

std::size_t BlockWeights::bytes() const {
  std::size_t sum = 0;
  for (const Member& member : kMembers) {
    sum += (this->*member.weight).bytes();
    if (member.bias != nullptr) sum += (this->*member.bias).bytes();
  }
  return sum;
}

}  // namespace shoal::model
