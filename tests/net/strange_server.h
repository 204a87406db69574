// SPDX-License-Identifier: Apache-2.0
// Servers that are no node: one that accepts nothing, and one that comes up with right TLS and then
// sends what it likes, without end. Loopback only. Own their sockets and threads.
#pragma once

#include <atomic>
#include <functional>
#include <string>
#include <thread>

#include "identity/identity.h"
#include "net/tls_context.h"
#include "proto/endpoint.h"

namespace shoal::net {

// A listening socket that nobody accepts from, with room for so many connections.
class Listener {
 public:
  explicit Listener(int backlog,
                    const proto::Endpoint& at = proto::Endpoint::v4({127, 0, 0, 1}, 0));
  ~Listener();
  proto::Endpoint endpoint() const;
  int connect_to() const;  // non-blocking
  int fd() const { return fd_; }

 private:
  const int fd_;
};

class StrangeServer {
 public:
  // Sends `greeting` once TLS is up, then `flood` again and again, at most `most` bytes.
  StrangeServer(const identity::Identity& who, std::string greeting, std::string flood,
                std::size_t most = 256u << 20);
  ~StrangeServer();
  proto::Endpoint endpoint() const { return listener_.endpoint(); }
  std::uint64_t sent() const { return sent_; }
  int accepted() const { return accepted_; }

 private:
  void serve();
  void talk(int fd);
  bool wait(int fd, short events) const;

  const TlsContext tls_;
  const std::string greeting_, flood_;
  const std::size_t most_;
  Listener listener_;
  std::atomic<bool> stopping_ = false;
  std::atomic<std::uint64_t> sent_ = 0;
  std::atomic<int> accepted_ = 0;
  std::thread thread_;
};

// An HTTP/2 frame.
std::string http2_frame(int type, int flags, std::uint32_t stream, const std::string& payload);

}  // namespace shoal::net
