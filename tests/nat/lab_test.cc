// SPDX-License-Identifier: Apache-2.0
// The lab does what its names say: each kind of router maps and filters as it should, for TCP and
// UDP; which pairs can be punched is what theory says; links delay, limit and lose; and nothing is
// left behind, not even by a kill.
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <set>
#include <thread>

#include "tests/nat/internet.h"
#include "tests/nat/probe.h"

namespace shoal::tests {
namespace {

using std::chrono::milliseconds;
using Clock = std::chrono::steady_clock;

constexpr milliseconds kArrives{1000};  // for what must come
constexpr milliseconds kStays{60};      // for what must not: the way takes 0.1 ms
constexpr int kPort = 7000;
constexpr int kServerPort = 3478;

class Lab : public testing::Test {
 protected:
  void SetUp() override {
    if (const std::string why = Network::unavailable(); !why.empty()) GTEST_SKIP() << why;
  }
};

// A host behind a router of each kind, and two servers in the open: one internet for all kinds.
class Kind : public Lab, public testing::WithParamInterface<NatKind> {
 protected:
  static void SetUpTestSuite() {
    if (!Network::unavailable().empty()) return;
    internet_ = new Internet;
    one_ = &internet_->host(NatKind::kOpen);
    two_ = &internet_->host(NatKind::kOpen);
  }
  static void TearDownTestSuite() {
    delete internet_;
    internet_ = nullptr;
  }

