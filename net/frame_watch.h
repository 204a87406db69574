// SPDX-License-Identifier: Apache-2.0
// Watches one connection's HTTP/2 frames in both directions, and says when the stranger at its
// other end asks for more work or memory than honest gRPC ever does. Sees bytes only, keeps no
// payload; time comes by argument. One thread. The attacks and limits: docs/protocol.md, "The
// front".
#pragma once

#include <array>
#include <chrono>
#include <cstdint>
#include <string_view>

#include "absl/container/flat_hash_map.h"
#include "net/fault.h"
#include "net/frame_walker.h"
#include "net/token_bucket.h"
#include "proto/limits.h"

namespace shoal::net {

// Which end the stranger is: the one who dialled us, or whom we dialled.
enum class Stranger { kClient, kServer };

// proto/limits.h has the reasons.
struct FrameLimits {
  std::uint32_t header_block_bytes = proto::kMaxHeaderBlockBytes;
  std::uint32_t continuations = proto::kMaxContinuations;
  std::uint32_t open_streams = proto::kMaxStreamsPerConnection + proto::kMaxSilentStreams;
  std::uint32_t silent_streams = proto::kMaxSilentStreams;
  Rate header_bytes{proto::kHeaderBytesBurst, proto::kHeaderBytesPerSecond};
  Rate resets{proto::kResetsBurst, proto::kResetsPerSecond};
  Rate settings{proto::kControlFramesBurst, proto::kControlFramesPerSecond};
  Rate pings{proto::kControlFramesBurst, proto::kControlFramesPerSecond};
  Rate useless{proto::kUselessFramesBurst, proto::kUselessFramesPerSecond};
  Rate window_updates{proto::kWindowUpdatesBurst, proto::kWindowUpdatesPerSecond};
  Rate crumbs{proto::kCrumbsBurst, proto::kCrumbsPerSecond};
  std::chrono::milliseconds begin{proto::kConnectTimeoutMs};
  std::chrono::milliseconds silence{proto::kSilentStreamTimeoutMs};
  std::chrono::milliseconds half_message{proto::kHalfMessageTimeoutMs};
  std::chrono::milliseconds never_reads{proto::kNeverReadsTimeoutMs};  // the bridge sees to it
};

// What a connection holds and did, for limits over several connections.
struct Traffic {
  std::uint64_t opened = 0;  // streams, ever
  std::uint64_t resets = 0;  // streams, ever
  std::uint32_t silent = 0;  // streams open now on which no message came yet
  std::uint64_t half = 0;    // bytes of messages begun and not finished
};

class FrameWatch {
 public:
  using Time = std::chrono::steady_clock::time_point;

  FrameWatch(Stranger stranger, Time now, FrameLimits limits = {});

  // Bytes from the stranger, before anybody else sees them. After a fault: drop them, hang up.
  Fault inbound(std::string_view bytes, Time now);
  // Bytes to the stranger.
  Fault outbound(std::string_view bytes, Time now);
  // Once a second or so: what takes too long.
  Fault check(Time now) const;

  const Traffic& traffic() const { return traffic_; }
  bool spoke() const { return spoke_; }  // at least one whole message came
  // Whether a frame of ours may be put in after what went out last.
  bool outbound_at_boundary() const { return out_.at_boundary(); }
  // Either side has said that it will close.
  bool said_goodbye() const { return said_goodbye_; }
  // A header block came that is larger than the metadata that gRPC takes.
  bool saw_large_metadata() const { return saw_large_metadata_; }
  // Our gRPC has told the other end to calm down (RFC 9113, section 7, ENHANCE_YOUR_CALM): it pings
  // more often than gRPC takes, and gRPC counts few before it ends the connection.
  bool told_to_calm_down() const { return goodbye_code_ == kEnhanceYourCalm; }

 private:
  static constexpr std::uint32_t kEnhanceYourCalm = 0xb;
  // Where the messages of a stream begin: five bytes of gRPC, then so many.
  struct Message {
    std::array<std::uint8_t, 5> prefix{};
    std::uint8_t prefix_bytes = 0;
    std::uint32_t missing = 0;
    std::uint32_t came = 0;
    bool spoke = false;
    Time opened;
    Time latest;
  };

  Fault frame_in(const FrameHeader& frame);
  Fault headers_in(const FrameHeader& frame);
  Fault data_in(const FrameHeader& frame);
  Fault payload_in(const FrameHeader& frame, std::string_view payload);
  Fault end_in(const FrameHeader& frame);
  Fault frame_out(const FrameHeader& frame);
  void payload_out(std::string_view payload);
  void goodbye_out(std::string_view payload);
  bool end_message(Message& message);
  void open(std::uint32_t stream);
  void close(std::uint32_t stream);
  // Whether the reset is one that honest peers make.
  bool is_usual_reset(std::uint32_t stream, std::uint64_t& late);

  const Stranger stranger_;
  const FrameLimits limits_;
  Time now_;

  std::size_t preface_ = 0;  // bytes of it seen
  FrameWalker in_, out_;
  std::size_t out_preface_ = 0;
  bool settled_ = false;  // the stranger's first frame, SETTINGS, has come
  const Time began_;

  std::uint32_t header_stream_ = 0;  // of the header block that is not complete; 0: none
  std::uint32_t header_bytes_ = 0;
  std::uint32_t header_pieces_ = 0;
  Time header_began_;

  std::uint32_t last_stream_ = 0;  // opened by the dialling end
  absl::flat_hash_map<std::uint32_t, Message> streams_;
  bool ended_message_ = false;           // by the DATA frame under way
  std::array<std::uint8_t, 4> entry_{};  // of a WINDOW_UPDATE under way
  std::uint32_t entry_bytes_ = 0;
  std::array<std::uint8_t, 6> out_entry_{};  // of our SETTINGS under way
  std::size_t out_entry_bytes_ = 0;
  std::uint32_t max_frame_bytes_;
  std::uint64_t acks_due_ = 0;  // our PING and SETTINGS frames on their way
  // From a server, for the streams that we opened: what it sent before it saw that we ended one.
  std::uint64_t headers_due_ = 0, resets_due_ = 0;
  // Of a client's streams that were used and are over: each end may still reset them once, not
  // having seen that they are.
  std::uint64_t late_resets_in_ = 0, late_resets_out_ = 0;

  TokenBucket header_bytes_in_, resets_, settings_, pings_, priorities_, empties_, odds_, windows_,
      crumbs_;
  Traffic traffic_;
  bool spoke_ = false;
  bool said_goodbye_ = false;
  bool saw_large_metadata_ = false;
  std::uint32_t goodbye_bytes_ = 0, goodbye_code_ = 0;  // of our GOAWAY
};

}  // namespace shoal::net
