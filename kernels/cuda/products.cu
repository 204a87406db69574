// SPDX-License-Identifier: Apache-2.0
// Hands products to the kernels of their formats.
#include "kernels/cuda/operators.h"
#include "kernels/cuda/products.h"

namespace shoal::kernels::cuda {
namespace {

bool one_format(const Multiply& a) {
  for (int i = 1; i < a.count; ++i) {
    if (a.products[i].weight.format != a.products[0].weight.format) return false;
  }
  return true;
}

void multiply_alike(Context& context, const Multiply& a, const InputNorm* norm) {
  if (is_portable(a.products[0].weight.format)) {
    multiply_portable(context, a, norm);
  } else if (is_mma(a.products[0].weight.format)) {
    Multiply of_normed = a;
    if (norm != nullptr) of_normed.x = normed_rows(context, a.x, *norm);
    multiply_mma(context, of_normed);
  } else {
    multiply_stored(context, a, norm);
  }
}

// Gate and up of different formats: `up` waits in scratch, for as many rows as it has room for.
void gate_up_apart(Context& context, const GateUp& a) {
  auto* const waiting = static_cast<float*>(context.partial.data);
  const std::int64_t room =
      static_cast<std::int64_t>(context.partial.bytes / sizeof(float)) / a.out.cols;
  for (std::int64_t first = 0; first < a.x.rows; first += room) {
    const std::int64_t rows = a.x.rows - first < room ? a.x.rows - first : room;
    const ConstRows x{a.x.data + first * a.x.stride, rows, a.x.cols, a.x.stride};
    const Rows out{a.out.data + first * a.out.stride, rows, a.out.cols, a.out.stride};
    const Rows up{waiting, rows, a.out.cols, a.out.cols};
    multiply_alike(context, {x, 1, false, {{a.up, up}}}, nullptr);
    multiply_alike(context, {x, 1, false, {{a.gate, out}}}, nullptr);
    silu_mul(context,
             {{out.data, rows, out.cols, out.stride}, {up.data, rows, up.cols, up.stride}, out});
  }
}

}  // namespace

ConstRows normed_rows(Context& context, const ConstRows& x, const InputNorm& norm) {
  rms_norm(context, {x, norm.weight, norm.dtype, norm.eps, norm.room});
  return {norm.room.data, norm.room.rows, norm.room.cols, norm.room.stride};
}

void multiply(Context& context, const Multiply& a, const InputNorm* norm) {
  Multiply alike{a.x, 0, a.accumulate, {}};
  if (norm != nullptr && !one_format(a)) {
    alike.x = normed_rows(context, a.x, *norm);
    norm = nullptr;
  }
  for (int i = 0; i < a.count; ++i) {
    alike.products[alike.count++] = a.products[i];
    const bool ends =
        i + 1 == a.count || a.products[i + 1].weight.format != a.products[i].weight.format;
    if (!ends) continue;
    multiply_alike(context, alike, norm);
    alike.count = 0;
  }
}

void gate_up(Context& context, const GateUp& a, const InputNorm* norm) {
  if (a.gate.format != a.up.format) {
    GateUp of_normed = a;
    if (norm != nullptr) of_normed.x = normed_rows(context, a.x, *norm);
    gate_up_apart(context, of_normed);
  } else if (is_portable(a.gate.format)) {
    gate_up_portable(context, a, norm);
  } else if (is_mma(a.gate.format)) {
    GateUp of_normed = a;
    if (norm != nullptr) of_normed.x = normed_rows(context, a.x, *norm);
    gate_up_mma(context, of_normed);
  } else {
    gate_up_stored(context, a, norm);
  }
}

}  // namespace shoal::kernels::cuda
