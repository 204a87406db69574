// SPDX-License-Identifier: Apache-2.0
// What attention on a GPU is cut into: the host's choices, and what a CTA finds to do. Nothing here
// changes a bit of the result.
#pragma once

#include "kernels/cuda/kv.cuh"

namespace shoal::kernels::cuda {

inline constexpr int kSplit = 256;  // positions
inline constexpr int kTiles = kSplit / kPage;

// A CTA has up to `queries` rows and heads that share a kv head. Keys and values come in pieces of
// some positions, to places in shared memory.
struct AttendShape {
  std::int32_t threads;
  std::int32_t group;      // heads of a kv head
  std::int32_t queries;    // of a CTA, at most
  std::int32_t chunks;     // CTAs for the queries of a block of rows and kv head
  std::int32_t padded;     // head_dim rounded up to 16
  std::int32_t row_bytes;  // of a vector without its scale
  std::int32_t pitch;      // bytes from vector to vector in shared memory
  std::int32_t positions;  // of a piece: a power of two
  std::int32_t places;     // 1 or 2
  std::int32_t place_bytes;
  std::int32_t parts, warps_of_part;  // a part is what a piece has of one page
  std::int32_t value_threads;         // side by side over head_dim, two values each
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

// Queries from first_query on of a block's rows and a kv head. Together they see positions [first,
// last], in splits [split_begin, split_end).
struct CtaWork {
  std::int32_t kv_head, row, first_query, queries;
  std::int32_t least_position;  // of the first of them
  std::int32_t first, last;
  std::int32_t split_begin, split_end;
  std::int32_t page_begin;
  std::int32_t value_threads;  // the shape's
};

SHOAL_DEVICE int first_seen(int position, int window) {
  const int first = window > 0 ? position - window + 1 : 0;
  return first < 0 ? 0 : first;
}
SHOAL_DEVICE int int_window(std::int64_t window) {
  return window > 0x7fffffff ? 0x7fffffff : static_cast<int>(window);
}

// Whether there is something for this CTA in this step.
SHOAL_DEVICE bool find_work(const AttendRun& run, CtaWork& work) {
  const AttendShape& shape = run.shape;
  const StepTables& step = run.a.step;
  const int blocks = step.header->blocks;
  // The last rows of a session see most: they begin first.
  const int block = run.in_splits ? block_z() : static_cast<int>(step.most_blocks) - 1 - block_x();
  if (block >= blocks) return false;
  const RowBlock rows = step.blocks[block];
  const int first_query = block_y() % shape.chunks * shape.queries;
  const int left = rows.rows * shape.group - first_query;
  if (left <= 0) return false;
  work.kv_head = block_y() / shape.chunks;
  work.row = rows.row;
  work.first_query = first_query;
  work.queries = left < shape.queries ? left : shape.queries;
  const int row_begin = first_query / shape.group;
  const int row_last = (first_query + work.queries - 1) / shape.group;
  if (run.in_splits && (rows.row + row_begin >= run.partials.row_end ||
                        rows.row + row_last < run.partials.row_begin)) {
    return false;
  }
  const int position = step.positions[rows.row];
  work.least_position = position + row_begin;
  work.first = first_seen(work.least_position, int_window(run.a.window));
  work.last = position + row_last;
  work.page_begin = step.page_begin[rows.row];
  work.split_begin = work.first / kSplit;
  work.split_end = work.last / kSplit + 1;
  work.value_threads = shape.value_threads;
  if (!run.in_splits) return true;
  work.split_begin += block_x();
  const bool is_one = work.split_begin < work.split_end;
  work.split_end = work.split_begin + 1;
  return is_one;
}

}  // namespace shoal::kernels::cuda
