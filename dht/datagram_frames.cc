// SPDX-License-Identifier: Apache-2.0
#include "dht/datagram_frames.h"

#include <algorithm>

#include "base/check.h"
#include "proto/limits.h"

namespace shoal::dht {
namespace {

constexpr std::size_t kFrameHeaderBytes = 2;

}  // namespace

void append_frame(std::string& out, std::string_view datagram) {
  CHECK(!datagram.empty() && datagram.size() <= proto::kMaxDatagramBytes) << datagram.size();
  out += static_cast<char>(datagram.size() >> 8);
  out += static_cast<char>(datagram.size() & 0xff);
  out += datagram;
}

std::optional<std::string_view> FrameReader::next(std::string_view& bytes) {
  if (broken_) return std::nullopt;
  if (whole_) {
    held_.clear();
    whole_ = false;
  }
  const auto take = [&](std::size_t until) {
    const std::size_t count = std::min(until - std::min(until, held_.size()), bytes.size());
    held_ += bytes.substr(0, count);
    bytes.remove_prefix(count);
    return held_.size() >= until;
  };
  if (!take(kFrameHeaderBytes)) return std::nullopt;
  const std::size_t size = static_cast<std::size_t>(static_cast<unsigned char>(held_[0])) << 8 |
                           static_cast<unsigned char>(held_[1]);
  if (size == 0 || size > proto::kMaxDatagramBytes) {
    broken_ = true;
    return std::nullopt;
  }
  if (!take(kFrameHeaderBytes + size)) return std::nullopt;
  whole_ = true;
  return std::string_view(held_).substr(kFrameHeaderBytes);
}

}  // namespace shoal::dht
