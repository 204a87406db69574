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
// x as kernels that take it rounded have it; nothing where they do not.
struct RoundedRows {
  const uint4* packed = nullptr;
  const float* scales = nullptr;
};
MmaLaid lay_mma(const MmaJob& job, const ConstRows& x, std::int64_t row, const RoundedRows& rounded,
                int tiles) {
  const int outputs = (job.gated ? tiles / 2 : tiles) * kTileOuts;
  MmaLaid laid{{x,
                lies_aligned(x),
                rounded.packed,
                rounded.scales,
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

bool is_f16_job(const MmaJob& job) {
  return job.products[0].weight.format == WeightFormat::kMmaF16;
}

// x rounded and packed, in the context's scratch.
RoundedRows round_rows(Context& context, const MmaJob& job, const ConstRows& x) {
  const int runs = static_cast<int>(mma_runs(x.cols));
  const std::int64_t tiles = ceil_div<std::int64_t>(x.rows, kMmaRows);
  auto* const to = static_cast<uint4*>(context.quantized.data);
  auto* const scales = reinterpret_cast<float*>(to + tiles * runs * kRunRowPieces);
  const RoundRows a{x, lies_aligned(x), runs, to, scales};
  if (is_f16_job(job)) {
    launch(context, {tiles}, kMmaPackThreads, kMmaRows * (kMmaPackThreads / 32) * sizeof(float),
           &scale_rows_kernel, a);
    return {to, scales};
  }
  launch(context, {ceil_div(runs * kRunRowPieces, kMmaPackThreads), tiles}, kMmaPackThreads, 0,
         &round_rows_kernel, a);
  return {to, nullptr};
}

template <int kRowTiles, int kTiles>
void run_mma_few(Context& context, const MmaJob& job, const RoundedRows& rounded) {
  using Shape = MmaFewShape<kRowTiles, kTiles>;
  const MmaLaid laid = lay_mma(job, job.x, 0, rounded, kTiles);
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
                 lay_mma(job, x, 0, {}, Shape::kTiles).ctas >=
             context.multiprocessors;
}

template <int kOutWarps, int kRowWarps>
void launch_mma_many(Context& context, const MmaJob& job, const ConstRows& x, std::int64_t row,
                     const RoundedRows& rounded) {
  using Shape = MmaManyShape<kOutWarps, kRowWarps>;
  const MmaLaid laid = lay_mma(job, x, row, rounded, Shape::kTiles);
  launch(context, {ceil_div<std::int64_t>(x.rows, Shape::kRows), laid.ctas}, Shape::kWarps * 32,
         static_cast<std::size_t>(Shape::kSharedBytes), &mma_many_kernel<kOutWarps, kRowWarps>,
         laid.arguments);
}

void run_mma_many(Context& context, const MmaJob& job) {
  constexpr std::int64_t kWideRows = MmaManyShape<2, 4>::kRows;
  constexpr std::int64_t kMostTiles = 65528;  // of rows: a grid has no more in y
  const auto tile_bytes =
      static_cast<std::size_t>(mma_runs(job.x.cols)) * std::size_t{kRunRowPieces} * sizeof(uint4) +
      kMmaRows * sizeof(float);
  const auto room = static_cast<std::int64_t>(context.quantized.bytes / tile_bytes);
  const std::int64_t most = (room < kMostTiles ? room : kMostTiles) * kMmaRows;
  CHECK(most > 0) << "rows of " << job.x.cols;
  const std::int64_t at_once = most > kWideRows ? most / kWideRows * kWideRows : most;
  for (std::int64_t row = 0; row < job.x.rows; row += at_once) {
    const std::int64_t left = job.x.rows - row;
    const ConstRows x{job.x.data + row * job.x.stride, left < at_once ? left : at_once, job.x.cols,
                      job.x.stride};
    const RoundedRows rounded = round_rows(context, job, x);
    // Wide CTAs read less from the second cache, where there are enough of them.
    if (fills_the_device<2, 4>(context, job, x)) {
      launch_mma_many<2, 4>(context, job, x, row, rounded);
    } else {
      launch_mma_many<1, 2>(context, job, x, row, rounded);
    }
  }
}

void run_mma(Context& context, const MmaJob& job) {
  const std::int64_t rows = job.x.rows;
  if (rows == 0) return;
  if (rows <= kMmaRows && !is_f16_job(job)) return run_mma_few<1, 2>(context, job, {});
  if (rows <= 2 * kMmaRows) return run_mma_few<2, 2>(context, job, round_rows(context, job, job.x));
  if (rows <= 4 * kMmaRows) return run_mma_few<4, 4>(context, job, round_rows(context, job, job.x));
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
