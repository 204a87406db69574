// SPDX-License-Identifier: Apache-2.0
// Which kernel makes a product with stored weights. No choice here changes a bit: each output is
// reduced by one half warp, in the order of kernels/linear.cc.
#include <type_traits>

#include "kernels/cuda/launch.cuh"
#include "kernels/cuda/operators.h"
#include "kernels/cuda/products.h"
#include "kernels/cuda/stored_few.cuh"
#include "kernels/cuda/stored_many.cuh"
#include "kernels/cuda/stored_pack.cuh"
#include "kernels/cuda/stored_staged.cuh"

namespace shoal::kernels::cuda {
namespace {

// Up to so many rows, passes of 8 over the same weights take no longer than tiles of kManyRows, of
// which the last is hardly ever full: on a card that issues one fma or other instruction a cycle, a
// row takes 101 / 8 = 12.6 instructions for each 256 weights (stored_few.cuh), in a full tile
// 1191 / 8 / 16 = 9.3 (stored_many.cuh), so 6 passes take as long as two tiles; and tiles are too
// few to keep a large card busy where outputs are few.
constexpr std::int64_t kMostFewRows = 48;
// Half a warp takes more outputs at a time, for which it reads x once, where each multiprocessor
// still has so many warps: 6 with 4 KB under way are 24 KB, what an H200 needs (4.3 TB/s, 0.65 us,
// 132 multiprocessors: 21 KB).
constexpr std::int64_t kBusyWarps = 6;
constexpr std::int64_t kMostGridY = 65535;

std::int64_t passes_of(std::int64_t rows, int at_once) {
  return ceil_div<std::int64_t>(rows, at_once);
}

// Half warps that a product takes, with so many outputs in each.
std::int64_t groups_of(const Multiply& a, int outputs) {
  std::int64_t groups = 0;
  for (int i = 0; i < a.count; ++i) {
    groups += ceil_div<std::int64_t>(a.products[i].weight.rows, outputs);
  }
  return groups;
}
std::int64_t groups_of(const GateUp& a, int outputs) {
  return ceil_div<std::int64_t>(a.out.cols, outputs);
}

template <class Stored, int kRows, int kOutputs>
void launch_few(Context& context, const Multiply& a) {
  const std::int64_t ctas = ceil_div<std::int64_t>(groups_of(a, kOutputs), kHalfWarps);
  launch(context, {ctas * passes_of(a.x.rows, kRows)}, kFewThreads, 0,
         &multiply_few_kernel<Stored, kRows, kOutputs>, a);
}
template <class Stored, int kRows, int kOutputs>
void launch_few(Context& context, const GateUp& a) {
  const std::int64_t ctas = ceil_div<std::int64_t>(groups_of(a, kOutputs), kHalfWarps);
  launch(context, {ctas * passes_of(a.x.rows, kRows)}, kFewThreads, 0,
         &gate_up_few_kernel<Stored, kRows, kOutputs>, a);
}

template <class Stored, int kRows, int kNarrow, int kWide, class Arguments>
void few_rows_of(Context& context, const Arguments& a) {
  const std::int64_t warps =
      ceil_div<std::int64_t>(groups_of(a, kWide), 2) * passes_of(a.x.rows, kRows);
  const bool busy = warps >= kBusyWarps * context.multiprocessors;
  if constexpr (kWide != kNarrow) {
    if (busy) return launch_few<Stored, kRows, kWide>(context, a);
  }
  launch_few<Stored, kRows, kNarrow>(context, a);
}

// Each of these is a kernel or two to compile, for every card. Rows that are not there are computed
// and lost, which memory hides up to half of a kernel's rows; few models are stored as f32, whose
// weights take twice as long to read; and outputs of gate and up are many.
template <class Stored>
constexpr bool kIsRare = std::is_same_v<Stored, StoredF32>;

template <class Stored>
void few(Context& context, const Multiply& a) {
  if constexpr (kIsRare<Stored>) {
    if (a.x.rows <= 2) return few_rows_of<Stored, 2, 1, 1>(context, a);
    few_rows_of<Stored, 8, 2, 2>(context, a);
  } else {
    if (a.x.rows <= 1) return few_rows_of<Stored, 1, 1, 2>(context, a);
    if (a.x.rows <= 4) return few_rows_of<Stored, 4, 2, 4>(context, a);
    few_rows_of<Stored, 8, 2, 4>(context, a);
  }
}
template <class Stored>
void few(Context& context, const GateUp& a) {
  if constexpr (!kIsRare<Stored>) {
    if (a.x.rows <= 4) return few_rows_of<Stored, 4, 2, 2>(context, a);
  }
  few_rows_of<Stored, 8, 2, 2>(context, a);
}

// As many threads as still give each multiprocessor some CTAs; not the fewest where shared memory
// has room for one of them only.
template <class Run>
void launch_staged(Context& context, std::int64_t groups, void (*kernel)(Run), const Run& run) {
  constexpr std::int64_t kCtasEach = 4;
  const int least = staged_bytes(run.a.x) > kMostStagedBytes / 2 ? 2 * kFewThreads : kFewThreads;
  int threads = kMostStagedThreads;
  while (threads > least &&
         ceil_div<std::int64_t>(groups, threads / kLanes) < kCtasEach * context.multiprocessors) {
    threads /= 2;
  }
  launch(context, {ceil_div<std::int64_t>(groups, threads / kLanes)}, threads,
         staged_shared_bytes(run.a.x), kernel, run);
}
template <class Stored>
void staged(Context& context, const Multiply& a, const InputNorm* norm) {
  constexpr int kOutputs = 2;
  launch_staged(context, groups_of(a, kOutputs), &multiply_staged_kernel<Stored, kOutputs>,
                StagedMultiply{a, stage_norm(norm)});
}
template <class Stored>
void staged(Context& context, const GateUp& a, const InputNorm* norm) {
  constexpr int kOutputs = 1;
  launch_staged(context, groups_of(a, kOutputs), &gate_up_staged_kernel<Stored, kOutputs>,
                StagedGateUp{a, stage_norm(norm)});
}

template <class Stored>
void launch_many(Context& context, const Multiply& a, const Grid& grid) {
  launch(context, {grid.x, groups_of(a, kManyOutputs), grid.z}, kManyThreads,
         ManyStage<Stored>::kBytes, &multiply_many_kernel<Stored>, a);
}
template <class Stored>
void launch_many(Context& context, const GateUp& a, const Grid& grid) {
  launch(context, {grid.x, groups_of(a, kManyOutputs / 2), grid.z}, kManyThreads,
         ManyStage<Stored>::kBytes, &gate_up_many_kernel<Stored>, a);
}

// The same of some rows.
Rows some_rows(const Rows& rows, std::int64_t first, std::int64_t count) {
  return {rows.data + first * rows.stride, count, rows.cols, rows.stride};
}
Multiply some_rows(Multiply a, std::int64_t first, std::int64_t count) {
  for (int i = 0; i < a.count; ++i) a.products[i].out = some_rows(a.products[i].out, first, count);
  return a;
}
GateUp some_rows(GateUp a, std::int64_t first, std::int64_t count) {
  a.out = some_rows(a.out, first, count);
  return a;
}

// Rows of x that there is room for, packed, in whole tiles.
std::int64_t rows_at_once(const Context& context, std::int64_t cols) {
  const std::int64_t tile = kManyRows * padded_inputs(cols) * std::int64_t{sizeof(float)};
  if (tile == 0) return 0;
  return static_cast<std::int64_t>(context.quantized.bytes) / tile * kManyRows;
}

template <class Stored, class Arguments>
void many(Context& context, const Arguments& a) {
  const std::int64_t at_once = rows_at_once(context, a.x.cols);
  const std::int64_t padded = padded_inputs(a.x.cols);
  const std::int64_t pieces = padded / (kLanes * kPartSteps);
  auto* const packed = static_cast<float*>(context.quantized.data);
  for (std::int64_t first = 0; first < a.x.rows; first += at_once) {
    const std::int64_t rows = a.x.rows - first < at_once ? a.x.rows - first : at_once;
    const ConstRows x{a.x.data + first * a.x.stride, rows, a.x.cols, a.x.stride};
    launch(context, {rows, ceil_div<std::int64_t>(pieces, kPackPieces)}, kPackThreads, 0,
           &pack_rows_kernel, PackRows{x, packed});
    Arguments some = some_rows(a, first, rows);
    some.x = {packed, rows, padded, padded};
    const std::int64_t tiles = ceil_div<std::int64_t>(rows, kManyRows);
    const Grid grid{tiles < kRowTilesTogether ? tiles : kRowTilesTogether, 1,
                    ceil_div<std::int64_t>(tiles, kRowTilesTogether)};
    launch_many<Stored>(context, some, grid);
  }
}

template <class Stored, class Arguments>
void few_or_many(Context& context, const Arguments& a) {
  const bool too_wide =
      rows_at_once(context, a.x.cols) == 0 || groups_of(a, kManyOutputs / 2) > kMostGridY;
  if (a.x.rows <= kMostFewRows || too_wide) {
    few<Stored>(context, a);
  } else {
    many<Stored>(context, a);
  }
}

// Calls body(Stored{}).
template <class Body>
void by_format(WeightFormat format, const Body& body) {
  switch (format) {
    case WeightFormat::kF32:
      return body(StoredF32{});
    case WeightFormat::kBF16:
      return body(StoredBf16{});
    case WeightFormat::kF16:
      return body(StoredF16{});
    default:
      return;
  }
}

template <class Arguments>
void run(Context& context, Arguments a, const InputNorm* norm, bool stage, WeightFormat format) {
  if (stage) {
    return by_format(format, [&](auto stored) { staged<decltype(stored)>(context, a, norm); });
  }
  if (norm != nullptr) a.x = normed_rows(context, a.x, *norm);
  by_format(format, [&](auto stored) { few_or_many<decltype(stored)>(context, a); });
}

}  // namespace

void multiply_stored(Context& context, const Multiply& a, const InputNorm* norm) {
  // Kernels take a product with outputs for granted.
  Multiply some{a.x, 0, a.accumulate, {}};
  for (int i = 0; i < a.count; ++i) {
    if (a.products[i].weight.rows > 0) some.products[some.count++] = a.products[i];
  }
  if (some.count == 0) return;
  const bool stage = norm != nullptr && can_stage(a.x);
  run(context, some, norm, stage, some.products[0].weight.format);
}

void gate_up_stored(Context& context, const GateUp& a, const InputNorm* norm) {
  run(context, a, norm, can_stage(a.x), a.gate.format);
}

void pack_stored(Context& context, const PackStored& a) {
  const bool narrow = dtype_bytes(a.dtype) == 2;
  const std::int64_t pieces = padded_inputs(a.cols) / (kChains * (narrow ? 8 : 4));
  launch(context, {a.rows, ceil_div<std::int64_t>(pieces, kPackPieces)}, kPackThreads, 0,
         narrow ? &pack_stored_kernel<std::uint16_t> : &pack_stored_kernel<std::uint32_t>, a);
}

}  // namespace shoal::kernels::cuda