  static inline Internet* internet_ = nullptr;
  static inline const Host* one_ = nullptr;
  static inline const Host* two_ = nullptr;
};

enum class Filters { kNobody, kAddress, kAddressAndPort };

Filters expected_filter(NatKind kind) {
  if (kind == NatKind::kAddressRestricted) return Filters::kAddress;
  return open_to_strangers(kind) ? Filters::kNobody : Filters::kAddressAndPort;
}

TEST_P(Kind, MapsAndFiltersUdp) {
  const Host& one = *one_;
  const Host& two = *two_;
  const Host& inner = internet_->host(GetParam());
  const UdpProbe probe(inner, kPort);
  const UdpProbe first(one, kServerPort);
  const UdpProbe first_other(one, kServerPort + 1);
  const UdpProbe second(two, kServerPort);
  probe.send(endpoint(one.address, kServerPort));
  const auto seen = first.receive(passes_udp(GetParam()) ? kArrives : kStays);
  ASSERT_EQ(seen.has_value(), passes_udp(GetParam()));
  if (!seen) return;
  EXPECT_EQ(endpoint(inner.public_address, 0).sin_addr.s_addr, seen->sin_addr.s_addr);
  // Before anything was sent to the second server: who may send to the mapping?
  first.send(*seen);
  EXPECT_TRUE(probe.receive(kArrives));
  const Filters filter = expected_filter(GetParam());
  first_other.send(*seen);
  EXPECT_EQ(probe.receive(filter == Filters::kAddressAndPort ? kStays : kArrives).has_value(),
            filter != Filters::kAddressAndPort);
  second.send(*seen);
  EXPECT_EQ(probe.receive(filter == Filters::kNobody ? kArrives : kStays).has_value(),
            filter == Filters::kNobody);
  probe.send(endpoint(two.address, kServerPort));
  const auto seen_by_second = second.receive(kArrives);
  ASSERT_TRUE(seen_by_second);
  EXPECT_EQ(text(*seen) == text(*seen_by_second), !maps_each_destination(GetParam()));
}

TEST_P(Kind, MapsAndFiltersTcp) {
  const Host& one = *one_;
  const Host& two = *two_;
  const Host& inner = internet_->host(GetParam());
  const TcpProbe listener(inner, kPort);
  listener.listen();
  const TcpProbe first(one, kServerPort);
  const TcpProbe second(two, kServerPort);
  first.listen();
  second.listen();
  const auto reaches = [&](const Host& from, const sockaddr_in& to, bool expected) {
    const TcpProbe visitor(from, kServerPort + 1);
    visitor.begin_connect(to);
    return visitor.connected(expected ? kArrives : kStays) && listener.accept(kArrives).has_value();
  };
  const Filters filter = expected_filter(GetParam());
  if (GetParam() != NatKind::kOpen) {  // without a mapping nobody is let in
    EXPECT_FALSE(reaches(one, endpoint(inner.public_address, kPort), false));
  }
  const TcpProbe caller(inner, kPort);
  caller.begin_connect(endpoint(one.address, kServerPort));
  EXPECT_TRUE(caller.connected(kArrives));
  const auto seen = first.accept(kArrives);
  ASSERT_TRUE(seen);
  const bool by_address = filter != Filters::kAddressAndPort;
  EXPECT_EQ(reaches(one, *seen, by_address), by_address);
  const bool by_all = filter == Filters::kNobody;
  EXPECT_EQ(reaches(two, *seen, by_all), by_all);
  const TcpProbe again(inner, kPort);
  again.begin_connect(endpoint(two.address, kServerPort));
  EXPECT_TRUE(again.connected(kArrives));
  const auto seen_by_second = second.accept(kArrives);
  ASSERT_TRUE(seen_by_second);
  EXPECT_EQ(text(*seen) == text(*seen_by_second), !maps_each_destination(GetParam()));
}

INSTANTIATE_TEST_SUITE_P(Kinds, Kind, testing::ValuesIn(kNatKinds), [](const auto& info) {
  std::string result(name(info.param));
  std::erase(result, '-');
  return result;
});

// A mapping by NAT-PMP (RFC 6886): 12 bytes to the router, 16 back.
TEST_F(Lab, AMappingServiceOpensAPortToStrangers) {
  Internet internet;
  const Host& server = internet.host(NatKind::kOpen);
  const Host& inner = internet.host(NatKind::kMapped);
  const TcpProbe listener(inner, kPort);
  listener.listen();
  const auto reaches = [&](milliseconds timeout) {
    const TcpProbe visitor(server, kServerPort);
    visitor.begin_connect(endpoint(inner.public_address, kPort));
    return visitor.connected(timeout);
  };
  EXPECT_FALSE(reaches(kStays));
  constexpr char kAsksForTcp = 2;
  const std::string asked({0, kAsksForTcp, 0, 0, kPort >> 8, kPort & 255, kPort >> 8, kPort & 255,
                           0, 0, 2, 0});  // for 512 s
  const UdpProbe probe(inner, kServerPort);
  const std::string router = inner.address.substr(0, inner.address.rfind('.')) + ".1";
  std::string reply;
  for (int i = 0; i < 50 && reply.empty(); ++i) {  // the service may still be starting
    probe.send(endpoint(router, 5351), asked);
    probe.receive(milliseconds(100), &reply);
  }
  ASSERT_EQ(reply.size(), 16u);
  EXPECT_EQ(reply.substr(0, 4), std::string({0, static_cast<char>(128 + kAsksForTcp), 0, 0}));
  EXPECT_TRUE(reaches(kArrives));
}

// A symmetric router meets whoever keeps nobody out, or at least not its address; one that lets no
// SYN in meets all but its like. Everybody else meets everybody.
TEST(Theory, NamesThePairsThatCanBePunched) {
  constexpr NatKind kSymmetric = NatKind::kSymmetric;
  constexpr NatKind kTcpOut = NatKind::kTcpOut;
  const std::set<std::set<NatKind>> relayed = {
      {kSymmetric},
      {kTcpOut},
      {kSymmetric, NatKind::kPortRestricted},
      {kSymmetric, NatKind::kDoubleNat},
      {kSymmetric, NatKind::kUdpBlocked},
      {kSymmetric, kTcpOut},
  };
  for (const NatKind a : kNatKinds) {
    for (const NatKind b : kNatKinds) {
      EXPECT_EQ(direct_in_theory(a, b), !relayed.contains({a, b})) << name(a) << " " << name(b);
    }
  }
}

// What the mapping service is asked for is not tried here: that is the node's own business.
TEST_F(Lab, PunchesWhatTheorySays) {
  Internet internet;
  const Host& server = internet.host(NatKind::kOpen);
  std::vector<std::pair<NatKind, const Host*>> left;
  std::vector<std::pair<NatKind, const Host*>> right;
  for (const NatKind kind : kNatKinds) {
    // Alike others, or nothing to punch.
    if (kind == NatKind::kOpen || kind == NatKind::kMapped || kind == NatKind::kHairpin) continue;
    left.emplace_back(kind, &internet.host(kind));
    right.emplace_back(kind, &internet.host(kind));
  }
  const TcpProbe rendezvous(server, kServerPort);
  rendezvous.listen();
  int port = kPort;
  for (const auto& [a_kind, a] : left) {
    for (const auto& [b_kind, b] : right) {
      if (b_kind < a_kind) continue;
      ++port;  // mappings of their own
      const auto mapping = [&](const Host& host, const TcpProbe& caller) {
        caller.begin_connect(endpoint(server.address, kServerPort));
        EXPECT_TRUE(caller.connected(kArrives)) << host.address;
        return rendezvous.accept(kArrives).value();
      };
      const TcpProbe a_anchor(*a, port);
      const TcpProbe b_anchor(*b, port);
      const sockaddr_in a_seen = mapping(*a, a_anchor);
      const sockaddr_in b_seen = mapping(*b, b_anchor);
      const TcpProbe a_listener(*a, port);
      const TcpProbe b_listener(*b, port);
      a_listener.listen();
      b_listener.listen();
      const TcpProbe from_a(*a, port);
      const TcpProbe from_b(*b, port);
      from_a.begin_connect(b_seen);
      from_b.begin_connect(a_seen);
      // A SYN that came too early is sent again after a second.
      const auto until = Clock::now() + milliseconds(direct_in_theory(a_kind, b_kind) ? 1500 : 100);
      bool direct = false;
      while (!direct && Clock::now() < until) {
        direct = from_a.connected(milliseconds(1)) || from_b.connected(milliseconds(1)) ||
                 a_listener.accept(milliseconds(1)) || b_listener.accept(milliseconds(1));
        std::this_thread::sleep_for(milliseconds(1));
      }
      EXPECT_EQ(direct, direct_in_theory(a_kind, b_kind)) << name(a_kind) << " " << name(b_kind);
    }
  }
}

TEST_F(Lab, HairpinServesInnerHostsAtThePublicAddress) {
  for (const NatKind kind : {NatKind::kHairpin, NatKind::kFullCone}) {
    Internet internet;
    const Host& server = internet.host(NatKind::kOpen);
    const Host& one = internet.host(kind);
    const Host& two = internet.beside(one, true);
    EXPECT_EQ(one.public_address, two.public_address);
    const UdpProbe observer(server, kServerPort);
    const UdpProbe a(one, kPort);
    const UdpProbe b(two, kPort + 1);
    a.send(endpoint(server.address, kServerPort));
    const auto seen = observer.receive(kArrives);
    ASSERT_TRUE(seen);
    b.send(*seen);
    const bool expected = kind == NatKind::kHairpin;
    const auto from = a.receive(expected ? kArrives : kStays);
    ASSERT_EQ(from.has_value(), expected);
    if (from) {
      EXPECT_EQ(text(*from), two.public_address + ":" + std::to_string(kPort + 1));
    }
    // Isolated: not by their local network.
    b.send(endpoint(one.address, kPort));
    EXPECT_FALSE(a.receive(kStays));
  }
}

TEST_F(Lab, NeighboursTalkInTheirLocalNetworkUnlessIsolated) {
  Internet internet;
  const Host& one = internet.host(NatKind::kPortRestricted);
  const Host& two = internet.beside(one, false);
  const UdpProbe a(one, kPort);
  const UdpProbe b(two, kPort);
  b.send(endpoint(one.address, kPort));
  const auto from = a.receive(kArrives);
  ASSERT_TRUE(from);
  EXPECT_EQ(text(*from), two.address + ":" + std::to_string(kPort));
}

TEST_F(Lab, SitesCanBeRenumberedAndCut) {
  Internet internet;
  const Host& server = internet.host(NatKind::kOpen);
  Host& inner = internet.host(NatKind::kPortRestricted);
  const UdpProbe observer(server, kServerPort);
  const std::string before = inner.public_address;
  for (int i = 0; i < 2; ++i) {
    const UdpProbe probe(inner, kPort + i);
    probe.send(endpoint(server.address, kServerPort));
    const auto seen = observer.receive(kArrives);
    ASSERT_TRUE(seen);
    EXPECT_EQ(text(*seen), inner.public_address + ":" + std::to_string(kPort + i));
    internet.cut(inner, true);
    probe.send(endpoint(server.address, kServerPort));
    EXPECT_FALSE(observer.receive(kStays));
    internet.cut(inner, false);
    internet.renumber(inner);
    EXPECT_NE(inner.public_address, before);
  }
}

TEST_F(Lab, CountsWhatHostsExchange) {
  Internet internet;
  const Host& server = internet.host(NatKind::kOpen);
  const Host& other = internet.host(NatKind::kOpen);
  const Host& inner = internet.host(NatKind::kPortRestricted);
  const TcpProbe listener(server, kServerPort);
  listener.listen();
  EXPECT_EQ(tcp_bytes(inner, server), 0u);
  const TcpProbe caller(inner, kPort);
  caller.begin_connect(endpoint(server.address, kServerPort));
  EXPECT_TRUE(caller.connected(kArrives));
  EXPECT_GE(tcp_bytes(inner, server), 3 * 52u);  // SYN, SYN-ACK, ACK
  EXPECT_EQ(tcp_bytes(inner, other), 0u);
  forget_bytes(inner);
  EXPECT_EQ(tcp_bytes(inner, server), 0u);
}

TEST_F(Lab, LinksDelay) {
  Internet internet({.one_way = milliseconds(10)});
  const Host& server = internet.host(NatKind::kOpen);
  const Host& inner = internet.host(NatKind::kPortRestricted);
  const TcpProbe listener(server, kServerPort);
  listener.listen();
  const TcpProbe caller(inner, kPort);
  const auto started = Clock::now();
  caller.begin_connect(endpoint(server.address, kServerPort));
  EXPECT_TRUE(caller.connected(kArrives));
  const auto took = Clock::now() - started;
  EXPECT_GE(took, milliseconds(40));  // two lines there and two back
  EXPECT_LT(took, milliseconds(140));
}

TEST(LinkQueue, PacketsLeaveOneAfterAnotherAndArriveADelayLater) {
  LinkQueue queue({.one_way = std::chrono::microseconds(500), .mbit_per_s = 8}, 1);
  const auto at = [](int microseconds) {
    return LinkQueue::Nanoseconds(std::chrono::microseconds(microseconds));
  };
  EXPECT_FALSE(queue.next());
  EXPECT_TRUE(queue.push(LinkQueue::Packet(1000), at(100)));  // a millisecond each, at 8 Mbit/s
  EXPECT_TRUE(queue.push(LinkQueue::Packet(500), at(200)));
  EXPECT_EQ(queue.next(), at(1600));
  EXPECT_FALSE(queue.pop(at(1599)));
  EXPECT_EQ(queue.pop(at(1600))->size(), 1000u);
  EXPECT_EQ(queue.next(), at(2100));
  EXPECT_EQ(queue.pop(at(9000))->size(), 500u);
  EXPECT_TRUE(queue.push(LinkQueue::Packet(1000), at(9000)));  // the line was idle
  EXPECT_EQ(queue.next(), at(10'500));
}

TEST(LinkQueue, AFullQueueAndBadLuckLosePackets) {
  LinkQueue full({.mbit_per_s = 8, .queue_bytes = 2000}, 1);
  int taken = 0;
  for (int i = 0; i < 10; ++i) {
    taken += full.push(LinkQueue::Packet(1000), LinkQueue::Nanoseconds(0)) ? 1 : 0;
  }
  EXPECT_EQ(taken, 3);  // one is leaving
  LinkQueue lossy({.loss = 0.1}, 1);
  int lost = 0;
  for (int i = 0; i < 10'000; ++i) {
    lost += lossy.push(LinkQueue::Packet(10), LinkQueue::Nanoseconds(0)) ? 0 : 1;
  }
  EXPECT_NEAR(lost, 1000, 150);
}

TEST(NatKind, TheoryKnowsNoOrder) {
  for (const NatKind a : kNatKinds) {
    for (const NatKind b : kNatKinds) EXPECT_EQ(direct_in_theory(a, b), direct_in_theory(b, a));
  }
}

// The owner of a whole lab is killed: its programs end with it, and with them its networks.
TEST_F(Lab, AKillLeavesNothing) {
  int pipe_ends[2];
  ASSERT_EQ(pipe(pipe_ends), 0);
  const pid_t owner = fork();
  ASSERT_GE(owner, 0);
  if (owner == 0) {
    Internet internet({.one_way = milliseconds(1)});
    const Host& inner = internet.host(NatKind::kDoubleNat);
    const auto sleeper = inner.network.start({"/bin/sleep", "600"});
    std::this_thread::sleep_for(milliseconds(100));  // setpriv, then sleep
    const pid_t pid = sleeper->pid();
    if (write(pipe_ends[1], &pid, sizeof pid) == sizeof pid) pause();
    _exit(1);
  }
  pid_t sleeper = 0;
  ASSERT_EQ(read(pipe_ends[0], &sleeper, sizeof sleeper), static_cast<ssize_t>(sizeof sleeper));
  EXPECT_EQ(kill(sleeper, 0), 0);
  kill(owner, SIGKILL);
  waitpid(owner, nullptr, 0);
  // Gone, or a zombie that whoever took it over has not buried.
  const auto gone = [&] {
    const std::string status = read_file("/proc/" + std::to_string(sleeper) + "/stat");
    return status.empty() || status.find(") Z ") != std::string::npos;
  };
  for (int i = 0; i < 200 && !gone(); ++i) std::this_thread::sleep_for(milliseconds(10));
  EXPECT_TRUE(gone());
  for (const int end : pipe_ends) close(end);
}

}  // namespace
}  // namespace shoal::tests
