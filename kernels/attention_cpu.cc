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

// One step's attention in one layer.
class Attention {
 public:
  Attention(CpuExecutor& cpu, const ConstF32Rows& q, std::int64_t heads, const KvPages& pages,
            const KvLayout& layout, const StepPlan& plan, float scale, std::int64_t window,
            const F32Rows& out)
      : cpu_(cpu),
        q_(q),
        pages_(pages),
        layout_(layout),
        plan_(plan),
        scale_(scale),
        window_(window),
        out_(out),
        dim_(layout.head_dim),
        group_(heads / layout.kv_heads) {
    for (const StepSequence& s : plan.sequences()) {
      blocks_ += blocks_of(s);
      longest_ = std::max(longest_, s.start_position + s.rows);
      most_rows_ = std::max(most_rows_, std::min(s.rows, kAttentionRows));
    }
    // All heads of a group at a time, but where they are more than scratch has room for.
    room_ = (kThreadScratchFloats - attention_tile_floats(dim_)) /
            (2 * attention_states_floats(kAttentionRows, dim_));
    CHECK(room_ > 0) << "head_dim " << dim_;
  }

  void run() const {
    const std::int64_t splits = (longest_ + kSplitPositions - 1) / kSplitPositions;
    if (splits > 1 && items() < kPartsPerThread * cpu_.threads() &&
        items() <= items_per_thread(splits) * cpu_.threads()) {
      in_splits(splits);
    } else {
      whole();
    }
  }

 private:
  // Fewer items than this for each thread, and one that is late leaves the others idle.
  static constexpr std::int64_t kPartsPerThread = 2;

  // An item: a row block and kv head.
  std::int64_t items() const { return blocks_ * layout_.kv_heads; }
  std::int64_t grain(std::int64_t positions) const {
    const std::int64_t seen = window_ > 0 ? std::min(window_, positions) : positions;
    return grain_for(2 * seen * group_ * dim_);
  }

  AttentionPart part_of(const RowBlock& at, std::int64_t kv_head, std::int64_t head,
                        std::int64_t heads) const {
    const StepSequence& s = at.sequences[at.sequence];
    const std::int64_t first = at.block * kAttentionRows;
    const std::int64_t in_page = kv_head * kPagePositions * kv_vector_bytes(pages_.dtype, dim_);
    const std::int64_t column = (kv_head * group_ + head) * dim_;
    AttentionPart part;
    part.q = q_.row(s.row_begin + first) + column;
    part.q_stride = q_.stride;
    part.out = out_.row(s.row_begin + first) + column;
    part.out_stride = out_.stride;
    part.rows = std::min(kAttentionRows, s.rows - first);
    part.first_position = s.start_position + first;
    part.group = heads;
    part.head_dim = dim_;
    part.pages = static_cast<const char*>(pages_.data);
    part.dtype = pages_.dtype;
    part.page_stride_bytes = pages_.stride_bytes;
    part.table = plan_.pages() + s.page_begin;
    part.key_offset_bytes = layout_.key_offset_bytes + in_page;
    part.value_offset_bytes = layout_.value_offset_bytes + in_page;
    part.scale = scale_;
    part.window = window_;
    return part;
  }

  // Calls body(item, row block, kv head) for items [begin, end).
  template <class Body>
  void each(std::int64_t begin, std::int64_t end, const Body& body) const {
    RowBlock at(plan_.sequences(), begin / layout_.kv_heads);
    for (std::int64_t i = begin; i < end; ++i) {
      const std::int64_t kv_head = i % layout_.kv_heads;
      body(i, at, kv_head);
      if (kv_head + 1 == layout_.kv_heads) at.next();
    }
  }

  void whole() const {
    cpu_.parallel_for(
        items(), grain(longest_), [&](std::int64_t begin, std::int64_t end, float* scratch) {
          each(begin, end, [&](std::int64_t, const RowBlock& at, std::int64_t kv_head) {
            for (std::int64_t head = 0; head < group_; head += room_) {
              cpu_.kernels().attention(part_of(at, kv_head, head, std::min(room_, group_ - head)),
                                       scratch);
            }
          });
        });
  }

  // Few items and long contexts: their splits are shared out, and merged when all are done. States
  // lie in the scratch of all threads, behind the tiles that each of them widens: those of an item
  // side by side.
  std::int64_t states_floats() const { return attention_states_floats(most_rows_ * group_, dim_); }
  std::int64_t items_per_thread(std::int64_t splits) const {
    return (kThreadScratchFloats - attention_tile_floats(dim_)) / (splits * states_floats());
  }
  void in_splits(std::int64_t splits) const {
    const std::int64_t per_thread = items_per_thread(splits), stride = states_floats();
    const auto states_of = [&](std::int64_t item) {
      return cpu_.scratch_of(static_cast<int>(item / per_thread)) + attention_tile_floats(dim_) +
             item % per_thread * splits * stride;
    };
    cpu_.parallel_for(
        items() * splits, grain(kSplitPositions),
        [&](std::int64_t begin, std::int64_t end, float* tiles) {
          each(begin / splits, (end + splits - 1) / splits,
               [&](std::int64_t item, const RowBlock& at, std::int64_t kv_head) {
                 const AttentionPart part = part_of(at, kv_head, 0, group_);
                 const SplitRange seen = splits_of(part);
                 const std::int64_t from = std::max<std::int64_t>(begin - item * splits, 0);
                 const std::int64_t to = std::min(end - item * splits, seen.end - seen.begin);
                 for (std::int64_t i = from; i < to; ++i) {
                   cpu_.kernels().attend_split(part, seen.begin + i, states_of(item) + i * stride,
                                               tiles);
                 }
               });
        });
    cpu_.parallel_for(items(), 1, [&](std::int64_t begin, std::int64_t end) {
      each(begin, end, [&](std::int64_t item, const RowBlock& at, std::int64_t kv_head) {
        cpu_.kernels().merge_attention(part_of(at, kv_head, 0, group_), states_of(item), stride);
      });
    });
  }

  CpuExecutor& cpu_;
  const ConstF32Rows& q_;
  const KvPages& pages_;
  const KvLayout& layout_;
  const StepPlan& plan_;
  const float scale_;
  const std::int64_t window_;
  const F32Rows& out_;
  const std::int64_t dim_, group_;
  std::int64_t room_ = 0;  // heads at a time
  std::int64_t blocks_ = 0, longest_ = 0, most_rows_ = 0;
};

}  // namespace

void attention(Executor& executor, const ConstMatrixView& q, std::int64_t heads,
               const KvPages& pages, const KvLayout& layout, const StepPlan& plan, float scale,
               std::int64_t window, const MatrixView& out) {
  const ConstF32Rows from = f32_rows(q);
  const F32Rows to = f32_rows(out);
  Attention(of(executor), from, heads, pages, layout, plan, scale, window, to).run();
}

}  // namespace shoal::kernels::cpu
