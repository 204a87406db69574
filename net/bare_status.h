// SPDX-License-Identifier: Apache-2.0
// What people are told when a call ended with a code and no words of its own, or with words that
// only a library's author understands. Pure function.
#pragma once

#include <string_view>

#include "absl/status/status.h"

namespace shoal::net {

// A sentence about "it", the other side; empty when `message` says something already.
std::string_view sentence_for_bare(absl::StatusCode code, std::string_view message);

}  // namespace shoal::net
