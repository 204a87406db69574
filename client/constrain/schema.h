// SPDX-License-Identifier: Apache-2.0
// JSON Schema as a part of a grammar. All that is made satisfies the schema; not all that satisfies
// it can be made (docs/gateway.md, "Structured output", says what). A keyword that is not
// understood is refused by name and place, but for those that assert nothing.
#pragma once

#include <nlohmann/json.hpp>
#include <string>

#include "absl/status/statusor.h"
#include "client/constrain/grammar.h"
#include "client/constrain/json_grammar.h"

namespace shoal::client::constrain {

// Adds values of the schema behind `from`, and returns where they end; what is wrong with the
// schema becomes the builder's status.
NodeId add_schema(GrammarBuilder& builder, JsonGrammar& json, NodeId from,
                  const nlohmann::ordered_json& schema);

}  // namespace shoal::client::constrain
