// SPDX-License-Identifier: Apache-2.0
// Attention on a GPU: the law of kernels/attention.h, bit for bit the CPU's
// (kernels/attention_kernel.h).
//
// A CTA has some rows and heads that share a kv head, and one split of 256 positions, or all splits
// of its rows, one after the other. Keys and values come in pieces through two places in shared
// memory: while one is worked on the other is filled. Each is read once for all queries. Of a
// split:
//   scores   lane = position, 16 partial sums for each of up to 4 queries in registers; queries
//            from shared memory, the same for all lanes
//   softmax  maximum and sum of a tile and query: a thread; weights: thread = position
//   values   thread = two values of head_dim and up to 4 queries, over the positions in order
// What a position of head_dim 128 in bf16 costs (512 bytes read), counted by hand in instructions
// of a warp, and in brackets fused multiply-adds of them and wavefronts of shared memory:
//   queries 4: scores 31 (16, 7), softmax 4, values 30 (8, 6), copies 3: 68, 17 clocks of an SM
//   queries 8: scores 53 (32, 11), softmax 8, values 48 (16, 8), copies 3: 112, 28 clocks
// An H100 that reads 3.0 TB/s gives each of its SMs such a position every 40 clocks, an RTX 4090
// every 160: memory-bound on paper. In flight are two pieces of 34 KB in each of the two CTAs of an
// SM, where 20 KB are needed.
#pragma once

#include "kernels/cuda/attention_products.cuh"

namespace shoal::kernels::cuda {

template <KvDType kType, bool kWide>
class AttendCta {
 public:
  SHOAL_DEVICE explicit AttendCta(const AttendRun& run)
      : run_(run),
        shape_(run.shape),
        kv_(run.a.kv),
        head_dim_(static_cast<int>(run.a.kv.head_dim)) {}

  SHOAL_DEVICE void run(const CtaWork& work) {
    Shared shared;
    const int queries = (shape_.queries + kSideBySide - 1) / kSideBySide * kSideBySide;
    work_ = shared.take<CtaWork>(1);
    states_ = shared.take<QueryState>(queries);
    scores_ = shared.take<float>(queries * kScorePitch);
    q_ = shared.take<float>(queries * shape_.padded);
    places_ = shared.take<char>(shape_.places * shape_.place_bytes);
    if (thread() == 0) *work_ = work;
    barrier();
    next_ = {work_->split_begin, 0, piece_begin(work_->split_begin)};
    for (int i = 0; i < shape_.places; ++i) fetch(i);
    load_queries(queries);
    for (int split = work_->split_begin; split < work_->split_end; ++split) {
      if (shape_.positions < kPage) forget_scores();
      for (int at = piece_begin(split); at < piece_end(split); ++at) {
        await();
        score_piece(split, at);
        release();
      }
      weigh(scores_, states_, work_->queries, split, run_.in_splits);
      SHOAL_DEVICE_UNROLL
      for (int i = 0; i < kSideBySide; ++i) sums_[i][0] = sums_[i][1] = 0.0f;
      for (int at = piece_begin(split); at < piece_end(split); ++at) {
        await();
        add_piece(split, at);
        release();
      }
      hand_over(split);
    }
  }

 private:
  struct Piece {
    int split, side, at;
  };
  // What a thread sums: values `pair` and pair + 1 of `count` queries from `query` on. With few
  // queries threads have less, so that more of them work.
  struct Share {
    int pair, query, count;
  };
  SHOAL_DEVICE Share share_of_thread() const {
    const int value_threads = work_->value_threads, queries = work_->queries;
    const int groups = threads() / value_threads;
    const int count = groups >= 2 * queries ? 1 : groups >= queries ? 2 : 4;
    return {thread() % value_threads * 2, thread() / value_threads * count, count};
  }

  // Queries are the rows of the block and the heads of the group, row by row.
  SHOAL_DEVICE int row_of(int query) const { return (work_->first_query + query) / shape_.group; }
  SHOAL_DEVICE int head_of(int query) const {
    return work_->kv_head * shape_.group + (work_->first_query + query) % shape_.group;
  }

