// SPDX-License-Identifier: Apache-2.0
// One hop as its client sees it, over real mutual TLS: steps, truncation, epochs, and an answer to
// everything malformed.
#include <grpcpp/generic/generic_stub.h>
#include <grpcpp/support/proto_buffer_reader.h>
#include <gtest/gtest.h>

#include <bit>
#include <functional>
#include <limits>
#include <thread>

#include "model/manifest.h"
#include "net/identity_tls.h"
#include "proto/description.h"
#include "tests/node/demo_model.h"
#include "tests/node/hop_client.h"

namespace shoal::node {
namespace {

class SpanServiceTest : public testing::Test {
 protected:
  static void SetUpTestSuite() {
    net::init_transport();
    NodeOptions options;
    options.model_directory = kDemoModel;
    options.blocks = proto::Span{2, 6};
    options.listen = *proto::parse_endpoint("127.0.0.1:0");
    options.threads = 1;
    options.kv_positions = 4096;
    options.max_sessions_per_peer = 8;
    options.max_sessions = 12;
    auto node = Node::start(std::move(options));
    ASSERT_TRUE(node.ok()) << node.status();
    node_ = std::move(*node);
  }
  static void TearDownTestSuite() { node_.reset(); }

  void SetUp() override { ASSERT_NE(node_, nullptr); }
  void TearDown() override {
    ASSERT_NE(node_, nullptr);
    EXPECT_TRUE(becomes_idle(*node_)) << "the session left something behind";
  }

  std::unique_ptr<HopStream> opened(const wire::Open& open) {
    auto stream = client_.stream(*node_);
    EXPECT_TRUE(stream->open(open));
    const auto frame = stream->read();
    EXPECT_TRUE(frame && frame->has_welcome()) << (frame ? frame->DebugString() : "stream ended");
    return stream;
  }
  std::unique_ptr<HopStream> opened() { return opened(open_for(*node_)); }

