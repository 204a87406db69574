// SPDX-License-Identifier: Apache-2.0
// A span as a node serves it, with all that belongs to it: the model's part, its ends, the device
// that computes it, and what is said of it. Built whole and taken down whole, so that a node can
// have another one. Building waits; from then on the model is only read. Destroy it when nobody
// else holds `serving` any more (is_left), on a thread that may wait.
#pragma once

#include <chrono>
#include <memory>
#include <utility>

#include "absl/status/statusor.h"
#include "base/stop_token.h"
#include "node/device/file_watch.h"
#include "node/device/loaded_model.h"
#include "node/entry.h"
#include "node/serve/serving.h"

namespace shoal::node {

struct LiveSpan {
  LiveSpan(LoadedModel its_model, Entry its_entry)
      : entry(std::move(its_entry)), model(std::move(its_model)) {}

  Entry entry;
  LoadedModel model;
  std::shared_ptr<Serving> serving = std::make_shared<Serving>();  // the device reads the model
  FileWatch files;

  // No session and no call holds it: nobody can come to hold it again once it was replaced.
  bool is_left() const { return serving.use_count() == 1; }
  absl::Status look_at_files(std::chrono::steady_clock::time_point now) {
    return files.look(*serving->device, model, now);
  }
};

// What is said of a span that is not loaded yet.
NodeFacts facts_of(const NodeOptions& options, const LoadedModel& model, const Entry& entry);

// Fetches what is to come, lets go of files that it does not need, and loads. `model`: all that is
// there of it; `devices`: open. Every error is one sentence that names the way out.
absl::StatusOr<std::unique_ptr<LiveSpan>> load_span(const NodeOptions& options, LoadedModel model,
                                                    Entry entry, ChosenDevices devices,
                                                    const base::StopToken& stop);

// The same model again from its folder, for another span. FAILED_PRECONDITION when the files are
// others by now.
absl::StatusOr<LoadedModel> read_again(const NodeOptions& options, const LoadedModel& model);

}  // namespace shoal::node
