// SPDX-License-Identifier: Apache-2.0
// A whole model in this process for tests: the ends, which the CPU computes, and the blocks on the
// program's engine (engine.h), cut into any spans.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "model/checkpoint.h"
#include "model/config.h"
#include "model/kv_pool.h"
#include "model/model_ends.h"
#include "model/span_runner.h"

namespace shoal::model {

using Ids = std::vector<std::int32_t>;
using Rows = std::vector<float>;

// KV leases of one generation, one for each span.
struct LocalSession {
  std::vector<KvLease> leases;
};

struct LocalStep {
  LocalSession* session = nullptr;
  std::int64_t start = 0;
  Ids ids;
};

class LocalModel {
 public:
  struct Options {
    std::vector<std::int64_t> cuts;  // span boundaries between 0 and the number of blocks
    int threads = 2;                 // of the engine, or its variant
    bool on_cpu = false;             // the blocks too, whatever the engine is
    std::int64_t positions = 2048;   // of KV in each span
    kernels::KvDType kv_dtype = kernels::KvDType::kF32;
    WeightChoice weights = WeightChoice::kStored;
  };
  // Fails the test and aborts if the model cannot be loaded.
  static std::unique_ptr<LocalModel> load(const std::string& directory, const Options& options);
  static std::unique_ptr<LocalModel> load(const std::string& directory) {
    return load(directory, Options());
  }

  const ModelConfig& config() const { return config_; }
  // NaN, of every type, in all pages; nobody may hold any.
  void poison_pages();
  LocalSession session(std::int64_t max_positions) const;

  // Hidden states after the last block, of all rows of all steps in their order.
  Rows run(const std::vector<LocalStep>& steps);
  Rows run(LocalSession& session, std::int64_t start, const Ids& ids);
  ModelEnds& ends() { return *ends_; }
  const Checkpoint& checkpoint() const { return *checkpoint_; }
  Rows logits(std::span<const float> rows) const;
  // The last row's logits.
  Rows last_logits(std::span<const float> rows) const;

 private:
  LocalModel() = default;

  ModelConfig config_;
  std::unique_ptr<Checkpoint> checkpoint_;
  std::unique_ptr<kernels::Executor> cpu_;
  std::unique_ptr<ModelEnds> ends_;
  std::unique_ptr<kernels::Executor> engine_;  // null: the CPU
  std::vector<std::int64_t> edges_;
  std::vector<std::unique_ptr<SpanRunner>> runners_;
  std::vector<std::unique_ptr<KvPool>> pools_;
};

std::int32_t argmax(std::span<const float> logits);

}  // namespace shoal::model
