// SPDX-License-Identifier: Apache-2.0
// shoal score
#include <fmt/format.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <iterator>

#include "cli/usage.h"
#include "client/commands.h"
#include "client/input.h"
#include "client/local_pipeline.h"
#include "client/report.h"
#include "client/score.h"
#include "client/swarm_pipeline.h"

namespace shoal::client {
namespace {

constexpr std::size_t kMaxTextBytes = 1u << 30;

absl::StatusOr<std::string> read_text(const std::string& path, const Interrupt& interrupt) {
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

void draw_progress(std::size_t done, std::size_t all) {
  constexpr std::size_t kWidth = 40;
  const std::size_t filled = done * kWidth / all;
  fmt::print(stderr, "\r[{}{}] {:3} %{}", std::string(filled, '#'),
             std::string(kWidth - filled, ' '), done * 100 / all, done == all ? "\n" : "");
  std::fflush(stderr);
}

}  // namespace

absl::Status run_score(const ScoreFlags& flags, const Interrupt& interrupt) {
  auto text = read_text(flags.file, interrupt);
  if (!text.ok()) return text.status();
  const std::string source = flags.file == "-" ? "standard input" : flags.file;
  if (text->empty()) {
    return absl::InvalidArgumentError(
        fmt::format("{} is empty: there is nothing to score", source));
  }
  auto user_model = load_user_model(flags.model, flags.threads);
  if (!user_model.ok()) return user_model.status();
  print_warnings(**user_model);
  const std::int64_t context = (*user_model)->config.max_positions;
  if (flags.window > context) {
    return cli::usage_error(fmt::format(
        "--window is {}, but the model's context is {}: give at most that", flags.window, context));
  }
  auto ids = (*user_model)->tokenizer->encode(*text);
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

  std::unique_ptr<SwarmConnection> swarm;  // outlives the pipeline
  std::unique_ptr<Pipeline> pipeline;
  if (flags.swarm.local) {
    auto local = LocalPipeline::create(**user_model, positions, interrupt);
    if (!local.ok()) return local.status();
    pipeline = *std::move(local);
  } else {
    auto joined = join_swarm(flags.swarm, interrupt);
    if (!joined.ok()) return joined.status();
    swarm = *std::move(joined);
    SwarmPipelineOptions options;
    options.positions = static_cast<std::uint32_t>(positions);
    auto ring = SwarmPipeline::create(**user_model, *swarm, options, interrupt);
    if (!ring.ok()) return ring.status();
    pipeline = *std::move(ring);
  }
  std::function<void(std::size_t, std::size_t)> progress;
  if (isatty(STDERR_FILENO)) progress = draw_progress;
  auto result = score(*pipeline, **user_model, *ids, flags.window, interrupt, progress);
  if (!result.ok()) return result.status();
  std::fputs((flags.json ? score_json(*result, flags.window, pipeline->route()) + "\n"
                         : score_text(*result))
                 .c_str(),
             stdout);
  return absl::OkStatus();
}

}  // namespace shoal::client
