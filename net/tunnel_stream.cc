// SPDX-License-Identifier: Apache-2.0
#include "net/tunnel_stream.h"

#include "proto/limits.h"

namespace shoal::net {

namespace {

// All that a few messages and TLS's own take. Whoever sends more, records with nothing in them or
// changes of keys, must not keep the thread.
constexpr std::size_t kTunnelRawBytes = 16 << 10;

}  // namespace

using Io = TlsStream::Io;

TunnelStream::TunnelStream(TlsStream& tls) : tls_(tls) { tls_.allow_raw_bytes(kTunnelRawBytes); }

Io TunnelStream::take(std::size_t size) {
  while (message_.size() < size) {
    char bytes[proto::kMaxTunnelMessageBytes];
    std::size_t got = 0;
    const Io io = tls_.read(bytes, size - message_.size(), got);
    message_.append(bytes, got);
    if (io == Io::kWantRead && tls_.out_of_allowance()) return Io::kFailed;
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

Io TunnelStream::write(std::string_view bytes) {
  out_ += bytes;
  while (!out_.empty()) {
    std::size_t taken = 0;
    const Io io = tls_.write(out_.data(), out_.size(), taken);
    out_.erase(0, taken);
    if (io != Io::kDone) return io;
  }
  return Io::kDone;
}

}  // namespace shoal::net
