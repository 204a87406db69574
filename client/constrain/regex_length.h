// SPDX-License-Identifier: Apache-2.0
// A regular expression and a length at the same time: each place of the one with each count of
// characters. Pure.
#pragma once

#include <cstdint>

#include "client/constrain/regex.h"

namespace shoal::client::constrain {

// As add_regex, of texts of `least` to `most` characters; most -1: no limit.
NodeId add_regex_of_length(GrammarBuilder& builder, NodeId from, const Regex& regex,
                           WriteCharacter write, std::int64_t least, std::int64_t most);

}  // namespace shoal::client::constrain
