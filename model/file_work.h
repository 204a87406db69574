// SPDX-License-Identifier: Apache-2.0
// Long work on large files: by several threads where that helps, while the caller waits, is told
// how far it is, and is asked whether it still wants to.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>

#include "absl/status/status.h"
#include "base/stop_token.h"

namespace shoal::model {

// How long work on large files goes on, and who is told. Called on the caller's thread.
struct FileWork {
  std::function<void(std::uint64_t done, std::uint64_t all)> progress = {};  // bytes
  const base::StopToken* stop = nullptr;                                     // ends it: CANCELLED
  int threads = 0;                                                           // 0: as many as help
};

// To be called between pieces with what was done since; false: it is to end, with any status.
using PieceDone = std::function<bool(std::uint64_t bytes)>;

// Calls body(i, done) for each i in [0, count), of work on `bytes` together; returns the first
// status that is not OK, CANCELLED when it was stopped. Bodies run on any thread, several at once.
absl::Status work_on_files(
    std::size_t count, std::uint64_t bytes, const FileWork& work,
    const std::function<absl::Status(std::size_t i, const PieceDone&)>& body);

}  // namespace shoal::model
