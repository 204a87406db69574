// SPDX-License-Identifier: Apache-2.0
#include "net/dead_end.h"

#include <algorithm>

#include "kernels/check.h"
#include "net/frame_walker.h"
#include "net/status.h"
#include "proto/limits.h"

namespace shoal::net {
namespace {

// RFC 9113, 3.4, 4.1, 6; RFC 7541, 5 and 6; gRPC over HTTP/2: "Trailers-Only".
constexpr std::size_t kPrefaceBytes = 24;
constexpr std::size_t kPingBytes = 8;

std::string frame(std::uint8_t type, std::uint8_t flags, std::uint32_t stream,
                  std::string_view payload) {
  std::string result;
  for (const int shift : {16, 8, 0}) result += static_cast<char>(payload.size() >> shift);
  result += static_cast<char>(type);
  result += static_cast<char>(flags);
  for (const int shift : {24, 16, 8, 0}) result += static_cast<char>(stream >> shift);
  result += payload;
  return result;
}

// A string literal without Huffman: its length with a prefix of 7 bits, then its bytes.
void append_literal(std::string& block, std::string_view text) {
  std::size_t length = text.size();
  if (length < 127) {
    block += static_cast<char>(length);
  } else {
    block += static_cast<char>(127);
    for (length -= 127; length >= 128; length /= 128)
      block += static_cast<char>(length % 128 | 128);
    block += static_cast<char>(length);
  }
  block += text;
}

// Never indexed: no state of the connection's tables is touched.
void append_header(std::string& block, std::string_view name, std::string_view value) {
  block += '\0';
  append_literal(block, name);
  append_literal(block, value);
}

std::string percent_encoded(std::string_view text) {
  constexpr char kHex[] = "0123456789ABCDEF";
  std::string result;
  for (const char c : text) {
    if (c >= ' ' && c <= '~' && c != '%') {
      result += c;
    } else {
      const auto byte = static_cast<unsigned char>(c);
      result += {'%', kHex[byte >> 4], kHex[byte & 15]};
    }
  }
  return result;
}

std::string trailers_of(const absl::Status& why) {
  const grpc::Status status = to_grpc(why);  // bounds the text
  std::string block = "\x88";                // :status 200
  append_header(block, "content-type", "application/grpc");
  append_header(block, "grpc-status", std::to_string(static_cast<int>(status.error_code())));
  append_header(block, "grpc-message", percent_encoded(status.error_message()));
  return block;
}

}  // namespace

DeadEnd::DeadEnd(const absl::Status& why)
    : trailers_(trailers_of(why)), preface_left_(kPrefaceBytes) {
  CHECK(!why.ok());
}

std::string DeadEnd::consume(std::string_view bytes) {
  std::string answer;
  if (!greeted_) {
    greeted_ = true;
    answer += frame(kSettings, 0, 0, "");
  }
  const auto take = [&](std::size_t most) {
    const std::string_view taken = bytes.substr(0, most);
    bytes.remove_prefix(taken.size());
    return taken;
  };
  preface_left_ -= take(preface_left_).size();
  while (!bytes.empty()) {
    if (payload_left_ > 0) {
      payload_left_ -= take(payload_left_).size();
      continue;
    }
    frame_ += take(kFrameHeaderBytes - std::min(frame_.size(), kFrameHeaderBytes));
    if (frame_.size() < kFrameHeaderBytes) break;
    const auto byte = [&](std::size_t at) { return static_cast<std::uint8_t>(frame_[at]); };
    const std::size_t size = std::size_t{byte(0)} << 16 | byte(1) << 8 | byte(2);
    const std::uint8_t type = byte(3), flags = byte(4);
    const std::uint32_t stream =
        (std::uint32_t{byte(5)} << 24 | byte(6) << 16 | byte(7) << 8 | byte(8)) & 0x7fff'ffff;
    if (type == kPing && size == kPingBytes) {  // the only payload that is answered
      frame_ += take(kFrameHeaderBytes + kPingBytes - frame_.size());
      if (frame_.size() < kFrameHeaderBytes + kPingBytes) break;
      if ((flags & kFlagAck) == 0)
        answer += frame(kPing, kFlagAck, 0, frame_.substr(kFrameHeaderBytes));
    } else {
      if (type == kSettings && (flags & kFlagAck) == 0) answer += frame(kSettings, kFlagAck, 0, "");
      if (type == kHeaders) {
        answer += frame(kHeaders, kFlagEndStream | kFlagEndHeaders, stream, trailers_);
        // What the call still wants to send is of no use any more.
        if ((flags & kFlagEndStream) == 0)
          answer += frame(kRstStream, 0, stream, std::string(4, '\0'));
      }
      payload_left_ = size;
    }
    frame_.clear();
  }
  return answer;
}

}  // namespace shoal::net
