// SPDX-License-Identifier: Apache-2.0
// The weights of one block as the executor reads them: the checkpoint's own where it reads what is
// stored, else what was packed for it, now or by an earlier run. Owns what was packed or copied to
// the device; the checkpoint must outlive it.
#pragma once

#include <cstddef>
#include <functional>
#include <optional>
#include <span>
#include <vector>

#include "absl/status/statusor.h"
#include "kernels/executor.h"
#include "kernels/held_weight.h"
#include "kernels/linear_weight.h"
#include "model/packed_file.h"
#include "model/weight_choice.h"

namespace shoal::model {

struct BlockWeights;

// Matrices in the host's memory: where they are, or copies.
struct HostMatrices {
  std::vector<std::span<const std::byte>> matrices;
  std::vector<std::vector<std::byte>> copies;
};

struct BlockLayers {
  kernels::HeldWeight input_norm, mlp_norm;  // [1, hidden]
  kernels::HeldWeight q_norm, k_norm;        // [1, head_dim], or absent
  kernels::PackedLinear q, k, v, output, gate, up, down;
  std::optional<PackedFile> file;  // of which the matrices above are views, if they are

  // RESOURCE_EXHAUSTED when the executor's memory is short; CANCELLED when `done`, which is told of
  // each matrix the bytes as they are stored, says so.
  static absl::StatusOr<BlockLayers> pack(
      kernels::Executor& executor, const BlockWeights& weights, WeightChoice choice,
      const PieceDone& done = [](std::uint64_t) { return true; });
  // Of what was packed before, a file of packed_file_bytes(): views of it where the executor reads
  // the host's memory, else copies. RESOURCE_EXHAUSTED as above.
  static absl::StatusOr<BlockLayers> place(kernels::Executor& executor, const BlockWeights& weights,
                                           WeightChoice choice, PackedFile file);

  std::size_t bytes() const;
  // Of a portable choice: the packed matrices, as they stand in a file.
  HostMatrices packed(kernels::Executor& executor) const;
};

// Of the matrices that pack() makes, filled up.
std::size_t packed_file_bytes(const BlockWeights& weights, WeightChoice choice);
// Of the same matrices as they are stored.
std::size_t stored_matrix_bytes(const BlockWeights& weights);

}  // namespace shoal::model
