// SPDX-License-Identifier: Apache-2.0
#include "model/block.h"

#include <cmath>
#include <string>

#include "absl/strings/str_cat.h"
#include "base/check.h"
#include "kernels/linear.h"
#include "kernels/rms_norm.h"
#include "kernels/rope.h"

namespace shoal::model {
namespace {

using kernels::MatrixView;
using kernels::WeightView;

// Reads the tensors of one block; keeps the first error.
class Reader {
 public:
  Reader(const Checkpoint& checkpoint, std::int64_t block)
      : checkpoint_(checkpoint), prefix_(absl::StrCat("model.layers.", block, ".")) {}

  WeightView vector(const std::string& name, std::int64_t size) {
    return take(checkpoint_.vector(absl::StrCat(prefix_, name), size));
  }
  // NAME.weight [rows, cols] and, if the model has it, NAME.bias [rows].
  void linear(const std::string& name, std::int64_t rows, std::int64_t cols, bool biased,
              WeightView& weight, WeightView& bias) {
    const std::string weight_name = name + ".weight";
    weight = take(checkpoint_.weight(absl::StrCat(prefix_, weight_name), rows, cols));
    if (biased) bias = vector(name + ".bias", rows);
  }
  const absl::Status& status() const { return status_; }

 private:
  WeightView take(const absl::StatusOr<WeightView>& view) {
    status_.Update(view.status());
    return view.ok() ? *view : WeightView{};
  }

  const Checkpoint& checkpoint_;
  const std::string prefix_;
  absl::Status status_;
};

// The heads of [rows, heads * head_dim] as rows of their own.
MatrixView as_heads(MatrixView x, std::int64_t head_dim) {
  CHECK(x.stride == x.cols && x.cols % head_dim == 0);
  x.rows *= x.cols / head_dim;
  x.cols = x.stride = head_dim;
  return x;
}

}  // namespace

absl::StatusOr<BlockWeights> BlockWeights::load(const ModelConfig& config,
                                                const Checkpoint& checkpoint, std::int64_t block) {
  Reader reader(checkpoint, block);
  const std::int64_t query = config.heads * config.head_dim;
  const std::int64_t key = config.kv_heads * config.head_dim;
  BlockWeights w;
  w.input_norm = reader.vector("input_layernorm.weight", config.hidden);
  reader.linear("self_attn.q_proj", query, config.hidden, config.qkv_bias, w.q, w.q_bias);
  reader.linear("self_attn.k_proj", key, config.hidden, config.qkv_bias, w.k, w.k_bias);
  reader.linear("self_attn.v_proj", key, config.hidden, config.qkv_bias, w.v, w.v_bias);
  reader.linear("self_attn.o_proj", config.hidden, query, config.output_bias, w.output,
                w.output_bias);
  if (config.qk_norm) {
    w.q_norm = reader.vector("self_attn.q_norm.weight", config.head_dim);
    w.k_norm = reader.vector("self_attn.k_norm.weight", config.head_dim);
  }
  w.mlp_norm = reader.vector("post_attention_layernorm.weight", config.hidden);
  reader.linear("mlp.gate_proj", config.intermediate, config.hidden, config.mlp_bias, w.gate,
                w.gate_bias);
  reader.linear("mlp.up_proj", config.intermediate, config.hidden, config.mlp_bias, w.up,
                w.up_bias);
  reader.linear("mlp.down_proj", config.hidden, config.intermediate, config.mlp_bias, w.down,
                w.down_bias);
  w.window = config.sliding_window[static_cast<std::size_t>(block)];
  if (!reader.status().ok()) return reader.status();
  return w;
}

std::size_t BlockWeights::bytes() const {
  std::size_t sum = 0;
  for (const WeightView* view :
       {&input_norm, &q, &q_bias, &k, &k_bias, &v, &v_bias, &output, &output_bias, &q_norm, &k_norm,
        &mlp_norm, &gate, &gate_bias, &up, &up_bias, &down, &down_bias}) {
    if (view->present()) sum += view->bytes();
  }
  return sum;
}

void run_block(kernels::Executor& executor, const BlockLayers& layers, const BlockStep& step,
               const kernels::KvLayout& layout) {
  const std::int64_t rows = step.plan.rows();
  const MatrixView x = step.workspace.x(rows);
  const MatrixView normed = step.workspace.normed(rows);
  const MatrixView q = step.workspace.q(rows);
  const MatrixView k = step.workspace.k(rows);
  const MatrixView v = step.workspace.v(rows);
  kernels::rms_norm(executor, x, layers.input_norm, step.rms_norm_eps, normed);
  const kernels::Projection projections[] = {
      {&layers.q.weight(), q}, {&layers.k.weight(), k}, {&layers.v.weight(), v}};
  kernels::project(executor, normed, projections);
  if (layers.q_norm.present()) {
    const MatrixView q_heads = as_heads(q, layout.head_dim);
    const MatrixView k_heads = as_heads(k, layout.head_dim);
    kernels::rms_norm(executor, q_heads, layers.q_norm, step.rms_norm_eps, q_heads);
    kernels::rms_norm(executor, k_heads, layers.k_norm, step.rms_norm_eps, k_heads);
  }
  kernels::rope(executor, q, layout.head_dim, step.plan);
  kernels::rope(executor, k, layout.head_dim, step.plan);
  kernels::kv_append(executor, k, v, step.pages, layout, step.plan);
  const float scale = static_cast<float>(1.0 / std::sqrt(static_cast<double>(layout.head_dim)));
  kernels::attention(executor, q, step.heads, step.pages, layout, step.plan, scale, layers.window,
                     q);
  kernels::linear(executor, q, layers.output.weight(), x, /*accumulate=*/true);

  const MatrixView gated = step.workspace.gated(rows);
  kernels::rms_norm(executor, x, layers.mlp_norm, step.rms_norm_eps, normed);
  kernels::gate_up(executor, normed, layers.gate.weight(), layers.up.weight(), gated);
  kernels::linear(executor, gated, layers.down.weight(), x, /*accumulate=*/true);
}

}  // namespace shoal::model
