// SPDX-License-Identifier: Apache-2.0
// Portable formats: which kernel for which number of rows. Any choice gives the same bits.
#include "base/check.h"
#include "kernels/cuda/launch.cuh"
#include "kernels/cuda/operators.h"
#include "kernels/cuda/portable_few.cuh"
#include "kernels/cuda/portable_many.cuh"
#include "kernels/cuda/portable_pack.cuh"
#include "kernels/cuda/products.h"

namespace shoal::kernels::cuda {
namespace {

// What a launch computes: products of one x, or gate and up.
struct Job {
  ConstRows x;
  const InputNorm* norm;  // or null
  int count;
  bool accumulate, gated;
  const Product* products;
};

// As many warps as take equally many segments each; staged: bytes that the CTA's rows take.
template <WeightFormat kFormat, int kTiles>
int few_warps(const Context& context, int groups, int staged) {
  using Shape = FewShape<kFormat, kTiles>;
  const auto warps_in = [staged](std::size_t bytes) {
    return (static_cast<int>(bytes) - Shape::kCtaBytes - staged) / Shape::kWarpBytes;
  };
  int room = warps_in(context.most_shared);
  // Two CTAs, if they fit: one works while the other norms.
  if (staged > 0 && warps_in(context.most_shared / 2) > 0) room = warps_in(context.most_shared / 2);
  const int most = room < kMostFewWarps ? room : kMostFewWarps;
  CHECK(most > 0) << context.most_shared << " bytes of shared memory";
  const int segments = ceil_div(groups, static_cast<int>(kSegmentGroups));
  return ceil_div(segments, ceil_div(segments, most));
}

// Where load_four reads 16 bytes at once.
bool is_aligned(const ConstRows& x) {
  return reinterpret_cast<std::uintptr_t>(x.data) % 16 == 0 && x.stride % 4 == 0;
}

// Products whose CTAs have `outputs` outputs each, of rows from `row` on; the CTAs in all.
struct Laid {
  PortableProducts arguments;
  int ctas;
};
Laid lay(const Job& job, const ConstRows& x, std::int64_t row, const QuantizedTile* quantized,
         int outputs) {
  Laid laid{{x,
             is_aligned(x),
             quantized,
             static_cast<int>(groups_of(x.cols)),
             job.accumulate,
             job.gated,
             {}},
            0};
  for (int i = 0; i < kMaxProducts; ++i) {
    const Product& from = job.products[i < job.count ? i : 0];
    const int own = static_cast<int>(from.weight.rows);
    if (i < (job.gated ? 1 : job.count)) laid.ctas += ceil_div(own, outputs);
    laid.arguments.products[i] = {static_cast<const char*>(from.weight.values),
                                  from.weight.bias,
                                  from.weight.bias_dtype,
                                  own,
                                  from.out.data + row * from.out.stride,
                                  from.out.stride,
                                  laid.ctas};
  }
  return laid;
}

// Rows of x, normed first where there is a norm, into the context's scratch.
template <WeightFormat kFormat>
void quantize(Context& context, const ConstRows& x, const InputNorm* norm) {
  const int groups = static_cast<int>(groups_of(x.cols));
  const std::int64_t tiles = ceil_div<std::int64_t>(x.rows, kTileRows);
  const auto room = static_cast<std::int64_t>(context.quantized.bytes / sizeof(QuantizedTile));
  CHECK(tiles * groups <= room) << x.rows << " rows of " << x.cols << " do not fit "
                                << context.quantized.bytes << " bytes, quantized";
  auto* const to = static_cast<QuantizedTile*>(context.quantized.data);
  if (norm != nullptr) {
    return launch(context, {tiles * kTileRows}, kNormThreads, norm_shared_bytes(x.cols),
                  &norm_quantize_kernel<kFormat>,
                  NormQuantize{x, norm->weight, norm->dtype, norm->eps, groups, to});
  }
  launch(context, {ceil_div(groups, kQuantizeWarps), tiles}, kQuantizeWarps * 32, 0,
         &quantize_kernel<kFormat>, Quantize{x, is_aligned(x), groups, to});
}

template <WeightFormat kFormat, int kTiles>
void run_few(Context& context, const Job& job, QuantizedTile* quantized) {
  using Shape = FewShape<kFormat, kTiles>;
  if constexpr (!Shape::kOwn) quantize<kFormat>(context, job.x, job.norm);
  Laid laid =
      lay(job, job.x, 0, quantized, job.gated ? static_cast<int>(kTileOutputs) : kPairOutputs);
  int staged = 0;
  if (Shape::kOwn && job.norm != nullptr) {
    laid.arguments.norm = stage_norm(job.norm);
    staged = static_cast<int>(staged_shared_bytes(job.x));
  }
  const int warps = few_warps<kFormat, kTiles>(context, laid.arguments.groups, staged);
  launch(context, {laid.ctas}, warps * 32,
         std::size_t{Shape::kCtaBytes} +
             std::size_t{Shape::kWarpBytes} * static_cast<std::size_t>(warps) +
             static_cast<std::size_t>(staged),
         &few_kernel<kFormat, kTiles>, laid.arguments);
}

template <WeightFormat kFormat, int kOutWarps, int kRowWarps>
void launch_many(Context& context, const Job& job, const ConstRows& x, std::int64_t row,
                 const QuantizedTile* quantized) {
  using Shape = ManyShape<kFormat, kOutWarps, kRowWarps>;
  const Laid laid = lay(job, x, row, quantized, job.gated ? Shape::kOutputs / 2 : Shape::kOutputs);
  launch(context, {ceil_div<std::int64_t>(x.rows, Shape::kRows), laid.ctas}, Shape::kWarps * 32,
         Shape::kSharedBytes, &many_kernel<kFormat, kOutWarps, kRowWarps>, laid.arguments);
}

template <WeightFormat kFormat>
void run_many(Context& context, const Job& job, QuantizedTile* quantized) {
  constexpr int kWide = 4, kNarrow = 2;
  constexpr std::int64_t kMostTiles = 65528;  // of rows: a grid has no more in y
  const auto groups = static_cast<std::size_t>(groups_of(job.x.cols));
  const auto room =
      static_cast<std::int64_t>(context.quantized.bytes / (sizeof(QuantizedTile) * groups));
  const std::int64_t tiles = room < kMostTiles ? room : kMostTiles;
  CHECK(tiles > 0) << "rows of " << job.x.cols;
  const std::int64_t at_once =
      tiles > 16 ? tiles / 16 * 16 * kTileRows : tiles * kTileRows;  // whole wide CTAs
  for (std::int64_t row = 0; row < job.x.rows; row += at_once) {
    const std::int64_t left = job.x.rows - row;
    const ConstRows x{job.x.data + row * job.x.stride, left < at_once ? left : at_once, job.x.cols,
                      job.x.stride};
    quantize<kFormat>(context, x, job.norm);
    // Wide CTAs read less from memory, where there are enough of them.
    using Wide = ManyShape<kFormat, kWide, kWide>;
    const int ctas =
        lay(job, x, row, quantized, job.gated ? Wide::kOutputs / 2 : Wide::kOutputs).ctas;
    if (Wide::kSharedBytes <= static_cast<int>(context.most_shared) &&
        ceil_div<std::int64_t>(x.rows, Wide::kRows) * ctas >= context.multiprocessors) {
      launch_many<kFormat, kWide, kWide>(context, job, x, row, quantized);
    } else {
      launch_many<kFormat, kNarrow, kNarrow>(context, job, x, row, quantized);
    }
  }
}

template <WeightFormat kFormat>
void run_typed(Context& context, const Job& job) {
  auto* const quantized = static_cast<QuantizedTile*>(context.quantized.data);
  if (job.x.rows <= kOwnRows) {
    Job own = job;
    if (job.norm != nullptr && !can_stage(job.x)) {
      own.x = normed_rows(context, job.x, *job.norm);
      own.norm = nullptr;
    }
    return run_few<kFormat, 0>(context, own, quantized);
  }
  if (job.x.rows <= 8) return run_few<kFormat, 1>(context, job, quantized);
  if (job.x.rows <= 16) return run_few<kFormat, 2>(context, job, quantized);
  if (job.x.rows <= kFewRows) return run_few<kFormat, 4>(context, job, quantized);
  run_many<kFormat>(context, job, quantized);
}

void run(Context& context, const Job& job) {
  if (job.x.rows == 0) return;
  switch (job.products[0].weight.format) {
    case WeightFormat::kQ8:
      return run_typed<WeightFormat::kQ8>(context, job);
    case WeightFormat::kQ4:
      return run_typed<WeightFormat::kQ4>(context, job);
    default:
      return run_typed<WeightFormat::kQ4S>(context, job);
  }
}

template <WeightFormat kFormat>
void pack(Context& context, const PackPortable& a) {
  const std::int64_t groups = groups_of(a.cols) * ceil_div(a.rows, kTileOutputs);
  launch(context, {ceil_div(groups, kPackThreads / kTileOutputs)}, kPackThreads, 0,
         &pack_portable_kernel<kFormat>, a);
}

}  // namespace

void multiply_portable(Context& context, const Multiply& a, const InputNorm* norm) {
  run(context, {a.x, norm, a.count, a.accumulate, false, a.products});
}

void gate_up_portable(Context& context, const GateUp& a, const InputNorm* norm) {
  const Product products[2] = {{a.gate, a.out}, {a.up, a.out}};
  run(context, {a.x, norm, 2, false, true, products});
}

void pack_portable(Context& context, const PackPortable& a) {
  switch (a.format) {
    case WeightFormat::kQ8:
      return pack<WeightFormat::kQ8>(context, a);
    case WeightFormat::kQ4:
      return pack<WeightFormat::kQ4>(context, a);
    default:
      return pack<WeightFormat::kQ4S>(context, a);
  }
}

}  // namespace shoal::kernels::cuda
