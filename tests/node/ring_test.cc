// SPDX-License-Identifier: Apache-2.0
// Hops that push to each other: the ring computes what one span computes; only the named peer with
// the token may push; a hop that dies is named; a node that leaves finishes what it has begun.
#include <fcntl.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <thread>

#include "net/identity_tls.h"
#include "tests/node/announcement.h"
#include "tests/node/demo_model.h"
#include "tests/node/hop_client.h"
#include "tests/support/own_process.h"

namespace shoal::node {
namespace {

using Clock = std::chrono::steady_clock;

const std::string kToken(16, 't');

std::unique_ptr<Node> start(proto::Span blocks, const Node* join = nullptr) {
  net::init_transport();
  NodeOptions options;
  options.model_directory = kDemoModel;
  options.blocks = blocks;
  options.listen = *proto::parse_endpoint("127.0.0.1:0");
  options.threads = 1;
  options.kv_positions = 4096;
  if (join != nullptr) options.join = {join->endpoint()};
  auto node = Node::start(std::move(options));
  EXPECT_TRUE(node.ok()) << node.status();
  return std::move(*node);
}

class RingTest : public testing::Test {
 protected:
  static void SetUpTestSuite() {
    first_ = start({0, 4});
    second_ = start({4, 8}, first_.get());
  }
  static void TearDownTestSuite() {
    second_.reset();
    first_.reset();
  }
  void TearDown() override {
    EXPECT_TRUE(becomes_idle(*first_));
    EXPECT_TRUE(becomes_idle(*second_));
  }

  std::unique_ptr<HopStream> opened(const Node& node, const wire::Open& open) {
    auto stream = client_.stream(node);
    EXPECT_TRUE(stream->open(open));
    const auto frame = stream->read();
    EXPECT_TRUE(frame && frame->has_welcome()) << (frame ? frame->DebugString() : "stream ended");
    return stream;
  }

  // Both hops of one session; `first` pushes to `second`.
  std::pair<wire::Open, wire::Open> ring() {
    wire::Open first = open_for(*first_);
    wire::Open second = open_for(*second_);
    second.set_session_id(first.session_id());
    set_next(first, *second_, kToken);
    set_previous(second, first_->peer_id(), kToken);
    return {first, second};
  }

  static std::unique_ptr<Node> first_;
  static std::unique_ptr<Node> second_;
  HopClient client_;
};
std::unique_ptr<Node> RingTest::first_;
std::unique_ptr<Node> RingTest::second_;

TEST_F(RingTest, ComputesWhatOneSpanComputes) {
  const auto [open_first, open_second] = ring();
  const auto second = opened(*second_, open_second);
  const auto first = opened(*first_, open_first);
  std::vector<float> all;
  std::vector<float> got;
  for (std::uint64_t step = 0; step < 6; ++step) {
    const auto x = random_rows(step, step == 0 ? 100 : 1);
    const auto start = static_cast<std::uint32_t>(all.size() / 256);
    all = joined(all, x);
    ASSERT_TRUE(first->step(step_of(step, start, x)));
    const auto result = second->read(true);
    ASSERT_TRUE(result && result->has_result())
        << (result ? result->DebugString() : "stream ended");
    EXPECT_EQ(result->result().step_id(), step);
    EXPECT_EQ(result->result().start_position(), start);
    got = joined(got, values(result->result().activation()));
    const auto ack = first->read();
    ASSERT_TRUE(ack && ack->has_ack());
    EXPECT_EQ(ack->ack().step_id(), step);
  }
  EXPECT_TRUE(bitwise_equal(got, computed_alone({0, 8}, all)));
}

TEST_F(RingTest, TheHopBeforeMayComeFirst) {
  const auto [open_first, open_second] = ring();
  const auto first = opened(*first_, open_first);
  ASSERT_TRUE(first->step(step_of(1, 0, random_rows(1, 5), wire::RETURN_LAST)));
  ASSERT_TRUE(
      first->read()->has_ack());  // computed, and pushed to a session that does not exist yet
  std::this_thread::sleep_for(std::chrono::milliseconds(50));
  const auto second = opened(*second_, open_second);
  EXPECT_TRUE(second->read(true)->has_result());
}

TEST_F(RingTest, APipelinedPromptArrivesInOrder) {
  const auto [open_first, open_second] = ring();
  const auto second = opened(*second_, open_second);
  const auto first = opened(*first_, open_first);
  std::vector<float> all;
  for (std::uint32_t chunk = 0; chunk < 8; ++chunk) {
    const auto x = random_rows(chunk, 30);
    all = joined(all, x);
    ASSERT_TRUE(first->step(
        step_of(chunk, chunk * 30, x, chunk == 7 ? wire::RETURN_LAST : wire::RETURN_NONE)));
  }
  const auto result = second->read(true);
  ASSERT_TRUE(result && result->has_result());
  const auto expected = computed_alone({0, 8}, all);
  EXPECT_TRUE(
      bitwise_equal(values(result->result().activation()), {expected.end() - 256, expected.end()}));
}

// A peer that announces blocks 4 to 8 at an address of its choice.
struct Elsewhere {
  Elsewhere(const Node& swarm, const proto::Endpoint& at)
      : identity(identity::Identity::generate()),
        announcement(identity, demo(), {4, 8}, swarm.endpoint(), at) {}
  std::string peer_id() const { return identity.peer_id().to_bytes(); }
  identity::Identity identity;
  Announcement announcement;
};

// A TCP port of this machine, listening or not.
class Port {
 public:
  explicit Port(bool listens) : socket_(socket(AF_INET, SOCK_STREAM, 0)) {
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t size = sizeof(address);
    EXPECT_EQ(bind(socket_, reinterpret_cast<sockaddr*>(&address), size), 0);
    if (listens) {
      EXPECT_EQ(listen(socket_, 64), 0);
    }
    getsockname(socket_, reinterpret_cast<sockaddr*>(&address), &size);
    endpoint_ = proto::Endpoint::v4({127, 0, 0, 1}, ntohs(address.sin_port));
  }
  ~Port() { close(socket_); }
  const proto::Endpoint& endpoint() const { return endpoint_; }
  bool was_dialled() const {
    const int flags = fcntl(socket_, F_GETFL);
    fcntl(socket_, F_SETFL, flags | O_NONBLOCK);
    const int accepted = accept(socket_, nullptr, nullptr);
    if (accepted >= 0) close(accepted);
    return accepted >= 0;
  }

