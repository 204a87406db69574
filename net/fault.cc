// SPDX-License-Identifier: Apache-2.0
#include "net/fault.h"

#include <array>

#include "base/check.h"

namespace shoal::net {
namespace {

struct Text {
  const char* name;
  const char* words;
};
constexpr std::array<Text, kFaults> kTexts = {{
    {"none", "nothing"},
    {"frame", "what came is not HTTP/2 by its rules"},
    {"header_block", "a header block was too long"},
    {"streams", "too many streams were opened"},
    {"resets", "too many streams were reset"},
    {"settings", "too many SETTINGS frames"},
    {"pings", "too many PING frames"},
    {"priorities", "too many PRIORITY frames"},
    {"window_updates", "too many WINDOW_UPDATE frames"},
    {"empty_frames", "too many empty frames"},
    {"odd_frames", "too many frames of no use"},
    {"crumbs", "messages came in too many pieces"},
    {"half_messages", "too many messages were begun and not finished"},
    {"silent_streams", "streams were opened and not used"},
    {"slow", "the beginning of the connection or of a header block took too long"},
    {"wrapping", "too many TLS records without content"},
    {"never_reads", "the peer sends but does not read"},
    {"banned", "the peer was hung up on less than a minute ago"},
    {"too_many", "the peer has too many connections"},
    {"stalled", "the peer takes nothing any more"},
}};

const Text& text_of(Fault fault) {
  CHECK(fault < Fault::kCount);
  return kTexts[static_cast<std::size_t>(fault)];
}

}  // namespace

const char* name_of(Fault fault) { return text_of(fault).name; }
const char* words_of(Fault fault) { return text_of(fault).words; }

}  // namespace shoal::net
