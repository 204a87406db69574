// SPDX-License-Identifier: Apache-2.0
// Both ends of hole punching over real sockets, in a network of the test's own (needs root): how
// they meet, and whom the called end does not dial.
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <sched.h>
#include <sys/socket.h>
#include <unistd.h>

#include <atomic>
#include <chrono>
#include <future>

#include "net/channel_pool.h"
#include "net/interfaces.h"
#include "net/punch_desk.h"
#include "net/punch_plan.h"
#include "net/puncher.h"
#include "net/server.h"
#include "net/socket_address.h"
#include "proto/version.h"
#include "tests/identity/examples.h"
#include "tests/support/network_namespace.h"
#include "tests/support/process.h"

namespace shoal::net {
namespace {

const identity::Identity kNode = identity::identity_of(1);
const identity::Identity kUser = identity::identity_of(2);

proto::Endpoint at(const char* text) { return *proto::parse_endpoint(text); }

// What listens at an address and counts who comes.
class Listener {
 public:
  explicit Listener(const proto::Endpoint& address)
      : fd_(socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0)) {
    sockaddr_storage to;
    const socklen_t size = to_system(address, to);
    EXPECT_EQ(bind(fd_, reinterpret_cast<const sockaddr*>(&to), size), 0);
    EXPECT_EQ(listen(fd_, 8), 0);
  }
  ~Listener() { close(fd_); }
  int came() const {
    int count = 0;
    for (int fd = accept(fd_, nullptr, nullptr); fd >= 0; fd = accept(fd_, nullptr, nullptr)) {
      close(fd);
      ++count;
    }
    return count;
  }

 private:
  const int fd_;
};

// A port that is bound and may be bound again, as a caller's connection to its relay.
class SharedPort {
 public:
  SharedPort() : fd_(socket(AF_INET, SOCK_STREAM, 0)) {
    const int one = 1;
    setsockopt(fd_, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
    setsockopt(fd_, SOL_SOCKET, SO_REUSEPORT, &one, sizeof(one));
    sockaddr_in address{};
    address.sin_family = AF_INET;
    socklen_t size = sizeof(address);
    EXPECT_EQ(bind(fd_, reinterpret_cast<sockaddr*>(&address), size), 0);
    getsockname(fd_, reinterpret_cast<sockaddr*>(&address), &size);
    port = ntohs(address.sin_port);
  }
  ~SharedPort() { close(fd_); }
  std::uint16_t port = 0;

 private:
  const int fd_;
};

class PunchTest : public testing::Test {
 protected:
  void SetUp() override {
    if (const std::string why = tests::NetworkNamespace::unavailable(); !why.empty())
      GTEST_SKIP() << why;
    // This thread's, and that of those it starts.
    ASSERT_EQ(unshare(CLONE_NEWNET), 0);
    for (const char* words :
         {"link set lo up", "addr add 10.66.0.1/32 dev lo", "addr add 203.0.113.9/32 dev lo"}) {
      ASSERT_EQ(std::system((std::string("ip ") + words).c_str()), 0) << words;
    }
    io_ = std::make_unique<IoThread>();
    desk_ = std::make_unique<PunchDesk>(
        *io_, PunchDeskOptions{[this](int socket, const proto::Endpoint& from) {
                                 running_.front->add(socket, from);
                               },
                               [this] { return std::optional(running_.endpoint); },
                               [] {
                                 std::vector<proto::Endpoint> own;
                                 for (const auto& address : interface_addresses())
                                   own.push_back(address.address);
                                 return own;
                               },
                               [] { return false; }, [this] { return passes_udp_.load(); }});
    auto server = start_server(at("10.66.0.1:7000"), kNode, std::nullopt, {desk_.get()});
    ASSERT_TRUE(server.ok()) << server.status();
    running_ = *std::move(server);
    desk_->open(7000);
    pool_ = std::make_unique<ChannelPool>(kUser, std::nullopt);
    channel_ = pool_->get(kNode.peer_id(), {running_.endpoint});
    stub_ = wire::PunchService::NewStub(channel_);
  }
  void TearDown() override {
    stub_.reset();
    channel_.reset();
    pool_.reset();
    if (desk_ != nullptr) desk_->close();
    running_.shut_down(std::chrono::milliseconds(500));
  }

  grpc::StatusCode punch(const std::string& nonce, const std::vector<proto::Endpoint>& candidates,
                         wire::PunchReply* reply = nullptr) {
    grpc::ClientContext context;
    wire::PunchRequest request;
    wire::PunchReply ignored;
    *request.mutable_version() = proto::our_version();
    request.set_nonce(nonce);
    for (const auto& candidate : candidates)
      request.add_candidates(proto::encode_endpoint(candidate));
    return stub_->Punch(&context, request, reply != nullptr ? reply : &ignored).error_code();
  }
  grpc::StatusCode go(const std::string& nonce, std::uint32_t attempt) {
    grpc::ClientContext context;
    wire::GoRequest request;
    wire::GoReply reply;
    request.set_nonce(nonce);
    request.set_attempt(attempt);
    return stub_->Go(&context, request, &reply).error_code();
  }

