// SPDX-License-Identifier: Apache-2.0
// How a node enters its swarm: joins, checks that its model belongs there, and chooses what it
// serves by what memory there is and what the others serve. Thread rule: main only; it waits.
#pragma once

#include <cstdint>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "kernels/kv_dtype.h"
#include "model/memory_needs.h"
#include "model/sizing.h"
#include "node/device/loaded_model.h"
#include "node/member/join.h"
#include "node/member/membership.h"
#include "node/member/own_record_watch.h"
#include "node/memory_promise.h"
#include "node/node.h"

namespace shoal::node {

struct Entry {
  proto::Span span;
  model::MemoryPlan plan;
  model::EndParts ends;
  std::uint64_t last_sequence = 0;  // of our record that the swarm still knows
  std::set<proto::PeerId> known;    // peers that were there when it chose
  // What it was planned by, so that another span of as many blocks can be.
  SpanRoom room;
  model::MemoryPlan blocks_plan;  // without the ends
  std::vector<std::string> gpus;  // their ids

  base::MemoryClaim claim(const LoadedModel& model) const;
};

// How many blocks the node would serve elsewhere; 0: its span stays.
std::uint32_t movable_blocks(const NodeOptions& options, const LoadedModel& model,
                             const Entry& entry);

// Makes the entry one of this span, as long as the one that was planned: which ends it serves, and
// how many KV positions that leaves.
absl::Status settle_span(const NodeOptions& options, const LoadedModel& model, proto::Span span,
                         Entry& entry);

// After the choice was announced: others that were started together with us may have chosen the
// same. Another span to take, to be announced again; nullopt: it is ours.
absl::StatusOr<std::optional<proto::Span>> choose_again(const NodeOptions& options,
                                                        const LoadedModel& model,
                                                        Membership& member, const Entry& entry);

// Of each of model::kWeightChoices.
std::vector<model::MemoryNeeds> needs_of_all(const LoadedModel& model, kernels::KvDType kv);

// Of a node that keeps its blocks so.
model::EndNeeds end_needs_of(const LoadedModel& model, const model::EndParts& parts,
                             model::WeightChoice weights);

OwnModel own_model(const LoadedModel& model);

// Every error is one sentence that names the way out.
// `devices`: open already, and said in the log when it is clear that the node is one. Where
// --weights is auto, it chooses the format and makes the model's. Parts of a model whose whole is
// not known yet learn it from the swarm.
absl::StatusOr<Entry> enter_swarm(const NodeOptions& options, const ChosenDevices& devices,
                                  MemoryPromise& memory, LoadedModel& model,
                                  net::ChannelPool& channels, Membership& member,
                                  OwnRecordWatch& own_record);

}  // namespace shoal::node
