// SPDX-License-Identifier: Apache-2.0
// A node whose folder holds parts of a model: it asks the swarm what the whole is. And how it says
// that it reads large files. The caller waits.
#pragma once

#include <span>
#include <string>

#include "absl/status/status.h"
#include "base/stop_token.h"
#include "dht/record.h"
#include "model/block_cache.h"
#include "model/span_layers.h"
#include "net/channel_pool.h"
#include "node/device/loaded_model.h"

namespace shoal::node {

// Says how far it is when it takes long: on a terminal with a bar, else in the log. `stop` must
// outlive it.
model::FileWork told_to_people(const base::StopToken& stop);
// Of other work than reading the files.
model::FileWork told_to_people(const base::StopToken& stop, const std::string& what);

// The same for the weights of a span that are kept in a portable format. `cache` must outlive it
// too.
model::PackOptions packing_told_to_people(model::BlockCache& cache, model::WeightChoice weights,
                                          const base::StopToken& stop);

// The sentence for parts of a model whose whole nobody can name, as yet.
absl::Status unnamed_parts(const LoadedModel& model);
// From those who serve a model of as many blocks; FAILED_PRECONDITION when none of these models is
// the one whose parts are here.
absl::Status find_manifest(LoadedModel& model, std::span<const dht::Record> served,
                           net::ChannelPool& channels, const base::StopToken& stop);

}  // namespace shoal::node
