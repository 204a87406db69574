// SPDX-License-Identifier: Apache-2.0
// Which tensors of a model somebody needs, by their canonical names: the ends are a client's, spans
// of blocks are nodes'. And which blocks a folder of parts holds. Pure functions.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "model/config.h"
#include "model/weight_files.h"

namespace shoal::model {

using Wanted = std::function<bool(std::string_view tensor)>;

Wanted wants_all();
Wanted wants_ends();  // embedding, final norm, head
Wanted wants_blocks(std::int64_t begin, std::int64_t end);
// With these tensors besides.
Wanted wants_blocks(std::int64_t begin, std::int64_t end, std::vector<std::string> others);

// Runs [begin, end) of blocks whose tensors are all there, as long as can be, in order.
using BlockRun = std::pair<std::int64_t, std::int64_t>;
std::vector<BlockRun> held_blocks(const ModelConfig& config, const WeightFiles& files);

}  // namespace shoal::model
