// SPDX-License-Identifier: Apache-2.0
// The dialling end of a connection of any protocol, blocking, for tests: TCP and TLS by our own
// context, then bytes inside TLS or below it. One thread. Owns its socket.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "identity/identity.h"
#include "net/tls_context.h"
#include "proto/endpoint.h"

namespace shoal::net {

class TlsTalker {
 public:
  // `from`: its port is ignored.
  TlsTalker(const identity::Identity& who, const proto::Endpoint& to,
            const proto::Endpoint& from = proto::Endpoint::v4({127, 0, 0, 1}, 0),
            const std::optional<identity::SwarmKey>& swarm_key = {});
  ~TlsTalker();
  TlsTalker(const TlsTalker&) = delete;
  TlsTalker& operator=(const TlsTalker&) = delete;

  bool is_open() const { return fd_ >= 0; }
  int fd() const { return fd_; }
  // Below each takes five seconds at most; false (or what came so far): the other end is gone.
  bool handshake(const std::string& protocol,
                 const std::optional<proto::PeerId>& expected = std::nullopt);
  const proto::PeerId& peer() const { return tls_->peer(); }
  bool send(std::string_view bytes);
  std::string receive(std::size_t bytes);
  bool send_raw(std::string_view bytes);
  std::string receive_raw(std::size_t bytes);
  // TLS was left; the socket is the caller's.
  int release();

 private:
  bool wait(short events) const;

  TlsContext context_;
  int fd_;
  std::unique_ptr<TlsStream> tls_;
};

}  // namespace shoal::net