  static std::unique_ptr<Node> node_;
  HopClient client_;
};
std::unique_ptr<Node> SpanServiceTest::node_;

TEST_F(SpanServiceTest, TellsTheManifestOfItsModel) {
  const auto stub = wire::SpanService::NewStub(client_.channel(*node_));
  const auto ask = [&](const std::string& digest, std::uint64_t offset, wire::ManifestReply& reply,
                       std::uint32_t major = proto::kProtocolMajor) {
    grpc::ClientContext context;
    context.set_deadline(std::chrono::system_clock::now() + std::chrono::seconds(10));
    wire::ManifestRequest request;
    request.mutable_version()->set_major(major);
    request.set_model_digest(digest);
    request.set_offset(offset);
    return stub->Manifest(&context, request, &reply);
  };
  const std::string digest = node_->model_digest().to_bytes();
  wire::ManifestReply reply;
  ASSERT_TRUE(ask(digest, 0, reply).ok());
  const std::string bytes = reply.chunk();
  EXPECT_EQ(reply.total_bytes(), bytes.size());
  EXPECT_EQ(model::sha256(bytes).value(), node_->model_digest().bytes);
  EXPECT_TRUE(model::parse_manifest(bytes, "it").ok());
  ASSERT_TRUE(ask(digest, 100, reply).ok());
  EXPECT_EQ(reply.chunk(), bytes.substr(100));
  EXPECT_EQ(reply.total_bytes(), bytes.size());

  EXPECT_EQ(ask(digest, bytes.size(), reply).error_code(), grpc::OUT_OF_RANGE);
  EXPECT_EQ(ask(digest, ~std::uint64_t{0}, reply).error_code(), grpc::OUT_OF_RANGE);
  EXPECT_EQ(ask(std::string(32, 'x'), 0, reply).error_code(), grpc::NOT_FOUND);
  EXPECT_EQ(ask("x", 0, reply).error_code(), grpc::INVALID_ARGUMENT);
  EXPECT_EQ(ask(digest, 0, reply, 99).error_code(), grpc::FAILED_PRECONDITION);
  // More than may be under way at once: all are given back, if a moment after the answer is here.
  for (int i = 0; i < 200; ++i) {
    grpc::Status status = ask(digest, 0, reply);
    for (int wait = 0; wait < 1'000 && status.error_code() == grpc::RESOURCE_EXHAUSTED; ++wait) {
      std::this_thread::sleep_for(std::chrono::milliseconds(1));
      status = ask(digest, 0, reply);
    }
    ASSERT_TRUE(status.ok()) << i;
  }
}

TEST_F(SpanServiceTest, DescribesItself) {
  wire::DescribeReply reply;
  ASSERT_TRUE(client_.describe(*node_, reply).ok());
  EXPECT_EQ(reply.peer_id(), node_->peer_id().to_bytes());
  EXPECT_EQ(reply.load().state(), static_cast<std::uint32_t>(proto::NodeState::kOnline));
  EXPECT_EQ(reply.offer().model_name(), "demo");
  EXPECT_EQ(reply.offer().block_count(), 8u);
  EXPECT_EQ(reply.offer().span_begin(), 2u);
  EXPECT_EQ(reply.offer().span_end(), 6u);
  EXPECT_EQ(reply.hidden(), 256u);
  const auto description = proto::from_wire(reply);
  ASSERT_TRUE(description.ok()) << description.status();
  EXPECT_EQ(proto::to_string(description->serving->offer.numerics), "f32/bf16");
  EXPECT_EQ(reply.max_positions(), 1024u);
  EXPECT_EQ(reply.total_kv_positions(), 4096u);
  EXPECT_GT(reply.load().block_step_us(), 0);
  EXPECT_EQ(reply.codecs_size(), 3);
}

TEST_F(SpanServiceTest, RefusesAnotherMajorVersionWithAReason) {
  wire::DescribeReply reply;
  const grpc::Status status = client_.describe(*node_, reply, 1);
  EXPECT_EQ(status.error_code(), grpc::StatusCode::FAILED_PRECONDITION);
  EXPECT_NE(status.error_message().find("you speak protocol 1.0, this node speaks 2.2"),
            std::string::npos);
}

TEST_F(SpanServiceTest, StepsGiveWhatTheBlocksComputeAndAcknowledgements) {
  const auto stream = opened();
  const auto prompt = random_rows(1, 70);
  const auto token = random_rows(2, 1);
  const auto expected = computed_alone({2, 6}, joined(prompt, token));
  ASSERT_TRUE(stream->step(step_of(10, 0, prompt)));
  ASSERT_TRUE(stream->step(step_of(11, 70, token, wire::RETURN_LAST)));
  std::vector<float> got;
  std::uint32_t acks = 0;
  while (acks < 2) {
    const auto frame = stream->read();
    ASSERT_TRUE(frame.has_value());
    if (frame->has_result()) {
      EXPECT_EQ(frame->result().start_position(), got.empty() ? 0u : 70u);
      EXPECT_EQ(frame->result().step_id(), got.empty() ? 10u : 11u);
      got = joined(got, values(frame->result().activation()));
    } else {
      ASSERT_TRUE(frame->has_ack()) << frame->DebugString();
      EXPECT_EQ(frame->ack().step_id(), 10u + acks);
      EXPECT_EQ(frame->ack().position(), acks == 0 ? 70u : 71u);
      EXPECT_GT(frame->ack().compute_us(), 0u);
      ++acks;
    }
  }
  EXPECT_TRUE(bitwise_equal(got, expected));
}

TEST_F(SpanServiceTest, ReturnsTheRowsThatWereAskedFor) {
  const auto stream = opened();
  const auto x = random_rows(1, 10);
  ASSERT_TRUE(stream->step(step_of(1, 0, x, wire::RETURN_NONE)));
  ASSERT_TRUE(stream->step(step_of(2, 0, x, wire::RETURN_LAST)));
  const auto frame = stream->read(true);
  ASSERT_TRUE(frame && frame->has_result());
  EXPECT_EQ(frame->result().step_id(), 2u) << "the first step was to return nothing";
  EXPECT_EQ(frame->result().start_position(), 9u);
  EXPECT_EQ(frame->result().activation().rows(), 1u);
}

TEST_F(SpanServiceTest, AStartBelowThePositionTruncatesFirst) {
  const auto stream = opened();
  const auto x = random_rows(1, 40);
  const auto replacement = random_rows(2, 3);
  ASSERT_TRUE(stream->step(step_of(1, 0, x, wire::RETURN_NONE)));
  ASSERT_TRUE(stream->step(step_of(2, 10, replacement)));
  const auto frame = stream->read(true);
  ASSERT_TRUE(frame && frame->has_result());
  const std::vector<float> kept(x.begin(), x.begin() + 10 * 256);
  const auto expected = computed_alone({2, 6}, joined(kept, replacement));
  EXPECT_TRUE(bitwise_equal(values(frame->result().activation()),
                            {expected.end() - 3 * 256, expected.end()}));
}

TEST_F(SpanServiceTest, FramesOfAnOlderEpochAreDropped) {
  const auto stream = opened();
  const auto x = random_rows(1, 5);
  ASSERT_TRUE(stream->step(step_of(1, 0, x, wire::RETURN_LAST, 1)));
  ASSERT_TRUE(stream->step(step_of(5, 0, x, wire::RETURN_LAST, 3)));
  ASSERT_TRUE(stream->step(step_of(2, 5, x, wire::RETURN_LAST, 1)));  // late
  ASSERT_TRUE(stream->step(step_of(9, 9, x, wire::RETURN_LAST, 2)));  // late, and senseless
  ASSERT_TRUE(stream->step(step_of(6, 5, x, wire::RETURN_LAST, 3)));
  std::vector<std::uint64_t> ids;
  while (ids.size() < 3) {
    const auto frame = stream->read(true);
    ASSERT_TRUE(frame && frame->has_result()) << (frame ? frame->DebugString() : "stream ended");
    ids.push_back(frame->result().step_id());
  }
  EXPECT_EQ(ids, (std::vector<std::uint64_t>{1, 5, 6}));
}

TEST_F(SpanServiceTest, HeartbeatsComeBack) {
  const auto stream = opened();
  wire::ClientFrame beat;
  beat.mutable_heartbeat()->set_nonce(77);
  ASSERT_TRUE(stream->send(beat));
  const auto frame = stream->read();
  ASSERT_TRUE(frame && frame->has_heartbeat());
  EXPECT_EQ(frame->heartbeat().nonce(), 77u);
}

TEST_F(SpanServiceTest, ClosingEndsTheStreamWithoutAnError) {
  const auto stream = opened();
  ASSERT_TRUE(stream->step(step_of(1, 0, random_rows(1, 5))));
  ASSERT_TRUE(stream->read(true)->has_result());
  stream->close();
  while (stream->read()) {
  }
  EXPECT_TRUE(stream->finish().ok());
}

TEST_F(SpanServiceTest, AClientThatVanishesLeavesNoPageBehind) {
  for (int round = 0; round < 10; ++round) {
    const auto stream = opened();
    for (std::uint64_t step = 0; step < 4; ++step)
      stream->step(step_of(step, 0, random_rows(1, 200)));
    std::this_thread::sleep_for(std::chrono::milliseconds(3 * round));
    stream->cancel();
  }
  EXPECT_TRUE(becomes_idle(*node_));
}

TEST_F(SpanServiceTest, TheSameClientMayOpenItsSessionAnew) {
  const wire::Open open = open_for(*node_);
  const auto first = opened(open);
  ASSERT_TRUE(first->step(step_of(1, 0, random_rows(1, 5))));
  const auto second = opened(open);
  EXPECT_FALSE(first->failure().has_value());
  ASSERT_TRUE(second->step(step_of(1, 0, random_rows(1, 5))));
  EXPECT_TRUE(second->read(true)->has_result());
}

TEST_F(SpanServiceTest, NobodyElseMayTakeASessionOver) {
  const wire::Open open = open_for(*node_);
  const auto first = opened(open);
  HopClient stranger;
  const auto second = stranger.stream(*node_);
  ASSERT_TRUE(second->open(open));
  EXPECT_EQ(second->failure()->code(),
            static_cast<std::uint32_t>(absl::StatusCode::kAlreadyExists));
  ASSERT_TRUE(first->step(step_of(1, 0, random_rows(1, 5))));
  EXPECT_TRUE(first->read(true)->has_result());
}

TEST_F(SpanServiceTest, SessionsOfOnePeerAndOfAllAreLimited) {
  std::vector<std::unique_ptr<HopStream>> streams;
  for (int i = 0; i < 8; ++i) streams.push_back(opened());
  const auto ninth = client_.stream(*node_);
  ASSERT_TRUE(ninth->open(open_for(*node_)));
  auto failure = ninth->failure();
  ASSERT_TRUE(failure.has_value());
  EXPECT_EQ(failure->code(), static_cast<std::uint32_t>(absl::StatusCode::kResourceExhausted));
  EXPECT_GT(failure->retry_after_ms(), 0u);
  EXPECT_EQ(ninth->finish().error_code(), grpc::StatusCode::RESOURCE_EXHAUSTED);

  HopClient other;
  for (int i = 0; i < 5; ++i) {
    auto stream = other.stream(*node_);
    ASSERT_TRUE(stream->open(open_for(*node_)));
    const auto frame = stream->read();
    ASSERT_TRUE(frame.has_value());
    EXPECT_EQ(frame->has_welcome(), i < 4) << i;
    streams.push_back(std::move(stream));
  }
}

TEST_F(SpanServiceTest, KvThatIsShortIsRefusedWithARetryTime) {
  std::vector<std::unique_ptr<HopStream>> streams;
  for (int i = 0; i < 4; ++i) streams.push_back(opened(open_for(*node_, 1024)));
  const auto stream = client_.stream(*node_);
  ASSERT_TRUE(stream->open(open_for(*node_, 1)));
  const auto failure = stream->failure();
  ASSERT_TRUE(failure.has_value());
  EXPECT_EQ(failure->code(), static_cast<std::uint32_t>(absl::StatusCode::kResourceExhausted));
  EXPECT_GT(failure->retry_after_ms(), 0u);
}

TEST_F(SpanServiceTest, AnotherModelIsRefusedNamingBoth) {
  wire::Open open = open_for(*node_);
  open.set_model_digest(std::string(32, 'x'));
  const auto stream = client_.stream(*node_);
  ASSERT_TRUE(stream->open(open));
  const auto failure = stream->failure();
  ASSERT_TRUE(failure.has_value());
  EXPECT_EQ(failure->code(), static_cast<std::uint32_t>(absl::StatusCode::kFailedPrecondition));
  EXPECT_NE(failure->reason().find(to_string(node_->model_digest())), std::string::npos);
  EXPECT_NE(failure->reason().find("78787878"), std::string::npos);
}

TEST_F(SpanServiceTest, TheFirstFrameMustBeOpen) {
  const auto stream = client_.stream(*node_);
  ASSERT_TRUE(stream->step(step_of(1, 0, random_rows(1, 1))));
  EXPECT_EQ(stream->failure()->code(),
            static_cast<std::uint32_t>(absl::StatusCode::kInvalidArgument));
}

TEST_F(SpanServiceTest, SilenceInsteadOfOpenEndsTheStream) {
  const auto stream = client_.stream(*node_);
  const auto started = std::chrono::steady_clock::now();
  const auto failure = stream->failure();
  ASSERT_TRUE(failure.has_value());
  EXPECT_EQ(failure->code(), static_cast<std::uint32_t>(absl::StatusCode::kDeadlineExceeded));
  const auto waited = std::chrono::steady_clock::now() - started;
  EXPECT_GE(waited, std::chrono::seconds(4));
  EXPECT_LE(waited, std::chrono::seconds(9));
}

struct BadStep {
  const char* name;
  std::function<void(wire::Step&)> change;
  absl::StatusCode code;
  const char* says;
};

class BadStepTest : public SpanServiceTest, public testing::WithParamInterface<BadStep> {};

TEST_P(BadStepTest, EndsTheSessionWithAReason) {
  const auto stream = opened();
  ASSERT_TRUE(stream->step(step_of(5, 0, random_rows(1, 5), wire::RETURN_NONE)));
  ASSERT_TRUE(stream->read()->has_ack());
  wire::Step step = step_of(6, 5, random_rows(1, 2));
  GetParam().change(step);
  ASSERT_TRUE(stream->step(step));
  const auto failure = stream->failure();
  ASSERT_TRUE(failure.has_value());
  EXPECT_EQ(failure->code(), static_cast<std::uint32_t>(GetParam().code)) << failure->reason();
  EXPECT_NE(failure->reason().find(GetParam().says), std::string::npos) << failure->reason();
  EXPECT_EQ(failure->step_id(), step.step_id());
  EXPECT_EQ(static_cast<int>(stream->finish().error_code()), static_cast<int>(GetParam().code));
}

void poke(wire::Step& step, float value) {
  const auto bits = std::bit_cast<std::uint32_t>(value);
  step.mutable_activation()->mutable_data()->replace(4 * 300, 4,
                                                     reinterpret_cast<const char*>(&bits), 4);
}

using enum absl::StatusCode;
INSTANTIATE_TEST_SUITE_P(
    Step, BadStepTest,
    testing::Values(
        BadStep{"gap", [](wire::Step& s) { s.set_start_position(6); }, kOutOfRange,
                "the session is at 5"},
        BadStep{"far_gap", [](wire::Step& s) { s.set_start_position(0xffffffff); }, kOutOfRange,
                "gap"},
        BadStep{"beyond_lease", [](wire::Step& s) { s = step_of(6, 5, random_rows(1, 252)); },
                kOutOfRange, "256"},
        BadStep{"same_id", [](wire::Step& s) { s.set_step_id(5); }, kInvalidArgument, "increase"},
        BadStep{"hidden", [](wire::Step& s) { s.mutable_activation()->set_hidden(128); },
                kInvalidArgument, "256"},
        BadStep{"no_rows", [](wire::Step& s) { s.mutable_activation()->set_rows(0); },
                kInvalidArgument, "[0, 256]"},
        BadStep{"size", [](wire::Step& s) { s.mutable_activation()->mutable_data()->pop_back(); },
                kInvalidArgument, "bytes"},
        BadStep{"empty", [](wire::Step& s) { s.clear_activation(); }, kInvalidArgument, "codec 0"},
        BadStep{
            "codec",
            [](wire::Step& s) { s.mutable_activation()->set_codec(static_cast<wire::Codec>(9)); },
            kInvalidArgument, "codec 9"},
        BadStep{"nan", [](wire::Step& s) { poke(s, std::numeric_limits<float>::quiet_NaN()); },
                kInvalidArgument, "not finite"},
        BadStep{"infinity", [](wire::Step& s) { poke(s, std::numeric_limits<float>::infinity()); },
                kInvalidArgument, "not finite"},
        BadStep{"return_rows",
                [](wire::Step& s) { s.set_return_rows(static_cast<wire::ReturnRows>(7)); },
                kInvalidArgument, "return_rows 7"}),
    [](const auto& info) { return std::string(info.param.name); });

TEST_F(SpanServiceTest, AMessageBeyondTheLimitEndsTheStream) {
  const auto stream = opened();
  wire::Step step = step_of(1, 0, random_rows(1, 1));
  step.mutable_activation()->set_data(std::string(proto::kMaxMessageBytes + 1, 'x'));
  stream->step(step);
  while (stream->read()) {
  }
  EXPECT_EQ(stream->finish().error_code(), grpc::StatusCode::RESOURCE_EXHAUSTED);
}

// Bytes that are no frame, on either stream, at any moment: an answer with a reason, never OK.
class RawStream {
 public:
  RawStream(const std::shared_ptr<grpc::Channel>& channel, const std::string& method,
            const std::vector<std::string>& messages)
      : stub_(channel) {
    context_.set_deadline(std::chrono::system_clock::now() + std::chrono::seconds(20));
    call_ = stub_.PrepareCall(&context_, "/shoal.wire.SpanService/" + method, &queue_);
    call_->StartCall(tag());
    bool good = wait();
    for (const std::string& message : messages) {
      grpc::Slice slice(message);
      grpc::ByteBuffer bytes(&slice, 1);
      if (!good) break;
      call_->Write(bytes, tag());
      good = wait();
    }
    while (true) {
      grpc::ByteBuffer bytes;
      call_->Read(&bytes, tag());
      if (!wait()) break;
      grpc::ProtoBufferReader reader(&bytes);
      wire::HopFrame frame;
      if (method == "Session" && frame.ParseFromZeroCopyStream(&reader) && frame.has_failure()) {
        failure_ = frame.failure();
      }
    }
    call_->Finish(&status_, tag());
    wait();
  }
  ~RawStream() {
    queue_.Shutdown();
    void* got = nullptr;
    bool ok = false;
    while (queue_.Next(&got, &ok)) {
    }
  }
  const grpc::Status& status() const { return status_; }
  const std::optional<wire::Failure>& failure() const { return failure_; }

