// SPDX-License-Identifier: Apache-2.0
#include "model/wanted.h"

#include <algorithm>
#include <charconv>
#include <string>
#include <utility>

#include "absl/container/flat_hash_set.h"
#include "model/tensor_list.h"

namespace shoal::model {
namespace {

constexpr std::string_view kLayers = "model.layers.";

// -1: of none
std::int64_t block_number(std::string_view tensor) {
  if (!tensor.starts_with(kLayers)) return -1;
  tensor.remove_prefix(kLayers.size());
  std::int64_t block = -1;
  const auto [end, error] = std::from_chars(tensor.data(), tensor.data() + tensor.size(), block);
  const auto used = static_cast<std::size_t>(end - tensor.data());
  return error == std::errc() && used < tensor.size() && tensor[used] == '.' ? block : -1;
}

}  // namespace

Wanted wants_all() {
  return [](std::string_view) { return true; };
}

Wanted wants_ends() {
  return [](std::string_view tensor) {
    return tensor == "model.embed_tokens.weight" || tensor == "model.norm.weight" ||
           tensor == "lm_head.weight";
  };
}

Wanted wants_blocks(std::int64_t begin, std::int64_t end) {
  return [begin, end](std::string_view tensor) {
    const std::int64_t block = block_number(tensor);
    return begin <= block && block < end && block >= 0;
  };
}

Wanted wants_blocks(std::int64_t begin, std::int64_t end, std::vector<std::string> others) {
  return [blocks = wants_blocks(begin, end), others = std::move(others)](std::string_view tensor) {
    return blocks(tensor) || std::ranges::find(others, tensor) != others.end();
  };
}

std::vector<BlockRun> held_blocks(const ModelConfig& config, const WeightFiles& files) {
  const std::vector<std::string> held = files.held_tensors();
  const absl::flat_hash_set<std::string> names(held.begin(), held.end());
  std::vector<BlockRun> runs;
  for (std::int64_t block = 0; block < config.block_count; ++block) {
    bool complete = true;
    for (const TensorSpec& tensor : block_tensors(config, block)) {
      complete = complete && names.contains(tensor.name);
    }
    if (!complete) continue;
    if (!runs.empty() && runs.back().second == block) {
      ++runs.back().second;
    } else {
      runs.emplace_back(block, block + 1);
    }
  }
  return runs;
}

}  // namespace shoal::model
