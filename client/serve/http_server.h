// SPDX-License-Identifier: Apache-2.0
// HTTP/1.1 on an address: connections on one thread, handlers on a few others. Bounded in
// connections, sizes and time (http_limits.h). Owns its threads and sockets. Thread-safe.
#pragma once

#include <memory>
#include <string>

#include "absl/status/statusor.h"
#include "client/serve/http_limits.h"
#include "client/serve/http_message.h"

namespace shoal::client {

class HttpServer {
 public:
  // HOST:PORT; a name: all of its addresses; port 0: a free one. `handler` is called from several
  // threads at once and may take a while, but must not wait for an answer to be written.
  static absl::StatusOr<std::unique_ptr<HttpServer>> start(const std::string& listen,
                                                           const HttpLimits& limits,
                                                           HttpHandler handler);
  ~HttpServer();  // at once

  std::uint16_t port() const;
  std::size_t connections() const;
  // Takes no new connections or requests; those that are being answered go on.
  void stop_accepting();

 private:
  class Impl;
  explicit HttpServer(std::shared_ptr<Impl> impl);
  std::shared_ptr<Impl> impl_;
};

}  // namespace shoal::client
