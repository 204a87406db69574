// SPDX-License-Identifier: Apache-2.0
#include "tests/attack/attacks.h"

#include <functional>
#include <memory>
#include <optional>
#include <thread>

#include "base/check.h"
#include "tests/attack/http2_bytes.h"
#include "tests/attack/raw_client.h"

namespace shoal::attack {
namespace {

using Clock = std::chrono::steady_clock;
using std::chrono::milliseconds;

identity::Identity identity_of(int number) {
  std::array<std::uint8_t, 32> seed{};
  seed[0] = static_cast<std::uint8_t>(number);
  seed[1] = static_cast<std::uint8_t>(number >> 8);
  seed[31] = 0xa7;
  return identity::Identity::from_seed(seed);
}

// One after another: bytes to begin with, then bytes for ever, by their number.
struct Flood {
  std::string begin;
  std::function<std::string(std::uint32_t)> next;
  bool reads = true;
};

std::uint32_t stream_of(std::uint32_t i) { return 2 * i + 1; }

std::string repeat(const std::string& text, int times) {
  std::string out;
  for (int i = 0; i < times; ++i) out += text;
  return out;
}

std::optional<Flood> flood_of(const std::string& name) {
  using namespace net;
  const std::string hello = preface() + settings();
  const std::string call = call_headers(kDescribe);
  const auto always = [&](const std::string& bytes, const std::string& begin) {
    return Flood{begin, [bytes](std::uint32_t) { return bytes; }};
  };
  if (name == "continuation") {
    return always(frame(kContinuation, 0, 1, repeat(literal("x", "y"), 3'000)),
                  hello + headers(1, call, 0));
  }
  if (name == "continuation-small") {
    return always(repeat(frame(kContinuation, 0, 1, literal("x", "y")), 200),
                  hello + headers(1, call, 0));
  }
  if (name == "continuation-empty") {
    return always(repeat(frame(kContinuation, 0, 1), 200), hello + headers(1, call, 0));
  }
  if (name == "rapid-reset") {
    return Flood{hello, [call](std::uint32_t i) {
                   return headers(stream_of(i), call) + rst_stream(stream_of(i));
                 }};
  }
  if (name == "made-you-reset-window") {
    return Flood{hello, [call](std::uint32_t i) {
                   return headers(stream_of(i), call) + window_update(stream_of(i), 0);
                 }};
  }
  if (name == "made-you-reset-overflow") {
    return Flood{hello, [call](std::uint32_t i) {
                   const std::string wide = window_update(stream_of(i), 0x7fffffff);
                   return headers(stream_of(i), call) + wide + wide;
                 }};
  }
  if (name == "made-you-reset-closed") {
    return Flood{hello, [call](std::uint32_t i) {
                   const std::uint32_t s = stream_of(i);
                   return headers(s, call, kFlagEndHeaders | kFlagEndStream) + data(s, "x") +
                          headers(s, call);
                 }};
  }
  if (name == "made-you-reset-bad-call") {
    return Flood{hello, [](std::uint32_t i) {
                   return headers(stream_of(i), literal("not", "a call")) +
                          data(stream_of(i), "\xff\xff\xff\xff\xff rubbish");
                 }};
  }
  if (name == "ping") return always(repeat(frame(kPing, 0, 0, "12345678"), 100), hello);
  if (name == "ping-ack") return always(repeat(frame(kPing, 1, 0, "12345678"), 100), hello);
  if (name == "settings") return always(repeat(settings(setting(4, 65'535)), 100), hello);
  if (name == "settings-ack") return always(repeat(frame(kSettings, 1, 0), 100), hello);
  if (name == "settings-window") {
    return Flood{hello + headers(1, call),
                 [](std::uint32_t i) { return settings(setting(4, i % 2 == 0 ? 0 : 0x7fffffff)); }};
  }
  if (name == "settings-table") {
    return Flood{hello,
                 [](std::uint32_t i) { return settings(setting(1, i % 2 == 0 ? 0 : 0xffffffff)); }};
  }
  if (name == "empty-data") {
    return always(repeat(data(1, ""), 100), hello + headers(1, call_headers(kSession)));
  }
  if (name == "empty-headers") {
    return Flood{hello, [](std::uint32_t i) { return headers(stream_of(i), ""); }};
  }
  if (name == "zero-length-headers") {
    return Flood{hello, [call](std::uint32_t i) {
                   return headers(stream_of(i), call + repeat(literal("", ""), 4'000));
                 }};
  }
  if (name == "priority") {
    return Flood{hello, [](std::uint32_t i) {
                   return frame(kPriority, 0, stream_of(i % 1000),
                                big_endian(stream_of((i + 7) % 1000), 4) + "\x10");
                 }};
  }
  if (name == "reset-flood") {
    return Flood{hello + headers(1, call),
                 [](std::uint32_t) { return repeat(rst_stream(1), 100); }};
  }
  if (name == "window-dribble") {
    return Flood{preface() + settings(setting(4, 1)), [call](std::uint32_t i) {
                   const std::uint32_t s = stream_of(i / 100);
                   if (i % 100 == 0) {
                     return headers(s, call) + data(s, message_prefix(0), kFlagEndStream);
                   }
                   return repeat(window_update(s, 1), 20);
                 }};
  }
  if (name == "unknown-frames") return always(repeat(frame(0xee, 0xff, 0, "odd"), 100), hello);
  if (name == "padding") {
    const std::string padded = "\xff" + std::string(255, '\0');
    return always(repeat(frame(kData, kFlagPadded, 1, padded), 50),
                  hello + headers(1, call_headers(kSession)));
  }
  if (name == "push-promise") {
    return always(frame(kPushPromise, kFlagEndHeaders, 1, big_endian(2, 4) + call),
                  hello + headers(1, call));
  }
  if (name == "hpack-bomb") {
    // One large entry, and then one byte for each repetition of it.
    const std::string entry = std::string("\x40\x01x\x7f\xe0\x1e", 6) + std::string(4'000, 'v');
    return Flood{hello, [call, entry](std::uint32_t i) {
                   return headers(stream_of(i), call + (i == 0 ? entry : std::string()) +
                                                    std::string(12'000, '\xbe'));
                 }};
  }
  if (name == "silent-streams") {
    return Flood{hello, [call](std::uint32_t i) { return headers(stream_of(i), call); }};
  }
  if (name == "half-messages") {
    const std::string piece(16'384, 'm');
    return Flood{hello, [piece](std::uint32_t i) {
                   const std::uint32_t s = stream_of(i / 200);
                   if (i % 200 == 0) {
                     return headers(s, call_headers(kSession)) + data(s, message_prefix(4 << 20));
                   }
                   return data(s, piece);
                 }};
  }
  if (name == "crumbs") {
    return Flood{hello + headers(1, call_headers(kSession)) + data(1, message_prefix(4 << 20)),
                 [](std::uint32_t) { return repeat(data(1, "m"), 200); }};
  }
  if (name == "never-reads") {
    return Flood{preface() + settings(setting(4, 0x7fffffff)) + window_update(0, 0x70000000),
                 [call](std::uint32_t i) {
                   return headers(stream_of(i), call) +
                          data(stream_of(i), message_prefix(0), kFlagEndStream);
                 },
                 false};
  }
  if (name == "garbage") return always(repeat("this is not HTTP/2 ", 100), "");
  return std::nullopt;
}

class Attacker {
 public:
  explicit Attacker(const Plan& plan) : plan_(plan), end_(Clock::now() + plan.time) {}

  Outcome run() {
    const auto begun = Clock::now();
    if (plan_.name == "idle") {
      idle("");
    } else if (plan_.name == "idle-preface") {
      idle(preface().substr(0, 10));
    } else if (plan_.name == "slow-headers") {
      idle(preface() + settings() + headers(1, "\x83", 0));
    } else if (plan_.name == "slow-handshakes") {
      slow_handshakes();
    } else if (plan_.name == "connections") {
      connections();
    } else if (plan_.name == "key-updates") {
      key_updates();
    } else {
      const auto flood = flood_of(plan_.name);
      CHECK(flood) << "no attack is called " << plan_.name;
      this->flood(*flood);
    }
    outcome_.after_ms = std::chrono::duration<double, std::milli>(Clock::now() - begun).count();
    outcome_.refused_same = is_refused(plan_.identity);
    outcome_.refused_other = is_refused(plan_.identity + 1);
    return outcome_;
  }

 private:
  bool time_left() const { return Clock::now() < end_; }
  int ms_left() const {
    return static_cast<int>(std::chrono::duration_cast<milliseconds>(end_ - Clock::now()).count());
  }

  bool is_refused(int identity) {
    RawClient client(plan_.from, plan_.to);
    if (!client.handshake(identity_of(identity))) return true;
    if (!client.send(preface() + settings())) return true;
    return client.closed_within(500);
  }

  void flood(const Flood& flood) {
    RawClient client(plan_.from, plan_.to);
    bool open = client.handshake(identity_of(plan_.identity)) && client.send(flood.begin);
    for (std::uint32_t i = 0; open && time_left(); ++i) {
      open = client.send(flood.next(i));
      if (open && flood.reads && i % 16 == 0) open = client.drain();
    }
    outcome_.hung_up = !open && time_left();
    // A send that fails because nobody reads is no hang-up yet.
    if (!flood.reads && !open) outcome_.hung_up = client.closed_within(std::max(ms_left(), 1));
    outcome_.sent = client.sent();
  }

  void idle(const std::string& bytes) {
    RawClient client(plan_.from, plan_.to);
    client.handshake(identity_of(plan_.identity));
    if (!bytes.empty()) client.send(bytes);
    outcome_.hung_up = client.closed_within(ms_left());
    outcome_.sent = client.sent();
  }

  // Half a ClientHello each, held open.
  void slow_handshakes() {
    std::vector<std::unique_ptr<RawClient>> held;
    for (int i = 0; i < 300 && time_left(); ++i) {
      auto client = std::make_unique<RawClient>(plan_.from, plan_.to);
      client->send_raw(std::string_view("\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", 11));
      held.push_back(std::move(client));
    }
    outcome_.hung_up = true;
    for (const auto& one : held) {
      outcome_.hung_up &= one->closed_within(std::max(ms_left(), 0));
    }
  }

  void connections() {
    std::uint64_t refused = 0, made = 0;
    while (time_left()) {
      RawClient client(plan_.from, plan_.to);
      ++made;
      if (!client.send_raw("?")) ++refused;
    }
    outcome_.hung_up = made > 0;
    outcome_.sent = made;
  }

  void key_updates() {
    RawClient client(plan_.from, plan_.to);
    bool open =
        client.handshake(identity_of(plan_.identity)) && client.send(preface() + settings());
    while (open && time_left()) open = client.update_keys();
    outcome_.hung_up = !open;
    outcome_.sent = client.sent();
  }

  const Plan plan_;
  const Clock::time_point end_;
  Outcome outcome_;
};

}  // namespace

const std::vector<Attack>& attacks() {
  static const std::vector<Attack> all = {
      {"continuation", "CVE-2024-27316: a header block without end"},
      {"continuation-small", "the same in small pieces"},
      {"continuation-empty", "CVE-2019-9518: the same in pieces of nothing"},
      {"rapid-reset", "CVE-2023-44487: streams opened and cancelled"},
      {"made-you-reset-window", "CVE-2025-8671: the server is made to reset, by WINDOW_UPDATE 0"},
      {"made-you-reset-overflow", "the same by windows that overflow"},
      {"made-you-reset-closed", "the same by frames on half-closed streams"},
      {"made-you-reset-bad-call", "the same, CVE-2019-9514, by calls that are none"},
      {"ping", "CVE-2019-9512"},
      {"ping-ack", "acknowledgements that nobody asked for"},
      {"settings", "CVE-2019-9515"},
      {"settings-ack", "acknowledgements that nobody asked for"},
      {"settings-window", "windows of all streams changed again and again"},
      {"settings-table", "header table sizes changed again and again"},
      {"empty-data", "CVE-2019-9518"},
      {"empty-headers", "CVE-2019-9518"},
      {"zero-length-headers", "CVE-2019-9516"},
      {"priority", "CVE-2019-9513"},
      {"reset-flood", "RST_STREAM for the same stream"},
      {"window-dribble", "CVE-2019-9511: answers drawn byte by byte"},
      {"unknown-frames", "frames of a type that nobody knows"},
      {"padding", "frames of padding"},
      {"push-promise", "what only servers may send"},
      {"hpack-bomb", "CVE-2016-6581: one byte for four kilobytes"},
      {"silent-streams", "calls without a message"},
      {"half-messages", "messages begun and not finished"},
      {"crumbs", "a message byte by byte"},
      {"never-reads", "CVE-2019-9517: answers asked for and not read"},
      {"garbage", "no HTTP/2 at all"},
      {"key-updates", "TLS records without content"},
      {"idle", "TLS, and then nothing"},
      {"idle-preface", "half a preface"},
      {"slow-headers", "half a header block"},
      {"slow-handshakes", "half a ClientHello, hundreds of times"},
      {"connections", "TCP connections as fast as it goes"},
  };
  return all;
}

Outcome run(const Plan& plan) { return Attacker(plan).run(); }

}  // namespace shoal::attack
