// SPDX-License-Identifier: Apache-2.0
// Finds the frames in a stream of HTTP/2 bytes (RFC 9113, section 4.1), cut anywhere. Keeps nine
// bytes at most. Pure; one thread.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <string_view>

namespace shoal::net {

enum FrameType : std::uint8_t {
  kData = 0,
  kHeaders = 1,
  kPriority = 2,
  kRstStream = 3,
  kSettings = 4,
  kPushPromise = 5,
  kPing = 6,
  kGoaway = 7,
  kWindowUpdate = 8,
  kContinuation = 9,
};

enum FrameFlag : std::uint8_t {
  kFlagEndStream = 0x1,  // of DATA and HEADERS
  kFlagAck = 0x1,        // of SETTINGS and PING
  kFlagEndHeaders = 0x4,
  kFlagPadded = 0x8,
};

inline constexpr std::size_t kFrameHeaderBytes = 9;

struct FrameHeader {
  std::uint32_t length = 0;
  std::uint8_t type = 0;
  std::uint8_t flags = 0;
  std::uint32_t stream = 0;

  bool has(FrameFlag flag) const { return (flags & flag) != 0; }
};

class FrameWalker {
 public:
  enum class Part { kMore, kHeader, kPayload, kEnd };

  // Takes the next part from the front of `bytes`; kMore when they are used up.
  Part next(std::string_view& bytes) {
    if (!in_frame_) {
      while (have_ < kFrameHeaderBytes && !bytes.empty()) {
        raw_[have_++] = static_cast<std::uint8_t>(bytes.front());
        bytes.remove_prefix(1);
      }
      if (have_ < kFrameHeaderBytes) return Part::kMore;
      const auto at = [&](std::size_t i) { return std::uint32_t{raw_[i]}; };
      header_ = {at(0) << 16 | at(1) << 8 | at(2), raw_[3], raw_[4],
                 (at(5) << 24 | at(6) << 16 | at(7) << 8 | at(8)) & 0x7fffffffu};
      remaining_ = header_.length;
      in_frame_ = true;
      have_ = 0;
      return Part::kHeader;
    }
    if (remaining_ == 0) {
      in_frame_ = false;
      return Part::kEnd;
    }
    if (bytes.empty()) return Part::kMore;
    payload_ = bytes.substr(0, remaining_);
    bytes.remove_prefix(payload_.size());
    remaining_ -= static_cast<std::uint32_t>(payload_.size());
    return Part::kPayload;
  }

  const FrameHeader& header() const { return header_; }
  std::string_view payload() const { return payload_; }  // after kPayload
  bool at_boundary() const { return !in_frame_ && have_ == 0; }

 private:
  std::array<std::uint8_t, kFrameHeaderBytes> raw_{};
  std::size_t have_ = 0;
  bool in_frame_ = false;
  FrameHeader header_;
  std::uint32_t remaining_ = 0;
  std::string_view payload_;
};

}  // namespace shoal::net
