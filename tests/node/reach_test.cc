// SPDX-License-Identifier: Apache-2.0
// Dial-backs between peers on loopback: what a helper finds at the caller's own address, and what
// it does not do for whom.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <thread>

#include "dht/udp_question.h"
#include "net/channel_pool.h"
#include "net/identity_tls.h"
#include "net/listening_socket.h"
#include "node/member/dial_back_call.h"
#include "node/member/ports.h"
#include "node/member/reach_service.h"
#include "proto/reach_service.grpc.pb.h"
#include "proto/version.h"

namespace shoal::node {
namespace {

using testing::HasSubstr;

const proto::Endpoint kLoopback = proto::Endpoint::v4({127, 0, 0, 1}, 0);

// A member of a swarm: both sockets on one port, and dial-backs for others.
struct Member {
  explicit Member(const std::optional<identity::SwarmKey>& key = {},
                  const DialBackLimits& limits = {})
      : swarm_key(key), service(io, identity, key, limits) {
    net::init_transport();
    dht::UdpServiceOptions options;
    options.listen = kLoopback;
    options.swarm_key = key;
    auto opened = open_ports(io, identity, options, {&service.calls()});
    EXPECT_TRUE(opened.ok()) << opened.status();
    ports = *std::move(opened);
  }
  ~Member() {
    service.stop();
    ports.server.shut_down(std::chrono::milliseconds(100));
    io.run_and_wait([this] { ports.dht.reset(); });
  }

  proto::Endpoint at() const { return ports.server.endpoint; }
  Helper helper() const { return {identity.peer_id(), at(), false}; }
  std::vector<DialBackAnswer> ask(const Member& whom, std::uint16_t port, bool udp = true) const {
    return ask_dial_backs(identity, swarm_key, {{port, udp, {whom.helper()}}}, never)[0];
  }

