// SPDX-License-Identifier: Apache-2.0
// Copies of a model's folder, for tests that change something in them, and models in parts.
#pragma once

#include <string>
#include <vector>

namespace shoal::tests {

// All files of the folder `from`, in the new folder `to`, but what Shoal keeps there. Weights are
// linked, not copied: remove the link before you write another file in its place.
void copy_model(const std::string& from, const std::string& to);

// A model of one file as one in shards with an index: the ends in the first, then
// `blocks_per_shard` blocks in each. The names of the shards.
std::vector<std::string> split_model(const std::string& from, const std::string& to,
                                     int blocks_per_shard);
// Of a model in shards: the small files and these shards, linked.
void take_parts(const std::string& from, const std::string& to,
                const std::vector<std::string>& shards);

}  // namespace shoal::tests
