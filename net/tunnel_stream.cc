// SPDX-License-Identifier: Apache-2.0
#include "net/tunnel_stream.h"

#include <utility>

#include "proto/limits.h"

namespace shoal::net {

using Io = TlsStream::Io;

Io TunnelStream::take(std::size_t size) {
  while (message_.size() < size) {
    char bytes[proto::kMaxTunnelMessageBytes];
    std::size_t got = 0;
    const Io io = tls_.read(bytes, size - message_.size(), got);
    message_.append(bytes, got);
    if (io != Io::kDone) return io;
  }
  return Io::kDone;
}

Io TunnelStream::read() {
  if (wanted_ == 0) {
    if (const Io io = take(2); io != Io::kDone) return io;
    wanted_ =
        static_cast<unsigned char>(message_[0]) << 8 | static_cast<unsigned char>(message_[1]);
    message_.clear();
    if (wanted_ == 0 || wanted_ > proto::kMaxTunnelMessageBytes) return Io::kFailed;
  }
  return take(wanted_);
}

Io TunnelStream::write(std::string bytes) {
  out_ += std::move(bytes);
  while (!out_.empty()) {
    std::size_t taken = 0;
    const Io io = tls_.write(out_.data(), out_.size(), taken);
    out_.erase(0, taken);
    if (io != Io::kDone) return io;
  }
  return Io::kDone;
}

}  // namespace shoal::net
