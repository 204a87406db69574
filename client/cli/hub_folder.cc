// SPDX-License-Identifier: Apache-2.0
#include "client/cli/hub_folder.h"

#include <filesystem>

#include "cli/shown.h"
#include "client/cli/model_name.h"
#include "model/hub/name.h"
#include "model/hub/settings.h"

namespace shoal::client {

absl::StatusOr<std::string> fetch_from_hub(const model::hub::HubName& name,
                                           const model::hub::Purpose& purpose,
                                           const base::StopToken& interrupt,
                                           cli::ProgressLine& line) {
  const auto settings = model::hub::read_settings(&model::hub::process_environment);
  if (!settings.ok()) return settings.status();
  model::hub::Told told;
  told.work = [&](const std::string& what) { return told_on(line, interrupt, what); };
  told.note = [&line](const std::string& text) { line.note("shoal: " + cli::printable(text)); };
  told.stop = &interrupt;
  auto hub_model = model::hub::HubModel::open(*settings, name, std::move(told));
  if (!hub_model.ok()) return hub_model.status();
  auto folder = hub_model->fetch(purpose);
  line.clear();
  return folder;
}

absl::StatusOr<std::string> folder_of_model(const std::string& model,
                                            const model::hub::Purpose& purpose,
                                            const base::StopToken& interrupt,
                                            cli::ProgressLine& line) {
  std::error_code ignored;
  const auto name = model::hub::name_of_model(model, std::filesystem::exists(model, ignored));
  if (!name.ok()) return name.status();
  if (!*name) return model;
  return fetch_from_hub(**name, purpose, interrupt, line);
}

}  // namespace shoal::client
