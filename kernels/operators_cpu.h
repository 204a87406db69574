// SPDX-License-Identifier: Apache-2.0
// The CPU's half of every operator: same arguments as the public one, already checked; `executor`
// is a CpuExecutor. Internal to kernels/.
#pragma once

#include "kernels/cpu_executor.h"
#include "kernels/operators.h"

namespace shoal::kernels::cpu {

void linear(Executor& executor, const ConstMatrixView& x, const LinearWeight& weight,
            const MatrixView& out, bool accumulate);
void project(Executor& executor, const ConstMatrixView& x, std::span<const Projection> parts,
             const InputNorm& norm);
void gate_up(Executor& executor, const ConstMatrixView& x, const LinearWeight& gate,
             const LinearWeight& up, const MatrixView& out, const InputNorm& norm);
std::optional<PackedLinear> pack_linear(Executor& executor, const WeightView& weight,
                                        const WeightView& bias, WeightFormat format);
std::optional<PackedLinear> pack_quantized(Executor& executor, const QuantizedWeight& weight,
                                           const WeightView& bias);
void rms_norm(Executor& executor, const ConstMatrixView& x, const WeightView& weight, float eps,
              const MatrixView& out);
void rotate_append(Executor& executor, const ProjectedRows& rows, const KvPages& pages,
                   const KvLayout& layout, const StepPlan& plan);
void attention(Executor& executor, const ConstMatrixView& q, std::int64_t heads,
               const KvPages& pages, const KvLayout& layout, const StepPlan& plan, float scale,
               std::int64_t window, const MatrixView& out);
void silu_mul(Executor& executor, const ConstMatrixView& gate, const ConstMatrixView& up,
              const MatrixView& out);
void embedding(Executor& executor, const WeightView& table, std::span<const std::int32_t> ids,
               const MatrixView& out);
void finite_rows(Executor& executor, const ConstMatrixView& x, std::uint32_t* finite);

// The CPU's operators are only in the CPU executor's table.
inline CpuExecutor& of(Executor& executor) { return static_cast<CpuExecutor&>(executor); }

}  // namespace shoal::kernels::cpu
