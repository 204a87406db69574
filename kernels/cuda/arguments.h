// SPDX-License-Identifier: Apache-2.0
// What the operators of a GPU are given: plain structs of addresses of the device, read by the host
// code of both sides and by kernels. All activations are f32. Shapes are those of the public
// operators (kernels/linear.h and its like), which have checked them.
#pragma once

#include <cstdint>

#include "kernels/kv_dtype.h"
#include "kernels/step_tables.h"
#include "kernels/tensor.h"

namespace shoal::kernels::cuda {

// [rows, cols], rows `stride` values apart.
struct Rows {
  float* data;
  std::int64_t rows, cols, stride;
};
struct ConstRows {
  const float* data;
  std::int64_t rows, cols, stride;
};

// As pack_stored, pack_portable or pack_mma made it: [rows] outputs of [cols] inputs.
struct Weight {
  WeightFormat format;
  DType bias_dtype;
  std::int64_t rows, cols;
  const void* values;
  const void* bias;  // [rows] or null
};

// out[i] = x . weight[i] + bias, for up to kMaxProducts layers with one x.
inline constexpr int kMaxProducts = 3;
struct Product {
  Weight weight;
  Rows out;
};
struct Multiply {
  ConstRows x;
  int count;
  bool accumulate;  // out += instead
  Product products[kMaxProducts];
};

// In front of a product, which is of the norm of x then. room: as large as x, for the device to
// use.
struct InputNorm {
  const void* weight;  // [cols of x]
  DType dtype;
  float eps;
  Rows room;
};

// out = silu(gate) * up.
struct GateUp {
  ConstRows x;
  Weight gate, up;
  Rows out;
};

// Stored values [rows, cols] of the device, row-major, into the order of stored_layout.h.
struct PackStored {
  const void* from;
  DType dtype;
  std::int64_t rows, cols;
  void* to;
};
// The same into a portable format: the bytes of kernels/portable.h.
struct PackPortable {
  const void* from;
  DType dtype;
  std::int64_t rows, cols;
  WeightFormat format;
  void* to;
};

// Stored bf16 or f16 values into the order of kernels/mma.h.
struct PackMma {
  const std::uint16_t* from;
  std::int64_t rows, cols;
  void* to;
};

struct RmsNorm {
  ConstRows x;
  const void* weight;
  DType weight_dtype;
  float eps;
  Rows out;
};

// kernels/kv_pages.h: pages of the pool, and where a block's tiles lie in each.
struct Kv {
  char* pages;
  KvDType dtype;
  std::int64_t stride_bytes, kv_heads, head_dim, key_offset_bytes, value_offset_bytes;
};

// Norms of heads [head_dim]; null: none.
struct RotateAppend {
  Rows q;
  ConstRows keys, values;
  const void* q_norm;
  const void* k_norm;
  DType q_norm_dtype, k_norm_dtype;
  float norm_eps;
  Kv kv;
  StepTables step;
};

struct Attend {
  ConstRows q;
  std::int64_t heads;
  Kv kv;
  StepTables step;
  float scale;
  std::int64_t window;  // 0: all
  Rows out;
};

struct SiluMul {
  ConstRows gate, up;
  Rows out;
};

struct Embed {
  const void* table;
  DType dtype;
  const std::int32_t* ids;  // [out.rows]
  Rows out;
};

struct FiniteRows {
  ConstRows x;
  std::uint32_t* finite;  // [x.rows]: 1 or 0
};

}  // namespace shoal::kernels::cuda
