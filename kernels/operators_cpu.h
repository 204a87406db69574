// SPDX-License-Identifier: Apache-2.0
// The CPU's half of every operator: same arguments as the public one, already checked. Internal to
// kernels/.
#pragma once

#include <cstdint>
#include <span>

#include "kernels/attention.h"
#include "kernels/cpu_executor.h"
#include "kernels/tensor.h"

namespace shoal::kernels::cpu {

void linear(CpuExecutor& executor, ConstMatrixView x, WeightView weight, WeightView bias,
            MatrixView out, bool accumulate);
void rms_norm(CpuExecutor& executor, ConstMatrixView x, WeightView weight, float eps,
              MatrixView out);
void rope(CpuExecutor& executor, MatrixView x, std::int64_t head_dim,
          std::span<const std::int32_t> positions, std::span<const float> inverse_frequency,
          float attention_factor);
void kv_append(CpuExecutor& executor, ConstMatrixView keys, ConstMatrixView values, KvLayout layout,
               std::span<const AttentionSequence> sequences);
void attention(CpuExecutor& executor, ConstMatrixView q, std::int64_t heads, KvLayout layout,
               std::span<const AttentionSequence> sequences, float scale, std::int64_t window,
               MatrixView out);
void silu_mul(CpuExecutor& executor, ConstMatrixView gate, ConstMatrixView up, MatrixView out);
void add(CpuExecutor& executor, ConstMatrixView y, MatrixView x);
void embedding(CpuExecutor& executor, WeightView table, std::span<const std::int32_t> ids,
               MatrixView out);

}  // namespace shoal::kernels::cpu
