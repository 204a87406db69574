// SPDX-License-Identifier: Apache-2.0
// What the watch lets pass and what it calls a fault, wherever the bytes are cut.
#include "net/frame_watch.h"

#include <gtest/gtest.h>

#include <functional>

#include "tests/attack/http2_bytes.h"

namespace shoal::net {
namespace {

using namespace shoal::attack;
using std::chrono::milliseconds;

const FrameWatch::Time kStart{std::chrono::hours(1)};
const std::string kHello = preface() + settings(setting(3, 100));
const std::string kCall = call_headers(kDescribe);

// Feeds the bytes in pieces until a fault; all cuts must lead to the same.
Fault fault_of(const std::string& bytes, Stranger stranger = Stranger::kClient) {
  std::optional<Fault> first;
  for (const std::size_t piece : {std::size_t{1}, std::size_t{2}, std::size_t{7}, std::size_t{100},
                                  std::size_t{16'384}, bytes.size() + 1}) {
    FrameWatch watch(stranger, kStart);
    Fault fault = Fault::kNone;
    for (std::size_t at = 0; at < bytes.size() && fault == Fault::kNone; at += piece) {
      fault = watch.inbound(std::string_view(bytes).substr(at, piece), kStart);
    }
    if (!first) first = fault;
    EXPECT_EQ(name_of(fault), name_of(*first)) << "in pieces of " << piece;
  }
  return *first;
}

std::string times(int count, const std::function<std::string(std::uint32_t stream)>& make) {
  std::string out;
  for (int i = 0; i < count; ++i) out += make(2 * static_cast<std::uint32_t>(i) + 1);
  return out;
}
std::string times(int count, const std::string& bytes) {
  return times(count, [&](std::uint32_t) { return bytes; });
}

TEST(FrameWatch, CallsPass) {
  EXPECT_EQ(fault_of(kHello + frame(kSettings, kFlagAck, 0)), Fault::kNone);
  EXPECT_EQ(fault_of(kHello + times(100,
                                    [](std::uint32_t s) {
                                      return headers(s, kCall) +
                                             data(s, message_prefix(3) + "abc", kFlagEndStream);
                                    })),
            Fault::kNone);
  // A message over several frames, and several in one.
  EXPECT_EQ(fault_of(kHello + headers(1, kCall) + data(1, message_prefix(30'000)) +
                     data(1, std::string(16'000, 'm')) + data(1, std::string(14'000, 'm')) +
                     data(1, message_prefix(1) + "a" + message_prefix(0) + message_prefix(2)) +
                     data(1, "bc") + data(1, "", kFlagEndStream)),
            Fault::kNone);
}

TEST(FrameWatch, WhatIsNoHttp2IsSeenAtItsFirstByte) {
  EXPECT_EQ(fault_of("GET / HTTP/1.1\r\n\r\n"), Fault::kFrame);
  EXPECT_EQ(fault_of("PRI * HTTP/2.1"), Fault::kFrame);
  EXPECT_EQ(fault_of(preface() + headers(1, kCall)), Fault::kFrame);  // SETTINGS come first
}

TEST(FrameWatch, FramesThatBreakTheRules) {
  const std::string bad[] = {
      frame_of_length(16'385, kData, 0, 1),
      frame_of_length(0xffffff, kContinuation, 0, 1),
      data(0, "x"),
      headers(0, kCall),
      headers(2, kCall),
      frame(kContinuation, kFlagEndHeaders, 1, "x"),
      headers(1, kCall, 0) + data(1, "x"),
      headers(1, kCall, 0) + headers(3, kCall),
      headers(1, kCall, 0) + frame(kContinuation, 0, 3, "x"),
      headers(1, kCall, 0) + frame(kPing, 0, 0, "12345678"),
      frame(kPing, 0, 0, "1234567"),
      frame(kPing, 0, 1, "12345678"),
      frame(kSettings, 0, 1),
      frame(kSettings, 0, 0, "12345"),
      frame(kSettings, kFlagAck, 0, setting(1, 1)),
      settings(times(33, setting(4, 1))),
      frame(kRstStream, 0, 0, "1234"),
      frame(kRstStream, 0, 1, "12345"),
      frame(kPriority, 0, 1, "1234"),
      frame(kGoaway, 0, 1, "12345678"),
      frame(kGoaway, 0, 0, "1234567"),
      frame(kWindowUpdate, 0, 1, "123"),
      window_update(0, 0),
      window_update(1, 0),
      window_update(1, 0x80000000),
      frame(kPushPromise, kFlagEndHeaders, 1, "12345678"),
  };
  for (const std::string& bytes : bad) {
    EXPECT_EQ(name_of(fault_of(kHello + bytes)), std::string("frame"))
        << &bytes - bad << ": " << testing::PrintToString(bytes.substr(0, 20));
  }
}

TEST(FrameWatch, HeaderBlocksAreShort) {
  const std::string piece(8'000, '\x82');
  const auto block = [&](int pieces) {
    return headers(1, piece, 0) + times(pieces - 2, frame(kContinuation, 0, 1, piece)) +
           frame(kContinuation, kFlagEndHeaders, 1, piece);
  };
  EXPECT_EQ(fault_of(kHello + block(4)), Fault::kNone);
  EXPECT_EQ(fault_of(kHello + block(5)), Fault::kHeaderBlock);
  EXPECT_EQ(fault_of(kHello + headers(1, "x", 0) + times(9, frame(kContinuation, 0, 1, "x"))),
            Fault::kHeaderBlock);
  // Its frame header is enough: nothing of the block passes.
  EXPECT_EQ(fault_of(kHello + headers(1, piece, 0) + times(2, frame(kContinuation, 0, 1, piece)) +
                     frame_of_length(16'000, kContinuation, 0, 1)),
            Fault::kHeaderBlock);
}

TEST(FrameWatch, LongHeaderBlocksAreRare) {
  const auto calls = [](int count, int bytes) {
    return kHello + times(count, [&](std::uint32_t s) {
             return headers(s, std::string(static_cast<std::size_t>(bytes), '\x82')) +
                    data(s, message_prefix(0));
           });
  };
  EXPECT_EQ(fault_of(calls(1'000, 500)), Fault::kNone);
  EXPECT_EQ(fault_of(calls(10, 12'000)), Fault::kNone);
  EXPECT_EQ(fault_of(calls(12, 12'000)), Fault::kHeaderBlock);
}

TEST(FrameWatch, FloodsOfEveryKind) {
  const std::string session = headers(1, call_headers(kSession));
  const struct {
    const char* name;
    std::string once;
    int allowed;
    Fault fault;
  } floods[] = {
      {"settings", settings(), 100, Fault::kSettings},
      {"settings acks", frame(kSettings, kFlagAck, 0), 99, Fault::kSettings},
      {"pings", frame(kPing, 0, 0, "12345678"), 100, Fault::kPings},
      {"ping acks", frame(kPing, kFlagAck, 0, "12345678"), 100, Fault::kPings},
      {"priorities", frame(kPriority, 0, 3, "12345"), 100, Fault::kPriorities},
      {"unknown", frame(0xbe, 0xff, 77, "?"), 100, Fault::kOddFrames},
      {"goaways", frame(kGoaway, 0, 0, "12345678"), 100, Fault::kOddFrames},
      {"empty data", data(1, ""), 100, Fault::kEmptyFrames},
      {"padding", frame(kData, kFlagPadded, 1, std::string("\1\0", 2)), 100, Fault::kOddFrames},
      {"trailers", headers(1, kCall), 100, Fault::kOddFrames},
      {"windows", window_update(1, 1), 2'000, Fault::kWindowUpdates},
      {"resets", rst_stream(1), 128, Fault::kResets},
  };
  for (const auto& flood : floods) {
    SCOPED_TRACE(flood.name);
    const std::string begin = kHello + session + data(1, message_prefix(0));
    EXPECT_EQ(fault_of(begin + times(flood.allowed - 1, flood.once)), Fault::kNone);
    EXPECT_EQ(name_of(fault_of(begin + times(flood.allowed + 5, flood.once))),
              std::string(name_of(flood.fault)));
  }
}

TEST(FrameWatch, KnowsWhyGrpcSaysGoodbye) {
  const auto goodbye = [](char code) {
    return frame(kGoaway, 0, 0, std::string("\0\0\0\1\0\0\0", 7) + code + "too_many_pings");
  };
  for (const bool calm : {false, true}) {
    FrameWatch watch(Stranger::kClient, kStart);
    EXPECT_EQ(watch.inbound(kHello, kStart), Fault::kNone);
    const std::string bytes = goodbye(calm ? '\x0b' : '\0');
    for (const char byte : bytes)  // cut anywhere
      EXPECT_EQ(watch.outbound(std::string_view(&byte, 1), kStart), Fault::kNone);
    EXPECT_TRUE(watch.said_goodbye());
    EXPECT_EQ(watch.told_to_calm_down(), calm);
  }
}

TEST(FrameWatch, RapidResetsAreCountedWhoeverResets) {
  const auto both = [](std::uint32_t s) { return headers(s, kCall) + rst_stream(s); };
  EXPECT_EQ(fault_of(kHello + times(128, both)), Fault::kNone);
  EXPECT_EQ(fault_of(kHello + times(129, both)), Fault::kResets);

  // MadeYouReset: it is the server that resets.
  FrameWatch watch(Stranger::kClient, kStart);
  EXPECT_EQ(watch.inbound(kHello, kStart), Fault::kNone);
  for (std::uint32_t i = 0; i < 128; ++i) {
    ASSERT_EQ(watch.inbound(headers(2 * i + 1, kCall), kStart), Fault::kNone) << i;
    ASSERT_EQ(watch.outbound(rst_stream(2 * i + 1), kStart), Fault::kNone) << i;
  }
  EXPECT_EQ(watch.outbound(rst_stream(3'000), kStart), Fault::kResets);
}

TEST(FrameWatch, StreamsOpenedAndEndedInOrderAreNoFault) {  // how fast is the gate's business
  FrameWatch watch(Stranger::kClient, kStart);
  EXPECT_EQ(watch.inbound(kHello, kStart), Fault::kNone);
  Fault fault = Fault::kNone;
  std::uint32_t stream = 1;
  const auto call = [&] {
    fault = watch.inbound(headers(stream, kCall) + data(stream, message_prefix(0), kFlagEndStream),
                          kStart);
    if (fault == Fault::kNone) {
      fault = watch.outbound(headers(stream, "x", kFlagEndHeaders | kFlagEndStream), kStart);
    }
    stream += 2;
  };
  for (int i = 0; i < 20'000 && fault == Fault::kNone; ++i) {
    call();
  }
  EXPECT_EQ(fault, Fault::kNone);
  EXPECT_EQ(watch.traffic().silent, 0u);
  EXPECT_EQ(watch.traffic().opened, 20'000u);
}

TEST(FrameWatch, SessionsThatComeAndGoAreNoFlood) {
  const std::string message = message_prefix(1) + "m";
  FrameWatch watch(Stranger::kClient, kStart);
  FrameWatch::Time now = kStart;
  EXPECT_EQ(watch.inbound(kHello, now), Fault::kNone);
  for (std::uint32_t i = 0; i < 20'000; ++i) {
    const std::uint32_t stream = 2 * i + 1;
    now += std::chrono::milliseconds(10);
    ASSERT_EQ(watch.inbound(headers(stream, kCall) + data(stream, message), now), Fault::kNone);
    if (i % 2 == 0) {  // the client cancels
      ASSERT_EQ(watch.inbound(rst_stream(stream), now), Fault::kNone) << i;
    } else {  // we end it, and tell the client to stop
      ASSERT_EQ(
          watch.outbound(
              headers(stream, "x", kFlagEndHeaders | kFlagEndStream) + rst_stream(stream), now),
          Fault::kNone)
          << i;
      ASSERT_EQ(watch.inbound(rst_stream(stream), now), Fault::kNone) << "it crossed ours";
    }
  }
  EXPECT_EQ(watch.traffic().resets, 0u);

  // Those that we cancel, while the server ends them.
  FrameWatch dialled(Stranger::kServer, kStart);
  EXPECT_EQ(dialled.outbound(kHello, kStart), Fault::kNone);
  EXPECT_EQ(dialled.inbound(settings(), kStart), Fault::kNone);
  for (std::uint32_t i = 0; i < 2'000; ++i) {
    const std::uint32_t stream = 2 * i + 1;
    ASSERT_EQ(dialled.outbound(headers(stream, kCall) + rst_stream(stream), kStart), Fault::kNone);
    ASSERT_EQ(
        dialled.inbound(headers(stream, "x", kFlagEndHeaders | kFlagEndStream) + rst_stream(stream),
                        kStart),
        Fault::kNone)
        << i;
  }
}

TEST(FrameWatch, WhatWeAskedForIsNoFlood) {
  FrameWatch watch(Stranger::kClient, kStart);
  EXPECT_EQ(watch.inbound(kHello, kStart), Fault::kNone);
  for (int i = 0; i < 1'000; ++i) {
    EXPECT_EQ(watch.outbound(frame(kPing, 0, 0, "12345678") + settings(), kStart), Fault::kNone);
    EXPECT_EQ(watch.inbound(frame(kPing, kFlagAck, 0, "12345678") + frame(kSettings, kFlagAck, 0),
                            kStart),
              Fault::kNone);
  }
  // Windows for data that flows; none for data drawn byte by byte.
  for (int i = 0; i < 20'000; ++i) {
    EXPECT_EQ(watch.outbound(data(1, std::string(2'048, 'd')), kStart), Fault::kNone);
    ASSERT_EQ(watch.inbound(window_update(1, 2'048) + window_update(0, 2'048), kStart),
              Fault::kNone);
  }
  Fault fault = Fault::kNone;
  for (int i = 0; i < 20'000 && fault == Fault::kNone; ++i) {
    EXPECT_EQ(watch.outbound(data(1, "d"), kStart), Fault::kNone);
    fault = watch.inbound(window_update(1, 1), kStart);
  }
  EXPECT_EQ(fault, Fault::kWindowUpdates);
}

TEST(FrameWatch, LargerFramesPassOnceWeAllowThem) {
  const std::string large = frame_of_length(100'000, kData, 0, 1);
  FrameWatch watch(Stranger::kClient, kStart);
  EXPECT_EQ(watch.inbound(kHello, kStart), Fault::kNone);
  const std::string allowed = settings(setting(4, 1) + setting(5, 100'000));
  EXPECT_EQ(watch.outbound(allowed.substr(0, 17), kStart), Fault::kNone);
  EXPECT_FALSE(watch.outbound_at_boundary());
  EXPECT_EQ(watch.outbound(allowed.substr(17), kStart), Fault::kNone);
  EXPECT_TRUE(watch.outbound_at_boundary());
  EXPECT_EQ(watch.inbound(large, kStart), Fault::kNone);
}

TEST(FrameWatch, CrumbsOfAMessageAreCountedAndSmallMessagesAreNot) {
  const std::string begin = kHello + headers(1, call_headers(kSession));
  EXPECT_EQ(fault_of(begin + times(20'000, data(1, message_prefix(1) + "m"))), Fault::kNone);
  EXPECT_EQ(fault_of(begin + data(1, message_prefix(1 << 20)) + times(20'000, data(1, "m"))),
            Fault::kCrumbs);
}

TEST(FrameWatch, SilentStreamsAndHalfMessagesAreKnown) {
  FrameWatch watch(Stranger::kClient, kStart);
  EXPECT_EQ(watch.inbound(kHello + headers(1, kCall) + headers(3, kCall), kStart), Fault::kNone);
  EXPECT_EQ(watch.traffic().silent, 2u);
  EXPECT_FALSE(watch.spoke());
  EXPECT_EQ(watch.inbound(data(1, message_prefix(1'000) + std::string(600, 'm')), kStart),
            Fault::kNone);
  EXPECT_EQ(watch.traffic().half, 600u);
  EXPECT_EQ(watch.inbound(data(1, std::string(400, 'm')), kStart), Fault::kNone);
  EXPECT_EQ(watch.traffic().half, 0u);
  EXPECT_EQ(watch.traffic().silent, 1u);
  EXPECT_TRUE(watch.spoke());
  EXPECT_EQ(watch.check(kStart + milliseconds(9'000)), Fault::kNone);
  EXPECT_EQ(watch.check(kStart + milliseconds(11'000)), Fault::kSilentStreams);
  EXPECT_EQ(watch.inbound(rst_stream(3), kStart), Fault::kNone);
  EXPECT_EQ(watch.traffic().silent, 0u);
  EXPECT_EQ(watch.check(kStart + milliseconds(11'000)), Fault::kNone);
  EXPECT_EQ(watch.inbound(data(1, message_prefix(1'000) + "m"), kStart), Fault::kNone);
  EXPECT_EQ(watch.check(kStart + milliseconds(16'000)), Fault::kStalled);

  EXPECT_EQ(fault_of(kHello + times(257, [](std::uint32_t s) { return headers(s, kCall); })),
            Fault::kSilentStreams);
}

TEST(FrameWatch, BeginningsHaveADeadline) {
  for (const std::string& begin : {std::string(), preface(), preface() + settings().substr(0, 8)}) {
    FrameWatch watch(Stranger::kClient, kStart);
    EXPECT_EQ(watch.inbound(begin, kStart), Fault::kNone);
    EXPECT_EQ(watch.check(kStart + milliseconds(4'900)), Fault::kNone);
    EXPECT_EQ(watch.check(kStart + milliseconds(5'100)), Fault::kSlow);
  }
  FrameWatch watch(Stranger::kClient, kStart);
  EXPECT_EQ(watch.inbound(kHello, kStart), Fault::kNone);
  EXPECT_EQ(watch.check(kStart + std::chrono::hours(1)), Fault::kNone);
  const auto later = kStart + std::chrono::hours(1);
  EXPECT_EQ(watch.inbound(headers(1, kCall, 0), later), Fault::kNone);
  EXPECT_EQ(watch.check(later + milliseconds(5'100)), Fault::kSlow);
}

TEST(FrameWatch, AServerIsWatchedLikeAClient) {
  FrameWatch watch(Stranger::kServer, kStart);
  EXPECT_EQ(watch.outbound(kHello + headers(1, kCall) + headers(3, kCall), kStart), Fault::kNone);
  EXPECT_EQ(watch.inbound(settings() + frame(kSettings, kFlagAck, 0) + headers(1, "x") +
                              data(1, message_prefix(1) + "m") +
                              headers(1, "x", kFlagEndHeaders | kFlagEndStream) + rst_stream(3),
                          kStart),
            Fault::kNone);
  EXPECT_EQ(watch.inbound(window_update(0, 0), kStart), Fault::kFrame);

  const auto server = [](const std::string& bytes) {
    return fault_of(settings() + bytes, Stranger::kServer);
  };
  EXPECT_EQ(server(frame(kPushPromise, kFlagEndHeaders, 1, "12345678")), Fault::kFrame);
  EXPECT_EQ(server(times(200, frame(kPing, 0, 0, "12345678"))), Fault::kPings);
  EXPECT_EQ(server(times(200, headers(1, kCall))), Fault::kOddFrames);
  EXPECT_EQ(server(times(200, rst_stream(1))), Fault::kOddFrames);
  EXPECT_EQ(server(headers(1, "x", 0) + times(20, frame(kContinuation, 0, 1, "x"))),
            Fault::kHeaderBlock);
}

}  // namespace
}  // namespace shoal::net
