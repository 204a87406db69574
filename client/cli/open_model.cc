// SPDX-License-Identifier: Apache-2.0
// Where a command's model comes from: a folder, the hub, or the swarm itself.
#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <filesystem>
#include <string>
#include <system_error>
#include <utility>

#include "base/awaited.h"
#include "cli/shown.h"
#include "cli/usage.h"
#include "client/cli/commands.h"
#include "client/cli/hub_folder.h"
#include "client/cli/model_name.h"
#include "client/cli/swarm_model.h"
#include "model/file_kind.h"
#include "model/weight_files.h"

namespace shoal::client {
namespace {

bool holds_none(const model::WeightFiles& files) {
  return std::ranges::none_of(files.files, [](const model::WeightFile& file) { return file.held; });
}

// A folder of small files, and of nothing that somebody may have taken for weights.
bool has_no_weights(const std::string& directory) {
  const auto files = model::read_weight_files(directory);
  if (files.ok()) return holds_none(*files);
  return absl::IsNotFound(files.status()) && model::folder_hint(directory).empty();
}

absl::StatusOr<std::unique_ptr<SwarmConnection>> join_early(const SwarmFlags& flags,
                                                            const base::StopToken& interrupt,
                                                            cli::ProgressLine& line) {
  return join_swarm(flags, interrupt,
                    [&line](const std::string& text) { line.note("shoal: " + text); });
}

// Nodes may only be about to come: what is waited for elsewhere is waited for here.
absl::StatusOr<OpenedModel> open_from_swarm(const std::string& model, const SwarmFlags& flags,
                                            const base::StopToken& interrupt,
                                            cli::ProgressLine& line) {
  constexpr std::chrono::milliseconds kPause{1'000};
  if (flags.ends == "local") {
    return cli::usage_error(
        "--ends local needs --model with a folder or ORG/NAME: nodes give no weights");
  }
  OpenedModel opened;
  auto swarm = join_early(flags, interrupt, line);
  if (!swarm.ok()) return swarm.status();
  opened.swarm = *std::move(swarm);
  const auto begun = std::chrono::steady_clock::now();
  for (bool told = false;;) {
    auto found = model_of_swarm(model, *opened.swarm, interrupt, line);
    if (interrupt.stopped()) return interrupt.status();
    if (found.ok()) {
      opened.name = std::move(found->name);
      opened.files = std::move(found->files);
      opened.user_model = std::move(found->user_model);
      return opened;
    }
    const auto waited = std::chrono::duration_cast<std::chrono::milliseconds>(
        std::chrono::steady_clock::now() - begun);
    if (!absl::IsUnavailable(found.status()) || waited >= wait_of(flags)) return found.status();
    if (!std::exchange(told, true)) {
      line.note(fmt::format("shoal: waits up to {:.0f} s (--wait): {}", flags.wait_s,
                            cli::printable(std::string(found.status().message()))));
    }
    line.show_waiting(waited, wait_of(flags));
    if (!base::sleep_for(kPause, interrupt)) return interrupt.status();
  }
}

model::hub::Purpose purpose_of(const SwarmFlags& flags) {
  if (flags.local) return model::hub::whole_model();
  return flags.ends == "remote" ? model::hub::model_headers() : model::hub::model_ends();
}

}  // namespace

absl::StatusOr<OpenedModel> open_model(const std::string& model, const SwarmFlags& flags,
                                       int threads, const base::StopToken& interrupt,
                                       cli::ProgressLine& line) {
  std::error_code ignored;
  const bool is_there = !model.empty() && std::filesystem::exists(model, ignored);
  if (!flags.local && (model.empty() || is_swarm_name(model))) {
    auto opened = open_from_swarm(model, flags, interrupt, line);
    line.clear();
    if (opened.ok()) print_warnings(*opened->user_model);
    return opened;
  }
  const auto directory = folder_of_model(model, purpose_of(flags), interrupt, line);
  if (interrupt.stopped()) return interrupt.status();
  if (!directory.ok()) return directory.status();
  OpenedModel opened;
  opened.name = model;
  UserModelOptions options;
  options.threads = threads;
  options.with_blocks = flags.local;
  options.with_name = !flags.local;
  options.with_ends = flags.local || flags.ends == "local" ||
                      (flags.ends != "remote" && !(is_there && has_no_weights(*directory)));
  options.work = told_on(line, interrupt);
  auto user_model = load_user_model(*directory, options);
  line.clear();
  if (interrupt.stopped()) return interrupt.status();
  if (!user_model.ok()) return user_model.status();
  opened.user_model = *std::move(user_model);
  print_warnings(*opened.user_model);
  if (!options.with_ends && !opened.user_model->is_named && holds_none(opened.user_model->files)) {
    auto swarm = join_early(flags, interrupt, line);
    if (!swarm.ok()) return swarm.status();
    opened.swarm = *std::move(swarm);
    absl::Status named = name_by_configuration(*opened.user_model, *opened.swarm, interrupt);
    if (!named.ok()) return named;
  }
  return opened;
}

}  // namespace shoal::client
