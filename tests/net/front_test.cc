// SPDX-License-Identifier: Apache-2.0
// The front with honest and hostile peers at once: bans and their end, neighbours behind one
// address, and how far honest traffic stays from every limit.
#include "net/front.h"

#include <gtest/gtest.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <thread>

#include "base/check.h"
#include "net/channel_pool.h"
#include "net/listening_socket.h"
#include "net/relayed_shares.h"
#include "tests/attack/http2_bytes.h"
#include "tests/attack/raw_client.h"
#include "tests/identity/examples.h"
#include "tests/net/echo_node.h"

namespace shoal::net {
namespace {

using attack::RawClient;
using std::chrono::milliseconds;

const identity::Identity kNode = identity::identity_of(1);
const identity::Identity kHonest = identity::identity_of(2);
const identity::Identity kBad = identity::identity_of(3);

const std::string kHello = attack::preface() + attack::settings();
const std::string kPush = attack::frame(kPushPromise, kFlagEndHeaders, 1, "12345678");

// Answers each frame by one of the same size, in an unknown field.
class EchoSessions final : public wire::SpanService::Service {
  grpc::Status Session(
      grpc::ServerContext* /*context*/,
      grpc::ServerReaderWriter<wire::HopFrame, wire::ClientFrame>* stream) override {
    wire::ClientFrame in;
    while (stream->Read(&in)) {
      wire::HopFrame out;
      out.GetReflection()->MutableUnknownFields(&out)->MergeFrom(
          in.GetReflection()->GetUnknownFields(in));
      if (!stream->Write(out)) break;
    }
    return grpc::Status::OK;
  }
};

RunningServer start(grpc::Service& service, const FrontOptions& options) {
  auto started = start_server(loopback(), kNode, {}, {&service}, options);
  CHECK(started.ok()) << started.status().ToString();
  return std::move(*started);
}

bool is_welcome(const proto::Endpoint& node, const identity::Identity& who, int from = 1) {
  RawClient client(proto::Endpoint::v4({127, 0, 0, static_cast<std::uint8_t>(from)}, 0), node);
  return client.handshake(who) && client.send(kHello) && !client.closed_within(300);
}

// False when it was not hung up on.
bool misbehave(const proto::Endpoint& node, const identity::Identity& who, int from = 1) {
  RawClient client(proto::Endpoint::v4({127, 0, 0, static_cast<std::uint8_t>(from)}, 0), node);
  return client.handshake(who) && client.send(kHello + kPush) && client.closed_within(3'000);
}

std::uint64_t count_of(const FrontStats& stats, Fault fault) {
  return stats.hung_up[static_cast<std::size_t>(fault)];
}

TEST(Front, WhoeverIsHungUpOnIsToldWhyAndStaysOutForAWhile) {
  EchoService service;
  FrontOptions options;
  options.gate.ban = milliseconds(1'500);
  RunningServer node = start(service, options);
  EXPECT_TRUE(is_welcome(node.endpoint, kBad));
  {
    RawClient client(loopback(), node.endpoint);
    ASSERT_TRUE(client.handshake(kBad) && client.send(kHello + kPush));
    EXPECT_TRUE(client.closed_within(3'000));
    EXPECT_NE(client.received().find("not HTTP/2 by its rules"), std::string::npos);
  }
  EXPECT_FALSE(is_welcome(node.endpoint, kBad));
  EXPECT_FALSE(is_welcome(node.endpoint, identity::identity_of(4)))
      << "another identity, same address";
  EXPECT_FALSE(is_welcome(node.endpoint, kBad, 2)) << "the same identity, another address";
  EXPECT_TRUE(is_welcome(node.endpoint, identity::identity_of(5), 2));
  std::this_thread::sleep_for(milliseconds(1'600));
  EXPECT_TRUE(is_welcome(node.endpoint, kBad));
  const FrontStats stats = node.front->stats();
  EXPECT_EQ(stats.bans, 1u);
  EXPECT_EQ(count_of(stats, Fault::kFrame), 1u);
  EXPECT_GE(stats.refused[static_cast<std::size_t>(Refusal::kAddressBanned)], 2u);
}

TEST(Front, ANeighbourThatWorkedWithUsGoesOnAndComesBack) {
  EchoService service;
  RunningServer node = start(service, {});
  ChannelPool honest(kHonest, {});
  const auto call = [&] { return describe(honest.get(kNode.peer_id(), {node.endpoint})).status; };
  ASSERT_TRUE(call().ok());
  std::this_thread::sleep_for(milliseconds(3'200));  // its probation
  ASSERT_TRUE(misbehave(node.endpoint, kBad));
  EXPECT_FALSE(is_welcome(node.endpoint, kBad));
  EXPECT_TRUE(call().ok());
  honest.drop(kNode.peer_id());
  const grpc::Status again = call();
  EXPECT_TRUE(again.ok()) << again.error_message();
  EXPECT_FALSE(is_welcome(node.endpoint, identity::identity_of(4)));
}

// A change of keys is 27 bytes that take a tenth of a millisecond.
TEST(Front, WhoeverKeepsChangingKeysIsHungUpOn) {
  EchoService service;
  RunningServer node = start(service, {});
  RawClient client(loopback(), node.endpoint);
  ASSERT_TRUE(client.handshake(kBad) && client.send(kHello));
  const auto change_keys = [&](int times) {
    for (int i = 0; i < times && client.update_keys(); ++i) {
    }
  };
  change_keys(20);
  EXPECT_FALSE(client.closed_within(500)) << "twenty may have a reason";
  change_keys(200);
  EXPECT_TRUE(client.closed_within(3'000));
  EXPECT_EQ(node.front->stats().bans, 1u);
}

TEST(Front, APeerIsHungUpOnOnAllItsConnections) {
  EchoService service;
  RunningServer node = start(service, {});
  RawClient other(loopback(), node.endpoint);
  ASSERT_TRUE(other.handshake(kBad) && other.send(kHello));
  ASSERT_TRUE(misbehave(node.endpoint, kBad));
  EXPECT_TRUE(other.closed_within(3'000));
}

TEST(Front, AConnectedStreamFromElsewhereIsServedAsFromItsAddress) {
  EchoService service;
  RunningServer node = start(service, {});
  const proto::Endpoint far = proto::Endpoint::v4({127, 0, 0, 99}, 1234);
  const auto relay = listen_on(loopback());  // hands over whom it accepts
  ASSERT_TRUE(relay.ok()) << relay.status();
  std::thread relaying([&] {
    pollfd wait{relay->fd, POLLIN, 0};
    if (poll(&wait, 1, 5'000) == 1) {
      node.front->add(accept4(relay->fd, nullptr, nullptr, SOCK_CLOEXEC), far);
    }
  });
  ChannelPool pool(kHonest, {});
  const Answer answer = describe(pool.get(kNode.peer_id(), {relay->endpoint}));
  relaying.join();
  close(relay->fd);
  EXPECT_TRUE(answer.status.ok()) << answer.status.error_message();
  EXPECT_EQ(answer.address, proto::to_string(far));
  EXPECT_EQ(answer.peer_id, kHonest.peer_id().to_bytes());
}

// A relay that hands over whoever comes to its port, and says of each that it comes from `told`.
class Teller {
 public:
  Teller(Front& front, const proto::PeerId& relay, const proto::Endpoint& told)
      : listening_(*listen_on(loopback())), thread_([this, &front, relay, told] {
          while (!stopped_) {
            pollfd wait{listening_.fd, POLLIN, 0};
            if (poll(&wait, 1, 20) != 1) continue;
            front.add(accept4(listening_.fd, nullptr, nullptr, SOCK_CLOEXEC | SOCK_NONBLOCK), told,
                      relay);
          }
        }) {}
  ~Teller() {
    stopped_ = true;
    thread_.join();
    close(listening_.fd);
  }
  const proto::Endpoint& endpoint() const { return listening_.endpoint; }

 private:
  const ListeningSocket listening_;
  std::atomic<bool> stopped_ = false;
  std::thread thread_;
};

proto::Endpoint told(std::uint8_t number) { return proto::Endpoint::v4({127, 0, 0, number}, 9); }

// What a relay invents is no news of whoever has that address.
TEST(Front, AnAddressThatARelayTellsIsBannedForThatRelayOnly) {
  EchoService service;
  RunningServer node = start(service, {});
  const proto::PeerId lies = identity::identity_of(21).peer_id();
  const proto::PeerId honest = identity::identity_of(22).peer_id();
  {
    const Teller relay(*node.front, lies, told(2));
    ASSERT_TRUE(misbehave(relay.endpoint(), kBad)) << "through it";
    for (std::uint32_t i = 0; i < 2 * proto::kFailuresBurst; ++i) {
      RawClient garbage(loopback(), relay.endpoint());
      garbage.send_raw(std::string(100, 'x'));
      garbage.closed_within(1'000);
    }
    EXPECT_FALSE(is_welcome(relay.endpoint(), identity::identity_of(6))) << "by its own word";
  }
  EXPECT_EQ(node.front->stats().bans, 1u);
  EXPECT_TRUE(is_welcome(node.endpoint, identity::identity_of(4), 2)) << "whose address it was";
  const Teller other(*node.front, honest, told(2));
  EXPECT_TRUE(is_welcome(other.endpoint(), identity::identity_of(5)));
  EXPECT_FALSE(is_welcome(other.endpoint(), kBad)) << "a peer is proven, and stays out";
}

// However many addresses it tells, and whoever it sends: room is left for those who come directly.
TEST(Front, ARelayHasAShareOfConnections) {
  EchoService service;
  RunningServer node = start(service, {});
  const proto::PeerId relay = identity::identity_of(21).peer_id();
  std::vector<std::unique_ptr<RawClient>> mute;
  const auto listening = *listen_on(loopback());
  for (int i = 0; i < 100; ++i) {
    mute.push_back(std::make_unique<RawClient>(loopback(), listening.endpoint));
    node.front->add(accept4(listening.fd, nullptr, nullptr, SOCK_CLOEXEC | SOCK_NONBLOCK),
                    told(static_cast<std::uint8_t>(i + 1)), relay);
  }
  close(listening.fd);
  EXPECT_EQ(node.front->stats().connections, RelayedLimits().handshakes);
  EXPECT_TRUE(is_welcome(node.endpoint, kHonest));
  mute.clear();
  for (int i = 0; i < 200 && node.front->stats().connections > 0; ++i) usleep(10'000);
  EXPECT_EQ(node.front->stats().connections, 0u);
  const Teller again(*node.front, relay, told(9));
  EXPECT_TRUE(is_welcome(again.endpoint(), identity::identity_of(5))) << "when they are gone";
}

// 64 sessions of small steps, and large messages beside them, with a fifth of every allowance.
TEST(Front, HonestTrafficStaysFarFromTheLimits) {
  FrontOptions options;
  FrameLimits& limits = options.frames;
  for (Rate* rate : {&limits.resets, &limits.settings, &limits.pings, &limits.useless,
                     &limits.window_updates, &limits.crumbs}) {
    rate->burst /= 5;
    rate->per_second /= 5;
  }
  limits.silent_streams /= 2;
  EchoSessions service;
  RunningServer node = start(service, options);
  ChannelPool pool(kHonest, {});
  const auto stub = wire::SpanService::NewStub(pool.get(kNode.peer_id(), {node.endpoint}));
  std::atomic<int> echoed = 0;
  const auto converse = [&](std::size_t bytes, int rounds) {
    grpc::ClientContext context;
    const auto stream = stub->Session(&context);
    wire::ClientFrame out;
    out.GetReflection()->MutableUnknownFields(&out)->AddLengthDelimited(100,
                                                                        std::string(bytes, 'b'));
    wire::HopFrame in;
    for (int i = 0; i < rounds && stream->Write(out) && stream->Read(&in); ++i) ++echoed;
    stream->WritesDone();
    EXPECT_TRUE(stream->Finish().ok());
  };
  std::vector<std::thread> threads;
  for (int i = 0; i < 60; ++i) threads.emplace_back(converse, 256 << i % 5, 150);
  for (int i = 0; i < 4; ++i) threads.emplace_back(converse, 1 << 20, 30);
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(echoed, 60 * 150 + 4 * 30);
  const FrontStats stats = node.front->stats();
  EXPECT_EQ(stats.bans, 0u);
  EXPECT_EQ(stats.slowed, 0u);
  for (std::size_t i = 0; i < kFaults; ++i) {
    EXPECT_EQ(stats.hung_up[i], 0u) << words_of(static_cast<Fault>(i));
  }
}

// A newcomer that calls too fast waits, and gets all its answers; who worked with us does not wait.
TEST(Front, NewcomersThatCallTooFastAreSlowedAndServed) {
  EchoService service;
  FrontOptions options;
  options.gate.newcomer_streams = {50, 200};
  RunningServer node = start(service, options);
  ChannelPool pool(kHonest, {});
  const auto channel = pool.get(kNode.peer_id(), {node.endpoint});
  const auto calls = [&](int count) {
    const auto stub = wire::SpanService::NewStub(channel);
    const auto began = std::chrono::steady_clock::now();
    std::atomic<int> good = 0, ended = 0;
    std::vector<std::unique_ptr<grpc::ClientContext>> contexts;
    std::vector<wire::DescribeReply> replies(count);
    const wire::DescribeRequest request;
    for (int i = 0; i < count; ++i) {
      contexts.push_back(std::make_unique<grpc::ClientContext>());
      stub->async()->Describe(contexts.back().get(), &request, &replies[i],
                              [&](const grpc::Status& status) {
                                good += status.ok();
                                ++ended;
                              });
    }
    while (ended < count) std::this_thread::sleep_for(milliseconds(5));
    EXPECT_EQ(good, count);
    return std::chrono::steady_clock::now() - began;
  };
  const auto before = node.front->stats().slowed;
  EXPECT_GT(calls(400), milliseconds(500));
  EXPECT_GT(node.front->stats().slowed, before);
  EXPECT_EQ(node.front->stats().bans, 0u);
  std::this_thread::sleep_for(milliseconds(3'200));  // its probation
  const auto after = node.front->stats().slowed;
  calls(400);
  EXPECT_EQ(node.front->stats().slowed, after);
}

// Answers are asked for and not read: what waits is bounded, and so is the patience.
TEST(Front, WhoeverSendsButNeverReadsIsHungUpOn) {
  class LongAnswers final : public EchoService {
    grpc::ServerUnaryReactor* Describe(grpc::CallbackServerContext* context,
                                       const wire::DescribeRequest* /*request*/,
                                       wire::DescribeReply* reply) override {
      reply->mutable_offer()->set_public_name(std::string(256 << 10, 'x'));
      grpc::ServerUnaryReactor* reactor = context->DefaultReactor();
      reactor->Finish(grpc::Status::OK);
      return reactor;
    }
  };
  LongAnswers service;
  FrontOptions options;
  options.frames.never_reads = milliseconds(1'000);
  RunningServer node = start(service, options);
  RawClient client(loopback(), node.endpoint);
  const int small = 4'096;
  setsockopt(client.fd(), SOL_SOCKET, SO_RCVBUF, &small, sizeof(small));
  ASSERT_TRUE(client.handshake(kBad));
  ASSERT_TRUE(client.send(attack::preface() + attack::settings(attack::setting(4, 0x7fffffff)) +
                          attack::window_update(0, 0x70000000)));
  const auto end = std::chrono::steady_clock::now() + std::chrono::seconds(20);
  std::uint32_t stream = 1;
  while (std::chrono::steady_clock::now() < end && node.front->stats().bans == 0) {
    if (!client.send(attack::headers(stream, attack::call_headers(attack::kDescribe)) +
                     attack::data(stream, attack::message_prefix(0), kFlagEndStream))) {
      break;
    }
    stream += 2;
    std::this_thread::sleep_for(milliseconds(stream < 100 ? 1 : 100));
  }
  for (int i = 0; i < 200 && node.front->stats().bans == 0; ++i) {
    std::this_thread::sleep_for(milliseconds(20));
  }
  EXPECT_EQ(node.front->stats().bans, 1u);
}

TEST(Front, ManyConnectionsOfOneAddressAreRefusedBeforeTls) {
  EchoService service;
  FrontOptions options;
  options.gate.connections_per_address = 5;
  RunningServer node = start(service, options);
  std::vector<std::unique_ptr<RawClient>> clients;
  int refused = 0;
  for (int i = 0; i < 10; ++i) {
    clients.push_back(std::make_unique<RawClient>(loopback(), node.endpoint));
  }
  for (const auto& client : clients) refused += client->closed_within(100) ? 1 : 0;
  EXPECT_EQ(refused, 5);
  EXPECT_TRUE(is_welcome(node.endpoint, kHonest, 2));
}

}  // namespace
}  // namespace shoal::net
