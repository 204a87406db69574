// SPDX-License-Identifier: Apache-2.0
// What `shoal serve` counts of its answers, for Prometheus: the names and buckets of vLLM with
// shoal_serve_ for vllm:, so that its dashboards need a change of the prefix alone, and what only a
// swarm has. A request is a choice here, since each is a session of its own. It holds no text and
// no token. Thread-safe.
#pragma once

#include <cstdint>
#include <memory>
#include <string>

#include "client/text/pipeline.h"

namespace shoal::client {

// How a choice ended; its reason is "stop" or "length" as clients are told, "abort" where the
// client or the server went first, or "error".
struct ChoiceCount {
  std::string reason;
  double seconds = 0;  // since it was submitted
  std::int64_t prompt_tokens = 0, generated_tokens = 0;
};

class ServeMetrics {
 public:
  ServeMetrics();
  ~ServeMetrics();

  void started(double queued_seconds);
  // Of a session: how many hops it goes over, 0 in this process; tokens of its prompt, and how many
  // of them nodes still had.
  void opened(std::size_t hops, std::int64_t prompt_tokens, std::int64_t cached_tokens);
  void step(const StepTiming& timing);
  void first_token(double seconds);  // since it was submitted
  void next_token(double seconds);   // since the one before
  void rerouted(int times);
  void ended(const ChoiceCount& count);

  // The text format; with the label model_name on all.
  std::string text(const std::string& model_name, std::size_t running, std::size_t waiting) const;

 private:
  class Impl;
  const std::unique_ptr<Impl> impl_;
};

}  // namespace shoal::client
