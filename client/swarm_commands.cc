// SPDX-License-Identifier: Apache-2.0
// shoal status, shoal swarm new, and joining for the other commands.
#include <fmt/format.h>

#include <algorithm>

#include "client/commands.h"
#include "client/live_load.h"
#include "client/report.h"
#include "client/user_model.h"
#include "dht/identity.h"
#include "dht/swarm_key.h"

namespace shoal::client {
namespace {

// Of each model, what a reader may ask for: its index and some of its blocks. They say whether the
// directory leads to what is there, and how fast.
constexpr std::size_t kBlocksLookedUp = 5;
constexpr std::size_t kMaxLookups = 24;

std::vector<dht::Key> keys_to_look_up(const std::vector<SwarmView>& views, const dht::SwarmId& id) {
  std::vector<dht::Key> keys;
  for (const SwarmView& view : views) {
    keys.push_back(dht::model_key(id, view.model_digest));
    const auto missing = view.missing();
    const std::uint32_t apart =
        std::max<std::uint32_t>(1, view.block_count / std::uint32_t{kBlocksLookedUp});
    for (std::uint32_t block = 0; block < view.block_count; block += apart) {
      const bool served = std::none_of(
          missing.begin(), missing.end(),
          [&](const proto::Span& span) { return span.begin <= block && block < span.end; });
      if (served) keys.push_back(dht::block_key(id, view.model_digest, block));
    }
  }
  if (keys.size() > kMaxLookups) keys.resize(kMaxLookups);
  return keys;
}

}  // namespace

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
  const auto looked_up = (*swarm)->find_any(keys_to_look_up(views, id), interrupt);
  if (!looked_up.ok()) return looked_up.status();
  for (SwarmView& view : views) ask_for_load(view, (*swarm)->channels(), interrupt);
  const DhtHealth health = (*swarm)->health(interrupt);
  fmt::print("{}", flags.json ? status_json(views, health) + "\n" : status_text(views, health));
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
