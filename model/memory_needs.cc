// SPDX-License-Identifier: Apache-2.0
#include "model/memory_needs.h"

#include <algorithm>
#include <functional>
#include <utility>

#include "absl/strings/ascii.h"
#include "kernels/cpu_executor.h"
#include "kernels/mma.h"
#include "kernels/portable.h"
#include "model/checkpoint.h"
#include "model/config.h"
#include "model/tensor_list.h"
#include "model/workspace.h"

namespace shoal::model {
namespace {

// A query projection that is there, as every block has one.
const TensorInfo* any_matrix(const ModelConfig& config, const Checkpoint& checkpoint) {
  const auto& tensors = checkpoint.tensors();
  for (std::int64_t block = config.block_count - 1; block >= 0; --block) {
    const WeightSpec* query = find_weight(config.block(block), BlockWeight::kQuery);
    if (query == nullptr) continue;
    const auto found = tensors.find(block_prefix(config, block) + query->weight_name());
    if (found != tensors.end()) return &found->second;
  }
  return nullptr;
}

std::uint64_t value_bytes(const TensorInfo& tensor) {
  std::uint64_t values = 1;
  for (const std::int64_t dimension : tensor.shape) values *= static_cast<std::uint64_t>(dimension);
  return values == 0 ? sizeof(float) : tensor.bytes / values;
}

std::uint64_t packed_bytes(WeightChoice weights, const TensorSpec& matrix) {
  const std::int64_t rows = matrix.shape[0], cols = matrix.shape[1];
  return weights == WeightChoice::kMma
             ? kernels::mma_bytes(rows, cols)
             : kernels::packed_bytes(format_of(weights, kernels::DType::kF32), rows, cols);
}

// A tensor as it is stored; 0: it is not here.
using StoredBytes = std::function<std::uint64_t(const std::string& tensor)>;

// Of the activations of the widest product, as the executor keeps them.
std::uint64_t quantized_bytes(const ModelConfig& config, std::int64_t batch_rows) {
  std::int64_t row = 0;
  for (const BlockSpec& kind : config.kinds) {
    for (const WeightSpec& weight : kind.weights) {
      if (!weight.is_vector()) row = std::max(row, kernels::quantized_row_bytes(weight.cols));
    }
  }
  return static_cast<std::uint64_t>(std::min(batch_rows * row, kernels::kQuantizedBytes));
}

MemoryNeeds needs_of(const ModelConfig& config, std::uint64_t bytes_a_value,
                     const StoredBytes& stored_bytes, std::int64_t batch_rows,
                     kernels::KvDType kv_dtype, WeightChoice weights) {
  MemoryNeeds needs;
  for (std::int64_t block = 0; block < config.block_count; ++block) {
    std::uint64_t bytes = 0;
    for (const TensorSpec& tensor : block_tensors(config, block)) {
      if (weights != WeightChoice::kStored && tensor.shape.size() == 2) {
        bytes += packed_bytes(weights, tensor);
        continue;
      }
      const std::uint64_t stored = stored_bytes(tensor.name);
      bytes += stored > 0 ? stored : static_cast<std::uint64_t>(tensor.values()) * bytes_a_value;
    }
    needs.block_weight_bytes = std::max(needs.block_weight_bytes, bytes);
  }
  const BlockWidths widths = widths_of(config.block(0));
  const AttentionSpec& attention = config.block(0).attention;
  needs.block_position_kv_bytes = static_cast<std::uint64_t>(
      kernels::kv_position_bytes(kv_dtype, attention.kv_heads, attention.head_dim));
  // Beside the runner's own, the rows as they came and as they go.
  needs.workspace_bytes =
      Workspace::bytes(config.hidden, widths, batch_rows) +
      static_cast<std::uint64_t>(2 * batch_rows * config.hidden) * sizeof(float);
  needs.packed = weights != WeightChoice::kStored;
  if (is_portable(weights)) needs.workspace_bytes += quantized_bytes(config, batch_rows);
  return needs;
}

}  // namespace

MemoryNeeds memory_needs(const ModelConfig& config, const Checkpoint& checkpoint,
                         std::int64_t batch_rows, kernels::KvDType kv_dtype, WeightChoice weights) {
  const TensorInfo* const stored = any_matrix(config, checkpoint);
  const auto& tensors = checkpoint.tensors();
  return needs_of(
      config, stored == nullptr ? sizeof(float) : value_bytes(*stored),
      [&](const std::string& name) {
        const auto found = tensors.find(name);
        return found != tensors.end() ? found->second.bytes : std::uint64_t{0};
      },
      batch_rows, kv_dtype, weights);
}

MemoryNeeds memory_needs(const ModelConfig& config, std::uint64_t bytes_a_value,
                         std::int64_t batch_rows, kernels::KvDType kv_dtype, WeightChoice weights) {
  return needs_of(
      config, bytes_a_value, [](const std::string&) { return std::uint64_t{0}; }, batch_rows,
      kv_dtype, weights);
}

EndNeeds end_needs(const ModelConfig& config, const Checkpoint& checkpoint, const EndParts& parts,
                   WeightChoice head, std::int64_t rows) {
  EndNeeds needs;
  if (parts.embedding) {
    needs.embedding_bytes =
        bytes_of(tensors_of({.embedding = true}, config, checkpoint), checkpoint);
  }
  if (!parts.head) return needs;
  const std::uint64_t logits = static_cast<std::uint64_t>(rows * config.vocabulary) * sizeof(float);
  if (head == WeightChoice::kStored) {
    needs.head_bytes =
        bytes_of(tensors_of(parts, config, checkpoint), checkpoint) - needs.embedding_bytes;
    needs.own_bytes = logits;
  } else {
    needs.head_bytes = kernels::packed_bytes(format_of(head, kernels::DType::kF32),
                                             config.vocabulary, config.hidden);
    needs.own_bytes = needs.head_bytes + logits;
  }
  needs.head_bytes += logits;
  return needs;
}

std::uint64_t EndNeeds::all_bytes() const { return embedding_bytes + head_bytes; }

std::string stored_type(const ModelConfig& config, const Checkpoint& checkpoint) {
  const TensorInfo* const stored = any_matrix(config, checkpoint);
  return stored == nullptr ? "f32" : absl::AsciiStrToLower(stored->dtype);
}

}  // namespace shoal::model
