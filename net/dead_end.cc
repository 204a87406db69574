// SPDX-License-Identifier: Apache-2.0
#include "net/dead_end.h"

#include <algorithm>

#include "base/check.h"
#include "net/status.h"
#include "proto/limits.h"

namespace shoal::net {
namespace {

constexpr std::size_t kPrefaceBytes = 24;  // RFC 9113, section 3.4
constexpr std::size_t kPingBytes = 8;

// RFC 9113, section 4.1.
std::string make_frame(std::uint8_t type, std::uint8_t flags, std::uint32_t stream,
                       std::string_view payload) {
  std::string result;
  for (const int shift : {16, 8, 0}) result += static_cast<char>(payload.size() >> shift);
  result += static_cast<char>(type);
  result += static_cast<char>(flags);
  for (const int shift : {24, 16, 8, 0}) result += static_cast<char>(stream >> shift);
  result += payload;
  return result;
}

// RFC 7541, section 5.2: a string literal without Huffman: its length with a prefix of 7 bits, then
// its bytes.
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
    answer += make_frame(kSettings, 0, 0, "");
  }
  const std::size_t preface = std::min(preface_left_, bytes.size());
  preface_left_ -= preface;
  bytes.remove_prefix(preface);
  for (;;) {
    switch (walker_.next(bytes)) {
      case FrameWalker::Part::kMore:
        return answer;
      case FrameWalker::Part::kHeader:
        ping_.clear();
        break;
      case FrameWalker::Part::kPayload:
        if (walker_.header().type == kPing) ping_ += walker_.payload().substr(0, kPingBytes);
        break;
      case FrameWalker::Part::kEnd:
        answer += answer_to(walker_.header());
        break;
    }
  }
}

std::string DeadEnd::answer_to(const FrameHeader& frame) const {
  switch (frame.type) {
    case kSettings:
      return frame.has(kFlagAck) ? "" : make_frame(kSettings, kFlagAck, 0, "");
    case kPing:
      return frame.has(kFlagAck) ? "" : make_frame(kPing, kFlagAck, 0, ping_);
    case kHeaders: {
      std::string end =
          make_frame(kHeaders, kFlagEndStream | kFlagEndHeaders, frame.stream, trailers_);
      // What the call still wants to send is of no use any more.
      if (!frame.has(kFlagEndStream))
        end += make_frame(kRstStream, 0, frame.stream, {"\0\0\0\0", 4});
      return end;
    }
    default:
      return "";
  }
}

}  // namespace shoal::net
