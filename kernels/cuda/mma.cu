// SPDX-License-Identifier: Apache-2.0
// Products on float tensor cores: which kernel for which number of rows. No choice here changes a
// bit: kernels/mma.h.
#include "base/check.h"
#include "kernels/cuda/launch.cuh"
#include "kernels/cuda/mma_few.cuh"
#include "kernels/cuda/mma_many.cuh"
#include "kernels/cuda/mma_pack.cuh"
#include "kernels/cuda/operators.h"
#include "kernels/cuda/products.h"

namespace shoal::kernels::cuda {
namespace {

// What a launch computes: products of one x, or gate and up.
struct MmaJob {
  ConstRows x;
  int count;
  bool accumulate, gated;
  const Product* products;
};

// Where four_inputs reads 16 bytes at once.
bool lies_aligned(const ConstRows& x) {
  return reinterpret_cast<std::uintptr_t>(x.data) % 16 == 0 && x.stride % 4 == 0;
}

// Products whose CTAs have so many tiles of outputs, of rows from `row` on; the CTAs in all.
struct MmaLaid {
  MmaProducts arguments;
  int ctas;
};
MmaLaid lay_mma(const MmaJob& job, const ConstRows& x, std::int64_t row, const uint4* packed,
                int tiles) {
  const int outputs = (job.gated ? tiles / 2 : tiles) * kTileOuts;
  MmaLaid laid{{x,
                lies_aligned(x),
                packed,
                static_cast<int>(mma_runs(x.cols)),
                job.accumulate,
                job.gated,
                {}},
               0};
  for (int i = 0; i < kMaxProducts; ++i) {
    const Product& from = job.products[i < job.count ? i : 0];
    const int own = static_cast<int>(from.weight.rows);
    if (i < (job.gated ? 1 : job.count)) laid.ctas += ceil_div(own, outputs);
    laid.arguments.products[i] = {static_cast<const uint4*>(from.weight.values),
                                  from.weight.bias,
                                  from.weight.bias_dtype,
                                  own,
                                  from.out.data + row * from.out.stride,
                                  from.out.stride,
                                  laid.ctas};
  }
  return laid;
}

// x rounded and packed, in the context's scratch.
uint4* rounded_rows(Context& context, const ConstRows& x) {
  auto* const to = static_cast<uint4*>(context.quantized.data);
  const int runs = static_cast<int>(mma_runs(x.cols));
  launch(
      context,
      {ceil_div(runs * kRunRowPieces, kMmaPackThreads), ceil_div<std::int64_t>(x.rows, kMmaRows)},
      kMmaPackThreads, 0, &round_rows_kernel, RoundRows{x, lies_aligned(x), runs, to});
  return to;
}

template <int kRowTiles, int kTiles>
void run_mma_few(Context& context, const MmaJob& job, const uint4* packed) {
  using Shape = MmaFewShape<kRowTiles, kTiles>;
  const MmaLaid laid = lay_mma(job, job.x, 0, packed, kTiles);
  // As many warps as take equally many segments each.
  const int segments = ceil_div(laid.arguments.runs * kMmaRunSteps, kSegmentSteps);
  const int warps = ceil_div(segments, ceil_div(segments, kMmaFewWarps));
  launch(context, {laid.ctas}, warps * 32,
         static_cast<std::size_t>(Shape::kResults) * sizeof(float) *
             static_cast<std::size_t>(warps + 1),
         &mma_few_kernel<kRowTiles, kTiles>, laid.arguments);
}

template <int kOutWarps, int kRowWarps>
bool fills_the_device(const Context& context, const MmaJob& job, const ConstRows& x) {
  using Shape = MmaManyShape<kOutWarps, kRowWarps>;
  return Shape::kSharedBytes <= static_cast<int>(context.most_shared) &&
         ceil_div<std::int64_t>(x.rows, Shape::kRows) *
                 lay_mma(job, x, 0, nullptr, Shape::kTiles).ctas >=
             context.multiprocessors;
}

template <int kOutWarps, int kRowWarps>
void launch_mma_many(Context& context, const MmaJob& job, const ConstRows& x, std::int64_t row,
                     const uint4* packed) {
  using Shape = MmaManyShape<kOutWarps, kRowWarps>;
  const MmaLaid laid = lay_mma(job, x, row, packed, Shape::kTiles);
  launch(context, {ceil_div<std::int64_t>(x.rows, Shape::kRows), laid.ctas}, Shape::kWarps * 32,
         static_cast<std::size_t>(Shape::kSharedBytes), &mma_many_kernel<kOutWarps, kRowWarps>,
         laid.arguments);
}

void run_mma_many(Context& context, const MmaJob& job) {
  constexpr std::int64_t kWideRows = MmaManyShape<2, 4>::kRows;
  constexpr std::int64_t kMostTiles = 65528;  // of rows: a grid has no more in y
  const auto tile_bytes =
      static_cast<std::size_t>(mma_runs(job.x.cols)) * std::size_t{kRunRowPieces} * sizeof(uint4);
  const auto room = static_cast<std::int64_t>(context.quantized.bytes / tile_bytes);
  const std::int64_t most = (room < kMostTiles ? room : kMostTiles) * kMmaRows;
  CHECK(most > 0) << "rows of " << job.x.cols;
  const std::int64_t at_once = most > kWideRows ? most / kWideRows * kWideRows : most;
  for (std::int64_t row = 0; row < job.x.rows; row += at_once) {
    const std::int64_t left = job.x.rows - row;
    const ConstRows x{job.x.data + row * job.x.stride, left < at_once ? left : at_once, job.x.cols,
                      job.x.stride};
    const uint4* const packed = rounded_rows(context, x);
    // Wide CTAs read less from the second cache, where there are enough of them.
    if (fills_the_device<2, 4>(context, job, x)) {
      launch_mma_many<2, 4>(context, job, x, row, packed);
    } else {
      launch_mma_many<1, 2>(context, job, x, row, packed);
    }
  }
}

void run_mma(Context& context, const MmaJob& job) {
  const std::int64_t rows = job.x.rows;
  if (rows == 0) return;
  if (rows <= kMmaRows) {
    const int ctas = lay_mma(job, job.x, 0, nullptr, 2).ctas;
    if (!job.gated && ctas < context.multiprocessors) {
      return run_mma_few<1, 1>(context, job, nullptr);
    }
    return run_mma_few<1, 2>(context, job, nullptr);
  }
  if (rows <= 2 * kMmaRows) return run_mma_few<2, 2>(context, job, rounded_rows(context, job.x));
  if (rows <= 4 * kMmaRows) return run_mma_few<4, 4>(context, job, rounded_rows(context, job.x));
  run_mma_many(context, job);
}

}  // namespace

void multiply_mma(Context& context, const Multiply& a) {
  run_mma(context, {a.x, a.count, a.accumulate, false, a.products});
}

void gate_up_mma(Context& context, const GateUp& a) {
  const Product products[2] = {{a.gate, a.out}, {a.up, a.out}};
  run_mma(context, {a.x, 2, false, true, products});
}

void pack_mma(Context& context, const PackMma& a) {
  const std::int64_t pieces = mma_runs(a.cols) * kRunWeightPieces;
  launch(context, {ceil_div(a.rows, kMmaOutputs), ceil_div<std::int64_t>(pieces, kMmaPackThreads)},
         kMmaPackThreads, 0, &pack_mma_kernel, a);
}

}  // namespace shoal::kernels::cuda
