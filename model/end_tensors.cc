// SPDX-License-Identifier: Apache-2.0
#include "model/end_tensors.h"

namespace shoal::model {
namespace {

std::string own_or_tied(const ModelConfig& config, const Checkpoint& checkpoint,
                        const std::string& own, const std::string& tied) {
  const bool takes_tied =
      config.tied_embeddings && !checkpoint.contains(own) && checkpoint.contains(tied);
  return takes_tied ? tied : own;
}

}  // namespace

std::string embedding_tensor(const ModelConfig& config, const Checkpoint& checkpoint) {
  return own_or_tied(config, checkpoint, config.names.embedding, config.names.head);
}

std::string head_tensor(const ModelConfig& config, const Checkpoint& checkpoint) {
  return own_or_tied(config, checkpoint, config.names.head, config.names.embedding);
}

std::vector<std::string> tensors_of(const EndParts& parts, const ModelConfig& config,
                                    const Checkpoint& checkpoint) {
  std::vector<std::string> tensors;
  if (parts.embedding) tensors.push_back(embedding_tensor(config, checkpoint));
  if (!parts.head) return tensors;
  const std::string head = head_tensor(config, checkpoint);
  if (tensors.empty() || tensors.front() != head) tensors.push_back(head);
  tensors.push_back(config.names.final_norm);
  return tensors;
}

std::uint64_t bytes_of(const std::vector<std::string>& tensors, const Checkpoint& checkpoint) {
  std::uint64_t bytes = 0;
  for (const std::string& name : tensors) {
    const auto found = checkpoint.tensors().find(name);
    if (found != checkpoint.tensors().end()) bytes += found->second.bytes;
  }
  return bytes;
}

}  // namespace shoal::model