  // Zeros fill runs of 16 values, and fours of queries.
  SHOAL_DEVICE void load_queries(int queries) {
    const ConstRows& q = run_.a.q;
    for (int query = 0; query < queries; ++query) {
      const bool is_one = query < work_->queries;
      const float* const from =
          is_one ? q.data + (work_->row + row_of(query)) * q.stride + head_of(query) * head_dim_
                 : nullptr;
      for (int d = thread(); d < shape_.padded; d += threads()) {
        q_[place_in_queries(query, d, shape_.padded)] = is_one && d < head_dim_ ? from[d] : 0.0f;
      }
    }
    if (thread() < work_->queries) {
      const int position = work_->least_position + row_of(thread()) - row_of(0);
      states_[thread()].begin = first_seen(position, int_window(run_.a.window));
      states_[thread()].end = position + 1;
    }
  }

  // Pieces of a split of which some row sees something.
  SHOAL_DEVICE int piece_begin(int split) const {
    const int from = work_->first - split * kSplit;
    return (from < 0 ? 0 : from) / shape_.positions;
  }
  SHOAL_DEVICE int piece_end(int split) const {
    const int last = work_->last - split * kSplit;
    return (last < kSplit ? last : kSplit - 1) / shape_.positions + 1;
  }
  SHOAL_DEVICE int positions_of_part() const {
    return shape_.positions < kPage ? shape_.positions : kPage;
  }
  // Whether some row sees something of a part.
  SHOAL_DEVICE bool is_seen(int from) const {
    return from <= work_->last && from + positions_of_part() > work_->first;
  }

  // Begins to copy the next piece into a place; a group of copies, even of nothing.
  SHOAL_DEVICE void fetch(int place) {
    if (next_.split < work_->split_end) {
      copy_part(places_ + place * shape_.place_bytes);
      if (++next_.at == piece_end(next_.split)) {
        if (next_.side == 1) ++next_.split;
        next_.side = 1 - next_.side;
        next_.at = next_.split < work_->split_end ? piece_begin(next_.split) : 0;
      }
    }
    commit_copies();
  }
  // Some warps copy a part.
  SHOAL_DEVICE void copy_part(char* place) {
    const int part = warp() / shape_.warps_of_part;
    const int from = next_.split * kSplit + next_.at * shape_.positions + part * kPage;
    if (part >= shape_.parts || !is_seen(from)) return;
    const int row_bytes = shape_.row_bytes, count = positions_of_part();
    const int tile_bytes = kPage * (row_bytes + (kType == KvDType::kI8 ? 4 : 0));
    const std::int64_t page = run_.a.step.pages[work_->page_begin + from / kPage];
    const char* const tile = kv_.pages + page * kv_.stride_bytes +
                             (next_.side == 0 ? kv_.key_offset_bytes : kv_.value_offset_bytes) +
                             static_cast<std::int64_t>(work_->kv_head) * tile_bytes;
    const int first = warp() % shape_.warps_of_part * 32 + lane();
    copy_vectors(place + part * kPage * shape_.pitch, tile + from % kPage * row_bytes, first,
                 count * row_bytes / 16);
    if (kType == KvDType::kI8 && first < count / 4) {
      copy_async(scales_of(place) + part * kPage + first * 4,
                 tile + kPage * row_bytes + from % kPage * 4 + first * 16, true);
    }
  }
  // Runs of 16 bytes from `first` on; vectors that are wide get the pitch.
  SHOAL_DEVICE void copy_vectors(char* to, const char* from, int first, int runs) const {
    const int step = shape_.warps_of_part * 32;
    if constexpr (kWide) {
      const int row_runs = shape_.row_bytes / 16, gap = shape_.pitch - shape_.row_bytes;
      int row = first / row_runs, column = first % row_runs;
      const int rows = step / row_runs, columns = step % row_runs;
      for (int i = first; i < runs; i += step) {
        copy_async(to + i * 16 + row * gap, from + i * 16, true);
        row += rows;
        column += columns;
        if (column >= row_runs) {
          column -= row_runs;
          ++row;
        }
      }
    } else {
      for (int i = first; i < runs; i += step) copy_async(to + i * 16, from + i * 16, true);
    }
  }
  SHOAL_DEVICE float* scales_of(char* place) const {
    return reinterpret_cast<float*>(place + shape_.positions * shape_.pitch);
  }

