// SPDX-License-Identifier: Apache-2.0
// How attention is cut for the device. A CTA for each split where there is little else to share out
// (decode: long sessions must not wait for one multiprocessor); all splits of a row in one CTA
// where rows alone fill the device (prefill), or nothing is to be merged.
#include "base/check.h"
#include "kernels/attention.h"
#include "kernels/cuda/attention_merge.cuh"
#include "kernels/cuda/launch.cuh"
#include "kernels/cuda/operators.h"

namespace shoal::kernels::cuda {
namespace {

using AttendKernel = void (*)(AttendRun);

template <bool kWide>
AttendKernel kernel_of(KvDType dtype) {
  switch (dtype) {
    case KvDType::kF32:
      return &attend_kernel<KvDType::kF32, kWide>;
    case KvDType::kBF16:
      return &attend_kernel<KvDType::kBF16, kWide>;
    case KvDType::kF16:
      return &attend_kernel<KvDType::kF16, kWide>;
    case KvDType::kI8:
      return &attend_kernel<KvDType::kI8, kWide>;
  }
  CHECK(false) << "a type of keys and values";
  return nullptr;
}

// A thread has two values of a head.
static_assert(kMostHeadDim <= 2 * 512);

constexpr std::int64_t round_up(std::int64_t n, std::int64_t to) { return (n + to - 1) / to * to; }
constexpr std::int64_t least(std::int64_t a, std::int64_t b) { return a < b ? a : b; }

// What a CTA can have on every card that is supported.
constexpr std::int64_t kMostShared = 99 << 10;

std::int64_t row_bytes(const Kv& kv) {
  return kv.head_dim * (kv.dtype == KvDType::kF32 ? 4 : kv.dtype == KvDType::kI8 ? 1 : 2);
}
bool is_wide(const Kv& kv) { return row_bytes(kv) % 16 == 0; }

// As AttendCta takes it.
std::int64_t shared_bytes(const AttendShape& s) {
  const std::int64_t queries = round_up(s.queries, kSideBySide);
  return round_up(sizeof(CtaWork), 16) + round_up(s.places * s.place_bytes, 16) +
         queries * (4 * (s.padded + kScorePitch) + static_cast<std::int64_t>(sizeof(QueryState)));
}

// Pieces as large as fit twice, or at least once: fours of positions, in whole runs of 16 bytes.
bool fit_pieces(AttendShape& s, const Kv& kv, std::int64_t most_shared) {
  std::int64_t least_positions = 4;
  while (least_positions * s.row_bytes % 16 != 0) least_positions *= 2;
  for (s.places = 2; s.places >= 1; --s.places) {
    for (s.positions = kSplit; s.positions >= least_positions; s.positions /= 2) {
      const std::int64_t scale_bytes = kv.dtype == KvDType::kI8 ? 4 : 0;
      s.place_bytes =
          static_cast<std::int32_t>(round_up(s.positions * (s.pitch + scale_bytes), 16));
      if (shared_bytes(s) <= most_shared) return true;
    }
  }
  return false;
}

AttendShape shape_of(const Context& context, const Attend& a) {
  const auto head_dim = static_cast<std::int32_t>(a.kv.head_dim);
  AttendShape s{};
  s.threads = head_dim > 512 ? 512 : 256;
  s.group = static_cast<std::int32_t>(a.heads / a.kv.kv_heads);
  s.padded = static_cast<std::int32_t>(round_up(head_dim, 16));
  s.row_bytes = static_cast<std::int32_t>(row_bytes(a.kv));
  // Vectors side by side are read 16 bytes at a time: an odd number of those apart.
  s.pitch = is_wide(a.kv) && s.row_bytes % 32 == 0 ? s.row_bytes + 16 : s.row_bytes;
  const auto rows = static_cast<std::int32_t>(least(kRowsOfBlock, a.step.most_rows));
  // Four to each thread that has values.
  const std::int32_t most = head_dim <= 128 ? 16 : head_dim <= 256 ? 8 : 4;
  s.queries = rows * s.group < most ? rows * s.group : most;
  const std::int64_t most_shared =
      least(static_cast<std::int64_t>(context.most_shared), kMostShared);
  while (!fit_pieces(s, a.kv, most_shared)) {
    CHECK(s.queries > 1) << "head_dim " << head_dim << " in " << most_shared << " bytes";
    s.queries /= 2;
  }
  s.chunks = ceil_div(rows * s.group, s.queries);
  s.parts = s.positions < kPage ? 1 : s.positions / kPage;
  s.warps_of_part = s.threads / 32 / s.parts;
  s.value_threads = static_cast<std::int32_t>(round_up((head_dim + 1) / 2, 32));
  return s;
}

// Splits that rows of a block may see.
std::int64_t splits_of(const Attend& a) {
  const std::int64_t all = ceil_div<std::int64_t>(a.step.most_positions, kSplit);
  if (a.window == 0 || a.window > a.step.most_positions) return all;
  return least(all, (a.window + kRowsOfBlock + kSplit - 3) / kSplit + 1);
}

void attend_in_splits(Context& context, const AttendRun& whole, AttendKernel kernel,
                      std::int64_t splits, std::int64_t rows_at_once) {
  const Attend& a = whole.a;
  const AttendShape& shape = whole.shape;
  AttendRun run = whole;
  run.in_splits = true;
  Partials& to = run.partials;
  to.values = static_cast<float*>(context.partial.data);
  to.tails = to.values + rows_at_once * a.heads * to.slots * to.value_pitch;
  for (std::int64_t first = 0; first < a.step.most_rows; first += rows_at_once) {
    const std::int64_t rows = least(rows_at_once, a.step.most_rows - first);
    to.row_begin = static_cast<std::int32_t>(first);
    to.row_end = static_cast<std::int32_t>(first + rows);
    launch(context, {splits, a.kv.kv_heads * shape.chunks, a.step.most_blocks}, shape.threads,
           static_cast<std::size_t>(shared_bytes(shape)), kernel, run);
    launch(context, {rows, a.heads, ceil_div<std::int64_t>(a.kv.head_dim, kMergeThreads)},
           kMergeThreads, 4 * (2 * kMergePlaceFloats + 2 * kMergeSplits + 4), &merge_kernel,
           MergeRun{a, to});
  }
}

}  // namespace

void attend(Context& context, const Attend& a) {
  // Of CTAs with all splits so many for each multiprocessor fill it: two run at once, and tables
  // may name four times the blocks that there are.
  constexpr std::int64_t kCtasEach = 8;
  constexpr std::int64_t kMostGrid = 65535;
  AttendRun run{a, shape_of(context, a), false, {}};
  const AttendShape& shape = run.shape;
  const AttendKernel kernel =
      is_wide(a.kv) ? kernel_of<true>(a.kv.dtype) : kernel_of<false>(a.kv.dtype);
  const std::int64_t splits = splits_of(a), parts = a.kv.kv_heads * shape.chunks;
  run.partials.value_pitch = static_cast<std::int32_t>(round_up(a.kv.head_dim, 4));
  run.partials.slots = static_cast<std::int32_t>(round_up(splits, 2));
  const std::int64_t row_bytes = a.heads * run.partials.slots * 4 * (run.partials.value_pitch + 2);
  const auto room = static_cast<std::int64_t>(context.partial.bytes) / row_bytes;
  const bool fills = a.step.most_blocks * parts >= kCtasEach * context.multiprocessors;
  if (splits > 1 && !fills && room > 0 && a.step.most_blocks <= kMostGrid) {
    return attend_in_splits(context, run, kernel, splits, least(room, a.step.most_rows));
  }
  launch(context, {a.step.most_blocks, parts}, shape.threads,
         static_cast<std::size_t>(shared_bytes(shape)), kernel, run);
}

}  // namespace shoal::kernels::cuda
