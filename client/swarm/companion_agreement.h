// SPDX-License-Identifier: Apache-2.0
// Whether nodes say the same of a model's small files. No digest proves these, so that they agree
// is what speaks for them, and where they do not a person decides. Pure.
#pragma once

#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "proto/companion.h"

namespace shoal::client {

struct ListedBy {
  std::string node;  // for people
  proto::CompanionList list;
};

// What all of them say, at least one. FAILED_PRECONDITION names the first file on which they do
// not agree, who says what, and the ways out; however many say one thing.
absl::StatusOr<proto::CompanionList> agreed_list(const std::vector<ListedBy>& answers);

}  // namespace shoal::client
