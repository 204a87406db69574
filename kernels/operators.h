// SPDX-License-Identifier: Apache-2.0
// The operators of one device: what is behind each x.h, whose x.cc has checked the arguments. A
// device brings one such table; a new operator is an entry here, its contract in x.h, its checks in
// x.cc. Constant after construction.
#pragma once

#include <cstdint>
#include <optional>
#include <span>

#include "kernels/attention.h"
#include "kernels/linear.h"
#include "kernels/linear_weight.h"
#include "kernels/rotate_append.h"
#include "kernels/step_plan.h"
#include "kernels/tensor.h"

namespace shoal::kernels {

struct Operators {
  void (*linear)(Executor& executor, const ConstMatrixView& x, const LinearWeight& weight,
                 const MatrixView& out, bool accumulate);
  void (*project)(Executor& executor, const ConstMatrixView& x, std::span<const Projection> parts,
                  const InputNorm& norm);
  void (*gate_up)(Executor& executor, const ConstMatrixView& x, const LinearWeight& gate,
                  const LinearWeight& up, const MatrixView& out, const InputNorm& norm);
  std::optional<PackedLinear> (*pack_linear)(Executor& executor, const WeightView& weight,
                                             const WeightView& bias, WeightFormat format);
  std::optional<PackedLinear> (*pack_quantized)(Executor& executor, const QuantizedWeight& weight,
                                                const WeightView& bias);
  void (*rms_norm)(Executor& executor, const ConstMatrixView& x, const WeightView& weight,
                   float eps, const MatrixView& out);
  void (*rotate_append)(Executor& executor, const ProjectedRows& rows, const KvPages& pages,
                        const KvLayout& layout, const StepPlan& plan);
  void (*attention)(Executor& executor, const ConstMatrixView& q, std::int64_t heads,
                    const KvPages& pages, const KvLayout& layout, const StepPlan& plan, float scale,
                    std::int64_t window, const MatrixView& out);
  void (*silu_mul)(Executor& executor, const ConstMatrixView& gate, const ConstMatrixView& up,
                   const MatrixView& out);
  void (*embedding)(Executor& executor, const WeightView& table, std::span<const std::int32_t> ids,
                    const MatrixView& out);
  void (*finite_rows)(Executor& executor, const ConstMatrixView& x, std::uint32_t* finite);
};

}  // namespace shoal::kernels
