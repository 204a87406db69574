// SPDX-License-Identifier: Apache-2.0
// Dial-backs between peers on loopback: what a helper finds at the caller's own address, and what
// it does not do for whom.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <thread>

#include "dht/udp_question.h"
#include "net/channel_pool.h"
#include "net/identity_tls.h"
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
