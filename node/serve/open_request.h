// SPDX-License-Identifier: Apache-2.0
// Open, checked: the total conversion of a session's first frame. Pure.
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>
#include <variant>
#include <vector>

#include "node/device/refusal.h"
#include "node/serve/node_facts.h"
#include "proto/types.h"

namespace shoal::wire {
class Open;
class Version;
enum Codec : int;
}  // namespace shoal::wire

namespace shoal::node {

struct NextHop {
  proto::PeerId peer;
  proto::HopToken token;
};

struct PreviousHop {
  proto::PeerId peer;
  proto::HopToken token;
};

struct OpenRequest {
  proto::SessionId session_id;
  proto::Span span;
  std::uint32_t max_positions = 0;
  std::uint64_t epoch = 0;
  std::optional<PreviousHop> previous;              // absent: first hop
  std::optional<NextHop> next;                      // absent: last hop
  wire::Codec codec = static_cast<wire::Codec>(1);  // of what this hop sends on; CODEC_F32
  std::vector<proto::PageHash> prefix;              // of its first pages
  bool embed = false;                               // its steps carry token ids
  bool score = false;                               // its results are scores
};

// FAILED_PRECONDITION: another protocol version or another model; OUT_OF_RANGE: blocks or positions
// that we do not have; INVALID_ARGUMENT: anything malformed. An end of the model that we do not
// serve is FAILED_PRECONDITION too.
std::variant<OpenRequest, Refusal> parse_open(const NodeFacts& facts, const wire::Open& open);

// The hashes of pages in one field of Open or Keep; nullopt unless they are whole, and at most
// kMaxPrefixPages.
std::optional<std::vector<proto::PageHash>> parse_hashes(std::string_view bytes);

// nullopt when the version is ours.
std::optional<Refusal> check_version(const wire::Version& version);

}  // namespace shoal::node