  // Until the piece is there, for all threads; and until nobody wants it any more.
  SHOAL_DEVICE void await() const {
    if (shape_.places == 2) {
      wait_copies<1>();
    } else {
      wait_copies<0>();
    }
    barrier();
  }
  SHOAL_DEVICE void release() {
    barrier();
    fetch(place_);
    place_ = place_ + 1 == shape_.places ? 0 : place_ + 1;
  }
  SHOAL_DEVICE char* place() const { return places_ + place_ * shape_.place_bytes; }

  // Of pieces smaller than a tile some may never come.
  SHOAL_DEVICE void forget_scores() {
    for (int i = thread(); i < work_->queries * kScorePitch; i += threads()) {
      scores_[i] = minus_infinity();
    }
  }

  // The warps of a part share its queries.
  SHOAL_DEVICE void score_piece(int split, int at) {
    const int part = warp() / shape_.warps_of_part;
    const int in_split = at * shape_.positions + part * kPage;
    if (part >= shape_.parts || !is_seen(split * kSplit + in_split) ||
        lane() >= positions_of_part()) {
      return;
    }
    const int warps = shape_.warps_of_part;
    if (work_->queries <= warps) {
      score_queries<1>(split, in_split, part);
    } else if (work_->queries <= 2 * warps) {
      score_queries<2>(split, in_split, part);
    } else {
      score_queries<4>(split, in_split, part);
    }
  }
  template <int kCount>
  SHOAL_DEVICE void score_queries(int split, int in_split, int part) {
    const int vector = part * kPage + lane(), position = split * kSplit + in_split + lane();
    const float scale = kType == KvDType::kI8 ? scales_of(place())[vector] : 1.0f;
    const char* const key = place() + vector * shape_.pitch;
    float* const to = scores_ + in_split / kPage * kTilePitch + in_split % kPage + lane();
    const int warps = shape_.warps_of_part, queries = work_->queries;
    for (int first = warp() % warps * kCount; first < queries; first += warps * kCount) {
      float scores[kCount];
      score_key<kType, kWide, kCount>(q_ + place_in_queries(first, 0, shape_.padded), key, scale,
                                      head_dim_, scores);
      SHOAL_DEVICE_UNROLL
      for (int i = 0; i < kCount; ++i) {
        if (first + i >= queries) break;
        const QueryState& state = states_[first + i];
        const bool seen = position >= state.begin && position < state.end;
        to[(first + i) * kScorePitch] = seen ? mul(scores[i], run_.a.scale) : minus_infinity();
      }
    }
  }

