// SPDX-License-Identifier: Apache-2.0
// Which models a swarm's records name, for whoever has parts of one and does not know its digest.
// Pure.
#pragma once

#include <span>
#include <vector>

#include "dht/record.h"
#include "proto/served_model.h"

namespace shoal::dht {

// Those of so many blocks, the most served first: anybody can say that he serves a model, but not
// be many without being.
std::vector<proto::ServedModel> served_models(std::span<const Record> records,
                                              std::uint32_t block_count);

}  // namespace shoal::dht
