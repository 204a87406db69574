// SPDX-License-Identifier: Apache-2.0
// A TLS 1.3 client that follows no rule but those of TLS, with any identity and from any local
// address. Blocking; one thread. Owns its socket.
#pragma once

#include <openssl/ssl.h>

#include <string>
#include <string_view>

#include "identity/identity.h"
#include "proto/endpoint.h"

namespace shoal::attack {

class RawClient {
 public:
  // TCP only; is_open() says whether it came up. `from`: its port is ignored.
  RawClient(const proto::Endpoint& from, const proto::Endpoint& to);
  ~RawClient();
  RawClient(const RawClient&) = delete;
  RawClient& operator=(const RawClient&) = delete;

  bool is_open() const { return fd_ >= 0; }
  int fd() const { return fd_; }
  bool handshake(const identity::Identity& identity, const std::string& protocol = "h2");
  // False when the other end has closed. Blocks while it does not read, `send_timeout_ms` at most.
  bool send(std::string_view bytes);
  bool send_raw(std::string_view bytes);  // below TLS
  // An empty TLS record's worth of work: a request for new keys.
  bool update_keys();
  // Takes what came, without waiting. False when the other end has closed.
  bool drain();
  // True when the other end closes or resets within so long, whatever it sends before.
  bool closed_within(int timeout_ms);
  const std::string& received() const { return received_; }  // the last kilobytes, decrypted
  std::uint64_t sent() const { return sent_; }

 private:
  int fd_ = -1;
  SSL_CTX* context_ = nullptr;
  SSL* ssl_ = nullptr;
  std::string received_;
  std::uint64_t sent_ = 0;
};

}  // namespace shoal::attack
