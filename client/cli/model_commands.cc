// SPDX-License-Identifier: Apache-2.0
// shoal pull, shoal models, shoal models remove
#include <fmt/format.h>

#include <algorithm>
#include <cstdio>
#include <nlohmann/json.hpp>

#include "cli/shown.h"
#include "cli/usage.h"
#include "client/cli/commands.h"
#include "client/cli/hub_folder.h"
#include "client/cli/report.h"
#include "client/swarm/live_load.h"
#include "model/hub/cached_models.h"
#include "model/hub/name.h"
#include "model/hub/settings.h"

namespace shoal::client {
namespace {

std::string size_text(std::uint64_t bytes) {
  const double mib = static_cast<double>(bytes) / 0x1p20;
  return mib < 1024 ? fmt::format("{:.1f} MiB", mib) : fmt::format("{:.1f} GiB", mib / 1024);
}

std::string list_text(const std::vector<std::string>& items) {
  std::string text;
  for (const std::string& item : items) text += (text.empty() ? "" : ", ") + item;
  return text;
}

absl::StatusOr<model::hub::Cache> own_cache() {
  auto settings = model::hub::read_settings(&model::hub::process_environment);
  if (!settings.ok()) return settings.status();
  return model::hub::Cache(settings->cache);
}

std::uint32_t served_blocks(const SwarmView& view) {
  std::uint32_t served = view.block_count;
  for (const proto::Span& span : view.missing()) served -= span.size();
  return served;
}

// Whether nodes compute the ends too, so that a client needs nothing of the model.
bool serves_ends(const SwarmView& view) {
  bool embeds = false, scores = false;
  for (const NodeView& node : view.nodes) {
    if (node.load.state != proto::NodeState::kOnline || !node.silence.empty()) continue;
    embeds = embeds || (node.offer.span.begin == 0 && node.offer.ends.embeds);
    scores = scores || (node.offer.span.end == view.block_count && node.offer.ends.has_head());
  }
  return embeds && scores;
}

absl::StatusOr<std::vector<SwarmView>> ask_what_is_served(const SwarmFlags& flags,
                                                          const base::StopToken& interrupt) {
  auto swarm = join_swarm(flags, interrupt);
  if (!swarm.ok()) return swarm.status();
  const auto records = (*swarm)->find(dht::models_key((*swarm)->swarm_id()), interrupt);
  if (!records.ok()) return records.status();
  std::vector<SwarmView> views = views_of(*records);
  ask_for_load(views, (*swarm)->channels(), interrupt);
  if (interrupt.stopped()) return interrupt.status();
  return views;
}

}  // namespace

absl::Status run_pull(const PullFlags& flags, const base::StopToken& interrupt) {
  const auto name = model::hub::parse_hub_name(flags.model);
  if (!name) {
    return cli::usage_error(
        fmt::format("{} is no model's name: write ORG/NAME[@REVISION], as on huggingface.co",
                    cli::shown(flags.model)));
  }
  model::hub::Purpose purpose = model::hub::whole_model();
  if (flags.ends) purpose = model::hub::model_ends();
  if (flags.blocks) purpose = model::hub::model_blocks(flags.blocks->begin, flags.blocks->end);
  cli::ProgressLine line;
  auto folder = fetch_from_hub(*name, purpose, interrupt, line);
  line.clear();
  if (interrupt.stopped()) return interrupt.status();
  if (!folder.ok()) return folder.status();
  std::puts(folder->c_str());
  return absl::OkStatus();
}

absl::Status run_models(const ModelsFlags& flags, const base::StopToken& interrupt) {
  const auto cache = own_cache();
  if (!cache.ok()) return cache.status();
  if (!flags.remove.empty()) {
    const auto name = model::hub::parse_hub_name(flags.remove);
    if (!name || name->revision != "main") {
      return cli::usage_error(
          fmt::format("{} is no model's name: write ORG/NAME, as shoal models lists it",
                      cli::shown(flags.remove)));
    }
    const auto freed = model::hub::remove_cached(*cache, name->repo);
    if (!freed.ok()) return freed.status();
    std::fputs(
        fmt::format("removed {}: {} are free again\n", name->repo, size_text(*freed)).c_str(),
        stdout);
    return absl::OkStatus();
  }
  const std::vector<model::hub::CachedModel> models = model::hub::cached_models(*cache);
  std::vector<SwarmView> views;
  const bool asks = !flags.swarm.join.empty();
  if (asks) {
    auto served = ask_what_is_served(flags.swarm, interrupt);
    if (!served.ok()) return served.status();
    views = *std::move(served);
  }
  std::string text = flags.json ? models_json(models, asks ? &views : nullptr) + "\n"
                                : models_text(models, cache->root());
  if (asks && !flags.json) text += "\n" + served_text(views);
  std::fputs(text.c_str(), stdout);
  return absl::OkStatus();
}

std::string models_json(const std::vector<model::hub::CachedModel>& models,
                        const std::vector<SwarmView>* views) {
  nlohmann::ordered_json list = nlohmann::ordered_json::array();
  for (const model::hub::CachedModel& model : models) {
    list.push_back({{"model", model.repo},
                    {"revisions", model.revisions},
                    {"disk_bytes", model.disk_bytes},
                    {"weight_bytes", model.weight_bytes},
                    {"whole_bytes", model.whole_bytes},
                    {"parts", model.parts}});
  }
  nlohmann::ordered_json all{{"models", list}};
  if (views != nullptr) {
    nlohmann::ordered_json& served = all["swarm"] = nlohmann::ordered_json::array();
    for (const SwarmView& view : *views) {
      nlohmann::ordered_json missing = nlohmann::ordered_json::array();
      for (const proto::Span& span : view.missing()) missing.push_back({span.begin, span.end});
      served.push_back({{"model", view.model_name},
                        {"digest", proto::to_string(view.model_digest)},
                        {"blocks", view.block_count},
                        {"served", served_blocks(view)},
                        {"missing", missing},
                        {"nodes", view.answering()},
                        {"ends", serves_ends(view)}});
    }
  }
  return all.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
}

namespace {

std::string note_on(const SwarmView& view) {
  if (const auto missing = view.missing(); !missing.empty()) {
    return fmt::format("  ({} missing)", describe_blocks(missing));
  }
  return serves_ends(view) ? "" : "  (not the ends: clients need --model DIR or ORG/NAME)";
}

}  // namespace

std::string served_text(const std::vector<SwarmView>& views) {
  if (views.empty()) return "no node of the swarm serves a model\n";
  std::size_t width = 8;
  for (const SwarmView& view : views) width = std::max(width, view.model_name.size());
  std::string text =
      fmt::format("{:<{}}  {:<10}  {:>5}  {}\n", "IN SWARM", width, "BLOCKS", "NODES", "DIGEST");
  for (const SwarmView& view : views) {
    text += fmt::format("{:<{}}  {:<10}  {:>5}  {}{}\n", cli::printable(view.model_name), width,
                        fmt::format("{} of {}", served_blocks(view), view.block_count),
                        view.answering(), proto::short_name(view.model_digest), note_on(view));
  }
  return text;
}

std::string models_text(const std::vector<model::hub::CachedModel>& models,
                        const std::string& root) {
  if (models.empty()) {
    return fmt::format("no models in {}: shoal pull ORG/NAME fetches one\n", root);
  }
  std::size_t width = 5;
  for (const model::hub::CachedModel& model : models) width = std::max(width, model.repo.size());
  std::string text = fmt::format("{:<{}}  {:>10}  {:<20}  {}\n", "MODEL", width, "ON DISK",
                                 "REVISIONS", "WEIGHTS");
  for (const model::hub::CachedModel& model : models) {
    std::vector<std::string> has;
    if (model.weight_bytes > 0 && model.whole_bytes == model.weight_bytes) {
      has.push_back("all");
    } else {
      if (model.whole_bytes > 0) {
        has.push_back(fmt::format("files of {}", size_text(model.whole_bytes)));
      }
      has.insert(has.end(), model.parts.begin(), model.parts.end());
      if (has.empty()) has.emplace_back("none");
    }
    text += fmt::format("{:<{}}  {:>10}  {:<20}  {}", cli::printable(model.repo), width,
                        size_text(model.disk_bytes), list_text(model.revisions), list_text(has));
    text += model.weight_bytes > 0 ? fmt::format(" of {}\n", size_text(model.weight_bytes)) : "\n";
  }
  return text;
}

}  // namespace shoal::client