  std::atomic<bool> passes_udp_ = true;
  std::unique_ptr<IoThread> io_;
  std::unique_ptr<PunchDesk> desk_;
  RunningServer running_;
  std::unique_ptr<ChannelPool> pool_;
  std::shared_ptr<grpc::Channel> channel_;
  std::unique_ptr<wire::PunchService::Stub> stub_;
};

const std::string kNonce(16, 'n');

// Alike where the called end's router lets no UDP out, and the caller begins.
class Meeting : public PunchTest, public testing::WithParamInterface<bool> {};
INSTANTIATE_TEST_SUITE_P(PunchTest, Meeting, testing::Bool());

TEST_P(Meeting, BothEndsMeetAndTheCallerKnowsWhoItMet) {
  passes_udp_ = GetParam();
  const TlsContext tls(identity::make_certificate(kUser, std::nullopt), std::nullopt);
  const SharedPort port;
  std::promise<absl::StatusOr<proto::Endpoint>> met;
  const auto puncher = std::make_shared<Puncher>(
      io_->context(), tls, kNode.peer_id(), channel_,
      Puncher::From{port.port, proto::Endpoint::v4({10, 66, 0, 1}, port.port)});
  io_->post([&] {
    puncher->start({}, [&](absl::StatusOr<Puncher::Met> outcome) {
      EXPECT_TRUE(!outcome.ok() || outcome->tls->peer() == kNode.peer_id());
      met.set_value(outcome.ok() ? absl::StatusOr<proto::Endpoint>(outcome->at) : outcome.status());
    });
  });
  auto future = met.get_future();
  ASSERT_EQ(future.wait_for(std::chrono::seconds(10)), std::future_status::ready);
  const auto where = future.get();
  ASSERT_TRUE(where.ok()) << where.status();
  EXPECT_EQ(*where, at("10.66.0.1:7000"));
}

TEST_F(PunchTest, WhoIsNotThereIsGivenUp) {
  const TlsContext tls(identity::make_certificate(kUser, std::nullopt), std::nullopt);
  const SharedPort port;
  std::promise<absl::Status> end;
  // Another peer than the one that answers: TLS says so.
  const auto puncher = std::make_shared<Puncher>(
      io_->context(), tls, identity::identity_of(9).peer_id(), channel_,
      Puncher::From{port.port, proto::Endpoint::v4({10, 66, 0, 1}, port.port)});
  io_->post([&] {
    puncher->start(
        {}, [&](const absl::StatusOr<Puncher::Met>& outcome) { end.set_value(outcome.status()); });
  });
  auto future = end.get_future();
  ASSERT_EQ(future.wait_for(std::chrono::seconds(20)), std::future_status::ready);
  EXPECT_FALSE(future.get().ok());
}

// The caller comes from 10.66.0.1.
TEST_F(PunchTest, NobodyElsesAddressIsDialled) {
  const Listener victim(at("203.0.113.9:9009")), caller(at("10.66.0.1:9009")),
      service(at("10.66.0.1:443"));
  wire::PunchReply reply;
  ASSERT_EQ(
      punch(kNonce, {at("203.0.113.9:9009"), at("10.66.0.1:443"), at("10.66.0.1:9009")}, &reply),
      grpc::OK);
  ASSERT_GE(reply.candidates_size(), 1);
  EXPECT_EQ(reply.candidates(0), proto::encode_endpoint(at("10.66.0.1:7000")));
  for (std::uint32_t i = 1; i < kPunchTries.size(); ++i) EXPECT_EQ(go(kNonce, i), grpc::OK);
  usleep(100'000);
  EXPECT_EQ(victim.came(), 0);
  EXPECT_EQ(service.came(), 0) << "nor what is no port of a connection";
  EXPECT_GE(caller.came(), 1);
}

TEST_F(PunchTest, MeetingsHaveTheirOrderAndTheirEnd) {
  EXPECT_EQ(go(kNonce, 0), grpc::NOT_FOUND);
  EXPECT_EQ(punch("short", {}), grpc::INVALID_ARGUMENT);
  EXPECT_EQ(punch(kNonce, std::vector(7, at("10.66.0.1:9"))), grpc::INVALID_ARGUMENT);
  ASSERT_EQ(punch(kNonce, {at("10.66.0.1:9")}), grpc::OK);
  EXPECT_EQ(go(std::string(16, 'o'), 0), grpc::NOT_FOUND);
  EXPECT_EQ(go(kNonce, 0), grpc::OUT_OF_RANGE) << "not where UDP passes";
  EXPECT_EQ(go(kNonce, 2), grpc::OUT_OF_RANGE) << "in turn";
  EXPECT_EQ(go(kNonce, 1), grpc::OK);
  EXPECT_EQ(go(kNonce, 1), grpc::OUT_OF_RANGE) << "once each";
  passes_udp_ = false;
  wire::PunchReply reply;
  ASSERT_EQ(punch(kNonce, {at("10.66.0.1:9")}, &reply), grpc::OK);
  EXPECT_TRUE(reply.caller_first());
  for (std::uint32_t i = 0; i < kPunchTries.size(); ++i) EXPECT_EQ(go(kNonce, i), grpc::OK);
  EXPECT_EQ(go(kNonce, kPunchTries.size()), grpc::OUT_OF_RANGE);
}

TEST_F(PunchTest, APeerThatAsksOnAndOnIsRefused) {
  for (int i = 0; i < 4; ++i) EXPECT_EQ(punch(kNonce, {}), grpc::OK);
  EXPECT_EQ(punch(kNonce, {}), grpc::RESOURCE_EXHAUSTED);
}

}  // namespace
}  // namespace shoal::net
