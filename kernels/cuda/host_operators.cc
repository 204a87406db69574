// SPDX-License-Identifier: Apache-2.0
#include "kernels/cuda/host_operators.h"

#include <algorithm>
#include <optional>

#include "base/check.h"

namespace shoal::kernels::cuda::host {
namespace {

void check_f32(DType dtype) {
  CHECK(dtype == DType::kF32) << dtype_name(dtype) << " activations on a GPU";
}

Rows rows_of(const MatrixView& view) {
  check_f32(view.dtype);
  return {static_cast<float*>(view.data), view.rows, view.cols, view.stride};
}
ConstRows rows_of(const ConstMatrixView& view) {
  check_f32(view.dtype);
  return {static_cast<const float*>(view.data), view.rows, view.cols, view.stride};
}

Weight weight_of(const LinearWeight& weight) {
  return {weight.format, weight.bias.dtype, weight.rows,
          weight.cols,   weight.values,     weight.bias.present() ? weight.bias.data : nullptr};
}

std::optional<InputNorm> norm_of(const kernels::InputNorm& norm) {
  if (!norm.weight.present()) return std::nullopt;
  return InputNorm{norm.weight.data, norm.weight.dtype, norm.eps, rows_of(norm.room)};
}

Kv kv_of(const KvPages& pages, const KvLayout& layout) {
  return {static_cast<char*>(pages.data),
          pages.dtype,
          pages.stride_bytes,
          layout.kv_heads,
          layout.head_dim,
          layout.key_offset_bytes,
          layout.value_offset_bytes};
}

}  // namespace

void linear(Executor& executor, const ConstMatrixView& x, const LinearWeight& weight,
            const MatrixView& out, bool accumulate) {
  Multiply a{rows_of(x), 1, accumulate, {}};
  a.products[0] = {weight_of(weight), rows_of(out)};
  const CudaExecutor& gpu = of(executor);
  gpu.module().multiply(gpu.context(), &a, nullptr);
}

void project(Executor& executor, const ConstMatrixView& x, std::span<const Projection> parts,
             const kernels::InputNorm& input_norm) {
  const CudaExecutor& gpu = of(executor);
  const auto norm = norm_of(input_norm);
  for (std::size_t first = 0; first < parts.size(); first += kMaxProducts) {
    const std::size_t count = std::min<std::size_t>(kMaxProducts, parts.size() - first);
    Multiply a{rows_of(x), static_cast<int>(count), false, {}};
    for (std::size_t i = 0; i < count; ++i) {
      const Projection& part = parts[first + i];
      a.products[i] = {weight_of(*part.weight), rows_of(part.out)};
    }
    gpu.module().multiply(gpu.context(), &a, norm ? &*norm : nullptr);
  }
}

void gate_up(Executor& executor, const ConstMatrixView& x, const LinearWeight& gate,
             const LinearWeight& up, const MatrixView& out, const kernels::InputNorm& input_norm) {
  const auto norm = norm_of(input_norm);
  const GateUp a{rows_of(x), weight_of(gate), weight_of(up), rows_of(out)};
  const CudaExecutor& gpu = of(executor);
  gpu.module().gate_up(gpu.context(), &a, norm ? &*norm : nullptr);
}

void rms_norm(Executor& executor, const ConstMatrixView& x, const WeightView& weight, float eps,
              const MatrixView& out) {
  const RmsNorm a{rows_of(x), weight.data, weight.dtype, eps, rows_of(out)};
  const CudaExecutor& gpu = of(executor);
  gpu.module().rms_norm(gpu.context(), &a);
}

void rotate_append(Executor& executor, const ProjectedRows& rows, const KvPages& pages,
                   const KvLayout& layout, const StepPlan& plan) {
  const RotateAppend a{rows_of(rows.q),      rows_of(ConstMatrixView(rows.k)),
                       rows_of(rows.v),      rows.q_norm.data,
                       rows.k_norm.data,     rows.q_norm.dtype,
                       rows.k_norm.dtype,    rows.norm_eps,
                       kv_of(pages, layout), plan.tables()};
  const CudaExecutor& gpu = of(executor);
  gpu.module().rotate_append(gpu.context(), &a);
}

void attention(Executor& executor, const ConstMatrixView& q, std::int64_t heads,
               const KvPages& pages, const KvLayout& layout, const StepPlan& plan, float scale,
               std::int64_t window, const MatrixView& out) {
  const Attend a{rows_of(q), heads,  kv_of(pages, layout), plan.tables(),
                 scale,      window, rows_of(out)};
  const CudaExecutor& gpu = of(executor);
  gpu.module().attend(gpu.context(), &a);
}

void silu_mul(Executor& executor, const ConstMatrixView& gate, const ConstMatrixView& up,
              const MatrixView& out) {
  const SiluMul a{rows_of(gate), rows_of(up), rows_of(out)};
  const CudaExecutor& gpu = of(executor);
  gpu.module().silu_mul(gpu.context(), &a);
}

void finite_rows(Executor& executor, const ConstMatrixView& x, std::uint32_t* finite) {
  const FiniteRows a{rows_of(x), finite};
  const CudaExecutor& gpu = of(executor);
  gpu.module().finite_rows(gpu.context(), &a);
}

// Not a part of a step: ids wait in scratch.
void embedding(Executor& executor, const WeightView& table, std::span<const std::int32_t> ids,
               const MatrixView& out) {
  if (ids.empty()) return;
  CudaExecutor& gpu = of(executor);
  std::optional<Buffer> device_ids = gpu.allocate(ids.size_bytes());
  CHECK(device_ids.has_value()) << "no memory for " << ids.size() << " ids";
  gpu.upload(device_ids->data(), ids.data(), ids.size_bytes());
  const Embed a{table.data, table.dtype, static_cast<const std::int32_t*>(device_ids->data()),
                rows_of(out)};
  gpu.module().embed(gpu.context(), &a);
  gpu.synchronize();
}

}  // namespace shoal::kernels::cuda::host
