// SPDX-License-Identifier: Apache-2.0
#include "node/hub_span.h"

#include <fmt/format.h>
#include <spdlog/spdlog.h>

#include <filesystem>
#include <memory>
#include <system_error>
#include <utility>

#include "model/hub/hub_model.h"
#include "model/hub/name.h"
#include "model/hub/settings.h"
#include "node/model_parts.h"
#include "proto/limits.h"

namespace shoal::node {

absl::Status check_model_option(const std::string& model) {
  std::error_code ignored;
  const bool is_there = std::filesystem::exists(model, ignored);
  const auto name = model::hub::name_of_model(model, is_there);
  if (!name.ok()) return name.status();
  if (is_there || *name) return absl::OkStatus();
  return absl::NotFoundError(
      fmt::format("--model {}: there is no such folder; give the folder of a model", model));
}

std::string note_of_model_option(const std::string& model) {
  std::error_code ignored;
  const auto name = model::hub::name_of_model(model, std::filesystem::exists(model, ignored));
  if (!name.ok() || !*name) return "";
  return fmt::format(
      "--model {}: there is no such folder; the node will fetch it as a model of the hub by that "
      "name",
      model);
}

absl::StatusOr<NodeModel> find_node_model(const std::string& model, const base::StopToken& stop) {
  std::error_code ignored;
  const auto name = model::hub::name_of_model(model, std::filesystem::exists(model, ignored));
  if (!name.ok()) return name.status();
  if (!*name) return NodeModel{.folder = model, .name = "", .fetch_span = {}};
  const auto settings = model::hub::read_settings(&model::hub::process_environment);
  if (!settings.ok()) return settings.status();
  model::hub::Told told;
  told.work = [&stop](const std::string& what) { return told_to_people(stop, what); };
  told.note = [](const std::string& text) { spdlog::warn("{}", text); };
  told.stop = &stop;
  auto opened = model::hub::HubModel::open(*settings, **name, std::move(told));
  if (!opened.ok()) return opened.status();
  const auto hub_model = std::make_shared<model::hub::HubModel>(*std::move(opened));
  auto folder = hub_model->fetch(model::hub::model_headers());
  if (!folder.ok()) return folder.status();
  NodeModel result{.folder = *std::move(folder), .name = (*name)->repo, .fetch_span = {}};
  if (result.name.size() > proto::kMaxNameBytes) {
    result.name = result.name.substr(result.name.find('/') + 1).substr(0, proto::kMaxNameBytes);
  }
  result.fetch_span = [hub_model](proto::Span span, const std::vector<std::string>& ends) {
    return hub_model->fetch(model::hub::model_blocks(span.begin, span.end, ends));
  };
  return result;
}

}  // namespace shoal::node
