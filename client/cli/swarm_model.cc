// SPDX-License-Identifier: Apache-2.0
#include "client/cli/swarm_model.h"

#include <fmt/format.h>
#include <signal.h>

#include <algorithm>
#include <chrono>
#include <filesystem>
#include <future>
#include <optional>
#include <span>
#include <system_error>
#include <utility>

#include "base/random.h"
#include "cli/shown.h"
#include "cli/suggest.h"
#include "client/cli/model_name.h"
#include "client/swarm/companion_call.h"
#include "client/swarm/live_load.h"
#include "dht/served_models.h"
#include "model/manifest.h"
#include "model/sha256.h"
#include "net/channel_pool.h"
#include "net/manifest_call.h"

namespace shoal::client {
namespace {

constexpr std::size_t kMostListed = 8;
constexpr std::size_t kShortestDigest = 8;  // digits, as people are shown them
constexpr std::size_t kMostManifests = 5;   // nodes that are asked for one

std::string list_of(const std::vector<const SwarmView*>& views) {
  std::string text;
  for (std::size_t i = 0; i < std::min(views.size(), kMostListed); ++i) {
    text += (i > 0 ? ", " : "") + described(*views[i]);
  }
  if (views.size() > kMostListed) text += fmt::format(" and {} more", views.size() - kMostListed);
  return text;
}

std::vector<const SwarmView*> all_of(const std::vector<SwarmView>& views) {
  std::vector<const SwarmView*> all;
  all.reserve(views.size());
  for (const SwarmView& view : views) all.push_back(&view);
  // The most served first.
  std::ranges::stable_sort(all, [](const SwarmView* a, const SwarmView* b) {
    return a->nodes.size() > b->nodes.size();
  });
  return all;
}

template <typename Matches>
std::vector<const SwarmView*> those(const std::vector<SwarmView>& views, const Matches& matches) {
  std::vector<const SwarmView*> found = all_of(views);
  std::erase_if(found, [&](const SwarmView* view) { return !matches(*view); });
  return found;
}

proto::ServedModel served_model(const SwarmView& view) {
  proto::ServedModel model{view.model_digest, {}};
  for (const NodeView& node : view.nodes) model.nodes.push_back({node.peer, node.addresses});
  return model;
}

// Nobody is asked first because of what it calls itself.
void shuffle(std::vector<proto::ServedModel::Node>& nodes) {
  base::Random random(base::random_seed());
  for (std::size_t i = nodes.size(); i > 1; --i) std::swap(nodes[i - 1], nodes[random.next() % i]);
}

// As nodes that answer say, where records leave a choice.
absl::StatusOr<SwarmView> find_model(const std::string& name, SwarmConnection& swarm,
                                     const base::StopToken& interrupt) {
  const auto records = swarm.find(dht::models_key(swarm.swarm_id()), interrupt);
  if (!records.ok()) return records.status();
  std::vector<SwarmView> views = views_of(*records);
  auto chosen = choose_swarm_model(views, name);
  if (absl::IsFailedPrecondition(chosen.status())) {
    ask_for_load(views, swarm.channels(), interrupt);
    if (interrupt.stopped()) return interrupt.status();
    std::erase_if(views, [](const SwarmView& view) { return view.answering() == 0; });
    chosen = choose_swarm_model(views, name);
  }
  if (!chosen.ok()) return chosen.status();
  return **chosen;
}

absl::StatusOr<model::Manifest> fetch_proven(net::ChannelPool& channels,
                                             const proto::ServedModel& served,
                                             const base::StopToken& stop) {
  absl::Status last = absl::UnavailableError("no node that serves it can be reached");
  for (std::size_t i = 0; i < std::min(served.nodes.size(), kMostManifests); ++i) {
    const auto bytes = net::fetch_manifest(channels, {served.digest, {served.nodes[i]}}, stop);
    if (stop.stopped()) return stop.status();
    if (!bytes.ok()) {
      last = bytes.status();
      continue;
    }
    const auto sha256 = model::sha256(*bytes);
    if (!sha256.ok()) return sha256.status();
    if (*sha256 == served.digest.bytes) return model::parse_manifest(*bytes, "the manifest");
    last = absl::DataLossError(fmt::format("node {} sends the manifest of another model than {}",
                                           proto::short_name(served.nodes[i].peer),
                                           proto::short_name(served.digest)));
  }
  return last;
}

// The manifest, on its way while the files are.
class ManifestOnItsWay {
 public:
  ManifestOnItsWay(net::ChannelPool& channels, proto::ServedModel served)
      : future_(std::async(std::launch::async, [this, &channels, served = std::move(served)] {
          return fetch_proven(channels, served, stop_);
        })) {}
  ~ManifestOnItsWay() { stop_.stop(SIGINT); }

