// SPDX-License-Identifier: Apache-2.0
// shoal score
#include <fmt/format.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <iterator>

#include "cli/usage.h"
#include "client/cli/commands.h"
#include "client/cli/input.h"
#include "client/cli/report.h"
#include "client/text/score.h"

namespace shoal::client {
namespace {

constexpr std::size_t kMaxTextBytes = 1u << 30;

absl::StatusOr<std::string> read_text(const std::string& path, const base::StopToken& interrupt) {
  if (path == "-") return read_standard_input("the text to score", kMaxTextBytes, interrupt);
  const auto unreadable = [&](const char* why) {
    return absl::NotFoundError(
        fmt::format("cannot read {}: {}; give a text file in UTF-8", path, why));
  };
  std::error_code ignored;
  if (std::filesystem::is_directory(path, ignored)) return unreadable("it is a folder");
  std::ifstream file(path, std::ios::binary);
  if (!file) return unreadable(std::strerror(errno));
  std::string text(std::istreambuf_iterator<char>(file), {});
  if (file.bad()) return unreadable("reading failed");
  return text;
}

}  // namespace

absl::Status run_score(const ScoreFlags& flags, const base::StopToken& interrupt) {
  auto text = read_text(flags.file, interrupt);
  if (!text.ok()) return text.status();
  const std::string source = flags.file == "-" ? "standard input" : flags.file;
  if (text->empty()) {
    return absl::InvalidArgumentError(
        fmt::format("{} is empty: there is nothing to score", source));
  }
  cli::ProgressLine line;
  auto model = open_model(flags.model, flags.swarm, flags.threads, interrupt, line);
  if (!model.ok()) return model.status();
  const UserModel& user_model = *model->user_model;
  if (!user_model.has_ends()) {
    return absl::FailedPreconditionError(
        "score needs the probability of every token, and nodes give the likeliest only: give "
        "--model a folder with the weights of embedding and head, or ORG/NAME");
  }
  const std::int64_t context = user_model.config.max_positions;
  if (flags.window > context) {
    return cli::usage_error(fmt::format(
        "--window is {}, but the model's context is {}: give at most that", flags.window, context));
  }
  auto ids = user_model.tokenizer->encode(*text);
  if (!ids.ok()) {
    return absl::Status(ids.status().code(),
                        fmt::format("{}: {}", source, std::string(ids.status().message())));
  }
  if (ids->size() < 2) {
    return absl::InvalidArgumentError(
        fmt::format("{} has only {} token: there is nothing to predict", source, ids->size()));
  }
  const std::int64_t positions =
      std::min<std::int64_t>(flags.window, static_cast<std::int64_t>(ids->size()) - 1);

  auto opened = open_pipeline(flags.swarm, *model, {.positions = positions}, interrupt, line);
  if (!opened.ok()) return opened.status();
  Pipeline& pipeline = *opened->pipeline;
  // Each token goes through the blocks and then through the head: half of the way each.
  std::size_t before = 0;
  const std::size_t inputs = ids->size() - 1;
  pipeline.on_rows(
      [&](std::size_t done, std::size_t) { line.show("scores", before + done / 2, inputs); });
  auto result = score(pipeline, user_model, *ids, flags.window, interrupt,
                      [&](std::size_t done, std::size_t all) {
                        const auto window = static_cast<std::size_t>(flags.window);
                        before = (done - 1) / window * window;
                        const std::size_t in_window = std::min(window, inputs - before);
                        line.show("scores", before + (in_window + done - before) / 2, all);
                        if (done - before == in_window) before = done;
                      });
  line.clear();
  if (!result.ok()) return result.status();
  const RunFacts facts = facts_of(pipeline, user_model);
  std::fputs(
      (flags.json ? score_json(*result, flags.window, facts) + "\n" : score_text(*result, facts))
          .c_str(),
      stdout);
  return absl::OkStatus();
}

}  // namespace shoal::client
