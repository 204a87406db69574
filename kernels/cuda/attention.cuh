// SPDX-License-Identifier: Apache-2.0
// Attention on a GPU: the law of kernels/attention.h, bit for bit the CPU's
// (kernels/attention_kernel.h).
//
// A CTA has up to AttendShape::queries rows and heads that share a kv head, and one split of 256
// positions, or all splits of its rows, one after the other. Keys and values come in pieces of some
// positions, through two places in shared memory: while one is worked on the other is filled. Each
// is read once for all queries. Of a split:
//   scores   lane = position, 16 partial sums for each of up to 4 queries in registers; queries
//            from shared memory, the same for all lanes
//   softmax  maximum and sum of a tile and query: one thread, in the order of the CPU's lanes;
//            weights: thread = position
//   values   thread = two values of head_dim and up to 4 queries, over the positions in order
// What a position of head_dim 128 in bf16 costs (512 bytes read), counted in instructions of a
// warp, fused multiply-adds of them, and wavefronts of shared memory:
//   queries 4: scores 31 (16, 7), softmax 4, values 30 (8, 6), copies 3: 68, 17 clocks of an SM
//   queries 8: scores 53 (32, 11), softmax 8, values 48 (16, 8), copies 3: 112, 28 clocks
// An H100 that reads 3.0 TB/s gives each of its SMs such a position every 40 clocks, so there is
// room for both; an RTX 4090 every 160. In flight are two pieces of 34 KB in each of two CTAs of
// an SM, where 20 KB are needed.
#pragma once

#include "kernels/cuda/kv.cuh"

namespace shoal::kernels::cuda {

inline constexpr int kSplit = 256;  // positions
inline constexpr int kTiles = kSplit / kPage;
inline constexpr int kTilePitch = kPage + 4;  // floats: threads that read tiles side by side
inline constexpr int kScorePitch = kTiles * kTilePitch;
inline constexpr int kQueriesOfThread = 4;

// How the work is cut: the host's choice, none of which changes a bit.
struct AttendShape {
  std::int32_t threads;
  std::int32_t group;      // heads of a kv head
  std::int32_t queries;    // of a CTA, at most
  std::int32_t chunks;     // CTAs for the queries of a block of rows and kv head
  std::int32_t padded;     // head_dim rounded up to 16
  std::int32_t row_bytes;  // of a vector without its scale
  std::int32_t pitch;      // bytes from vector to vector in shared memory
  std::int32_t positions;  // of a piece: a power of two
  std::int32_t places;     // for pieces: 1 or 2
  std::int32_t place_bytes;
};

// What is known of each split: values [rows, heads, slots, value_pitch], maximum and sum [rows,
// heads, slots, 2], of rows [row_begin, row_end); slot 0 is the first split that the row sees.
struct Partials {
  float* values;
  float* tails;
  std::int32_t slots, value_pitch;
  std::int32_t row_begin, row_end;
};

struct AttendRun {
  Attend a;
  AttendShape shape;
  bool in_splits;  // into partials, a CTA each; else a CTA has them all and writes `out`
  Partials partials;
};

SHOAL_DEVICE int first_seen(int position, int window) {
  const int first = window > 0 ? position - window + 1 : 0;
  return first < 0 ? 0 : first;
}
SHOAL_DEVICE int int_window(std::int64_t window) {
  return window > 0x7fffffff ? 0x7fffffff : static_cast<int>(window);
}

template <KvDType kType, bool kWide>
class AttendCta {
 public:
  SHOAL_DEVICE explicit AttendCta(const AttendRun& run)
      : run_(run),
        a_(run.a),
        shape_(run.shape),
        head_dim_(static_cast<int>(run.a.kv.head_dim)),
        window_(int_window(run.a.window)) {}

