// SPDX-License-Identifier: Apache-2.0
// The far end of a connection that could not be made: answers each call that gRPC sends on it with
// the reason, as an HTTP/2 server would. So a call on a channel whose peer cannot be reached ends
// with the dialler's own status and sentence. Pure: bytes in, bytes out; one caller at a time. The
// bytes that it reads are our own gRPC's.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "absl/status/status.h"
#include "net/frame_walker.h"

namespace shoal::net {

class DeadEnd {
 public:
  explicit DeadEnd(const absl::Status& why);

  // Takes what gRPC wrote, in pieces of any size; returns what to answer (may be empty).
  std::string consume(std::string_view bytes);

 private:
  std::string answer_to(const FrameHeader& frame) const;

  const std::string trailers_;  // the header block that ends a call
  std::size_t preface_left_;    // of the client's connection preface
  bool greeted_ = false;
  FrameWalker walker_;
  std::string ping_;  // the payload of the one under way
};

}  // namespace shoal::net
