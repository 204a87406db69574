// SPDX-License-Identifier: Apache-2.0
#include "kernels/cuda/gpu/records.h"

#include <algorithm>
#include <iterator>

namespace shoal::kernels::cuda {

Records::~Records() {
  if (failure_.hangs()) return;
  for (const Entry& entry : entries_) {
    if (entry.graph != nullptr) cudaGraphExecDestroy(entry.graph);
  }
}

Record Records::begin(const RecordKey& key) {
  if (!failure_.none()) return Record::kNotNow;
  Entry* const entry = find(key);
  if (entry == nullptr) {
    remember(key);
    return Record::kNotNow;
  }
  entry->used = ++uses_;
  if (entry->graph != nullptr) return Record::kKnown;
  if (entry->impossible) return Record::kNotNow;
  // Of this thread only: others may allocate meanwhile.
  const cudaError_t error = cudaStreamBeginCapture(stream_, cudaStreamCaptureModeThreadLocal);
  if (error != cudaSuccess) {
    cudaGetLastError();
    entry->impossible = true;
    return Record::kNotNow;
  }
  recorded_ = key;
  recording_ = true;
  return Record::kRecording;
}

bool Records::end() {
  if (!recording_) return false;
  recording_ = false;
  Entry* const entry = find(recorded_);
  cudaGraph_t captured = nullptr;
  cudaError_t error = cudaStreamEndCapture(stream_, &captured);
  if (error == cudaSuccess && failure_.none()) {
    error = cudaGraphInstantiate(&entry->graph, captured, 0);
  }
  if (captured != nullptr) cudaGraphDestroy(captured);
  if (error == cudaSuccess) return failure_.none();
  cudaGetLastError();
  entry->graph = nullptr;
  entry->impossible = true;
  return false;
}

void Records::repeat(const RecordKey& key) {
  if (!failure_.none()) return;
  const Entry* const entry = find(key);
  if (entry == nullptr || entry->graph == nullptr) {
    failure_.note("repeating a step", "it was never recorded");
    return;
  }
  failure_.check(cudaGraphLaunch(entry->graph, stream_), "cudaGraphLaunch");
}

Records::Entry* Records::find(const RecordKey& key) {
  const auto found = std::find_if(entries_.begin(), entries_.end(), [&key](const Entry& entry) {
    return std::equal(std::begin(key.parts), std::end(key.parts), std::begin(entry.key.parts));
  });
  return found == entries_.end() ? nullptr : &*found;
}

void Records::remember(const RecordKey& key) {
  if (entries_.size() == kMost) {
    const auto oldest =
        std::min_element(entries_.begin(), entries_.end(),
                         [](const Entry& a, const Entry& b) { return a.used < b.used; });
    // A graph that still runs is freed when it has ended.
    if (oldest->graph != nullptr) {
      failure_.check(cudaGraphExecDestroy(oldest->graph), "cudaGraphExecDestroy");
    }
    entries_.erase(oldest);
  }
  entries_.push_back({key, nullptr, false, ++uses_});
}

}  // namespace shoal::kernels::cuda
