// SPDX-License-Identifier: Apache-2.0
// The streams of a session as the session sees them. Thread-safe, never block, may be called after
// their end.
#pragma once

#include <cstddef>
#include <memory>
#include <optional>

#include "node/device/refusal.h"

namespace shoal::wire {
class HopFrame;
class PushFrame;
}  // namespace shoal::wire

namespace shoal::node {

class ClientLink {
 public:
  virtual ~ClientLink() = default;
  virtual void send(wire::HopFrame frame) = 0;
  // The session takes steps again.
  virtual void resume() {}
  // Ends the stream after what was sent before; with a failure frame when there is a reason to
  // tell.
  virtual void end(std::optional<Refusal> refusal) = 0;
};

class NextLink {
 public:
  virtual ~NextLink() = default;
  virtual void send(wire::PushFrame frame) = 0;
  virtual std::size_t queued_bytes() const = 0;
  virtual void end() = 0;
};

class PreviousLink {
 public:
  virtual ~PreviousLink() = default;
  virtual void resume() = 0;
  virtual void end() = 0;
};

}  // namespace shoal::node
