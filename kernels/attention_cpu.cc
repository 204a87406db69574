// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <cstring>
#include <vector>

#include "kernels/attention_kernel.h"
#include "kernels/operators_cpu.h"

namespace shoal::kernels::cpu {
namespace {

static_assert(kTilePositions == kPagePositions);

// Up to kAttentionRows rows of one sequence, for every kv head.
struct RowBlock {
  const AttentionSequence* sequence;
  std::int64_t first;  // row within the sequence
  std::int64_t rows;
};

}  // namespace

void kv_append(CpuExecutor& executor, ConstMatrixView keys, ConstMatrixView values, KvLayout layout,
               std::span<const AttentionSequence> sequences) {
  const std::size_t bytes = static_cast<std::size_t>(layout.head_dim) * sizeof(float);
  for (const AttentionSequence& s : sequences) {
    executor.parallel_for(s.rows, grain_for(keys.cols), [&](std::int64_t begin, std::int64_t end) {
      for (std::int64_t r = begin; r < end; ++r) {
        const std::int64_t position = s.start_position + r;
        float* page = s.pages[static_cast<std::size_t>(position / kPagePositions)];
        for (std::int64_t h = 0; h < layout.kv_heads; ++h) {
          const std::int64_t to =
              (h * kPagePositions + position % kPagePositions) * layout.head_dim;
          const std::int64_t from = h * layout.head_dim;
          std::memcpy(page + layout.key_offset + to, keys.row(s.row_begin + r) + from, bytes);
          std::memcpy(page + layout.value_offset + to, values.row(s.row_begin + r) + from, bytes);
        }
      }
    });
  }
}

void attention(CpuExecutor& executor, ConstMatrixView q, std::int64_t heads, KvLayout layout,
               std::span<const AttentionSequence> sequences, float scale, std::int64_t window,
               MatrixView out) {
  thread_local std::vector<RowBlock> blocks;  // kept between calls
  blocks.clear();
  std::int64_t longest = 0;
  for (const AttentionSequence& s : sequences) {
    for (std::int64_t r = 0; r < s.rows; r += kAttentionRows) {
      blocks.push_back({&s, r, std::min(kAttentionRows, s.rows - r)});
    }
    longest = std::max(longest, s.start_position + s.rows);
  }
  const std::span<const RowBlock> work = blocks;
  const std::int64_t group = heads / layout.kv_heads;
  const std::int64_t seen = window > 0 ? std::min(window, longest) : longest;
  const std::int64_t grain = grain_for(2 * seen * group * layout.head_dim);
  const auto items = static_cast<std::int64_t>(work.size()) * layout.kv_heads;
  executor.parallel_for(items, grain, [&, work](std::int64_t begin, std::int64_t end) {
    float* scratch = thread_scratch(attention_scratch_floats(group, layout.head_dim));
    for (std::int64_t i = begin; i < end; ++i) {
      const RowBlock& block = work[static_cast<std::size_t>(i / layout.kv_heads)];
      const std::int64_t kv_head = i % layout.kv_heads;
      const std::int64_t row = block.sequence->row_begin + block.first;
      const std::int64_t column = kv_head * group * layout.head_dim;
      const std::int64_t in_page = kv_head * kPagePositions * layout.head_dim;
      AttentionPart part;
      part.q = q.row(row) + column;
      part.q_stride = q.stride;
      part.out = out.row(row) + column;
      part.out_stride = out.stride;
      part.rows = block.rows;
      part.first_position = block.sequence->start_position + block.first;
      part.group = group;
      part.head_dim = layout.head_dim;
      part.pages = block.sequence->pages.data();
      part.key_offset = layout.key_offset + in_page;
      part.value_offset = layout.value_offset + in_page;
      part.scale = scale;
      part.window = window;
      executor.kernels().attention(part, scratch);
    }
  });
}

}  // namespace shoal::kernels::cpu
