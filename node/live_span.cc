// SPDX-License-Identifier: Apache-2.0
#include "node/live_span.h"

#include <spdlog/spdlog.h>

#include <algorithm>
#include <string>
#include <utility>

#include "model/block_cache.h"
#include "node/device/span_ends.h"
#include "node/model_parts.h"
#include "proto/limits.h"

namespace shoal::node {
namespace {

absl::StatusOr<std::shared_ptr<const SpanEnds>> load_ends(const NodeOptions& options,
                                                          const LiveSpan& span,
                                                          const base::StopToken& stop) {
  const model::EndParts& parts = span.entry.ends;
  if (!parts.any()) return nullptr;
  auto ends = SpanEnds::load(span.model.config, span.model.checkpoint,
                             {.parts = parts,
                              .head = head_choice(span.model.kept.weights),
                              .threads = options.threads,
                              .packing = told_to_people(stop, "packs the model's last layer")});
  if (!ends.ok()) return ends.status();
  return std::shared_ptr<const SpanEnds>(*std::move(ends));
}

absl::Status start_device(const NodeOptions& options, ChosenDevices devices, LiveSpan& span,
                          const base::StopToken& stop) {
  const std::int64_t kv_positions = span.entry.plan.kv_positions;
  NodeFacts& facts = span.serving->facts;
  DeviceOptions device;
  device.devices = in_shares(std::move(devices.executors), span.entry.plan.shares);
  auto ends = load_ends(options, span, stop);
  if (!ends.ok()) return ends.status();
  device.ends = *std::move(ends);
  device.threads = options.threads;
  device.span = facts.offer.span;
  device.kv_positions = kv_positions;
  device.kv_dtype = options.kv_dtype;
  device.weights = span.model.kept.weights;
  model::CacheOptions cache_options = options.cache;
  cache_options.warn = [](const std::string& text) { spdlog::warn("{}", text); };
  model::BlockCache cache(std::move(cache_options), span.model.contents);
  device.pack = packing_told_to_people(cache, span.model.kept.weights, stop);
  const std::int64_t row_bytes = static_cast<std::int64_t>(facts.hidden) * sizeof(float);
  device.limits.queued_rows =
      std::max<std::int64_t>(proto::kMaxInboxBytes / row_bytes, 2 * facts.max_rows_per_step);
  device.limits.queued_rows_per_peer = device.limits.queued_rows / 2;
  auto started = DeviceThread::start(span.model.config, span.model.checkpoint, std::move(device));
  if (!started.ok()) return started.status();
  facts.max_positions =
      static_cast<std::uint32_t>(std::min(kv_positions, span.model.config.max_positions));
  span.serving->device = std::move(*started);
  facts.head_us = span.serving->device->head_us();
  spdlog::info("loaded blocks {} of {}: {:.0f} us per block and row, room for {} positions",
               proto::to_string(facts.offer.span), facts.offer.model_name,
               span.serving->device->stats().block_step_us, kv_positions);
  return absl::OkStatus();
}

absl::Status take_part(const NodeOptions& options, const Entry& entry, LoadedModel& model,
                       const base::StopToken& stop) {
  if (!options.fetch_span) return model.keep(entry.span, entry.ends);
  const auto folder =
      options.fetch_span(entry.span, model::tensors_of(entry.ends, model.config, model.checkpoint));
  if (!folder.ok()) return folder.status();
  return model.take_folder(*folder, entry.span, entry.ends, told_to_people(stop));
}

}  // namespace

NodeFacts facts_of(const NodeOptions& options, const LoadedModel& model, const Entry& entry) {
  NodeFacts facts;
  facts.peer_id = options.identity.peer_id();
  proto::Ends ends{.embeds = entry.ends.embedding};
  if (entry.ends.head) {
    ends.head = head_format(model.config, model.checkpoint, head_choice(model.kept.weights));
  }
  facts.offer = {.model_digest = model.digest,
                 .model_name = model.name,
                 .block_count = static_cast<std::uint32_t>(model.config.block_count),
                 .span = entry.span,
                 .numerics = model.numerics,
                 .public_name = options.public_name,
                 .ends = ends,
                 .movable_blocks = movable_blocks(options, model, entry)};
  facts.hidden = static_cast<std::uint32_t>(model.config.hidden);
  facts.vocabulary = static_cast<std::uint32_t>(model.config.vocabulary);
  facts.max_rows_per_step = rows_per_step(facts.hidden);
  facts.max_sessions = options.max_sessions;
  facts.max_sessions_per_peer = options.max_sessions_per_peer;
  return facts;
}

absl::StatusOr<std::unique_ptr<LiveSpan>> load_span(const NodeOptions& options, LoadedModel model,
                                                    Entry entry, ChosenDevices devices,
                                                    const base::StopToken& stop) {
  NodeFacts facts = facts_of(options, model, entry);
  if (absl::Status taken = take_part(options, entry, model, stop); !taken.ok()) return taken;
  auto span = std::make_unique<LiveSpan>(std::move(model), std::move(entry));
  span->serving->facts = std::move(facts);
  absl::Status started = start_device(options, std::move(devices), *span, stop);
  if (!started.ok()) return started;
  return span;
}

absl::StatusOr<LoadedModel> read_again(const NodeOptions& options, const LoadedModel& model) {
  const base::StopToken never;
  auto again = LoadedModel::open(options.model_directory, model.name, model.kept,
                                 told_to_people(never), options.fetch_span != nullptr);
  if (!again.ok()) return again.status();
  if (again->digest != model.digest) {
    // Parts of a model know from the swarm what the whole is.
    absl::Status same = again->adopt(model.digest, *model.manifest, told_to_people(never));
    if (!same.ok()) return same;
  }
  return again;
}

}  // namespace shoal::node
