// SPDX-License-Identifier: Apache-2.0
#include <algorithm>

#include "base/check.h"
#include "kernels/attention_kernel.h"
#include "kernels/operators_cpu.h"

namespace shoal::kernels::cpu {
namespace {

static_assert(kTilePositions == kPagePositions);

std::int64_t blocks_of(const StepSequence& s) {
  return (s.rows + kAttentionRows - 1) / kAttentionRows;
}

// Up to kAttentionRows rows of one sequence, and the way to the next.
struct RowBlock {
  std::span<const StepSequence> sequences;
  std::size_t sequence = 0;
  std::int64_t block = 0;  // within it

  // The block of this number within the step.
  RowBlock(std::span<const StepSequence> all, std::int64_t number) : sequences(all), block(number) {
    settle();
  }
  void next() {
    ++block;
    settle();
  }
  void settle() {
    while (sequence < sequences.size() && block >= blocks_of(sequences[sequence])) {
      block -= blocks_of(sequences[sequence++]);
    }
  }
};

}  // namespace

void kv_append(Executor& executor, const ConstMatrixView& key_view,
               const ConstMatrixView& value_view, const KvPages& pages, const KvLayout& layout,
               const StepPlan& plan) {
  CpuExecutor& cpu = of(executor);
  const ConstF32Rows keys = f32_rows(key_view), values = f32_rows(value_view);
  const std::int64_t dim = layout.head_dim;
  const std::int64_t tile = kPagePositions * kv_vector_bytes(pages.dtype, dim);
  auto* const pool = static_cast<char*>(pages.data);
  for (const StepSequence& s : plan.sequences()) {
    const std::int32_t* table = plan.pages() + s.page_begin;
    cpu.parallel_for(s.rows, grain_for(keys.cols), [&](std::int64_t begin, std::int64_t end) {
      for (std::int64_t r = begin; r < end; ++r) {
        const std::int64_t position = s.start_position + r;
        char* const page = pool + table[position / kPagePositions] * pages.stride_bytes;
        const std::int64_t at = position % kPagePositions;
        for (std::int64_t h = 0; h < layout.kv_heads; ++h) {
          const float* key = keys.row(s.row_begin + r) + h * dim;
          const float* value = values.row(s.row_begin + r) + h * dim;
          char* const head = page + h * tile;
          cpu.kernels().keep_kv(key, pages.dtype, dim, head + layout.key_offset_bytes, at);
          cpu.kernels().keep_kv(value, pages.dtype, dim, head + layout.value_offset_bytes, at);
        }
      }
    });
  }
}

void attention(Executor& executor, const ConstMatrixView& q_view, std::int64_t heads,
               const KvPages& pages, const KvLayout& layout, const StepPlan& plan, float scale,
               std::int64_t window, const MatrixView& out_view) {
  CpuExecutor& cpu = of(executor);
  const ConstF32Rows q = f32_rows(q_view);
  const F32Rows out = f32_rows(out_view);
  std::int64_t blocks = 0, longest = 0;
  for (const StepSequence& s : plan.sequences()) {
    blocks += blocks_of(s);
    longest = std::max(longest, s.start_position + s.rows);
  }
  const std::int64_t dim = layout.head_dim, group = heads / layout.kv_heads;
  const std::int64_t tile = kPagePositions * kv_vector_bytes(pages.dtype, dim);
  // Heads at a time: all of a group, but where they are more than a thread's scratch has room for.
  const std::int64_t room = (kThreadScratchFloats - attention_tile_floats(dim)) /
                            (kAttentionRows * attention_state_floats(dim));
  CHECK(room > 0) << "head_dim " << dim;
  const std::int64_t seen = window > 0 ? std::min(window, longest) : longest;
  const std::int64_t grain = grain_for(2 * seen * group * dim);
  const auto work = [&](std::int64_t begin, std::int64_t end, float* scratch) {
    RowBlock at(plan.sequences(), begin / layout.kv_heads);
    for (std::int64_t i = begin; i < end; ++i) {
      const StepSequence& s = at.sequences[at.sequence];
      const std::int64_t kv_head = i % layout.kv_heads, first = at.block * kAttentionRows;
      const std::int64_t in_page = kv_head * tile;
      AttentionPart part;
      part.q_stride = q.stride;
      part.out_stride = out.stride;
      part.rows = std::min(kAttentionRows, s.rows - first);
      part.first_position = s.start_position + first;
      part.head_dim = dim;
      part.pages = static_cast<const char*>(pages.data);
      part.dtype = pages.dtype;
      part.page_stride_bytes = pages.stride_bytes;
      part.table = plan.pages() + s.page_begin;
      part.key_offset_bytes = layout.key_offset_bytes + in_page;
      part.value_offset_bytes = layout.value_offset_bytes + in_page;
      part.scale = scale;
      part.window = window;
      for (std::int64_t head = 0; head < group; head += room) {
        const std::int64_t column = (kv_head * group + head) * dim;
        part.q = q.row(s.row_begin + first) + column;
        part.out = out.row(s.row_begin + first) + column;
        part.group = std::min(room, group - head);
        cpu.kernels().attention(part, scratch);
      }
      if (kv_head + 1 == layout.kv_heads) at.next();
    }
  };
  cpu.parallel_for(blocks * layout.kv_heads, grain, work);
}

}  // namespace shoal::kernels::cpu
