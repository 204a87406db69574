// SPDX-License-Identifier: Apache-2.0
#include "client/serve/swarm_sessions.h"

#include <utility>

#include "client/ring/swarm_pipeline.h"

namespace shoal::client {

SwarmSessions::SwarmSessions(const UserModel& user_model, SwarmConnection& swarm,
                             SwarmSessionOptions options)
    : user_model_(user_model),
      swarm_(swarm),
      options_(std::move(options)),
      scout_({user_model.digest, user_model.block_count(),
              static_cast<std::uint32_t>(user_model.hidden()), user_model.directory,
              options_.remote_ends || !user_model.has_ends()},
             swarm) {}

absl::StatusOr<std::unique_ptr<Pipeline>> SwarmSessions::open(SessionNeeds needs,
                                                              const base::StopToken& stop) {
  SwarmPipelineOptions options;
  options.positions = static_cast<std::uint32_t>(needs.positions);
  if (!needs.reusable_prompt.empty()) {
    options.prompt = std::move(needs.reusable_prompt);
    options.prefix_salt = prefix_salt_of(swarm_.identity());
  }
  options.wait = options_.wait;
  options.remote_ends = options_.remote_ends;
  options.on_event = options_.on_event;
  return SwarmPipeline::create(user_model_, swarm_, std::move(options), stop);
}

absl::Status SwarmSessions::check_chain(const base::StopToken& stop) const {
  const auto sighting = scout_.look({}, {}, stop);
  if (!sighting.ok()) return sighting.status();
  if (const auto missing = sighting->view.missing(); !missing.empty()) {
    return absl::UnavailableError("no node serves " + describe_blocks(missing) + " of the model");
  }
  RouteRequest all;
  all.block_count = user_model_.block_count();
  all.remote_ends = options_.remote_ends || !user_model_.has_ends();
  return find_route(all, sighting->answers.candidates).status();
}

}  // namespace shoal::client
