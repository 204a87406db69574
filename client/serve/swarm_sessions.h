// SPDX-License-Identifier: Apache-2.0
// Sessions over one connection to a swarm, for an engine, and whether the swarm serves the model.
// Thread-safe; all that it is given must outlive it.
#pragma once

#include <chrono>
#include <functional>
#include <string>

#include "client/ring/shared_sighting.h"
#include "client/ring/swarm_scout.h"
#include "client/serve/engine.h"
#include "client/swarm/swarm_connection.h"

namespace shoal::client {

struct SwarmSessionOptions {
  std::chrono::milliseconds wait{60'000};              // for what is lost
  std::function<void(const std::string&)> on_event{};  // for people; from any thread
  bool remote_ends = false;                            // as SwarmPipelineOptions
};

class SwarmSessions {
 public:
  SwarmSessions(const UserModel& user_model, SwarmConnection& swarm, SwarmSessionOptions options);

  // What nodes keep of a prompt is found again by this process alone. Sessions that begin within a
  // second share one look at the swarm.
  absl::StatusOr<std::unique_ptr<Pipeline>> open(SessionNeeds needs, const base::StopToken& stop);
  absl::Status check_chain(const base::StopToken& stop) const;
  // Who serves the model, and what these nodes say of themselves.
  absl::StatusOr<SwarmView> view(const base::StopToken& stop) const;

 private:
  const UserModel& user_model_;
  SwarmConnection& swarm_;
  const SwarmSessionOptions options_;
  const SwarmScout scout_;
  SharedSighting sighting_;
};

}  // namespace shoal::client
