// SPDX-License-Identifier: Apache-2.0
// What all blocks of a step have in common, made once per step: each row's position, the sines and
// cosines of its rotation, and which KV pages its session has. Made on the host (in double, so
// every device rotates by the same bits) and uploaded in one piece. Its memory is taken at the
// start and never grows. One caller at a time; owns its tables.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "kernels/executor.h"
#include "kernels/step_tables.h"
#include "kernels/tensor.h"

namespace shoal::kernels {

// Positions of one KV page; also the tile in whose order attention reduces.
inline constexpr std::int64_t kPagePositions = 32;

// Angle of pair i at position p: p * inverse_frequency[i]; cosine and sine times attention_factor.
// Carries every scaling variant (default, linear, llama3, yarn): model/rope.h.
struct Rotation {
  std::span<const float> inverse_frequency;  // [head_dim / 2]
  float attention_factor = 1.0f;
};

struct StepLimits {
  std::int64_t rows = 0;   // of one step
  std::int64_t pages = 0;  // of all its sessions
};

// Rows [row_begin, row_begin + rows) of a step belong to one session, at positions start_position +
// 0, 1, ...; its pages are [page_begin, page_begin + pages) of the plan's table.
struct StepSequence {
  std::int64_t row_begin = 0;
  std::int64_t rows = 0;
  std::int64_t start_position = 0;
  std::int64_t page_begin = 0;
  std::int64_t pages = 0;
};

class StepPlan {
 public:
  // nullopt when the executor's memory is short. The rotation is copied.
  static std::optional<StepPlan> make(Executor& executor, const Rotation& rotation,
                                      StepLimits limits);

  void clear();
  // The next rows, of one session; ids of the pages that hold its positions from 0 on.
  void add(std::int64_t start_position, std::int64_t rows, std::span<const std::int32_t> pages);
  // After the last add(): makes the rows' tables and hands them to the device.
  void seal(Executor& executor);

  Device device() const { return memory_.device(); }
  std::int64_t rows() const { return rows_; }
  std::int64_t half() const { return static_cast<std::int64_t>(inverse_frequency_.size()); }
  std::span<const StepSequence> sequences() const { return sequences_; }  // on the host
  bool sealed() const { return sealed_; }
  // Once sealed: the rows that operators are given (Executor::padded_rows), how far the longest
  // session reaches, rounded up to a power of two, and the tables on the device.
  std::int64_t padded_rows() const { return padded_rows_; }
  std::int64_t most_positions() const { return most_positions_; }
  StepTables tables() const;
  const float* cosines() const { return tables().cosines; }
  const float* sines() const { return tables().sines; }
  const std::int32_t* positions() const { return tables().positions; }
  const std::int32_t* pages() const { return tables().pages; }

 private:
  StepPlan() = default;
  // The tables lie one behind the other in one piece, each as long as padded_rows says.
  static std::int64_t row_entries(std::int64_t half);
  template <class T>
  const T* at(std::int64_t entry) const {
    return static_cast<const T*>(
        static_cast<const void*>(static_cast<const char*>(memory_.data()) + 4 * entry));
  }
  void put(const void* from, std::int64_t entries, std::int64_t room);
  void add_row_tables();

  StepLimits limits_;
  std::vector<float> inverse_frequency_;
  float attention_factor_ = 1.0f;
  std::int64_t rows_ = 0, padded_rows_ = 0, most_positions_ = 0;
  bool sealed_ = false;
  std::vector<StepSequence> sequences_;
  std::vector<float> cosines_, sines_;
  std::vector<std::int32_t> positions_, page_begin_, pages_;
  std::vector<RowBlock> blocks_;
  std::vector<std::uint32_t> image_;  // of the tables, as they are uploaded
  Buffer memory_;
};

}  // namespace shoal::kernels
