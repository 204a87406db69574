// SPDX-License-Identifier: Apache-2.0
// How generate and score get at a model's blocks, and what they tell people meanwhile.
#include <fmt/format.h>

#include "client/cli/commands.h"
#include "client/cli/model_name.h"
#include "client/ring/swarm_pipeline.h"
#include "client/swarm/block_kinds.h"
#include "client/text/local_pipeline.h"

namespace shoal::client {
namespace {

// Once the route is known. What it fails over to later does not change the head.
absl::Status choose_head(const std::string& asked, const Pipeline& pipeline, UserModel& user_model,
                         const base::StopToken& interrupt, cli::ProgressLine& line) {
  const model::WeightChoice choice = model::weight_choice_named(asked).value_or(
      is_quantized(pipeline.kinds()) ? model::WeightChoice::kQ8 : model::WeightChoice::kStored);
  if (choice == user_model.ends->head()) return absl::OkStatus();
  auto status = user_model.ends->pack_head(
      *user_model.checkpoint, choice, told_on(line, interrupt, "packs the model's last layer"));
  line.clear();
  return status;
}

}  // namespace

absl::StatusOr<std::unique_ptr<UserModel>> open_model(const std::string& directory,
                                                      const SwarmFlags& flags, int threads,
                                                      const base::StopToken& interrupt,
                                                      cli::ProgressLine& line) {
  UserModelOptions options;
  options.threads = threads;
  options.with_blocks = flags.local;
  options.with_name = !flags.local;
  options.work = told_on(line, interrupt);
  auto user_model = load_user_model(directory, options);
  line.clear();
  if (interrupt.stopped()) return interrupt.status();
  if (user_model.ok()) print_warnings(**user_model);
  return user_model;
}

RunFacts facts_of(const Pipeline& pipeline, const UserModel& user_model) {
  return {.route = pipeline.route(),
          .reroutes = pipeline.reroutes(),
          .kinds = pipeline.kinds(),
          .exact = pipeline.exact(),
          .head = user_model.ends->head()};
}

absl::StatusOr<OpenedPipeline> open_pipeline(const SwarmFlags& flags, UserModel& user_model,
                                             std::int64_t positions, bool full_timings,
                                             const base::StopToken& interrupt,
                                             cli::ProgressLine& line) {
  OpenedPipeline opened;
  if (flags.local) {
    auto local = LocalPipeline::create(
        user_model, positions, interrupt,
        model::kv_dtype_named(flags.kv_dtype).value_or(kernels::DType::kF32),
        model::weight_choice_named(flags.weights).value_or(model::WeightChoice::kStored));
    if (!local.ok()) return local.status();
    opened.pipeline = *std::move(local);
    if (auto status = choose_head(flags.head, *opened.pipeline, user_model, interrupt, line);
        !status.ok()) {
      return status;
    }
    return opened;
  }
  const auto tell = [&line](const std::string& text) { line.note("shoal: " + text); };
  auto joined = join_swarm(flags, interrupt, tell);
  if (!joined.ok()) return joined.status();
  opened.swarm = *std::move(joined);
  if (!user_model.is_named) {
    const std::size_t told_before = user_model.warnings.size();
    if (auto status = find_manifest(user_model, *opened.swarm, interrupt, line); !status.ok()) {
      return status;
    }
    print_warnings(user_model, told_before);
  }
  SwarmPipelineOptions options;
  options.positions = static_cast<std::uint32_t>(positions);
  options.full_timings = full_timings;
  options.wait = wait_of(flags);
  options.on_event = tell;
  options.on_wait = [&line](auto waited, auto limit) { line.show_waiting(waited, limit); };
  auto ring = SwarmPipeline::create(user_model, *opened.swarm, options, interrupt);
  if (!ring.ok()) return ring.status();
  opened.pipeline = *std::move(ring);
  if (auto status = choose_head(flags.head, *opened.pipeline, user_model, interrupt, line);
      !status.ok()) {
    return status;
  }
  return opened;
}

}  // namespace shoal::client