  absl::StatusOr<model::Manifest> wait(const base::StopToken& interrupt) {
    while (future_.wait_for(base::kStopPoll) == std::future_status::timeout) {
      if (interrupt.stopped()) return interrupt.status();
    }
    return future_.get();
  }

 private:
  base::StopToken stop_;
  std::future<absl::StatusOr<model::Manifest>> future_;  // waits in its destructor
};

absl::Status check_configuration(const std::string& folder, const model::Manifest& manifest) {
  const auto config = model::load_config(folder);
  if (!config.ok()) return config.status();
  const std::string other =
      model::difference(model::configuration_of(*config), manifest.configuration);
  if (other.empty()) return absl::OkStatus();
  return absl::DataLossError(fmt::format(
      "the config.json that nodes give is not that of the model that they serve: {}; give --model "
      "a folder or ORG/NAME",
      other));
}

}  // namespace

absl::StatusOr<model::Manifest> manifest_of(const SwarmView& view, net::ChannelPool& channels,
                                            const base::StopToken& interrupt) {
  SwarmView answering = view;
  std::erase_if(answering.nodes, [](const NodeView& node) { return !node.silence.empty(); });
  proto::ServedModel served = served_model(answering);
  shuffle(served.nodes);
  return fetch_proven(channels, served, interrupt);
}

bool is_swarm_name(const std::string& model) {
  std::error_code ignored;
  return !model.empty() && model.find('/') == std::string::npos &&
         !std::filesystem::exists(model, ignored);
}

std::string described(const SwarmView& view) {
  std::uint32_t served = view.block_count;
  for (const proto::Span& span : view.missing()) served -= span.size();
  return fmt::format("\"{}\" ({} of {} blocks, {} {}, digest {})", cli::printable(view.model_name),
                     served, view.block_count, view.nodes.size(),
                     view.nodes.size() == 1 ? "node" : "nodes",
                     proto::short_name(view.model_digest));
}

absl::StatusOr<const SwarmView*> choose_swarm_model(const std::vector<SwarmView>& views,
                                                    const std::string& name) {
  if (views.empty()) {
    return absl::UnavailableError(
        "the swarm has no node that serves a model yet; start one with: shoal-node run --model DIR "
        "--join HOST:PORT");
  }
  if (name.empty()) {
    if (views.size() == 1) return &views.front();
    const auto whole = those(views, [](const SwarmView& view) { return view.missing().empty(); });
    if (whole.size() == 1) return whole.front();
    return absl::FailedPreconditionError(
        fmt::format("the swarm serves several models: {}; say which with --model NAME",
                    list_of(all_of(views))));
  }
  auto found = those(views, [&](const SwarmView& view) { return view.model_name == name; });
  if (found.empty()) {
    found =
        those(views, [&](const SwarmView& view) { return view.model_name.ends_with("/" + name); });
  }
  if (found.empty() && name.size() >= kShortestDigest) {
    found = those(views, [&](const SwarmView& view) {
      return proto::to_string(view.model_digest).starts_with(name);
    });
  }
  if (found.size() == 1) return found.front();
  if (found.size() > 1) {
    return absl::FailedPreconditionError(
        fmt::format("several models of the swarm go by {}: {}; give --model the digest of one",
                    cli::shown(name), list_of(found)));
  }
  std::vector<std::string> names;
  for (const SwarmView& view : views) {
    if (std::ranges::count(names, view.model_name) == 0) names.push_back(view.model_name);
  }
  const std::string meant = cli::did_you_mean(name, names);
  return absl::NotFoundError(
      fmt::format("{} is neither a folder nor a model of the swarm{}{}", cli::shown(name), meant,
                  meant.empty() ? fmt::format(": it serves {}", list_of(all_of(views))) : ""));
}

absl::StatusOr<SwarmModel> model_of_swarm(const std::string& name, SwarmConnection& swarm,
                                          const base::StopToken& interrupt,
                                          cli::ProgressLine& line) {
  const auto view = find_model(name, swarm, interrupt);
  if (!view.ok()) return view.status();
  proto::ServedModel served = served_model(*view);
  shuffle(served.nodes);
  const auto agreed = ask_companions(swarm.channels(), served, interrupt);
  if (interrupt.stopped()) return interrupt.status();
  if (!agreed.ok()) {
    if (absl::IsFailedPrecondition(agreed.status())) return agreed.status();
    return absl::Status(
        agreed.status().code(),
        fmt::format("nobody gives the configuration and tokenizer of {} ({}): give --model a "
                    "folder or ORG/NAME",
                    described(*view), std::string(agreed.status().message())));
  }
  std::optional<ManifestOnItsWay> manifest;
  const auto fetch = [&](const proto::CompanionList& files) {
    manifest.emplace(swarm.channels(), proto::ServedModel{served.digest, agreed->nodes});
    auto bytes = fetch_companions(
        swarm.channels(), served.digest, *agreed, files,
        told_on(line, interrupt, "fetches the model's small files").progress, interrupt);
    line.clear();
    return bytes;
  };
  const auto check = [&](const std::string& folder) -> absl::Status {
    const auto proven = manifest->wait(interrupt);
    if (!proven.ok()) return proven.status();
    return check_configuration(folder, *proven);
  };
  SwarmModel result;
  result.name = view->model_name;
  auto folder = CompanionFolder::open(served.digest, agreed->list, fetch, check);
  if (interrupt.stopped()) return interrupt.status();
  if (!folder.ok()) return folder.status();
  result.files = *std::move(folder);
  UserModelOptions options;
  options.with_ends = false;
  options.with_name = false;
  auto user_model = load_user_model(result.files->path(), options);
  if (!user_model.ok()) return user_model.status();
  result.user_model = *std::move(user_model);
  result.user_model->digest = served.digest;
  result.user_model->is_named = true;
  return result;
}

absl::Status name_by_configuration(UserModel& model, SwarmConnection& swarm,
                                   const base::StopToken& interrupt) {
  const auto records = swarm.find(dht::models_key(swarm.swarm_id()), interrupt);
  if (!records.ok()) return records.status();
  const model::Configuration own = model::configuration_of(model.config);
  std::vector<SwarmView> views = views_of(*records);
  std::vector<SwarmView> same;
  std::string other;
  for (const SwarmView& view : views) {
    if (view.block_count != model.block_count()) continue;
    const auto manifest = fetch_proven(swarm.channels(), served_model(view), interrupt);
    if (interrupt.stopped()) return interrupt.status();
    if (!manifest.ok()) {
      other = std::string(manifest.status().message());
      continue;
    }
    other = model::difference(own, manifest->configuration);
    if (other.empty()) same.push_back(view);
  }
  if (same.size() > 1) {
    return absl::FailedPreconditionError(
        fmt::format("{} has no weights, and several models of the swarm have its configuration: "
                    "{}; give --model the digest of one, or the whole folder",
                    model.directory, list_of(all_of(same))));
  }
  if (same.empty()) {
    return absl::FailedPreconditionError(fmt::format(
        "{} has no weights, and the swarm serves no model of its configuration{}; it serves {}",
        model.directory, other.empty() ? "" : " (" + other + ")", list_of(all_of(views))));
  }
  model.digest = same.front().model_digest;
  model.is_named = true;
  return absl::OkStatus();
}

}  // namespace shoal::client
