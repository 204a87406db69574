// SPDX-License-Identifier: Apache-2.0
// The ends of a model that a node serves beside its span: the embedding before the first block, the
// head after the last. They compute on the CPU, also beside a GPU, each with an executor of its
// own: the device thread embeds, the head's thread scores. Owns the executors and a packed head.
#pragma once

#include <cstdint>
#include <memory>
#include <string>

#include "absl/status/statusor.h"
#include "kernels/executor.h"
#include "model/checkpoint.h"
#include "model/config.h"
#include "model/end_tensors.h"
#include "model/file_work.h"
#include "model/model_ends.h"
#include "model/weight_choice.h"
#include "proto/offer.h"

namespace shoal::node {

// How a node keeps its head, whose blocks are kept so: the client's own rule (docs/client.md).
model::WeightChoice head_choice(model::WeightChoice blocks);

// How it is told: the type in which the head is stored, or q8. kUnknown: its type has no name.
proto::WeightFormat head_format(const model::ModelConfig& config,
                                const model::Checkpoint& checkpoint, model::WeightChoice head);

class SpanEnds {
 public:
  struct Options {
    model::EndParts parts;
    model::WeightChoice head = model::WeightChoice::kStored;
    int threads = 0;  // of the head; 0: one per available core
    model::FileWork packing = {};
  };
  // `config` and `checkpoint` must outlive it.
  static absl::StatusOr<std::unique_ptr<SpanEnds>> load(const model::ModelConfig& config,
                                                        const model::Checkpoint& checkpoint,
                                                        const Options& options);

  const model::ModelEnds* embedding() const { return embedding_.get(); }  // null: not served
  const model::ModelEnds* head() const { return head_.get(); }
  std::int64_t hidden() const { return hidden_; }
  std::int64_t vocabulary() const { return vocabulary_; }
  // One row through the head, which faults it in; microseconds. INVALID_ARGUMENT when it computes
  // what is not finite.
  absl::StatusOr<double> warm_up() const;
  // Whether the files that they are read from are still what they were.
  absl::Status check() const { return checkpoint_->check(); }

 private:
  SpanEnds() = default;

  std::unique_ptr<kernels::Executor> embedding_executor_, head_executor_;
  std::unique_ptr<model::ModelEnds> embedding_, head_;
  const model::Checkpoint* checkpoint_ = nullptr;
  std::int64_t hidden_ = 0, vocabulary_ = 0;
};

}  // namespace shoal::node
