// SPDX-License-Identifier: Apache-2.0
// Datagrams in a stream of bytes: length (2, big endian), then so many bytes, 1 to
// kMaxDatagramBytes. Value class: no I/O, holds one datagram at most.
#pragma once

#include <optional>
#include <string>
#include <string_view>

namespace shoal::dht {

// The frame of `datagram`, which is neither empty nor too long.
void append_frame(std::string& out, std::string_view datagram);

class FrameReader {
 public:
  // Takes bytes from the front of `bytes` until a datagram is whole, and returns it; nullopt when
  // all are taken, or the stream is broken. Valid until the next call.
  std::optional<std::string_view> next(std::string_view& bytes);
  // A length that no datagram has: nothing that follows can be read.
  bool is_broken() const { return broken_; }

 private:
  std::string held_;  // of the frame under way
  bool whole_ = false, broken_ = false;
};

}  // namespace shoal::dht
