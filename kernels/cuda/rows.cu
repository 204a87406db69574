// SPDX-License-Identifier: Apache-2.0
#include "kernels/cuda/launch.cuh"
#include "kernels/cuda/operators.h"
#include "kernels/cuda/rows.cuh"

namespace shoal::kernels::cuda {
namespace {

// CTAs for elements of rows: grids have at most so many in y.
constexpr std::int64_t kMostRows = 65535;

// Calls body(first, rows) for runs of rows.
template <class Body>
void in_runs(std::int64_t rows, const Body& body) {
  for (std::int64_t first = 0; first < rows; first += kMostRows) {
    body(first, rows - first < kMostRows ? rows - first : kMostRows);
  }
}

template <class View>
View rows_from(View view, std::int64_t first) {
  view.data += first * view.stride;
  return view;
}

}  // namespace

void rms_norm(Context& context, const RmsNorm& a) {
  launch(context, {a.x.rows}, kNormThreads, norm_shared_bytes(a.x.cols), &norm_kernel, a);
}

void silu_mul(Context& context, const SiluMul& a) {
  in_runs(a.out.rows, [&](std::int64_t first, std::int64_t rows) {
    launch(context, {ceil_div<std::int64_t>(a.out.cols, kElementThreads), rows}, kElementThreads, 0,
           &silu_mul_kernel,
           SiluMul{rows_from(a.gate, first), rows_from(a.up, first), rows_from(a.out, first)});
  });
}

void embed(Context& context, const Embed& a) {
  in_runs(a.out.rows, [&](std::int64_t first, std::int64_t rows) {
    launch(context, {ceil_div<std::int64_t>(a.out.cols, kElementThreads), rows}, kElementThreads, 0,
           &embed_kernel, Embed{a.table, a.dtype, a.ids + first, rows_from(a.out, first)});
  });
}

void finite_rows(Context& context, const FiniteRows& a) {
  launch(context, {a.x.rows}, kFiniteThreads, 0, &finite_kernel, a);
}

}  // namespace shoal::kernels::cuda
