// SPDX-License-Identifier: Apache-2.0
// The streams of a session as the session sees them. Thread-safe, never block, may be called after
// their end.
#pragma once

#include <memory>
#include <optional>

#include "node/refusal.h"
#include "proto/span_service.pb.h"

namespace shoal::node {

class ClientLink {
 public:
  virtual ~ClientLink() = default;
  virtual void send(wire::HopFrame frame) = 0;
  // Ends the stream after what was sent before; with a failure frame when there is a reason to
  // tell.
  virtual void end(std::optional<Refusal> refusal) = 0;
};

class NextLink {
 public:
  virtual ~NextLink() = default;
  // False when the next hop does not take what we send: its queue is full.
  virtual bool send(wire::PushFrame frame) = 0;
  virtual void end() = 0;
};

class PreviousLink {
 public:
  virtual ~PreviousLink() = default;
  virtual void end() = 0;
};

}  // namespace shoal::node
