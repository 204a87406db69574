// SPDX-License-Identifier: Apache-2.0
// The small files of a model that nodes give to clients which have none of it: which names there
// are, how large each may be, and a node's list of them as it travels. Pure; docs/protocol.md,
// "Companions".
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"
#include "proto/companion.pb.h"
#include "proto/types.h"

namespace shoal::proto {

struct Companion {
  std::string name;  // within the model's folder
  std::uint64_t size = 0;
  Digest sha256;

  bool operator==(const Companion&) const = default;
};
using CompanionList = std::vector<Companion>;  // by name, each once

// What a file of this name may have at most, as our own loaders take it; 0: no such file is given
// or taken, whoever asks.
std::uint64_t max_companion_bytes(std::string_view name);
// The names without a part of their own to choose; others are chat_templates/NAME.jinja.
const std::vector<std::string>& companion_names();
inline constexpr std::string_view kTemplateFolder = "chat_templates";

// Without these a list is of no use to anybody: whoever lacks them gives none.
bool has_what_clients_need(const CompanionList& list);
// INVALID_ARGUMENT: too many files or bytes, a file twice, too large or missing; the reason
// comes after "it ". Files of names that this version does not know are left out.
absl::StatusOr<CompanionList> from_wire(const wire::CompanionsReply& in);
wire::CompanionsReply to_wire(const CompanionList& list);

}  // namespace shoal::proto
