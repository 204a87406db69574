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

absl::Status run_models(const ModelsFlags& flags) {
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
  std::fputs((flags.json ? models_json(models) + "\n" : models_text(models, cache->root())).c_str(),
             stdout);
  return absl::OkStatus();
}

std::string models_json(const std::vector<model::hub::CachedModel>& models) {
  nlohmann::ordered_json list = nlohmann::ordered_json::array();
  for (const model::hub::CachedModel& model : models) {
    list.push_back({{"model", model.repo},
                    {"revisions", model.revisions},
                    {"disk_bytes", model.disk_bytes},
                    {"weight_bytes", model.weight_bytes},
                    {"whole_bytes", model.whole_bytes},
                    {"parts", model.parts}});
  }
  return nlohmann::ordered_json{{"models", list}}.dump(-1, ' ', false,
                                                       nlohmann::json::error_handler_t::replace);
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
