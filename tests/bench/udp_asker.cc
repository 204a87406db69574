// SPDX-License-Identifier: Apache-2.0
#include "tests/bench/udp_asker.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <chrono>
#include <cstring>

#include "base/check.h"

namespace shoal::bench {
namespace {

using Clock = std::chrono::steady_clock;

// Longer than any answer over loopback takes: what is missing then was lost.
constexpr auto kPatience = std::chrono::milliseconds(300);

dht::TimePoint now() { return dht::TimePoint(Clock::now().time_since_epoch()); }

}  // namespace

dht::SessionConfig UdpAsker::config_of(Way way) {
  dht::SessionConfig config;
  if (way == Way::kStranger) config.ephemeral_ttl = dht::Duration(0);
  return config;
}

UdpAsker::UdpAsker(const dht::Contact& to, Way way)
    : to_(to),
      way_(way),
      random_(identity::Random::from_system()),
      self_(identity::Identity::generate()),
      sessions_(self_, std::nullopt, config_of(way), true, random_),
      socket_(::socket(AF_INET, SOCK_DGRAM | SOCK_NONBLOCK, 0)) {
  sockaddr_in address{};
  address.sin_family = AF_INET;
  std::memcpy(&address.sin_addr, to_.endpoint.address.data() + 12, 4);
  address.sin_port = htons(to_.endpoint.port);
  const int bytes = 4 << 20;
  ::setsockopt(socket_, SOL_SOCKET, SO_RCVBUF, &bytes, sizeof(bytes));
  CHECK(::connect(socket_, reinterpret_cast<const sockaddr*>(&address), sizeof(address)) == 0);
}

UdpAsker::~UdpAsker() { ::close(socket_); }

void UdpAsker::ask(bool find) {
  wire::DhtMessage message;
  message.set_request_id(next_id_++);
  message.set_client_mode(true);
  if (find) {
    const auto target = random_.bytes<32>();
    message.mutable_find()->set_target(target.data(), target.size());
  } else {
    message.mutable_ping();
  }
  const std::string bytes = message.SerializeAsString();
  if (way_ == Way::kSession) {
    sessions_.send(to_, bytes, now());
  } else {
    sessions_.ask(to_, bytes, find ? dht::kMaxReplyBytes : 128, now());
  }
  transmit();
}

void UdpAsker::transmit() {
  while (const auto datagram = sessions_.poll_transmit()) {
    // A full buffer is loss, which the window forgives.
    [[maybe_unused]] const auto sent =
        ::send(socket_, datagram->bytes.data(), datagram->bytes.size(), 0);
  }
}

std::uint64_t UdpAsker::receive(std::uint64_t& bytes) {
  std::uint64_t answers = 0;
  std::array<char, 1500> buffer;
  for (;;) {
    const auto size = ::recv(socket_, buffer.data(), buffer.size(), 0);
    if (size <= 0) return answers;
    const auto delivery = sessions_.receive(
        std::string_view(buffer.data(), static_cast<std::size_t>(size)), to_.endpoint, now());
    transmit();  // a handshake, after a challenge
    if (!delivery) continue;
    ++answers;
    bytes += static_cast<std::uint64_t>(size);
  }
}

UdpAsker::Result UdpAsker::run(bool find, double seconds, int window) {
  const auto end = Clock::now() + std::chrono::duration_cast<Clock::duration>(
                                      std::chrono::duration<double>(seconds));
  Result result;
  int open = 0;
  auto heard = Clock::now();
  while (Clock::now() < end) {
    // Of a session, the first request must be answered before others can follow.
    const int most = result.answers == 0 ? 1 : window;
    while (open < most) {
      ask(find);
      ++open;
    }
    const std::uint64_t answers = receive(result.answer_bytes);
    if (answers > 0) {
      result.answers += answers;
      open = std::max(0, open - static_cast<int>(answers));
      heard = Clock::now();
      continue;
    }
    pollfd wait{socket_, POLLIN, 0};
    ::poll(&wait, 1, 1);
    if (Clock::now() - heard < kPatience) continue;
    result.given_up += static_cast<std::uint64_t>(open);
    open = 0;
    heard = Clock::now();
  }
  return result;
}

}  // namespace shoal::bench
