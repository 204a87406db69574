// SPDX-License-Identifier: Apache-2.0
// How generate and score get at a model's blocks, and what they tell people meanwhile.
#include <fmt/format.h>

#include <optional>
#include <string>

#include "base/memory_budget.h"
#include "cli/shown.h"
#include "client/cli/commands.h"
#include "client/cli/model_name.h"
#include "client/ring/swarm_pipeline.h"
#include "client/swarm/block_kinds.h"
#include "client/text/local_pipeline.h"
#include "model/block_cache.h"

namespace shoal::client {
namespace {

// Once the route is known. What it fails over to later does not change the head.
absl::Status choose_head(const std::string& asked, const Pipeline& pipeline, UserModel& user_model,
                         const base::StopToken& interrupt, cli::ProgressLine& line) {
  if (pipeline.remote_head()) return absl::OkStatus();  // a node has chosen
  const model::WeightChoice choice = model::weight_choice_named(asked).value_or(
      is_quantized(pipeline.kinds()) ? model::WeightChoice::kQ8 : model::WeightChoice::kStored);
  if (choice == user_model.ends->head()) return absl::OkStatus();
  auto status = user_model.ends->pack_head(
      *user_model.checkpoint, choice, told_on(line, interrupt, "packs the model's last layer"));
  line.clear();
  return status;
}

absl::StatusOr<std::unique_ptr<LocalPipeline>> open_local(const SwarmFlags& flags,
                                                          UserModel& user_model,
                                                          const PipelineNeeds& needs,
                                                          const base::StopToken& interrupt,
                                                          cli::ProgressLine& line) {
  const std::int64_t positions = needs.positions;
  const base::StopToken& of_pipeline = needs.interrupt != nullptr ? *needs.interrupt : interrupt;
  LocalOptions options;
  options.kv_dtype = model::kv_dtype_named(flags.kv_dtype).value_or(kernels::KvDType::kF32);
  if (flags.weights == "auto") {
    const LocalWeights chosen =
        choose_local_weights(base::memory_budget("/", base::process_limits(), std::nullopt),
                             user_model, positions, options.kv_dtype);
    options.weights = chosen.weights;
    line.note("shoal: weights: " + chosen.reason);
  } else if (!flags.weights.empty()) {
    options.weights = model::weight_choice_named(flags.weights).value();
  }
  if (options.weights == model::WeightChoice::kStored) {
    return LocalPipeline::create(user_model, positions, of_pipeline, options);
  }
  auto cache_options = model::cache_options(flags.cache, flags.cache_limit);
  if (!cache_options.ok()) return cache_options.status();
  cache_options->warn = [&line](const std::string& text) {
    line.note("shoal: warning: " + cli::printable(text));
  };
  if (!cache_options->directory.empty() && !user_model.is_named) {
    // What the files hold is what packed weights are known by.
    const std::size_t told_before = user_model.warnings.size();
    if (auto status = user_model.name(told_on(line, interrupt)); !status.ok()) return status;
    print_warnings(user_model, told_before);
  }
  model::BlockCache cache(*std::move(cache_options), user_model.contents);
  options.pack.cache = &cache;
  const std::string format = name_of(options.weights);
  options.pack.reading = told_on(line, interrupt, "reads the " + format + " weights of the cache");
  options.pack.packing = told_on(line, interrupt, "packs the weights as " + format);
  return LocalPipeline::create(user_model, positions, of_pipeline, options);
}

}  // namespace

namespace {

model::WeightChoice head_of(const Pipeline& pipeline, const UserModel& user_model) {
  const auto remote = pipeline.remote_head();
  if (!remote) return user_model.ends->head();
  return *remote == proto::WeightFormat::kQ8 ? model::WeightChoice::kQ8
                                             : model::WeightChoice::kStored;
}

}  // namespace

RunFacts facts_of(const Pipeline& pipeline, const UserModel& user_model) {
  return {.route = pipeline.route(),
          .reroutes = pipeline.reroutes(),
          .reused_positions = pipeline.reused_positions(),
          .kinds = pipeline.kinds(),
          .exact = pipeline.exact(),
          .head = head_of(pipeline, user_model)};
}

absl::StatusOr<std::unique_ptr<PipelineSource>> PipelineSource::open(
    const SwarmFlags& flags, OpenedModel& model, const base::StopToken& interrupt,
    cli::ProgressLine& line) {
  UserModel& user_model = *model.user_model;
  std::unique_ptr<PipelineSource> source(new PipelineSource(flags, user_model, interrupt, line));
  if (flags.local) return source;
  source->swarm_ = std::move(model.swarm);
  if (source->swarm_ == nullptr) {
    auto joined = join_swarm(flags, interrupt,
                             [&source = *source](const std::string& text) { source.tell(text); });
    if (!joined.ok()) return joined.status();
    source->swarm_ = *std::move(joined);
  }
  if (user_model.is_named) return source;
  const std::size_t told_before = user_model.warnings.size();
  if (auto status = find_manifest(user_model, *source->swarm_, interrupt, line); !status.ok()) {
    return status;
  }
  print_warnings(user_model, told_before);
  return source;
}

absl::StatusOr<std::unique_ptr<Pipeline>> PipelineSource::pipeline(PipelineNeeds needs) {
  absl::StatusOr<std::unique_ptr<Pipeline>> opened;
  if (swarm_ == nullptr) {
    opened = open_local(flags_, user_model_, needs, interrupt_, line_);
    line_.clear();
  } else {
    opened = over_the_swarm(std::move(needs));
  }
  if (!opened.ok()) return opened;
  if (auto status = choose_head(flags_.head, **opened, user_model_, interrupt_, line_);
      !status.ok()) {
    return status;
  }
  return opened;
}

absl::StatusOr<std::unique_ptr<Pipeline>> PipelineSource::over_the_swarm(PipelineNeeds needs) {
  SwarmPipelineOptions options;
  options.positions = static_cast<std::uint32_t>(needs.positions);
  options.full_timings = needs.full_timings;
  options.stop_waiting = needs.stop_waiting;
  if (needs.reusable_prompt) {
    options.prompt = *std::move(needs.reusable_prompt);
    // An identity that ends with this run finds nothing again later.
    if (!needs.share_prefix.empty()) {
      options.prefix_salt = prefix_salt_named(needs.share_prefix);
    } else if (needs.for_this_run || !flags_.identity_file.empty()) {
      options.prefix_salt = prefix_salt_of(swarm_->identity());
    }
  }
  options.wait = wait_of(flags_);
  options.on_event = [this](const std::string& text) { tell(text); };
  options.on_wait = [this](auto waited, auto limit) { line_.show_waiting(waited, limit); };
  return SwarmPipeline::create(user_model_, *swarm_, options,
                               needs.interrupt != nullptr ? *needs.interrupt : interrupt_);
}

absl::StatusOr<OpenedPipeline> open_pipeline(const SwarmFlags& flags, OpenedModel& model,
                                             PipelineNeeds needs, const base::StopToken& interrupt,
                                             cli::ProgressLine& line) {
  OpenedPipeline opened;
  auto source = PipelineSource::open(flags, model, interrupt, line);
  if (!source.ok()) return source.status();
  opened.source = *std::move(source);
  auto pipeline = opened.source->pipeline(std::move(needs));
  if (!pipeline.ok()) return pipeline.status();
  opened.pipeline = *std::move(pipeline);
  return opened;
}

}  // namespace shoal::client
