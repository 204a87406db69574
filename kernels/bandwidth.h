// SPDX-License-Identifier: Apache-2.0
// Yardsticks: what this machine can do, measured now, so that benchmarks print ratios and people
// see what to expect. Nothing is decided by them.
#pragma once

#include <cstdint>
#include <span>

#include "kernels/cpu_executor.h"

namespace shoal::kernels {

// Bytes per second of the best of `repeats` passes in which all threads read a buffer of `bytes`
// once.
double measure_read_bandwidth(CpuExecutor& executor, std::int64_t bytes, int repeats);

// Of a device with memory of its own: bytes read and written per second of the best of `repeats`
// copies of `bytes` within it, each written byte counted as one that was read. 0 where there is no
// room for two such buffers.
double measure_copy_bandwidth(Executor& executor, std::int64_t bytes, int repeats);

// Seconds of one such pass over `data`, whose size must be a multiple of 64 KiB.
double time_read(CpuExecutor& executor, std::span<const float> data);

// f32 fused multiply-adds from registers, two operations each, on all threads: FLOP per second,
// best of `repeats`.
double measure_fma_peak(CpuExecutor& executor, int repeats);

// Exact products of int8 summed in int32, from registers, two operations each, likewise.
double measure_int_dot_peak(CpuExecutor& executor, int repeats);

}  // namespace shoal::kernels
