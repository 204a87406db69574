// SPDX-License-Identifier: Apache-2.0
// Connections that come in at a front for another protocol than gRPC's: after TLS is up, and the
// gatekeeper has let the peer in, they are handed to the door of their ALPN name. Plain data.
#pragma once

#include <functional>
#include <memory>

#include "net/tls_context.h"
#include "proto/endpoint.h"
#include "proto/types.h"

namespace shoal::net {

// The gatekeeper counts the connection for as long as this lives, which may be longer than the
// front. Any thread.
class Admission {
 public:
  virtual ~Admission() = default;
  // For what the peer did on another connection, or by accuse(): whoever has a visitor lets it go.
  virtual bool is_banned() const = 0;
  // It breaks the protocol's rules: is not let in for a while, nor are its neighbours.
  virtual void accuse(const char* why) = 0;
};

struct Visitor {
  int socket = -1;                 // connected, non-blocking, close-on-exec; the door's
  std::unique_ptr<TlsStream> tls;  // borrows the socket: goes first
  proto::PeerId peer;              // proven
  proto::Endpoint from;
  std::shared_ptr<Admission> admission;
};

// Called on a thread of the front's, one call at a time; must not block.
using Door = std::function<void(Visitor)>;

}  // namespace shoal::net