  SHOAL_DEVICE void add_piece(int split, int at) {
    const Share share = share_of_thread();
    if (share.pair >= head_dim_ || share.query >= work_->queries) return;
    for (int part = 0; part < shape_.parts; ++part) {
      const int in_split = at * shape_.positions + part * kPage;
      if (!is_seen(split * kSplit + in_split)) continue;
      if (share.count == 1) {
        add_part<1>(share, split, in_split, part);
      } else if (share.count == 2) {
        add_part<2>(share, split, in_split, part);
      } else {
        add_part<4>(share, split, in_split, part);
      }
    }
  }
  template <int kCount>
  SHOAL_DEVICE void add_part(const Share& share, int split, int in_split, int part) {
    const int count = positions_of_part(), in_tile = in_split % kPage;
    const int from = split * kSplit + in_split;
    const QueryState* const states = states_ + share.query;
    int begin[kCount], end[kCount];
    bool all = true;
    SHOAL_DEVICE_UNROLL
    for (int i = 0; i < kCount; ++i) {
      const bool is_one = share.query + i < work_->queries;
      begin[i] = is_one ? states[i].begin - from : 0;
      end[i] = is_one ? states[i].end - from : count;
      all = all && begin[i] <= 0 && end[i] >= count;
      // At the first part of a tile, where the query sees something of the tile.
      const bool opens_tile = in_tile == 0 || from <= work_->first;
      if (is_one && opens_tile && begin[i] < kPage - in_tile && end[i] > -in_tile) {
        const float by = states[i].correction[in_split / kPage];
        sums_[i][0] = mul(sums_[i][0], by);
        sums_[i][1] = mul(sums_[i][1], by);
      }
    }
    const float* const weights =
        scores_ + share.query * kScorePitch + in_split / kPage * kTilePitch + in_tile;
    const char* const vectors = place() + part * kPage * shape_.pitch;
    const float* const scales = scales_of(place()) + part * kPage;
    if (all) {
      add_all<kType, kWide, kCount>(weights, vectors, scales, shape_.pitch, share.pair, head_dim_,
                                    count, sums_);
    } else {
      add_seen<kType, kWide, kCount>(weights, vectors, scales, shape_.pitch, share.pair, head_dim_,
                                     begin, end, count, sums_);
    }
  }

  // The values of this split to where they belong: to those of the splits before, which wait in
  // `out` (who has all splits of a row has its queries in shared memory, so that may be q).
  SHOAL_DEVICE void hand_over(int split) {
    const Share share = share_of_thread();
    if (share.pair >= head_dim_) return;
    SHOAL_DEVICE_UNROLL
    for (int i = 0; i < kSideBySide; ++i) {
      const int query = share.query + i;
      if (i >= share.count || query >= work_->queries) break;
      const QueryState& state = states_[query];
      if (state.merge == Merge::kUnseen) continue;
      const int row = work_->row + row_of(query), head = head_of(query);
      if (run_.in_splits) {
        write_partial(state, row, head, split, share.pair, sums_[i]);
        continue;
      }
      float* const out = run_.a.out.data + row * run_.a.out.stride + head * head_dim_ + share.pair;
      SHOAL_DEVICE_UNROLL
      for (int j = 0; j < 2; ++j) {
        if (share.pair + j >= head_dim_) break;
        float value = sums_[i][j];
        if (state.merge == Merge::kNext) value = fma(value, state.added, mul(out[j], state.kept));
        out[j] = (state.end - 1) / kSplit == split ? div(value, state.sum) : value;
      }
    }
  }
  SHOAL_DEVICE void write_partial(const QueryState& state, int row, int head, int split, int pair,
                                  const float (&value)[2]) const {
    const Partials& to = run_.partials;
    if (row < to.row_begin || row >= to.row_end) return;
    const std::int64_t slot =
        ((row - to.row_begin) * run_.a.heads + head) * to.slots + split - state.begin / kSplit;
    float* const values = to.values + slot * to.value_pitch + pair;
    values[0] = value[0];
    if (pair + 1 < head_dim_) values[1] = value[1];
    if (pair > 0) return;
    to.tails[slot * 2] = state.maximum;
    to.tails[slot * 2 + 1] = state.sum;
  }

  const AttendRun& run_;
  const AttendShape& shape_;
  const Kv& kv_;
  const int head_dim_;

  // Shared memory.
  CtaWork* work_ = nullptr;
  QueryState* states_ = nullptr;
  float* scores_ = nullptr;  // [queries, kTiles, kTilePitch]
  float* q_ = nullptr;       // [queries, padded]: place_in_queries
  char* places_ = nullptr;

  ValueSums sums_ = {};  // of this split
  int place_ = 0;
  Piece next_{};
};

template <KvDType kType, bool kWide>
SHOAL_KERNEL void SHOAL_BOUNDS(512, 1) attend_kernel(AttendRun run) {
  CtaWork work;
  if (!find_work(run, work)) return;
  AttendCta<kType, kWide>(run).run(work);
}

}  // namespace shoal::kernels::cuda
