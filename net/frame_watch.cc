// SPDX-License-Identifier: Apache-2.0
#include "net/frame_watch.h"

#include <algorithm>

namespace shoal::net {
namespace {

constexpr std::string_view kPreface = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
constexpr std::uint16_t kSettingMaxFrameSize = 5;
constexpr std::size_t kSettingBytes = 6;
// Every setting there is, several times.
constexpr std::uint32_t kMaxSettingsBytes = 32 * kSettingBytes;
constexpr std::uint32_t kMaxGoawayBytes = 4096;

// Sizes and streams that RFC 9113 fixes; gRPC would end the connection too, later.
bool breaks_rules(const FrameHeader& frame) {
  const bool on_stream = frame.stream != 0;
  switch (frame.type) {
    case kData:
    case kHeaders:
    case kContinuation:
      return !on_stream;
    case kPriority:
      return !on_stream || frame.length != 5;
    case kRstStream:
      return !on_stream || frame.length != 4;
    case kSettings:
      return on_stream || frame.length % kSettingBytes != 0 || frame.length > kMaxSettingsBytes ||
             (frame.has(kFlagAck) && frame.length != 0);
    case kPushPromise:
      return true;  // clients may not, and we never allow servers to
    case kPing:
      return on_stream || frame.length != 8;
    case kGoaway:
      return on_stream || frame.length < 8 || frame.length > kMaxGoawayBytes;
    case kWindowUpdate:
      return frame.length != 4;
    default:
      return false;
  }
}

}  // namespace

FrameWatch::FrameWatch(Stranger stranger, Time now, FrameLimits limits)
    : stranger_(stranger),
      limits_(limits),
      now_(now),
      preface_(stranger == Stranger::kClient ? 0 : kPreface.size()),
      out_preface_(stranger == Stranger::kServer ? 0 : kPreface.size()),
      began_(now),
      max_frame_bytes_(proto::kMinMaxFrameBytes),
      header_bytes_in_(limits.header_bytes, now),
      resets_(limits.resets, now),
      settings_(limits.settings, now),
      pings_(limits.pings, now),
      priorities_(limits.useless, now),
      empties_(limits.useless, now),
      odds_(limits.useless, now),
      windows_(limits.window_updates, now),
      crumbs_(limits.crumbs, now) {}

Fault FrameWatch::inbound(std::string_view bytes, Time now) {
  now_ = now;
  while (preface_ < kPreface.size() && !bytes.empty()) {
    if (bytes.front() != kPreface[preface_]) return Fault::kFrame;
    ++preface_;
    bytes.remove_prefix(1);
  }
  if (preface_ < kPreface.size()) return Fault::kNone;
  while (true) {
    Fault fault = Fault::kNone;
    switch (in_.next(bytes)) {
      case FrameWalker::Part::kMore:
        return Fault::kNone;
      case FrameWalker::Part::kHeader:
        fault = frame_in(in_.header());
        break;
      case FrameWalker::Part::kPayload:
        fault = payload_in(in_.header(), in_.payload());
        break;
      case FrameWalker::Part::kEnd:
        fault = end_in(in_.header());
        break;
    }
    if (fault != Fault::kNone) return fault;
  }
}

Fault FrameWatch::frame_in(const FrameHeader& frame) {
  entry_bytes_ = 0;
  if (frame.length > max_frame_bytes_ || breaks_rules(frame)) return Fault::kFrame;
  if (!settled_ && (frame.type != kSettings || frame.has(kFlagAck))) return Fault::kFrame;
  settled_ = true;
  if ((frame.type == kContinuation) != (header_stream_ != 0)) return Fault::kFrame;
  if (frame.type == kContinuation && frame.stream != header_stream_) return Fault::kFrame;
  const auto unless = [](bool fine, Fault fault) { return fine ? Fault::kNone : fault; };
  switch (frame.type) {
    case kData:
      return data_in(frame);
    case kHeaders:
    case kContinuation:
      return headers_in(frame);
    case kPriority:
      return unless(priorities_.take(now_), Fault::kPriorities);
    case kRstStream:
      if (stranger_ == Stranger::kServer) {
        // It can reset each stream that we opened, once; anything else is of no use.
        close(frame.stream);
        if (resets_due_ == 0) return unless(odds_.take(now_), Fault::kOddFrames);
        --resets_due_;
        return Fault::kNone;
      }
      if (is_usual_reset(frame.stream, late_resets_in_)) return Fault::kNone;
      ++traffic_.resets;
      return unless(resets_.take(now_), Fault::kResets);
    case kSettings:
    case kPing:
      if (frame.has(kFlagAck) && acks_due_ > 0) {
        --acks_due_;
        return Fault::kNone;
      }
      if (frame.type == kPing) return unless(pings_.take(now_), Fault::kPings);
      return unless(settings_.take(now_), Fault::kSettings);
    case kWindowUpdate:
      return unless(windows_.take(now_), Fault::kWindowUpdates);
    case kGoaway:
      said_goodbye_ = true;
      return unless(odds_.take(now_), Fault::kOddFrames);
    default:
      return unless(odds_.take(now_), Fault::kOddFrames);
  }
}

void FrameWatch::open(std::uint32_t stream) {
  ++traffic_.opened;
  ++traffic_.silent;
  Message message;
  message.opened = message.latest = now_;
  streams_.emplace(stream, message);
  windows_.grant(4);  // a stream's window may be set when it is opened, and when it is read
}

void FrameWatch::close(std::uint32_t stream) {
  const auto found = streams_.find(stream);
  if (found == streams_.end()) return;
  if (found->second.spoke) {
    ++late_resets_in_;
    ++late_resets_out_;
  } else {
    --traffic_.silent;
  }
  traffic_.half -= found->second.came;
  streams_.erase(found);
}

// A session that ends is a reset too; what is cheap for a peer is to open streams and reset them
// at once. What is opened has a limit of its own.
bool FrameWatch::is_usual_reset(std::uint32_t stream, std::uint64_t& late) {
  close(stream);
  if (late == 0) return false;
  --late;
  return true;
}

Fault FrameWatch::headers_in(const FrameHeader& frame) {
  if (frame.has(kFlagPadded) && !odds_.take(now_)) return Fault::kOddFrames;
  if (frame.type == kHeaders) {
    header_stream_ = frame.stream;
    header_bytes_ = header_pieces_ = 0;
    header_began_ = now_;
    if (stranger_ == Stranger::kServer) {
      if (headers_due_ > 0) {
        --headers_due_;
      } else if (!odds_.take(now_)) {
        return Fault::kOddFrames;
      }
    } else if (frame.stream > last_stream_) {
      if (frame.stream % 2 == 0) return Fault::kFrame;
      last_stream_ = frame.stream;
      open(frame.stream);
      if (streams_.size() > limits_.open_streams) return Fault::kStreams;
      if (traffic_.silent > limits_.silent_streams) return Fault::kSilentStreams;
    } else if (!odds_.take(now_)) {
      return Fault::kOddFrames;  // trailers of a client: nobody sends them
    }
  } else if (++header_pieces_ > limits_.continuations) {
    return Fault::kHeaderBlock;
  }
  if (frame.length == 0 && !empties_.take(now_)) return Fault::kEmptyFrames;
  const std::uint32_t usual = proto::kUsualHeaderBlockBytes;
  const std::uint32_t extra_before = std::max(header_bytes_, usual);
  header_bytes_ += frame.length;
  if (header_bytes_ > proto::kMaxMetadataBytes) saw_large_metadata_ = true;
  const std::uint32_t extra = std::max(header_bytes_, usual) - extra_before;
  if (header_bytes_ > limits_.header_block_bytes || !header_bytes_in_.take(now_, extra)) {
    return Fault::kHeaderBlock;
  }
  return Fault::kNone;
}

Fault FrameWatch::data_in(const FrameHeader& frame) {
  if (frame.has(kFlagPadded) && !odds_.take(now_)) return Fault::kOddFrames;
  if (frame.length == 0 && !frame.has(kFlagEndStream) && !empties_.take(now_)) {
    return Fault::kEmptyFrames;
  }
  crumbs_.grant(static_cast<double>(frame.length) / proto::kDataBytesPerCrumb);
  ended_message_ = false;
  // The end of a stream that nobody knows any more: once is late, often is a game.
  const bool late = frame.length == 0 && !streams_.contains(frame.stream);
  return late && !crumbs_.take(now_) ? Fault::kEmptyFrames : Fault::kNone;
}

bool FrameWatch::end_message(Message& message) {
  traffic_.half -= message.came;
  message.came = 0;
  message.prefix_bytes = 0;
  if (!message.spoke) {
    message.spoke = true;
    --traffic_.silent;
  }
  return spoke_ = ended_message_ = true;
}

Fault FrameWatch::payload_in(const FrameHeader& frame, std::string_view payload) {
  if (frame.type == kData) {
    const auto found = streams_.find(frame.stream);
    if (found == streams_.end()) return Fault::kNone;
    Message& message = found->second;
    message.latest = now_;
    while (!payload.empty()) {
      if (message.prefix_bytes < message.prefix.size()) {
        message.prefix[message.prefix_bytes++] = static_cast<std::uint8_t>(payload.front());
        payload.remove_prefix(1);
        if (message.prefix_bytes < message.prefix.size()) continue;
        const auto& p = message.prefix;
        message.missing = std::uint32_t{p[1]} << 24 | std::uint32_t{p[2]} << 16 |
                          std::uint32_t{p[3]} << 8 | std::uint32_t{p[4]};
        if (message.missing == 0) end_message(message);
        continue;
      }
      const auto size =
          static_cast<std::uint32_t>(std::min<std::size_t>(payload.size(), message.missing));
      payload.remove_prefix(size);
      message.missing -= size;
      message.came += size;
      traffic_.half += size;
      if (message.missing == 0) end_message(message);
    }
    return Fault::kNone;
  }
  if (frame.type == kWindowUpdate) {
    for (const char byte : payload) entry_[entry_bytes_++] = static_cast<std::uint8_t>(byte);
    if (entry_bytes_ == 4 && (entry_[0] & 0x7f) == 0 && entry_[1] == 0 && entry_[2] == 0 &&
        entry_[3] == 0) {
      return Fault::kFrame;  // by nothing
    }
  }
  return Fault::kNone;
}

Fault FrameWatch::end_in(const FrameHeader& frame) {
  if (frame.type == kData && frame.length > 0 && frame.length < proto::kCrumbBytes &&
      !ended_message_ && !crumbs_.take(now_)) {
    return Fault::kCrumbs;
  }
  if ((frame.type == kHeaders || frame.type == kContinuation) && frame.has(kFlagEndHeaders)) {
    header_stream_ = 0;
  }
  if ((frame.type == kData || frame.type == kHeaders) && frame.has(kFlagEndStream) &&
      stranger_ == Stranger::kServer) {
    close(frame.stream);
  }
  return Fault::kNone;
}

Fault FrameWatch::outbound(std::string_view bytes, Time now) {
  now_ = now;
  const std::size_t preface = std::min(kPreface.size() - out_preface_, bytes.size());
  out_preface_ += preface;
  bytes.remove_prefix(preface);
  while (true) {
    switch (out_.next(bytes)) {
      case FrameWalker::Part::kMore:
        return Fault::kNone;
      case FrameWalker::Part::kHeader:
        if (const Fault fault = frame_out(out_.header()); fault != Fault::kNone) return fault;
        break;
      case FrameWalker::Part::kPayload:
        if (out_.header().type == kSettings) payload_out(out_.payload());
        if (out_.header().type == kGoaway) goodbye_out(out_.payload());
        break;
      case FrameWalker::Part::kEnd:
        break;
    }
  }
}

Fault FrameWatch::frame_out(const FrameHeader& frame) {
  out_entry_bytes_ = 0;
  switch (frame.type) {
    case kData:
      windows_.grant(static_cast<double>(frame.length) / proto::kDataBytesPerWindowUpdate);
      if (frame.length >= proto::kMessageFrameBytes) {
        windows_.grant(proto::kWindowUpdatesPerDataFrame);
      }
      break;
    case kHeaders:
      if (stranger_ == Stranger::kServer && frame.stream > last_stream_) {
        last_stream_ = frame.stream;
        headers_due_ += 2;
        ++resets_due_;
        open(frame.stream);
      }
      break;
    case kGoaway:
      said_goodbye_ = true;
      goodbye_bytes_ = goodbye_code_ = 0;
      break;
    case kRstStream:
      if (stranger_ == Stranger::kServer) {  // we cancelled
        close(frame.stream);
        break;
      }
      if (is_usual_reset(frame.stream, late_resets_out_)) break;
      // We had to: what a peer makes us reset costs the same as what it resets.
      ++traffic_.resets;
      if (!resets_.take(now_)) return Fault::kResets;
      break;
    case kSettings:
    case kPing:
      if (!frame.has(kFlagAck)) ++acks_due_;
      break;
    default:
      break;
  }
  const bool ends = frame.type == kData || frame.type == kHeaders;
  if (ends && frame.has(kFlagEndStream) && stranger_ == Stranger::kClient) close(frame.stream);
  return Fault::kNone;
}

// gRPC allows larger frames on fast connections.
void FrameWatch::payload_out(std::string_view payload) {
  for (const char byte : payload) {
    out_entry_[out_entry_bytes_++] = static_cast<std::uint8_t>(byte);
    if (out_entry_bytes_ < kSettingBytes) continue;
    out_entry_bytes_ = 0;
    const auto& e = out_entry_;
    if ((e[0] << 8 | e[1]) != kSettingMaxFrameSize) continue;
    const std::uint32_t size = std::uint32_t{e[2]} << 24 | std::uint32_t{e[3]} << 16 |
                               std::uint32_t{e[4]} << 8 | std::uint32_t{e[5]};
    max_frame_bytes_ = std::max(max_frame_bytes_, size);
  }
}

// The last stream, then the error code.
void FrameWatch::goodbye_out(std::string_view payload) {
  for (const char byte : payload) {
    if (goodbye_bytes_ == 8) return;
    if (goodbye_bytes_++ >= 4) goodbye_code_ = goodbye_code_ << 8 | static_cast<std::uint8_t>(byte);
  }
}

Fault FrameWatch::check(Time now) const {
  if (!settled_ && now - began_ > limits_.begin) return Fault::kSlow;
  if (header_stream_ != 0 && now - header_began_ > limits_.begin) return Fault::kSlow;
  if (stranger_ == Stranger::kServer) return Fault::kNone;  // we asked; our deadlines say when
  for (const auto& [stream, message] : streams_) {
    if (!message.spoke && message.came == 0 && now - message.opened > limits_.silence) {
      return Fault::kSilentStreams;
    }
    if (message.came > 0 && now - message.latest > limits_.half_message) return Fault::kStalled;
  }
  return Fault::kNone;
}

}  // namespace shoal::net