 private:
  int socket_;
  proto::Endpoint endpoint_;
};

// Whatever a client has a node dial, it learns nothing of what is there: one answer, in the same
// words, at the same time.
TEST_F(RingTest, EveryFailureToReachANextHopIsTheSameAnswerAtTheSameTime) {
  const Port closed(false);
  const Port mute(true);
  const Elsewhere refused(*first_, closed.endpoint());
  const Elsewhere silent(*first_, mute.endpoint());
  const Elsewhere somebody_else(*first_, second_->endpoint());
  struct Asked {
    const char* what;
    std::string peer;
    std::unique_ptr<HopStream> stream = {};
    std::optional<wire::Failure> failure = {};
    Clock::duration took = {};
  };
  std::vector<Asked> all(4);
  all[0] = {"no record", std::string(32, 'n')};
  all[1] = {"closed port", refused.peer_id()};
  all[2] = {"says nothing", silent.peer_id()};
  all[3] = {"another peer", somebody_else.peer_id()};
  std::vector<std::thread> waiting;
  for (Asked& asked : all) {
    auto [open_first, open_second] = ring();
    open_first.mutable_next()->set_peer_id(asked.peer);
    asked.stream = client_.stream(*first_);
    ASSERT_TRUE(asked.stream->open(open_first));
    waiting.emplace_back([&asked, started = Clock::now()] {
      asked.failure = asked.stream->failure();
      asked.took = Clock::now() - started;
    });
  }
  for (std::thread& thread : waiting) thread.join();
  const auto least = std::chrono::milliseconds(proto::kNextHopAnswerMs);
  for (const Asked& asked : all) {
    ASSERT_TRUE(asked.failure.has_value()) << asked.what;
    EXPECT_EQ(asked.failure->code(), static_cast<std::uint32_t>(absl::StatusCode::kUnavailable));
    EXPECT_EQ(asked.failure->peer_id(), asked.peer) << asked.what;
    const std::string& reason = asked.failure->reason();
    EXPECT_EQ(reason.substr(reason.find(": ")),
              ": this node does not reach it at an address that its "
              "record announces")
        << asked.what;
    EXPECT_GE(asked.took, least) << asked.what;
    EXPECT_LT(asked.took, least + std::chrono::seconds(3)) << asked.what;
  }
  EXPECT_TRUE(mute.was_dialled()) << "a live record is dialled";
}

TEST_F(RingTest, ANodeDialsNothingThatNoRecordOfThatPeerAnnounces) {
  const Port port(true);
  const Elsewhere announced(*first_, port.endpoint());
  auto [open_first, open_second] = ring();
  // The record is there, but the client names another peer; an old client may name an address too.
  open_first.mutable_next()->set_peer_id(std::string(32, 'n'));
  const std::string address = proto::to_string(port.endpoint());
  std::string with_address = open_first.next().SerializeAsString();
  with_address += std::string("\x12") + static_cast<char>(address.size()) + address;
  ASSERT_TRUE(open_first.mutable_next()->ParseFromString(with_address));
  const auto first = client_.stream(*first_);
  ASSERT_TRUE(first->open(open_first));
  ASSERT_TRUE(first->failure().has_value());
  EXPECT_FALSE(port.was_dialled());
}

TEST_F(RingTest, ANextHopThatWasReachedOnceAndIsGoneIsNamedAtOnce) {
  auto gone = start({4, 8}, first_.get());
  wire::Open open = open_for(*first_);
  set_next(open, *gone, kToken);
  {
    wire::Open open_second = open_for(*gone);
    open_second.set_session_id(open.session_id());
    set_previous(open_second, first_->peer_id(), kToken);
    const auto second = opened(*gone, open_second);
    const auto first = opened(*first_, open);
    ASSERT_TRUE(first->step(step_of(1, 0, random_rows(1, 5), wire::RETURN_LAST)));
    ASSERT_TRUE(second->read(true)->has_result());
    gone.reset();
    const auto started = Clock::now();
    const auto failure = first->failure();
    ASSERT_TRUE(failure.has_value());
    EXPECT_FALSE(failure->peer_id().empty());
    EXPECT_LT(Clock::now() - started, std::chrono::seconds(3));
  }
}

TEST_F(RingTest, ANextHopWhoseSessionEndedIsNamedByTheNextStep) {
  const auto [open_first, open_second] = ring();
  auto second = opened(*second_, open_second);
  const auto first = opened(*first_, open_first);
  ASSERT_TRUE(first->step(step_of(1, 0, random_rows(1, 5), wire::RETURN_LAST)));
  ASSERT_TRUE(second->read(true)->has_result());
  second.reset();
  ASSERT_TRUE(becomes_idle(*second_));
  first->step(step_of(2, 5, random_rows(1, 1), wire::RETURN_LAST));
  const auto failure = first->failure();
  ASSERT_TRUE(failure.has_value());
  EXPECT_EQ(failure->code(), static_cast<std::uint32_t>(absl::StatusCode::kUnavailable));
  EXPECT_EQ(failure->peer_id(), second_->peer_id().to_bytes());
}

// A push by hand, from whom and with what token the test likes.
grpc::Status push(HopClient& from, const Node& to, const wire::Open& session,
                  const std::string& token, const std::vector<wire::Step>& steps = {}) {
  const auto stub = wire::SpanService::NewStub(from.channel(to));
  grpc::ClientContext context;
  context.set_deadline(std::chrono::system_clock::now() + std::chrono::seconds(20));
  wire::PushReply reply;
  const auto stream = stub->Push(&context, &reply);
  wire::PushFrame frame;
  frame.mutable_open()->mutable_version()->set_major(proto::kProtocolMajor);
  frame.mutable_open()->set_session_id(session.session_id());
  frame.mutable_open()->set_hop_token(token);
  stream->Write(frame);
  for (const wire::Step& step : steps) {
    *frame.mutable_step() = step;
    stream->Write(frame);
  }
  if (!steps.empty()) stream->WritesDone();
  return stream->Finish();
}

TEST_F(RingTest, OnlyTheNamedPeerWithTheTokenMayPush) {
  HopClient previous;
  HopClient stranger;
  wire::Open open = open_for(*second_);
  set_previous(open, previous.peer_id(), kToken);
  const auto session = opened(*second_, open);
  const std::vector<wire::Step> steps = {step_of(1, 0, random_rows(1, 5), wire::RETURN_LAST)};
  EXPECT_EQ(push(stranger, *second_, open, kToken).error_code(),
            grpc::StatusCode::PERMISSION_DENIED);
  EXPECT_EQ(push(previous, *second_, open, std::string(16, 'x')).error_code(),
            grpc::StatusCode::PERMISSION_DENIED);
  EXPECT_EQ(push(previous, *second_, open, "").error_code(), grpc::StatusCode::PERMISSION_DENIED);
  EXPECT_EQ(push(previous, *second_, open, kToken + "t").error_code(),
            grpc::StatusCode::PERMISSION_DENIED);
  EXPECT_TRUE(push(previous, *second_, open, kToken, steps).ok());
  EXPECT_TRUE(session->read(true)->has_result());
}

TEST_F(RingTest, NobodyMayPushIntoAFirstHop) {
  HopClient stranger;
  const wire::Open open = open_for(*second_);
  const auto session = opened(*second_, open);
  EXPECT_EQ(push(stranger, *second_, open, "").error_code(), grpc::StatusCode::PERMISSION_DENIED);
}

TEST_F(RingTest, APushForASessionThatNeverOpensIsGivenUp) {
  HopClient stranger;
  const auto started = Clock::now();
  EXPECT_EQ(push(stranger, *second_, open_for(*second_), kToken).error_code(),
            grpc::StatusCode::NOT_FOUND);
  EXPECT_LT(Clock::now() - started, std::chrono::seconds(9));
}

TEST(Leaving, FinishesRunningSessionsAndRefusesNewOnes) {
  const auto node = start({0, 4});
  HopClient client;
  auto session = client.stream(*node);
  ASSERT_TRUE(session->open(open_for(*node)));
  ASSERT_TRUE(session->read()->has_welcome());
  std::thread leaving([&] { node->drain_and_stop(20'000); });
  wire::DescribeReply reply;
  const auto deadline = Clock::now() + std::chrono::seconds(5);
  while (reply.load().state() != static_cast<std::uint32_t>(proto::NodeState::kDraining) &&
         Clock::now() < deadline) {
    client.describe(*node, reply);
  }
  EXPECT_EQ(reply.load().state(), static_cast<std::uint32_t>(proto::NodeState::kDraining));
  auto late = client.stream(*node);
  ASSERT_TRUE(late->open(open_for(*node)));
  const auto failure = late->failure();
  ASSERT_TRUE(failure.has_value());
  EXPECT_EQ(failure->code(), static_cast<std::uint32_t>(absl::StatusCode::kUnavailable));
  late.reset();
  ASSERT_TRUE(session->step(step_of(1, 0, random_rows(1, 5))));
  EXPECT_TRUE(session->read(true)->has_result());
  const auto closed = Clock::now();
  session->close();
  while (session->read()) {
  }
  EXPECT_TRUE(session->finish().ok());
  leaving.join();
  EXPECT_LT(Clock::now() - closed, std::chrono::seconds(4));
}

TEST(Leaving, SessionsThatDoNotFinishAreToldWhy) {
  const auto node = start({0, 4});
  HopClient client;
  const auto session = client.stream(*node);
  ASSERT_TRUE(session->open(open_for(*node)));
  ASSERT_TRUE(session->read()->has_welcome());
  std::thread leaving([&] { node->drain_and_stop(100); });
  const auto failure = session->failure();
  leaving.join();
  ASSERT_TRUE(failure.has_value());
  EXPECT_EQ(failure->code(), static_cast<std::uint32_t>(absl::StatusCode::kUnavailable));
  EXPECT_NE(failure->reason().find("shutting down"), std::string::npos);
}

TEST(Leaving, StartingAndStoppingLeavesNoThreadAndNoDescriptor) {
  start({0, 1})->drain_and_stop(0);  // gRPC makes its own threads on first use
  start({0, 1})->drain_and_stop(0);
  const std::int64_t threads = tests::running_threads();
  const std::int64_t descriptors = tests::open_descriptors();
  constexpr std::size_t kRounds = 20;
  for (std::size_t round = 0; round < kRounds; ++round) {
    const auto node = start({0, 1});
    ASSERT_NE(node, nullptr);
    HopClient client;
    const auto session = client.stream(*node);
    session->open(open_for(*node));
    EXPECT_TRUE(session->read()->has_welcome());
  }
  // gRPC's own pool grows and shrinks by a few; one of ours left behind per round would be twenty.
  const auto grown = [&] {
    return std::max<std::int64_t>(tests::running_threads() - threads,
                                  tests::open_descriptors() - descriptors);
  };
  const auto deadline = Clock::now() + std::chrono::seconds(10);
  while (grown() > std::int64_t{kRounds} / 2 && Clock::now() < deadline) {
    std::this_thread::sleep_for(std::chrono::milliseconds(50));
  }
  EXPECT_LE(grown(), std::int64_t{kRounds} / 2);
}

}  // namespace
}  // namespace shoal::node
