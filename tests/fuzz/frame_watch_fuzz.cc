// SPDX-License-Identifier: Apache-2.0
// The watch over HTTP/2 frames. Input: a byte of flags, then the stranger's bytes, of which every
// so many are taken for what we send. Wherever they are cut, the verdict is the same, and the
// counts stay within their bounds.
#include <algorithm>
#include <string_view>

#include "base/check.h"
#include "net/frame_watch.h"

namespace {

using namespace shoal;
using namespace shoal::net;

struct Outcome {
  Fault fault = Fault::kNone;
  Traffic traffic;
};

Outcome watch_in_pieces(std::uint8_t flags, std::string_view in, std::string_view out,
                        std::size_t piece) {
  const FrameWatch::Time start{std::chrono::hours(1)};
  FrameWatch watch((flags & 1) != 0 ? Stranger::kServer : Stranger::kClient, start);
  const std::size_t size = in.size();
  Outcome verdict;
  for (std::string_view* bytes : {&out, &in}) {
    while (!bytes->empty() && verdict.fault == Fault::kNone) {
      const std::string_view now = bytes->substr(0, piece);
      bytes->remove_prefix(now.size());
      verdict.fault = bytes == &in ? watch.inbound(now, start) : watch.outbound(now, start);
      CHECK(watch.traffic().silent <= proto::kMaxSilentStreams + 1 || (flags & 1) != 0);
      CHECK(watch.traffic().half <= size);
    }
  }
  verdict.traffic = watch.traffic();
  CHECK(watch.check(start) == Fault::kNone);
  return verdict;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size < 3) return 0;
  const std::string_view bytes(reinterpret_cast<const char*>(data) + 3, size - 3);
  const std::size_t sent = std::min<std::size_t>(data[1], bytes.size());
  const auto in = bytes.substr(sent), out = bytes.substr(0, sent);
  const Outcome whole = watch_in_pieces(data[0], in, out, bytes.size() + 1);
  for (const std::size_t piece : {std::size_t{1}, std::size_t{data[2]} + 1}) {
    const Outcome cut = watch_in_pieces(data[0], in, out, piece);
    CHECK(cut.fault == whole.fault) << name_of(cut.fault) << " or " << name_of(whole.fault);
    if (whole.fault != Fault::kNone) continue;
    CHECK(cut.traffic.opened == whole.traffic.opened && cut.traffic.half == whole.traffic.half);
  }
  return 0;
}