 private:
  void* tag() { return this; }
  bool wait() {
    void* got = nullptr;
    bool ok = false;
    return queue_.Next(&got, &ok) && ok;
  }

  grpc::CompletionQueue queue_;
  grpc::GenericStub stub_;
  grpc::ClientContext context_;
  std::unique_ptr<grpc::GenericClientAsyncReaderWriter> call_;
  grpc::Status status_;
  std::optional<wire::Failure> failure_;
};

TEST_F(SpanServiceTest, WhatIsNoFrameEndsAStreamWithAReason) {
  wire::ClientFrame open;
  *open.mutable_open() = open_for(*node_);
  const std::string good = open.SerializeAsString();
  const std::vector<std::string> broken = {
      std::string("\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff", 11),  // an endless number
      good.substr(0, good.size() - 3),                                  // cut off
      std::string("\x0a\x05hi", 4),                                     // longer than the message
      std::string("\x12\x02\x2a\x7f", 4),  // a step with a cut activation
      std::string("\x07", 1)};             // a type that does not exist
  for (const std::string& bytes : broken) {
    for (const bool opened : {false, true}) {
      *open.mutable_open() = open_for(*node_);
      std::vector<std::string> messages;
      if (opened) messages.push_back(open.SerializeAsString());
      messages.push_back(bytes);
      const RawStream session(client_.channel(*node_), "Session", messages);
      EXPECT_EQ(session.status().error_code(), grpc::StatusCode::INVALID_ARGUMENT)
          << session.status().error_message();
      ASSERT_TRUE(session.failure().has_value());
      EXPECT_EQ(session.failure()->code(),
                static_cast<std::uint32_t>(absl::StatusCode::kInvalidArgument));
      EXPECT_FALSE(session.failure()->reason().empty());
    }
    const RawStream push(client_.channel(*node_), "Push", {bytes});
    EXPECT_EQ(push.status().error_code(), grpc::StatusCode::INVALID_ARGUMENT)
        << push.status().error_message();
  }
}

TEST_F(SpanServiceTest, AStreamThatEndsBeforeItOpensWasNoSession) {
  const auto stream = client_.stream(*node_);
  stream->close();
  const auto failure = stream->failure();
  ASSERT_TRUE(failure.has_value());
  EXPECT_EQ(stream->finish().error_code(), grpc::StatusCode::INVALID_ARGUMENT);
}

// The hop before may be broken or hostile: the session ends, and its client is told who it was.
TEST_F(SpanServiceTest, APushThatIsNoFrameEndsItsSessionAndNamesTheHopBefore) {
  HopClient previous;
  wire::Open open = open_for(*node_);
  const std::string token(16, 't');
  set_previous(open, previous.peer_id(), token);
  const auto session = opened(open);
  wire::PushFrame first;
  first.mutable_open()->mutable_version()->set_major(proto::kProtocolMajor);
  first.mutable_open()->set_session_id(open.session_id());
  first.mutable_open()->set_hop_token(token);
  const RawStream push(previous.channel(*node_), "Push",
                       {first.SerializeAsString(), std::string("\x12\x7f", 2)});
  EXPECT_EQ(push.status().error_code(), grpc::StatusCode::INVALID_ARGUMENT);
  const auto failure = session->failure();
  ASSERT_TRUE(failure.has_value());
  EXPECT_EQ(failure->code(), static_cast<std::uint32_t>(absl::StatusCode::kInvalidArgument));
  EXPECT_EQ(failure->peer_id(), previous.peer_id().to_bytes());
}

TEST_F(SpanServiceTest, OpeningTwiceEndsTheSession) {
  const wire::Open open = open_for(*node_);
  const auto stream = opened(open);
  ASSERT_TRUE(stream->open(open));
  EXPECT_EQ(stream->failure()->code(),
            static_cast<std::uint32_t>(absl::StatusCode::kInvalidArgument));
}

}  // namespace
}  // namespace shoal::node
