// SPDX-License-Identifier: Apache-2.0
// A peer with several addresses is reached quickly whatever the others are: dead, deaf, mute, or
// somebody else's; and a peer that means harm cannot use up the memory of who dials it.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sched.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <chrono>
#include <cstdlib>
#include <fstream>
#include <thread>

#include "net/channel_pool.h"
#include "net/frame_watch.h"
#include "net/status.h"
#include "proto/limits.h"
#include "tests/identity/examples.h"
#include "tests/net/echo_node.h"
#include "tests/net/strange_server.h"

namespace shoal::net {
namespace {

using std::chrono::milliseconds;
using ::testing::HasSubstr;

const identity::Identity kServer = identity::identity_of(1);
const identity::Identity kCaller = identity::identity_of(2);
const identity::Identity kOther = identity::identity_of(3);

double seconds_since(std::chrono::steady_clock::time_point start) {
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
}

absl::Status ask(ChannelPool& pool, const std::vector<proto::Address>& addresses,
                 const proto::PeerId& peer = kServer.peer_id()) {
  return to_absl(describe(pool.get(peer, addresses)).status, "");
}

proto::Endpoint dead_endpoint() { return Listener(1).endpoint(); }

TEST(Dialer, ADeadAddressBesideAGoodOneCostsNothing) {
  EchoNode node(kServer);
  for (const bool dead_first : {true, false}) {
    ChannelPool pool(kCaller, {});
    std::vector<proto::Address> addresses{node.running.endpoint, dead_endpoint()};
    if (dead_first) std::swap(addresses[0], addresses[1]);
    EXPECT_TRUE(ask(pool, addresses).ok());
    EXPECT_EQ(pool.connected_address(kServer.peer_id()), node.running.endpoint);
  }
}

TEST(Dialer, AnAddressWhereSomebodyElseAnswersDoesNotEndTheRace) {
  EchoNode other(kOther);
  EchoNode node(kServer);
  ChannelPool pool(kCaller, {});
  EXPECT_TRUE(ask(pool, {other.running.endpoint, node.running.endpoint}).ok());
  EXPECT_EQ(pool.connected_address(kServer.peer_id()), node.running.endpoint);
}

TEST(Dialer, SomebodyElseAndADeadAddressAreBothNamed) {
  EchoNode other(kOther);
  ChannelPool pool(kCaller, {});
  const proto::Endpoint dead = dead_endpoint();
  const absl::Status status = ask(pool, {other.running.endpoint, dead});
  EXPECT_EQ(status.code(), absl::StatusCode::kUnavailable) << "it may come back at the dead one";
  EXPECT_THAT(std::string(status.message()), HasSubstr(proto::short_name(kOther.peer_id())));
  EXPECT_THAT(std::string(status.message()),
              HasSubstr(proto::to_string(dead) + ": nothing listens there"));
  EXPECT_EQ(pool.connected_address(kServer.peer_id()), std::nullopt);
}

TEST(Dialer, AnAddressThatTakesTheConnectionAndSaysNothingIsPassedBy) {
  const Listener mute(8);  // the kernel accepts, nobody ever answers
  const Listener deaf(0);  // drops what goes beyond its backlog, as a firewall would
  std::vector<int> filling;
  for (int i = 0; i < 4; ++i) filling.push_back(deaf.connect_to());
  EchoNode node(kServer);
  ChannelPool pool(kCaller, {});
  const auto start = std::chrono::steady_clock::now();
  EXPECT_TRUE(ask(pool, {mute.endpoint(), deaf.endpoint(), node.running.endpoint}).ok());
  EXPECT_LT(seconds_since(start), 3.0);  // two staggers; one time limit of theirs is 5 s
  // The next connection begins where the last one was.
  pool.drop(kServer.peer_id());
  EXPECT_TRUE(ask(pool, {mute.endpoint(), deaf.endpoint(), node.running.endpoint}).ok());
  for (const int fd : filling) close(fd);
}

TEST(Dialer, APeerThatComesUpAndSaysNothingFailsInTimeAndSaysSo) {
  const StrangeServer mute(kServer, "", "");
  ChannelPool pool(kCaller, {});
  const auto start = std::chrono::steady_clock::now();
  const absl::Status status = ask(pool, {mute.endpoint()});
  EXPECT_LT(seconds_since(start), 8.0);
  EXPECT_EQ(status.code(), absl::StatusCode::kUnavailable);
  EXPECT_THAT(std::string(status.message()), HasSubstr("does not answer in time"));
}

TEST(Dialer, BothFamiliesAreTried) {
  EchoNode v6(kServer, {}, "[::1]:0");
  EchoNode v4(kServer);
  for (const auto& [good, bad] :
       {std::pair(v6.running.endpoint, loopback(dead_endpoint().port)),
        std::pair(v4.running.endpoint, *proto::parse_endpoint("[::1]:1"))}) {
    ChannelPool pool(kCaller, {});
    EXPECT_TRUE(ask(pool, {bad, good}).ok());
    EXPECT_EQ(pool.connected_address(kServer.peer_id()), good);
  }
}

TEST(Dialer, AddressesThatComeLaterJoinTheRace) {
  const Listener mute(8);
  EchoNode node(kServer);
  ChannelPool pool(kCaller, {});
  const auto start = std::chrono::steady_clock::now();
  const auto waiting = pool.get(kServer.peer_id(), {mute.endpoint()});
  EXPECT_EQ(pool.get(kServer.peer_id(), {node.running.endpoint}), waiting);
  EXPECT_TRUE(describe(waiting).status.ok());
  EXPECT_LT(seconds_since(start), 3.0);
}

TEST(Dialer, AConnectionThatIsUpStaysWhateverAddressesAreNamed) {
  EchoNode node(kServer);
  ChannelPool pool(kCaller, {});
  const auto channel = pool.get(kServer.peer_id(), {node.running.endpoint});
  ASSERT_TRUE(describe(channel).status.ok());
  EXPECT_EQ(pool.get(kServer.peer_id(), {dead_endpoint()}), channel);
}

TEST(Dialer, CallsOnAFailedChannelKeepTheReason) {
  ChannelPool pool(kCaller, {});
  const auto channel = pool.get(kServer.peer_id(), {dead_endpoint()});
  for (int i = 0; i < 5; ++i) {
    const grpc::Status status = describe(channel).status;
    EXPECT_EQ(status.error_code(), grpc::StatusCode::UNAVAILABLE);
    EXPECT_THAT(status.error_message(), HasSubstr("nothing listens there"));
  }
}

TEST(Dialer, ADeadPeerIsNotDialledForEachCall) {
  // Counts connections and hangs up on each before it is secure.
  const Listener listener(64);
  std::atomic<bool> stop = false;
  std::atomic<int> dialled = 0;
  std::thread hang_up([&] {
    while (!stop) {
      const int fd = accept4(listener.fd(), nullptr, nullptr, SOCK_CLOEXEC);
      if (fd >= 0 && !stop) ++dialled;
      close(fd);
    }
  });
  {
    ChannelPool pool(kCaller, {});
    const auto start = std::chrono::steady_clock::now();
    int calls = 0;
    for (; seconds_since(start) < 1.0; ++calls) {
      EXPECT_THAT(std::string(ask(pool, {listener.endpoint()}).message()),
                  HasSubstr("closed the connection"));
    }
    EXPECT_GT(calls, 20);
    EXPECT_GE(dialled, 2) << "and yet it is tried again soon";
    EXPECT_LE(dialled, 8);
  }
  stop = true;
  close(listener.connect_to());
  hang_up.join();
}

// Each round a pool goes while its connections are in every stage.
TEST(Dialer, EndsCleanlyWhileItDials) {
  const Listener mute(64);
  EchoNode node(kServer);
  for (int round = 0; round < 40; ++round) {
    std::vector<std::shared_ptr<grpc::Channel>> channels;
    std::vector<std::thread> calls;
    {
      ChannelPool pool(kCaller, {});
      for (int i = 0; i < 8; ++i) {
        channels.push_back(pool.get(identity::identity_of(10 + i).peer_id(), {mute.endpoint()}));
      }
      channels.push_back(pool.get(kServer.peer_id(), {mute.endpoint(), node.running.endpoint}));
      for (const auto& channel : channels) {
        calls.emplace_back([channel] { describe(channel, 2'000); });
      }
      std::this_thread::sleep_for(milliseconds(round % 20));
    }
    for (std::thread& call : calls) call.join();  // none hangs
  }
}

std::size_t resident_bytes() {
  std::ifstream statm("/proc/self/statm");
  std::size_t pages = 0;
  statm >> pages >> pages;
  return pages * static_cast<std::size_t>(sysconf(_SC_PAGESIZE));
}

// A decode step is a small message, and gRPC opens both windows again for each.
TEST(Dialer, AServerThatReadsManySmallMessagesIsNotHostile) {
  const auto now = std::chrono::steady_clock::now();
  FrameWatch watch(Stranger::kServer, now);
  EXPECT_EQ(watch.inbound(http2_frame(4, 0, 0, ""), now), Fault::kNone);
  EXPECT_EQ(watch.outbound("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + http2_frame(1, 4, 1, "\x83"), now),
            Fault::kNone);
  const std::string step = http2_frame(0, 0, 1, std::string(64, 's'));
  const std::string open(std::string("\0\0\0\x40", 4));
  const std::string opened = http2_frame(8, 0, 0, open) + http2_frame(8, 0, 1, open);
  for (int i = 0; i < 20'000; ++i) {
    ASSERT_EQ(watch.outbound(step, now), Fault::kNone) << i;
    ASSERT_EQ(watch.inbound(opened, now), Fault::kNone) << i;
  }
}

struct Attack {
  const char* name;
  std::string greeting, flood;
};

class HostileServer : public ::testing::TestWithParam<Attack> {};

// Published attacks on HTTP/2, from the side of who is dialled.
TEST_P(HostileServer, CannotFillTheMemoryOfWhoDials) {
  const StrangeServer server(kServer, http2_frame(4, 0, 0, "") + GetParam().greeting,
                             GetParam().flood);
  ChannelPool pool(kCaller, {});
  const std::size_t before = resident_bytes();
  const auto start = std::chrono::steady_clock::now();
  const grpc::Status status = describe(pool.get(kServer.peer_id(), {server.endpoint()})).status;
  EXPECT_FALSE(status.ok());
  EXPECT_LT(seconds_since(start), 8.0);
  EXPECT_LT(server.sent(), 64u << 20);
  EXPECT_LT(resident_bytes(), before + (48u << 20));
  // The next call says why, and dials nobody.
  const int accepted = server.accepted();
  EXPECT_THAT(std::string(ask(pool, {server.endpoint()}).message()), HasSubstr("hung up on it"));
  pool.drop(kServer.peer_id());
  EXPECT_THAT(std::string(ask(pool, {server.endpoint()}).message()), HasSubstr("hung up on it"));
  EXPECT_EQ(server.accepted(), accepted);
}

std::string repeated(int times, const std::string& text) {
  std::string result;
  for (int i = 0; i < times; ++i) result += text;
  return result;
}

// A header that is never indexed, of 4 KiB: what a header block without end is made of.
std::string big_header() {
  const std::string value(4000, 'v');
  std::string result("\0\1x\x7f", 4);
  result += static_cast<char>((4000 - 127) % 128 | 128);
  result += static_cast<char>((4000 - 127) / 128);
  return result + value;
}

INSTANTIATE_TEST_SUITE_P(
    Attacks, HostileServer,
    ::testing::Values(
        Attack{"Continuation", http2_frame(1, 0, 1, "\x88"), http2_frame(9, 0, 1, big_header())},
        Attack{"EmptyContinuation", http2_frame(1, 0, 1, "\x88"),
               repeated(1000, http2_frame(9, 0, 1, ""))},
        Attack{"Settings", "", repeated(200, http2_frame(4, 0, 0, ""))},
        Attack{"Ping", "", repeated(200, http2_frame(6, 0, 0, "12345678"))},
        Attack{"EmptyData", http2_frame(1, 4, 1, "\x88"), repeated(1000, http2_frame(0, 0, 1, ""))},
        Attack{"WindowUpdate", "",
               repeated(1000, http2_frame(8, 0, 0, std::string("\0\0\0\1", 4)))},
        Attack{"PushPromise", "", http2_frame(5, 4, 1, std::string("\0\0\0\2\x82", 5))},
        Attack{"NoHttp2", "HTTP/1.1 200 OK\r\n\r\n", std::string(4096, 'a')}),
    [](const auto& info) { return std::string(info.param.name); });

// In a network of the test's own: addresses that swallow packets, as a route to nowhere does.
TEST(Dialer, AddressesInABlackHoleAreRacedPast) {
  if (geteuid() != 0) GTEST_SKIP() << "needs root, for a network namespace";
  const pid_t child = fork();
  ASSERT_GE(child, 0);
  if (child == 0) {
    execl("/proc/self/exe", "net_test", "--gtest_also_run_disabled_tests",
          "--gtest_filter=Dialer.DISABLED_InABlackHole", nullptr);
    _exit(127);
  }
  int status = 0;
  ASSERT_EQ(waitpid(child, &status, 0), child);
  EXPECT_TRUE(WIFEXITED(status) && WEXITSTATUS(status) == 0) << status;
}

// Run by the test above, in a process of its own.
TEST(Dialer, DISABLED_InABlackHole) {
  ASSERT_EQ(unshare(CLONE_NEWNET), 0);
  // A wire whose other end has no ears: whoever is known to be there swallows all.
  ASSERT_EQ(std::system("ip link set lo up && ip link add hole type veth peer name nowhere && "
                        "ip link set hole up && ip link set nowhere up && "
                        "ip address add 10.9.9.1/24 dev hole && for i in 2 3 4; do "
                        "ip neighbour add 10.9.9.$i lladdr 02:00:00:00:00:02 dev hole; done"),
            0);
  EchoNode node(kServer);
  ChannelPool pool(kCaller, {});
  std::vector<proto::Address> addresses;
  for (int i = 2; i < 5; ++i) {
    addresses.push_back(proto::Endpoint::v4({10, 9, 9, static_cast<std::uint8_t>(i)}, 7000));
  }
  addresses.push_back(node.running.endpoint);
  const auto start = std::chrono::steady_clock::now();
  EXPECT_TRUE(ask(pool, addresses).ok());
  EXPECT_LT(seconds_since(start), 3.0);
  const absl::Status nobody = ask(pool, {addresses.front()}, kOther.peer_id());
  EXPECT_LT(seconds_since(start), 12.0);
  EXPECT_EQ(nobody.code(), absl::StatusCode::kUnavailable);
  EXPECT_THAT(std::string(nobody.message()), HasSubstr("firewall"));
}

}  // namespace
}  // namespace shoal::net
