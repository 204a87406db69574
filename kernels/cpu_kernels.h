// SPDX-License-Identifier: Apache-2.0
// The inner loops of the CPU operators, one table per instruction set; all tables give bitwise the
// same results. Plain pointers and no standard library: the tables' code is compiled with flags
// that other files must not inherit. Stateless; any thread. Internal to kernels/ and its tests.
#pragma once

#include <cstdint>

#include "kernels/kv_dtype.h"
#include "kernels/portable.h"
#include "kernels/tensor.h"

namespace shoal::kernels {

enum class IsaLevel : std::uint8_t { kBaseline, kAvx2, kAvxVnni, kAvx512, kAvx512Vnni };

// Outputs [row_begin, row_end) x [out_begin, out_end) of x [., k] times weight [., k] transposed.
struct LinearPart {
  const float* x = nullptr;
  std::int64_t x_stride = 0;
  WeightFormat format = WeightFormat::kF32;  // how to read `values`: weight_rows.h
  const void* values = nullptr;
  QuantizedRows quantized;  // x again, for portable formats
  std::int64_t k = 0;
  const void* bias = nullptr;  // [outputs] or null
  DType bias_dtype = DType::kF32;
  float* out = nullptr;  // of row `out_row` and output `out_column`
  std::int64_t out_row = 0, out_column = 0;
  std::int64_t out_stride = 0;
  bool accumulate = false;
  std::int64_t row_begin = 0, row_end = 0;
  std::int64_t out_begin = 0, out_end = 0;
};

// Up to kAttentionRows consecutive rows of one session, and heads that share one kv head.
inline constexpr std::int64_t kAttentionRows = 4;
struct AttentionPart {
  const float* q = nullptr;  // first row, first head of the group
  std::int64_t q_stride = 0;
  float* out = nullptr;  // may be q
  std::int64_t out_stride = 0;
  std::int64_t rows = 0;
  std::int64_t first_position = 0;
  std::int64_t group = 0;
  std::int64_t head_dim = 0;
  const char* pages = nullptr;  // of the pool
  KvDType dtype = KvDType::kF32;
  std::int64_t page_stride_bytes = 0;
  const std::int32_t* table = nullptr;  // the session's pages
  std::int64_t key_offset_bytes = 0;    // of this kv head's tiles inside a page
  std::int64_t value_offset_bytes = 0;
  float scale = 0;
  std::int64_t window = 0;  // 0: all
};

// Products of integers, for which some processors have more than their instruction set otherwise
// says.
struct IntKernels {
  // Portable formats, any number of rows; part.out_begin is a multiple of kTileOutputs.
  void (*linear_portable)(const LinearPart& part);
  // Yardstick: iterations * dot_loop_ops operations in registers.
  std::int32_t (*dot_loop)(std::int64_t iterations, std::int8_t seed);
  std::int64_t dot_loop_ops;
};

struct CpuKernels {
  // Few rows: weights are converted in registers, and read once.
  void (*linear_few)(const LinearPart& part);
  // Many rows: weights are converted once per tile into `scratch` [kLinearScratchFloats], 64-byte
  // aligned.
  void (*linear_many)(const LinearPart& part, float* scratch);
  IntKernels integers;
  void (*quantize_row)(const float* x, std::int64_t k, const QuantizedRows& to, std::int64_t row);
  // w [32, 16]: of each input of a group the weights of 16 outputs.
  void (*pack_group)(const float* w, WeightFormat format, std::uint8_t* to);
  // scratch [attention_scratch_floats(group, head_dim)], 64-byte aligned.
  void (*attention)(const AttentionPart& part, float* scratch);
  // The same in pieces: of each split that the part sees (attention_kernel.h) its states
  // [attention_states_floats(rows * group, head_dim)]; then, from all of them in order, `stride`
  // floats apart, what goes out. tiles [attention_tile_floats].
  void (*attend_split)(const AttentionPart& part, std::int64_t split, float* states, float* tiles);
  void (*merge_attention)(const AttentionPart& part, float* states, std::int64_t stride);
  void (*rms_norm)(const float* x, const void* weight, DType dtype, std::int64_t cols, float eps,
                   float* out);
  void (*silu_mul)(const float* gate, const float* up, std::int64_t count, float* out);
  void (*exp)(const float* x, std::int64_t count, float* out);
  void (*rope)(float* x, std::int64_t heads, std::int64_t head_dim, const float* cos,
               const float* sin);
  void (*to_f32)(const void* from, DType dtype, std::int64_t count, float* to);
  void (*from_f32)(const float* from, DType dtype, std::int64_t count, void* to);
  // x [head_dim] becomes vector `at` of a tile.
  void (*keep_kv)(const float* x, KvDType dtype, std::int64_t head_dim, void* tile,
                  std::int64_t at);
  // Yardsticks: reads `bytes` (a multiple of 512) once; runs iterations * fma_loop_flops operations
  // in registers.
  float (*read)(const void* from, std::int64_t bytes);
  float (*fma_loop)(std::int64_t iterations, float seed);
  std::int64_t fma_loop_flops;
};

// Blocks of linear_many: a part has at most this many rows and outputs.
inline constexpr std::int64_t kBlockRows = 96;
inline constexpr std::int64_t kBlockOuts = 64;
inline constexpr std::int64_t kBlockK = 1024;
// Packed weights and rows of one block of K, then the 16 partial sums of every output of the block
// (the last tiles of outputs may be padded).
inline constexpr std::int64_t kLinearScratchFloats =
    (kBlockOuts + kBlockRows) * kBlockK + kBlockRows * kBlockOuts * 16;

constexpr std::int64_t round_up_16(std::int64_t n) { return (n + 15) / 16 * 16; }
// Keys and values of one tile as f32, where pages are narrower; then, per row and head, the
// weighted values so far, their maximum and their sum: of all splits so far, and of one.
inline constexpr std::int64_t kTilePositions = 32;
inline constexpr std::int64_t kSplitPositions = 256;
constexpr std::int64_t attention_tile_floats(std::int64_t head_dim) {
  return 2 * kTilePositions * head_dim;
}
constexpr std::int64_t attention_state_floats(std::int64_t head_dim) {
  return round_up_16(head_dim) + 16;
}
constexpr std::int64_t attention_states_floats(std::int64_t states, std::int64_t head_dim) {
  return states * attention_state_floats(head_dim);
}
constexpr std::int64_t attention_scratch_floats(std::int64_t group, std::int64_t head_dim) {
  return attention_tile_floats(head_dim) +
         2 * attention_states_floats(kAttentionRows * group, head_dim);
}
// Of gate_up: the outputs of `up` for one block of the gate's.
inline constexpr std::int64_t kUpScratchFloats = kBlockRows * kBlockOuts;
// What a thread of the executor has.
inline constexpr std::int64_t kThreadScratchFloats = kLinearScratchFloats + kUpScratchFloats;

bool isa_supported(IsaLevel level);
const char* isa_name(IsaLevel level);
// The best that this machine has, unless SHOAL_CPU names another; decided once.
IsaLevel isa_chosen();
const CpuKernels& cpu_kernels(IsaLevel level);

extern const CpuKernels kBaselineKernels;
extern const CpuKernels kAvx2Kernels;
extern const CpuKernels kAvx512Kernels;
// In place of those that go with AVX2 and AVX-512.
extern const IntKernels kAvxVnniIntegers;
extern const IntKernels kAvx512VnniIntegers;

}  // namespace shoal::kernels
