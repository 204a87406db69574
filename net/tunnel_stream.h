// SPDX-License-Identifier: Apache-2.0
// Messages of proto/tunnel.h over a TLS stream that is left right after them: reads and writes them
// without taking a byte beyond. Borrows the stream; one thread, as the stream.
#pragma once

#include <string>
#include <string_view>

#include "net/tls_context.h"

namespace shoal::net {

class TunnelStream {
 public:
  explicit TunnelStream(TlsStream& tls);

  // kDone: message() is whole. kFailed also for one that is too long, or for mere wrapping.
  TlsStream::Io read();
  const std::string& message() const { return message_; }
  void next() { message_.clear(), wanted_ = 0; }

  // `bytes` with their size; kDone when all is on its way, else to be called again with none.
  TlsStream::Io write(std::string_view bytes);

 private:
  TlsStream::Io take(std::size_t size);

  TlsStream& tls_;
  std::string message_, out_;
  std::size_t wanted_ = 0;  // 0: the size comes first
};

}  // namespace shoal::net
