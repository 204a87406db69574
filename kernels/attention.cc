// SPDX-License-Identifier: Apache-2.0
#include "kernels/attention.h"

#include "kernels/operator_check.h"
#include "kernels/operators_cpu.h"

namespace shoal::kernels {
namespace {

void check_sequences(std::span<const AttentionSequence> sequences, std::int64_t rows) {
  for (const AttentionSequence& s : sequences) {
    CHECK(s.rows >= 0 && s.row_begin >= 0 && s.row_begin + s.rows <= rows && s.start_position >= 0)
        << "rows " << s.row_begin << " + " << s.rows << " of " << rows << ", position "
        << s.start_position;
    const std::int64_t needed = (s.start_position + s.rows + kPagePositions - 1) / kPagePositions;
    CHECK(s.rows == 0 || static_cast<std::int64_t>(s.pages.size()) >= needed)
        << s.pages.size() << " pages, " << needed << " needed";
  }
}

void check_layout(const KvLayout& layout) {
  CHECK(layout.kv_heads > 0 && layout.head_dim > 0 && layout.key_offset >= 0 &&
        layout.value_offset >= 0)
      << layout.kv_heads << " heads of " << layout.head_dim << " at " << layout.key_offset
      << " and " << layout.value_offset;
}

}  // namespace

void kv_append(Executor& executor, ConstMatrixView keys, ConstMatrixView values, KvLayout layout,
               std::span<const AttentionSequence> sequences) {
  check_layout(layout);
  check_view(keys, "keys");
  check_shape(keys, keys.rows, layout.kv_heads * layout.head_dim, "keys");
  check_shape(values, keys.rows, keys.cols, "values");
  check_sequences(sequences, keys.rows);
  switch (executor.device()) {
    case Device::kCpu:
      return cpu::kv_append(as_cpu(executor), keys, values, layout, sequences);
    case Device::kCuda:
      break;
  }
  refuse_device("kv_append");
}

void attention(Executor& executor, ConstMatrixView q, std::int64_t heads, KvLayout layout,
               std::span<const AttentionSequence> sequences, float scale, std::int64_t window,
               MatrixView out) {
  check_layout(layout);
  CHECK(heads > 0 && heads % layout.kv_heads == 0 && window >= 0)
      << heads << " heads over " << layout.kv_heads << ", window " << window;
  check_shape(q, q.rows, heads * layout.head_dim, "q");
  check_shape(out, q.rows, q.cols, "out");
  check_sequences(sequences, q.rows);
  switch (executor.device()) {
    case Device::kCpu:
      return cpu::attention(as_cpu(executor), q, heads, layout, sequences, scale, window, out);
    case Device::kCuda:
      break;
  }
  refuse_device("attention");
}

}  // namespace shoal::kernels