  const identity::Identity identity = identity::Identity::generate();
  const std::optional<identity::SwarmKey> swarm_key;
  const base::StopToken never;
  net::IoThread io;
  ReachService service;
  Ports ports;
};

TEST(ReachTest, AHelperReachesWhoeverIsThereByTcpAndUdp) {
  const Member helper, asker;
  const auto answers = asker.ask(helper, asker.at().port);
  ASSERT_EQ(answers.size(), 1u);
  EXPECT_EQ(answers[0].helper, helper.helper());
  EXPECT_EQ(answers[0].seen.address, kLoopback.address);
  EXPECT_EQ(answers[0].tcp, DialOutcome::kReached);
  EXPECT_EQ(answers[0].udp, DialOutcome::kReached);
  EXPECT_TRUE(helper_round_trip(asker.identity, {}, helper.helper()));
}

TEST(ReachTest, InAPrivateSwarmToo) {
  const identity::SwarmKey key = identity::generate_swarm_key();
  const Member helper(key), asker(key);
  const auto answers = asker.ask(helper, asker.at().port);
  ASSERT_EQ(answers.size(), 1u);
  EXPECT_EQ(answers[0].tcp, DialOutcome::kReached);
  EXPECT_EQ(answers[0].udp, DialOutcome::kReached);
  const Member stranger;
  EXPECT_TRUE(stranger.ask(helper, stranger.at().port).empty());
}

// Whoever else listens there is not the caller, and proves nothing for it.
TEST(ReachTest, AnotherPeerAtThatPortIsNotTheCaller) {
  const Member helper, asker, other;
  const auto answers = asker.ask(helper, other.at().port);
  ASSERT_EQ(answers.size(), 1u);
  EXPECT_EQ(answers[0].tcp, DialOutcome::kOther);
  EXPECT_EQ(answers[0].udp, DialOutcome::kSilent);
}

TEST(ReachTest, NobodyAtThatPortIsSaidAtOnce) {
  const Member helper, asker;
  std::uint16_t free = 0;
  {
    const Member gone;
    free = gone.at().port;
  }
  const auto answers = asker.ask(helper, free, false);
  ASSERT_EQ(answers.size(), 1u);
  EXPECT_EQ(answers[0].tcp, DialOutcome::kRefused);
  EXPECT_EQ(answers[0].udp, DialOutcome::kNotAsked);
}

TEST(ReachTest, APeerHasItsShareAndNoMore) {
  DialBackLimits limits;
  limits.peer = {1, 0};
  const Member helper({}, limits), asker, other;
  EXPECT_EQ(asker.ask(helper, asker.at().port).size(), 1u);
  EXPECT_EQ(asker.ask(helper, asker.at().port).size(), 0u);
  EXPECT_EQ(other.ask(helper, other.at().port).size(), 1u);
}

TEST(ReachTest, WhatIsWrongIsSaid) {
  const Member helper, asker;
  net::ChannelPool channels(asker.identity, {});
  const auto stub =
      wire::ReachService::NewStub(channels.get(helper.identity.peer_id(), {helper.at()}));
  const auto call = [&](const wire::DialBackRequest& request) {
    grpc::ClientContext context;
    wire::DialBackReply reply;
    return stub->DialBack(&context, request, &reply);
  };
  wire::DialBackRequest request;
  *request.mutable_version() = proto::our_version();
  request.set_tcp(true);
  EXPECT_THAT(call(request).error_message(), HasSubstr("port of 1 to 65535"));
  request.set_port(70'000);
  EXPECT_EQ(call(request).error_code(), grpc::StatusCode::INVALID_ARGUMENT);
  request.set_port(7'000);
  request.set_udp(true);
  EXPECT_THAT(call(request).error_message(), HasSubstr("own public key"));
  // Another's key would make the helper ask for him.
  request.set_public_key(helper.identity.public_key().to_bytes());
  EXPECT_THAT(call(request).error_message(), HasSubstr("own public key"));
  request.mutable_version()->set_major(proto::kProtocolMajor + 1);
  EXPECT_EQ(call(request).error_code(), grpc::StatusCode::FAILED_PRECONDITION);
}

// What a relay says of where a caller comes from would be an address to dial for anybody.
TEST(ReachTest, NobodyIsDialledBackThroughARelay) {
  const Member helper, asker;
  const auto victim = net::listen_on(kLoopback), relay = net::listen_on(kLoopback);
  ASSERT_TRUE(victim.ok() && relay.ok());
  std::thread relaying([&] {
    pollfd wait{relay->fd, POLLIN, 0};
    if (poll(&wait, 1, 5'000) != 1) return;
    helper.ports.server.front->add(
        accept4(relay->fd, nullptr, nullptr, SOCK_CLOEXEC | SOCK_NONBLOCK), victim->endpoint,
        identity::Identity::generate().peer_id());
  });
  net::ChannelPool channels(asker.identity, {});
  const auto stub =
      wire::ReachService::NewStub(channels.get(helper.identity.peer_id(), {relay->endpoint}));
  grpc::ClientContext context;
  wire::DialBackRequest request;
  wire::DialBackReply reply;
  *request.mutable_version() = proto::our_version();
  request.set_tcp(true);
  request.set_port(victim->endpoint.port);
  const grpc::Status status = stub->DialBack(&context, request, &reply);
  relaying.join();
  EXPECT_EQ(status.error_code(), grpc::StatusCode::FAILED_PRECONDITION);
  EXPECT_THAT(status.error_message(), HasSubstr("came through a relay"));
  pollfd wait{victim->fd, POLLIN, 0};
  EXPECT_EQ(poll(&wait, 1, 200), 0) << "nobody came";
  close(relay->fd);
  close(victim->fd);
}

TEST(MayAskAt, PrivateAddressesOnlyWhereTheSwarmIsPrivate) {
  const auto at = [](const char* text) { return *proto::parse_endpoint(text); };
  const std::vector<proto::Endpoint> home = {at("192.168.1.2:7000")},
                                     world = {at("192.168.1.2:7000"), at("203.0.113.9:7000")};
  EXPECT_TRUE(may_ask_at(at("203.0.113.7:7000"), world, false));
  EXPECT_FALSE(may_ask_at(at("192.168.1.1:443"), world, false));
  EXPECT_FALSE(may_ask_at(at("127.0.0.1:22"), world, false));
  EXPECT_TRUE(may_ask_at(at("192.168.1.1:7000"), home, false));
  EXPECT_TRUE(may_ask_at(at("192.168.1.1:7000"), world, true)) << "a key: nobody is a stranger";
}

// A helper that leaves keeps nobody waiting.
TEST(ReachTest, ALeavingHelperLetsGo) {
  const Member asker;
  auto helper = std::make_unique<Member>();
  const base::StopToken never;
  const std::vector<DialBackRound> rounds = {{1, true, {helper->helper()}}};
  const auto begun = std::chrono::steady_clock::now();
  // UDP is silent at a port of nobody's: the helper would wait for it.
  std::thread leaving([&] {
    std::this_thread::sleep_for(std::chrono::milliseconds(300));
    helper.reset();
  });
  const auto answers = ask_dial_backs(asker.identity, {}, rounds, never);
  leaving.join();
  EXPECT_TRUE(answers[0].empty());
  EXPECT_LT(std::chrono::steady_clock::now() - begun, std::chrono::milliseconds(1'400));
}

}  // namespace
}  // namespace shoal::node
