// SPDX-License-Identifier: Apache-2.0
// Looks for who serves the model now: one lookup, then the nodes themselves. In the caller's
// thread, or in one of its own while a session goes on. The directory and channels must outlive it.
#pragma once

#include <atomic>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <thread>

#include "absl/status/statusor.h"
#include "base/stop_token.h"
#include "client/swarm/probe.h"
#include "client/swarm/swarm_connection.h"
#include "client/swarm/swarm_view.h"

namespace shoal::client {

struct Sighting {
  SwarmView view;
  ProbeResult answers;
};

class SwarmScout {
 public:
  struct Model {
    proto::Digest digest;
    std::uint32_t block_count = 0;
    std::uint32_t hidden = 0;
    std::string directory;     // for people
    bool remote_ends = false;  // nodes compute the model's ends
  };

  SwarmScout(Model model, SwarmConnection& swarm) : model_(std::move(model)), swarm_(swarm) {}
  ~SwarmScout();
  SwarmScout(const SwarmScout&) = delete;

  // Measures claims that are out of the ordinary.
  void hear(const std::vector<Candidate>& candidates, const base::StopToken& interrupt) const;
  absl::StatusOr<SwarmView> find_view(const base::StopToken& interrupt) const;
  // `avoided` are asked only when the others do not cover all blocks; `kinds`: what the session was
  // computed in so far.
  absl::StatusOr<Sighting> look(const std::set<proto::PeerId>& avoided, const BlockKinds& kinds,
                                const base::StopToken& interrupt) const;

  // The same in the background. One at a time; a new start() or stop() gives up the one before.
  void start(std::set<proto::PeerId> avoided, BlockKinds kinds);
  bool running() const { return thread_.joinable(); }
  std::optional<absl::StatusOr<Sighting>> poll();  // when it is done, once
  void stop();

 private:
  const Model model_;
  SwarmConnection& swarm_;
  std::unique_ptr<base::StopToken> enough_;
  std::atomic<bool> done_{false};
  std::optional<absl::StatusOr<Sighting>> found_;  // the thread's until done_
  std::thread thread_;
};

}  // namespace shoal::client
