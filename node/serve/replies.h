// SPDX-License-Identifier: Apache-2.0
// What this node tells others, in the wire's words. Pure functions.
#pragma once

#include "node/device/refusal.h"
#include "node/serve/node_facts.h"
#include "node/serve/open_request.h"
#include "proto/span_service.pb.h"

namespace shoal::node {

// Reason cut to kMaxReasonBytes and made printable ASCII: it may quote what a peer sent.
wire::Failure to_failure(const Refusal& refusal);

// To the client whose session was opened, and begins with so many kept positions.
wire::HopFrame welcome(const OpenRequest& request, const NodeFacts& facts, std::uint32_t kept);

// To the next hop, by which it knows whose session we push for.
wire::PushOpen push_open(const OpenRequest& request);

}  // namespace shoal::node
