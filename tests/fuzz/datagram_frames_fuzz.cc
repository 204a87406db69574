// SPDX-License-Identifier: Apache-2.0
// Datagrams in a stream: whatever comes, in whatever pieces, the same datagrams are found; they are
// the stream again when framed; and nothing is found after a length that no datagram has.
#include <algorithm>
#include <string>
#include <vector>

#include "base/check.h"
#include "dht/datagram_frames.h"
#include "proto/limits.h"

namespace {

std::vector<std::string> read(std::string_view stream, std::size_t piece, bool& broken) {
  shoal::dht::FrameReader reader;
  std::vector<std::string> found;
  while (!stream.empty()) {
    std::string_view bytes = stream.substr(0, piece);
    stream.remove_prefix(bytes.size());
    while (const auto datagram = reader.next(bytes)) found.emplace_back(*datagram);
    CHECK(bytes.empty() || reader.is_broken());
  }
  broken = reader.is_broken();
  return found;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view stream(reinterpret_cast<const char*>(data), size);
  bool broken = false;
  const std::vector<std::string> whole = read(stream, std::max<std::size_t>(size, 1), broken);
  for (const std::size_t piece : {1, 2, 3, 700}) {
    bool broken_too = false;
    CHECK(read(stream, piece, broken_too) == whole && broken_too == broken) << piece;
  }
  std::string again;
  for (const std::string& datagram : whole) {
    CHECK(!datagram.empty() && datagram.size() <= shoal::proto::kMaxDatagramBytes);
    shoal::dht::append_frame(again, datagram);
  }
  CHECK(stream.starts_with(again));
  return 0;
}
