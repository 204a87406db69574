// SPDX-License-Identifier: Apache-2.0
#include "client/serve/swarm_sessions.h"

#include <algorithm>
#include <iterator>
#include <utility>
#include <vector>

#include "client/ring/swarm_pipeline.h"
#include "client/swarm/live_load.h"

namespace shoal::client {

SwarmSessions::SwarmSessions(const UserModel& user_model, SwarmConnection& swarm,
                             SwarmSessionOptions options)
    : user_model_(user_model),
      swarm_(swarm),
      options_(std::move(options)),
      scout_({user_model.digest, user_model.block_count(),
              static_cast<std::uint32_t>(user_model.hidden()), user_model.directory,
              options_.remote_ends || !user_model.has_ends()},
             swarm),
      sighting_([this](const base::StopToken& stop) {
        return scout_.look(swarm_.peers().avoided(std::chrono::steady_clock::now()), {}, stop);
      }) {}

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
  options.sighting = &sighting_;
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

absl::StatusOr<SwarmView> SwarmSessions::view(const base::StopToken& stop) const {
  auto found = scout_.find_view(stop);
  if (!found.ok()) return found;
  // Of a very large swarm the others are shown as their records say.
  constexpr std::size_t kMostAsked = 256;
  std::vector<NodeView> others;
  if (found->nodes.size() > kMostAsked) {
    const auto rest = found->nodes.begin() + kMostAsked;
    others.assign(std::make_move_iterator(rest), std::make_move_iterator(found->nodes.end()));
    found->nodes.erase(rest, found->nodes.end());
  }
  std::vector<SwarmView> views = {*std::move(found)};
  ask_for_load(views, swarm_.channels(), stop, /*rounds=*/2);
  if (stop.stopped()) return stop.status();
  std::ranges::move(others, std::back_inserter(views.front().nodes));
  return std::move(views.front());
}

}  // namespace shoal::client
