// SPDX-License-Identifier: Apache-2.0
// shoal status, shoal swarm new, and joining for the other commands.
#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <chrono>
#include <cstdio>
#include <future>
#include <optional>
#include <string_view>

#include "client/cli/commands.h"
#include "client/cli/hub_folder.h"
#include "client/cli/model_name.h"
#include "client/cli/report.h"
#include "client/cli/swarm_model.h"
#include "client/swarm/live_load.h"
#include "client/text/user_model.h"
#include "identity/identity.h"
#include "identity/swarm_key.h"

namespace shoal::client {
namespace {

// Of each model, what a reader may ask for: its index and some of its blocks. They say whether the
// directory leads to what is there, and how fast.
constexpr std::size_t kBlocksLookedUp = 5;
constexpr std::size_t kMaxLookups = 24;

std::vector<dht::Key> keys_to_look_up(const std::vector<SwarmView>& views,
                                      const identity::SwarmId& id) {
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

// All models of the swarm; or the one asked for, and behind it the others when nobody serves it.
absl::StatusOr<std::vector<SwarmView>> views_asked_for(const std::optional<NamedModel>& model,
                                                       const std::string& directory,
                                                       SwarmConnection& swarm,
                                                       const base::StopToken& interrupt) {
  const identity::SwarmId id = swarm.swarm_id();
  if (model) {
    auto records = swarm.find(dht::model_key(id, model->digest), interrupt);
    if (!records.ok()) return records.status();
    auto view = view_of(*records, model->digest, model->block_count());
    if (!view.nodes.empty()) return std::vector<SwarmView>{std::move(view)};
  }
  const auto records = swarm.find(dht::models_key(id), interrupt);
  if (!records.ok()) return records.status();
  std::vector<SwarmView> views = views_of(*records);
  if (model) {
    const auto asked = std::find_if(views.begin(), views.end(), [&](const SwarmView& view) {
      return view.model_digest == model->digest;
    });
    if (asked != views.end()) return std::vector<SwarmView>{std::move(*asked)};
    SwarmView nobody = view_of({}, model->digest, model->block_count());
    nobody.model_name = directory;
    views.insert(views.begin(), std::move(nobody));
  }
  return views;
}

// The number of the block that a tensor is of: the first part of its name that is one.
std::optional<std::uint32_t> block_of(std::string_view tensor) {
  while (!tensor.empty()) {
    const std::size_t end = std::min(tensor.find('.'), tensor.size());
    std::uint32_t block = 0;
    const auto [last, error] = std::from_chars(tensor.data(), tensor.data() + end, block);
    if (error == std::errc() && last == tensor.data() + end) return block;
    tensor.remove_prefix(std::min(end + 1, tensor.size()));
  }
  return std::nullopt;
}

// What a node needs that closes a gap: as the model's manifest says, where a node gives it.
void learn_block_bytes(SwarmView& view, net::ChannelPool& channels,
                       const base::StopToken& interrupt) {
  if (view.missing().empty() || view.answering() == 0) return;
  const auto manifest = manifest_of(view, channels, interrupt);
  if (!manifest.ok()) return;
  view.block_bytes.assign(view.block_count, 0);
  for (const model::ManifestFile& file : manifest->files) {
    for (const auto& [name, tensor] : file.tensors) {
      const auto block = block_of(name);
      if (block && *block < view.block_count) view.block_bytes[*block] += tensor.end - tensor.begin;
    }
  }
}

std::uint64_t unix_microseconds() {
  const auto now = std::chrono::system_clock::now().time_since_epoch();
  return static_cast<std::uint64_t>(
      std::chrono::duration_cast<std::chrono::microseconds>(now).count());
}

}  // namespace

absl::StatusOr<std::unique_ptr<SwarmConnection>> join_swarm(
    const SwarmFlags& flags, const base::StopToken& interrupt,
    const std::function<void(const std::string&)>& on_event) {
  JoinOptions options;
  options.peers = flags.join;
  if (flags.udp == "off") options.udp = dht::UdpUse::kOff;
  if (!flags.swarm_key_file.empty()) {
    auto key = identity::read_swarm_key(flags.swarm_key_file);
    if (!key.ok()) return key.status();
    options.swarm_key = *key;
  }
  if (!flags.identity_file.empty()) {
    auto identity = identity::Identity::load_or_create(flags.identity_file);
    if (!identity.ok()) return identity.status();
    options.identity = *std::move(identity);
  }
  options.on_event = on_event;
  if (on_event) options.wait = wait_of(flags);
  return SwarmConnection::join(std::move(options), interrupt);
}

absl::Status run_status(const StatusFlags& flags, const base::StopToken& interrupt) {
  std::optional<NamedModel> model;
  cli::ProgressLine line;
  const bool by_swarm_name = is_swarm_name(flags.model);
  if (!flags.model.empty() && !by_swarm_name) {
    const auto folder = folder_of_model(flags.model, model::hub::model_headers(), interrupt, line);
    if (!folder.ok()) return folder.status();
    auto named = name_model(*folder, told_on(line, interrupt));
    line.clear();
    if (!named.ok()) return named.status();
    model = *std::move(named);
  }
  auto swarm = join_swarm(flags.swarm, interrupt);
  if (!swarm.ok()) return swarm.status();
  if (model && !model->is_named) {
    if (auto status = find_manifest(*model, **swarm, interrupt, line); !status.ok()) return status;
  }
  auto found = views_asked_for(model, flags.model, **swarm, interrupt);
  if (!found.ok()) return found.status();
  std::vector<SwarmView>& views = *found;
  if (by_swarm_name) {
    const auto chosen = choose_swarm_model(views, flags.model);
    if (!chosen.ok()) return chosen.status();
    views = {SwarmView(**chosen)};
  }
  // The directory is tried while the nodes are asked: one dead node costs both their time-outs.
  auto looked_up =
      std::async(std::launch::async,
                 [&swarm, &interrupt, keys = keys_to_look_up(views, (*swarm)->swarm_id())] {
                   return (*swarm)->find_any(keys, interrupt).status();
                 });
  ask_for_load(views, (*swarm)->channels(), interrupt);
  for (SwarmView& view : views) learn_block_bytes(view, (*swarm)->channels(), interrupt);
  if (absl::Status status = looked_up.get(); !status.ok()) return status;
  if (interrupt.stopped()) return interrupt.status();
  const DhtHealth health = (*swarm)->health(interrupt);
  const std::uint64_t now_us = unix_microseconds();
  std::fputs(
      (flags.json ? status_json(views, health, now_us) + "\n" : status_text(views, health, now_us))
          .c_str(),
      stdout);
  if (!flags.check) return absl::OkStatus();
  if (model) views.resize(1);
  return check_served(views, now_us);
}

absl::Status run_swarm_new(const SwarmNewFlags& flags) {
  if (auto status = identity::write_swarm_key(flags.file, identity::generate_swarm_key());
      !status.ok()) {
    return status;
  }
  const std::string told = fmt::format(
      "{} holds the key of a new private swarm: give it to every member, who passes it as "
      "--swarm-key FILE\n",
      flags.file);
  std::fputs(told.c_str(), stdout);
  return absl::OkStatus();
}

}  // namespace shoal::client
