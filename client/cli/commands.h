// SPDX-License-Identifier: Apache-2.0
// The subcommands of `shoal`. Each writes its result to stdout and returns OK, or the one error for
// main to print. An interrupted command returns CANCELLED after its output is flushed.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "base/stop_token.h"
#include "cli/progress_line.h"
#include "client/cli/command_line.h"
#include "client/cli/companion_folder.h"
#include "client/cli/report.h"
#include "client/swarm/swarm_connection.h"
#include "client/swarm/swarm_view.h"
#include "client/text/pipeline.h"
#include "client/text/user_model.h"
#include "model/hub/cached_models.h"

namespace shoal::client {

absl::Status run_generate(const GenerateFlags& flags, const base::StopToken& interrupt);
absl::Status run_chat(const ChatFlags& flags, const base::StopToken& interrupt);
absl::Status run_serve(const ServeFlags& flags, const base::StopToken& interrupt);
absl::Status run_score(const ScoreFlags& flags, const base::StopToken& interrupt);
absl::Status run_status(const StatusFlags& flags, const base::StopToken& interrupt);
absl::Status run_swarm_new(const SwarmNewFlags& flags);
absl::Status run_pull(const PullFlags& flags, const base::StopToken& interrupt);
absl::Status run_models(const ModelsFlags& flags, const base::StopToken& interrupt);
std::string models_text(const std::vector<model::hub::CachedModel>& models,
                        const std::string& root);
// What the swarm serves, of nodes that answered where they were asked.
std::string served_text(const std::vector<SwarmView>& views);
// Without a swarm (null): of what is here alone.
std::string models_json(const std::vector<model::hub::CachedModel>& models,
                        const std::vector<SwarmView>* views);

// What a command works with.
struct OpenedModel {
  std::string name;                        // as it was named, or as nodes announce it
  std::unique_ptr<SwarmConnection> swarm;  // null: nothing had to be asked of one yet
  std::unique_ptr<CompanionFolder> files;  // null: the model's own folder
  std::unique_ptr<UserModel> user_model;   // goes before the files
};
// All of it for --local. For a swarm the ends too, where they are here and --ends does not say
// otherwise; fetched where --model names one of the hub. Without a folder or such a name it is the
// swarm's, and nodes give the small files. Warnings are printed.
absl::StatusOr<OpenedModel> open_model(const std::string& model, const SwarmFlags& flags,
                                       int threads, const base::StopToken& interrupt,
                                       cli::ProgressLine& line);

// Reads the key and identity files, and joins; with on_event it waits for this machine's network.
absl::StatusOr<std::unique_ptr<SwarmConnection>> join_swarm(
    const SwarmFlags& flags, const base::StopToken& interrupt,
    const std::function<void(const std::string&)>& on_event = {});

RunFacts facts_of(const Pipeline& pipeline, const UserModel& user_model);
struct PipelineNeeds {
  std::int64_t positions = 0;
  bool full_timings = false;
  // Nodes may keep the text that begins so, for whoever gives the same name; an empty name: for the
  // identity of --identity, and for nobody without one.
  std::optional<std::vector<std::int32_t>> reusable_prompt = std::nullopt;
  std::string share_prefix = {};
  // Without either: for the rest of this run.
  bool for_this_run = false;
  // Of the pipeline; null: the one of where it comes from.
  const base::StopToken* interrupt = nullptr;
  // As SwarmPipelineOptions has it.
  const base::StopToken* stop_waiting = nullptr;
};

// Where a command gets a model's blocks from: this process, or a swarm that it has joined. What
// happens is told on `line`. A model without a name gets it from the swarm. All that it is given
// must outlive it, and it the pipelines.
class PipelineSource {
 public:
  static absl::StatusOr<std::unique_ptr<PipelineSource>> open(const SwarmFlags& flags,
                                                              OpenedModel& model,
                                                              const base::StopToken& interrupt,
                                                              cli::ProgressLine& line);
  // The model's head is made as the blocks are.
  absl::StatusOr<std::unique_ptr<Pipeline>> pipeline(PipelineNeeds needs);
  SwarmConnection* swarm() { return swarm_.get(); }  // null: this process

 private:
  PipelineSource(const SwarmFlags& flags, UserModel& user_model, const base::StopToken& interrupt,
                 cli::ProgressLine& line)
      : flags_(flags), user_model_(user_model), interrupt_(interrupt), line_(line) {}
  absl::StatusOr<std::unique_ptr<Pipeline>> over_the_swarm(PipelineNeeds needs);
  void tell(const std::string& text) { line_.note("shoal: " + text); }

  const SwarmFlags& flags_;
  UserModel& user_model_;
  const base::StopToken& interrupt_;
  cli::ProgressLine& line_;
  std::unique_ptr<SwarmConnection> swarm_;  // null: this process
};

// For what needs one.
struct OpenedPipeline {
  std::unique_ptr<PipelineSource> source;  // outlives the pipeline
  std::unique_ptr<Pipeline> pipeline;
};
absl::StatusOr<OpenedPipeline> open_pipeline(const SwarmFlags& flags, OpenedModel& model,
                                             PipelineNeeds needs, const base::StopToken& interrupt,
                                             cli::ProgressLine& line);

}  // namespace shoal::client