  // Whether there is something to do in this step.
  SHOAL_DEVICE bool find_work() {
    const StepTables& step = a_.step;
    const int blocks = step.header->blocks;
    // The last rows of a session see most: they begin first.
    const int block =
        run_.in_splits ? block_z() : static_cast<int>(step.most_blocks) - 1 - block_x();
    if (block >= blocks) return false;
    const RowBlock rows = step.blocks[block];
    const int chunk = block_y() % shape_.chunks;
    kv_head_ = block_y() / shape_.chunks;
    row_ = rows.row;
    first_query_ = chunk * shape_.queries;
    queries_ = rows.rows * shape_.group - first_query_;
    if (queries_ <= 0) return false;
    queries_ = queries_ < shape_.queries ? queries_ : shape_.queries;
    const int row_end = row_ + row_of(queries_ - 1) + 1;
    if (run_.in_splits &&
        (row_ + row_of(0) >= run_.partials.row_end || row_end <= run_.partials.row_begin)) {
      return false;
    }
    const int position = step.positions[row_];
    least_position_ = position + row_of(0);
    last_ = position + row_of(queries_ - 1);
    first_ = first_seen(least_position_, window_);
    table_ = step.pages + step.page_begin[row_];
    split_begin_ = first_ / kSplit;
    split_end_ = last_ / kSplit + 1;
    if (run_.in_splits) {
      split_begin_ += block_x();
      if (split_begin_ >= split_end_) return false;
      split_end_ = split_begin_ + 1;
    }
    return true;
  }

  SHOAL_DEVICE void work() {
    take_memory();
    load_queries();
    next_ = {split_begin_, 0, piece_begin(split_begin_)};
    for (int i = 0; i < shape_.places; ++i) fetch(i);
    for (int split = split_begin_; split < split_end_; ++split) {
      if (shape_.positions < kPage) forget_scores();
      for (int at = piece_begin(split); at < piece_end(split); ++at) {
        await();
        score_piece(split, at);
        release();
      }
      weigh(split);
      SHOAL_DEVICE_UNROLL
      for (int i = 0; i < kQueriesOfThread; ++i) state_[i][0] = state_[i][1] = 0.0f;
      for (int at = piece_begin(split); at < piece_end(split); ++at) {
        await();
        add_piece(split, at);
        release();
      }
      merge();
    }
    write();
  }

 private:
  enum Merge : int { kUnseen, kFirst, kNext };
  struct Piece {
    int split, side, at;
  };

  // Rows of the block and heads of the group, row by row.
  SHOAL_DEVICE int row_of(int query) const { return (first_query_ + query) / shape_.group; }
  SHOAL_DEVICE int head_of(int query) const {
    return kv_head_ * shape_.group + (first_query_ + query) % shape_.group;
  }

  SHOAL_DEVICE void take_memory() {
    Shared shared;
    const int queries = (shape_.queries + 3) / 4 * 4;
    places_ = shared.take<char>(shape_.places * shape_.place_bytes);
    q_ = shared.take<float>(queries * shape_.padded);
    scores_ = shared.take<float>(queries * kScorePitch);
    tile_ = shared.take<float>(queries * kTiles);
    running_ = shared.take<float>(queries * kTiles);
    correction_ = shared.take<float>(queries * kTiles);
    total_ = shared.take<float>(queries * 4);
    seen_ = shared.take<int>(queries * 3);
    const int pairs = (head_dim_ + 1) / 2;
    const int side_by_side = (pairs + 31) / 32 * 32;
    const int groups = threads() / side_by_side;
    queries_of_thread_ = groups >= 2 * queries_ ? 1 : groups >= queries_ ? 2 : 4;
    pair_ = thread() % side_by_side * 2;
    query_ = thread() / side_by_side * queries_of_thread_;
    has_values_ = pair_ < head_dim_ && query_ < queries_;
    parts_ = shape_.positions < kPage ? 1 : shape_.positions / kPage;
    warps_of_part_ = threads() / 32 / parts_;
  }

