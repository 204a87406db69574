// SPDX-License-Identifier: Apache-2.0
// shoal status, shoal swarm new, and joining for the other commands.
#include <fmt/format.h>

#include "client/commands.h"
#include "client/live_load.h"
#include "client/report.h"
#include "client/user_model.h"
#include "dht/identity.h"
#include "dht/swarm_key.h"

namespace shoal::client {

absl::StatusOr<std::unique_ptr<SwarmConnection>> join_swarm(const SwarmFlags& flags,
                                                            const Interrupt& interrupt) {
  JoinOptions options;
  options.peers = flags.join;
  if (!flags.swarm_key_file.empty()) {
    auto key = dht::read_swarm_key(flags.swarm_key_file);
    if (!key.ok()) return key.status();
    options.swarm_key = *key;
  }
  if (!flags.identity_file.empty()) {
    auto identity = dht::Identity::load_or_create(flags.identity_file);
    if (!identity.ok()) return identity.status();
    options.identity = *std::move(identity);
  }
  return SwarmConnection::join(std::move(options), interrupt);
}

absl::Status run_status(const StatusFlags& flags, const Interrupt& interrupt) {
  std::optional<ModelName> model;
  if (!flags.model.empty()) {
    auto named = name_model(flags.model);
    if (!named.ok()) return named.status();
    model = *named;
  }
  auto swarm = join_swarm(flags.swarm, interrupt);
  if (!swarm.ok()) return swarm.status();
  const dht::SwarmId id = (*swarm)->swarm_id();
  std::vector<SwarmView> views;
  if (model) {
    auto records = (*swarm)->find(dht::model_key(id, model->digest), interrupt);
    if (!records.ok()) return records.status();
    views.push_back(view_of(*records, model->digest, model->block_count));
  }
  if (!model || views.front().nodes.empty()) {
    auto records = (*swarm)->find(dht::models_key(id), interrupt);
    if (!records.ok()) return records.status();
    if (model) {
      views.front() = view_of(*records, model->digest, model->block_count);
      if (views.front().nodes.empty()) {
        return model_not_served(views_of(*records), model->digest, flags.model);
      }
    } else {
      views = views_of(*records);
    }
  }
  for (SwarmView& view : views) ask_for_load(view, (*swarm)->channels(), interrupt);
  fmt::print("{}", flags.json ? status_json(views) + "\n" : status_text(views));
  return absl::OkStatus();
}

absl::Status run_swarm_new(const SwarmNewFlags& flags) {
  if (auto status = dht::write_swarm_key(flags.file, dht::generate_swarm_key()); !status.ok()) {
    return status;
  }
  fmt::print(
      "{} holds the key of a new private swarm: give it to every member, who passes it as "
      "--swarm-key FILE\n",
      flags.file);
  return absl::OkStatus();
}

}  // namespace shoal::client
