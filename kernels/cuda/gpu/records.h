// SPDX-License-Identifier: Apache-2.0
// Steps that are repeated, as CUDA graphs: one launch instead of hundreds. A key that comes for the
// first time is not recorded: that run loads the kernels, which must not happen while a stream is
// captured, and a step that never comes again needs no graph. The keys that were used last are
// kept. One caller at a time.
#pragma once

#include <cuda_runtime_api.h>

#include <cstddef>
#include <cstdint>
#include <vector>

#include "kernels/cuda/gpu/failure.h"
#include "kernels/cuda/module.h"

namespace shoal::kernels::cuda {

class Records {
 public:
  explicit Records(Failure& failure) : failure_(failure) {}
  ~Records();
  Records(const Records&) = delete;
  Records& operator=(const Records&) = delete;

  void open(cudaStream_t stream) { stream_ = stream; }

  Record begin(const RecordKey& key);
  // Whether there is a record now; else nothing has run and nothing is kept.
  bool end();
  void repeat(const RecordKey& key);
  bool recording() const { return recording_; }

  static constexpr std::size_t kMost = 16;

 private:
  struct Entry {
    RecordKey key;
    cudaGraphExec_t graph = nullptr;
    bool impossible = false;  // it was tried
    std::uint64_t used = 0;
  };

  Entry* find(const RecordKey& key);
  void remember(const RecordKey& key);

  Failure& failure_;
  cudaStream_t stream_ = nullptr;
  std::vector<Entry> entries_;
  RecordKey recorded_{};
  bool recording_ = false;
  std::uint64_t uses_ = 0;
};

}  // namespace shoal::kernels::cuda