  // Zeros to whole runs of 16, and for queries that are not there.
  SHOAL_DEVICE void load_queries() {
    const int queries = (shape_.queries + 3) / 4 * 4;
    for (int query = 0; query < queries; ++query) {
      const float* const from =
          a_.q.data + (row_ + row_of(query)) * a_.q.stride + head_of(query) * head_dim_;
      for (int d = thread(); d < shape_.padded; d += threads()) {
        q_[query * shape_.padded + d] = query < queries_ && d < head_dim_ ? from[d] : 0.0f;
      }
    }
    if (thread() < queries_) {
      const int position = least_position_ + row_of(thread()) - row_of(0);
      seen_[thread() * 3] = first_seen(position, window_);
      seen_[thread() * 3 + 1] = position + 1;
    }
  }
  // What a query sees: positions [begin, end).
  SHOAL_DEVICE int begin_of(int query) const { return seen_[query * 3]; }
  SHOAL_DEVICE int end_of(int query) const { return seen_[query * 3 + 1]; }

  // Pieces of a split of which some row sees something.
  SHOAL_DEVICE int piece_begin(int split) const {
    const int from = first_ - split * kSplit;
    return (from < 0 ? 0 : from) / shape_.positions;
  }
  SHOAL_DEVICE int piece_end(int split) const {
    const int last = last_ - split * kSplit;
    return (last < kSplit ? last : kSplit - 1) / shape_.positions + 1;
  }

  // Begins to copy the next piece into a place; a group of copies, even of nothing.
  SHOAL_DEVICE void fetch(int place) {
    if (next_.split < split_end_) {
      copy_part(places_ + place * shape_.place_bytes);
      if (++next_.at == piece_end(next_.split)) {
        if (next_.side == 1) ++next_.split;
        next_.side = 1 - next_.side;
        next_.at = next_.split < split_end_ ? piece_begin(next_.split) : 0;
      }
    }
    commit_copies();
  }
  // A part is what a piece has of one page; some warps copy it.
  SHOAL_DEVICE void copy_part(char* place) {
    const int part = warp() / warps_of_part_;
    const int from = next_.split * kSplit + next_.at * shape_.positions + part * kPage;
    const int count = shape_.positions < kPage ? shape_.positions : kPage;
    if (part >= parts_ || from > last_ || from + count <= first_) return;
    const std::int64_t offset = next_.side == 0 ? a_.kv.key_offset_bytes : a_.kv.value_offset_bytes;
    const int tile_bytes = kPage * (shape_.row_bytes + (kType == KvDType::kI8 ? 4 : 0));
    const char* const tile = a_.kv.pages +
                             static_cast<std::int64_t>(table_[from / kPage]) * a_.kv.stride_bytes +
                             offset + static_cast<std::int64_t>(kv_head_) * tile_bytes;
    const char* const source = tile + from % kPage * shape_.row_bytes;
    char* const to = place + part * kPage * shape_.pitch;
    const int first = warp() % warps_of_part_ * 32 + lane(), step = warps_of_part_ * 32;
    const int chunks = count * shape_.row_bytes / 16;
    if constexpr (kWide) {
      const int row_chunks = shape_.row_bytes / 16, gap = shape_.pitch - shape_.row_bytes;
      int row = first / row_chunks, column = first % row_chunks;
      const int rows = step / row_chunks, columns = step % row_chunks;
      for (int i = first; i < chunks; i += step) {
        copy_async(to + i * 16 + row * gap, source + i * 16, true);
        row += rows;
        column += columns;
        if (column >= row_chunks) {
          column -= row_chunks;
          ++row;
        }
      }
    } else {
      for (int i = first; i < chunks; i += step) copy_async(to + i * 16, source + i * 16, true);
    }
    if (kType == KvDType::kI8 && first < count / 4) {
      copy_async(scales_of(place) + part * kPage + first * 4,
                 tile + kPage * shape_.row_bytes + from % kPage * 4 + first * 16, true);
    }
  }
  SHOAL_DEVICE float* scales_of(char* place) const {
    return reinterpret_cast<float*>(place + shape_.positions * shape_.pitch);
  }

