// SPDX-License-Identifier: Apache-2.0
// Names of members that are none of a few: for what an object may have beside its properties. Pure.
#pragma once

#include <string>
#include <vector>

#include "client/constrain/grammar.h"

namespace shoal::client::constrain {

// A JSON string without escapes that is none of `names`, behind `from`; returns where it ends.
NodeId add_other_key(GrammarBuilder& builder, NodeId from, const std::vector<std::string>& names);

}  // namespace shoal::client::constrain