  // Until the piece is there, for all threads.
  SHOAL_DEVICE void await() {
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

  // Of pieces smaller than a tile some may not be looked at.
  SHOAL_DEVICE void forget_scores() {
    for (int i = thread(); i < queries_ * kScorePitch; i += threads()) {
      scores_[i] = minus_infinity();
    }
  }

  SHOAL_DEVICE void score_piece(int split, int at) {
    const int part = warp() / warps_of_part_;
    const int in_split = at * shape_.positions + part * kPage;
    const int from = split * kSplit + in_split;
    const int count = shape_.positions < kPage ? shape_.positions : kPage;
    if (part >= parts_ || from > last_ || from + count <= first_ || lane() >= count) return;
    const int vector = part * kPage + lane();
    const float scale = kType == KvDType::kI8 ? scales_of(place())[vector] : 1.0f;
    const char* const key = place() + vector * shape_.pitch;
    float* const scores = scores_ + in_split / kPage * kTilePitch + in_split % kPage + lane();
    const int share = warp() % warps_of_part_;
    if (queries_ <= warps_of_part_) {
      score_queries<1>(key, scale, share, from + lane(), scores);
    } else if (queries_ <= 2 * warps_of_part_) {
      score_queries<2>(key, scale, share, from + lane(), scores);
    } else {
      score_queries<4>(key, scale, share, from + lane(), scores);
    }
  }
  template <int kCount>
  SHOAL_DEVICE void score_queries(const char* key, float key_scale, int share, int position,
                                  float* scores) const {
    for (int first = share * kCount; first < queries_; first += warps_of_part_ * kCount) {
      const float* const q = q_ + first * shape_.padded;
      float sums[kCount][16];
      SHOAL_DEVICE_UNROLL
      for (int i = 0; i < kCount; ++i) {
        SHOAL_DEVICE_UNROLL
        for (int c = 0; c < 16; ++c) sums[i][c] = 0.0f;
      }
      for (int d = 0; d < shape_.padded; d += 16) {
        float k[16];
        read_16<kType, kWide>(key, d, head_dim_, key_scale, k);
        SHOAL_DEVICE_UNROLL
        for (int i = 0; i < kCount; ++i) {
          SHOAL_DEVICE_UNROLL
          for (int c = 0; c < 16; c += 4) {
            const float4 x = *reinterpret_cast<const float4*>(q + i * shape_.padded + d + c);
            sums[i][c] = fma(x.x, k[c], sums[i][c]);
            sums[i][c + 1] = fma(x.y, k[c + 1], sums[i][c + 1]);
            sums[i][c + 2] = fma(x.z, k[c + 2], sums[i][c + 2]);
            sums[i][c + 3] = fma(x.w, k[c + 3], sums[i][c + 3]);
          }
        }
      }
      SHOAL_DEVICE_UNROLL
      for (int i = 0; i < kCount; ++i) {
        const int query = first + i;
        if (query >= queries_) break;
        const float score = mul(fold_16(sums[i]), a_.scale);
        const bool seen = position >= begin_of(query) && position < end_of(query);
        scores[query * kScorePitch] = seen ? score : minus_infinity();
      }
    }
  }

  // The tiles of a split of which a query sees something: [begin, end).
  SHOAL_DEVICE int tile_begin(int query, int split) const {
    const int from = begin_of(query) - split * kSplit;
    return from < 0 ? 0 : from / kPage;
  }
  SHOAL_DEVICE int tile_end(int query, int split) const {
    const int end = end_of(query) - split * kSplit;
    return end <= 0 ? 0 : end < kSplit ? (end + kPage - 1) / kPage : kTiles;
  }

  // Scores become weights. Eight threads side by side have the tiles of a query.
  SHOAL_DEVICE void weigh(int split) {
    const int query = thread() / kTiles, tile = thread() % kTiles;
    const bool has_tile =
        query < queries_ && tile >= tile_begin(query, split) && tile < tile_end(query, split);
    float* const scores = scores_ + query * kScorePitch + tile * kTilePitch;
    if (has_tile) tile_[thread()] = largest_of_tile(scores);
    warp_barrier();
    if (has_tile) {
      float before = minus_infinity();
      for (int t = tile_begin(query, split); t < tile; ++t) {
        before = larger(tile_[query * kTiles + t], before);
      }
      const float maximum = larger(tile_[thread()], before);
      running_[thread()] = maximum;
      correction_[thread()] = exp(sub(before, maximum));
    }
    barrier();
    if (thread() < kSplit) {
      for (int i = 0; i < queries_; ++i) {
        if (warp() < tile_begin(i, split) || warp() >= tile_end(i, split)) continue;
        float& score = scores_[i * kScorePitch + warp() * kTilePitch + lane()];
        score = exp(sub(score, running_[i * kTiles + warp()]));
      }
    }
    barrier();
    if (has_tile) tile_[thread()] = sum_of_tile(scores);
    warp_barrier();
    if (tile == 0 && query < queries_) total_sum(query, split);
  }
  SHOAL_DEVICE static float largest_of_tile(const float* scores) {
    float v[16];
    read_halves(scores, v, [](float a, float b) { return larger(a, b); });
    SHOAL_DEVICE_UNROLL
    for (int step = 8; step >= 1; step /= 2) {
      SHOAL_DEVICE_UNROLL
      for (int i = 0; i < 8; ++i) {
        if (i < step) v[i] = larger(v[i], v[i + step]);
      }
    }
    return v[0];
  }
  SHOAL_DEVICE static float sum_of_tile(const float* weights) {
    float v[16];
    read_halves(weights, v, [](float a, float b) { return add(a, b); });
    return fold_16(v);
  }
  // v[i] of values i and i + 16.
  template <class Both>
  SHOAL_DEVICE static void read_halves(const float* from, float (&v)[16], const Both& both) {
    SHOAL_DEVICE_UNROLL
    for (int i = 0; i < 16; i += 4) {
      const float4 low = *reinterpret_cast<const float4*>(from + i);
      const float4 high = *reinterpret_cast<const float4*>(from + i + 16);
      v[i] = both(low.x, high.x);
      v[i + 1] = both(low.y, high.y);
      v[i + 2] = both(low.z, high.z);
      v[i + 3] = both(low.w, high.w);
    }
  }
  // The sum of a query's weights, and how what it knows of this split goes to what it knows of
  // those before: total_ [maximum, sum, factor of those before, factor of this].
  SHOAL_DEVICE void total_sum(int query, int split) {
    const int begin = tile_begin(query, split), end = tile_end(query, split);
    int& merge = seen_[query * 3 + 2];
    merge = kUnseen;
    if (begin >= end) return;
    float sum = 0.0f;
    for (int t = begin; t < end; ++t) {
      sum = add(mul(sum, correction_[query * kTiles + t]), tile_[query * kTiles + t]);
    }
    const float maximum = running_[query * kTiles + end - 1];
    float* const total = total_ + query * 4;
    merge = run_.in_splits || begin_of(query) / kSplit == split ? kFirst : kNext;
    if (merge == kFirst) {
      total[0] = maximum;
      total[1] = sum;
      return;
    }
    const float both = larger(maximum, total[0]);
    total[2] = exp(sub(total[0], both));
    total[3] = exp(sub(maximum, both));
    total[0] = both;
    total[1] = add(mul(total[1], total[2]), mul(sum, total[3]));
  }

  SHOAL_DEVICE void add_piece(int split, int at) {
    if (!has_values_) return;
    if (queries_of_thread_ == 1) {
      add_values<1>(split, at);
    } else if (queries_of_thread_ == 2) {
      add_values<2>(split, at);
    } else {
      add_values<4>(split, at);
    }
  }
  template <int kCount>
  SHOAL_DEVICE void add_values(int split, int at) {
    const int count = shape_.positions < kPage ? shape_.positions : kPage;
    const float* const scales = scales_of(place());
    for (int part = 0; part < parts_; ++part) {
      const int in_split = at * shape_.positions + part * kPage, tile = in_split / kPage;
      const int from = split * kSplit + in_split;
      if (from > last_ || from + count <= first_) continue;
      const bool opens_tile = in_split % kPage == 0 || from <= first_;
      const char* const vectors = place() + part * kPage * shape_.pitch;
      const float* const weights =
          scores_ + query_ * kScorePitch + tile * kTilePitch + in_split % kPage;
      if (from >= first_seen(last_, window_) && from + count <= least_position_ + 1) {
        if (opens_tile) {
          SHOAL_DEVICE_UNROLL
          for (int i = 0; i < kCount; ++i) correct(i, tile);
        }
        add_all<kCount>(vectors, scales + part * kPage, weights, count);
      } else {
        add_seen<kCount>(vectors, scales + part * kPage, weights, count, from, tile, opens_tile);
      }
    }
  }
  SHOAL_DEVICE void correct(int i, int tile) {
    const float by = correction_[(query_ + i) * kTiles + tile];
    state_[i][0] = mul(state_[i][0], by);
    state_[i][1] = mul(state_[i][1], by);
  }
  // All rows see all positions.
  template <int kCount>
  SHOAL_DEVICE void add_all(const char* vectors, const float* scales, const float* weights,
                            int count) {
    for (int p = 0; p < count; p += 4) {
      float w[kCount][4];
      SHOAL_DEVICE_UNROLL
      for (int i = 0; i < kCount; ++i) {
        const float4 four = *reinterpret_cast<const float4*>(weights + i * kScorePitch + p);
        w[i][0] = four.x;
        w[i][1] = four.y;
        w[i][2] = four.z;
        w[i][3] = four.w;
      }
      SHOAL_DEVICE_UNROLL
      for (int j = 0; j < 4; ++j) {
        const float scale = kType == KvDType::kI8 ? scales[p + j] : 1.0f;
        const float2 v =
            read_2<kType, kWide>(vectors + (p + j) * shape_.pitch, pair_, head_dim_, scale);
        SHOAL_DEVICE_UNROLL
        for (int i = 0; i < kCount; ++i) {
          state_[i][0] = fma(w[i][j], v.x, state_[i][0]);
          state_[i][1] = fma(w[i][j], v.y, state_[i][1]);
        }
      }
    }
  }
  template <int kCount>
  SHOAL_DEVICE void add_seen(const char* vectors, const float* scales, const float* weights,
                             int count, int from, int tile, bool opens_tile) {
    int begin[kCount], end[kCount];
    SHOAL_DEVICE_UNROLL
    for (int i = 0; i < kCount; ++i) {
      const bool is_one = query_ + i < queries_;
      begin[i] = is_one ? begin_of(query_ + i) - from : 0;
      end[i] = is_one ? end_of(query_ + i) - from : 0;
      const int tile_from = from - from % kPage;
      const bool sees =
          is_one && begin_of(query_ + i) < tile_from + kPage && end_of(query_ + i) > tile_from;
      if (opens_tile && sees) correct(i, tile);
    }
    for (int p = 0; p < count; ++p) {
      const float scale = kType == KvDType::kI8 ? scales[p] : 1.0f;
      const float2 v = read_2<kType, kWide>(vectors + p * shape_.pitch, pair_, head_dim_, scale);
      SHOAL_DEVICE_UNROLL
      for (int i = 0; i < kCount; ++i) {
        if (p < begin[i] || p >= end[i]) continue;
        const float weight = weights[i * kScorePitch + p];
        state_[i][0] = fma(weight, v.x, state_[i][0]);
        state_[i][1] = fma(weight, v.y, state_[i][1]);
      }
    }
  }

  // The values of this split to those of the splits before.
  SHOAL_DEVICE void merge() {
    if (!has_values_) return;
    SHOAL_DEVICE_UNROLL
    for (int i = 0; i < kQueriesOfThread; ++i) {
      if (i >= queries_of_thread_ || query_ + i >= queries_) break;
      const int how = seen_[(query_ + i) * 3 + 2];
      if (how == kUnseen) continue;
      const float* const total = total_ + (query_ + i) * 4;
      SHOAL_DEVICE_UNROLL
      for (int j = 0; j < 2; ++j) {
        totals_[i][j] = how == kFirst ? state_[i][j]
                                      : fma(state_[i][j], total[3], mul(totals_[i][j], total[2]));
      }
    }
  }

  SHOAL_DEVICE void write() const {
    if (!has_values_) return;
    SHOAL_DEVICE_UNROLL
    for (int i = 0; i < kQueriesOfThread; ++i) {
      const int query = query_ + i;
      if (i >= queries_of_thread_ || query >= queries_) break;
      const int row = row_ + row_of(query), head = head_of(query);
      const float* const total = total_ + query * 4;
      if (!run_.in_splits) {
        float* const out = a_.out.data + row * a_.out.stride + head * head_dim_ + pair_;
        out[0] = div(totals_[i][0], total[1]);
        if (pair_ + 1 < head_dim_) out[1] = div(totals_[i][1], total[1]);
        continue;
      }
      const Partials& to = run_.partials;
      if (seen_[query * 3 + 2] == kUnseen || row < to.row_begin || row >= to.row_end) continue;
      const std::int64_t slot = ((row - to.row_begin) * a_.heads + head) * to.slots + split_begin_ -
                                begin_of(query) / kSplit;
      float* const values = to.values + slot * to.value_pitch + pair_;
      values[0] = totals_[i][0];
      if (pair_ + 1 < head_dim_) values[1] = totals_[i][1];
      if (pair_ == 0) {
        to.tails[slot * 2] = total[0];
        to.tails[slot * 2 + 1] = total[1];
      }
    }
  }

  const AttendRun& run_;
  const Attend& a_;
  const AttendShape& shape_;
  const int head_dim_, window_;

  // What the CTA has to do: queries from first_query_ on of a block's rows and a kv head; together
  // they see positions [first_, last_] in splits [split_begin_, split_end_).
  int kv_head_ = 0, row_ = 0, first_query_ = 0, queries_ = 0;
  int least_position_ = 0, first_ = 0, last_ = 0;  // least: of their first row
  int split_begin_ = 0, split_end_ = 0;
  const std::int32_t* table_ = nullptr;

  // Shared memory.
  char* places_ = nullptr;
  float* q_ = nullptr;           // [queries, padded]
  float* scores_ = nullptr;      // [queries, kTiles, kTilePitch]
  float* tile_ = nullptr;        // [queries, kTiles]: maximum, then sum
  float* running_ = nullptr;     // [queries, kTiles]: maximum so far
  float* correction_ = nullptr;  // [queries, kTiles]
  float* total_ = nullptr;       // [queries, 4]
  int* seen_ = nullptr;          // [queries, 3]: begin, end, Merge

  // Of the thread, where it has values: head_dim pair_ and pair_ + 1, queries from query_ on.
  int pair_ = 0, query_ = 0, queries_of_thread_ = 0;
  bool has_values_ = false;
  float state_[kQueriesOfThread][2] = {};   // of this split
  float totals_[kQueriesOfThread][2] = {};  // of those before

  int parts_ = 0, warps_of_part_ = 0;  // pages of a piece
  int place_ = 0;
  Piece next_{};
};

template <KvDType kType, bool kWide>
SHOAL_KERNEL void SHOAL_BOUNDS(512, 1) attend_kernel(AttendRun run) {
  AttendCta<kType, kWide> cta(run);
  if (cta.find_work()) cta.work();
}

}  // namespace shoal::kernels::cuda
