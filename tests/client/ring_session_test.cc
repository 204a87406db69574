// SPDX-License-Identifier: Apache-2.0
// A session against hops that the test plays itself, over real gRPC and TLS: what goes over the
// wire, and what a client makes of a hop that lies, refuses or vanishes.
#include "client/ring/ring_session.h"

#include <gmock/gmock.h>
#include <grpcpp/server_context.h>
#include <gtest/gtest.h>

#include <atomic>
#include <functional>
#include <future>
#include <limits>
#include <thread>

#include "base/check.h"
#include "net/channel_pool.h"
#include "net/io_thread.h"
#include "net/server.h"
#include "proto/activation.h"
#include "proto/limits.h"
#include "proto/scores.h"
#include "proto/span_service.grpc.pb.h"

namespace shoal::client {
namespace {

using ::testing::HasSubstr;
using Stream = grpc::ServerReaderWriter<wire::HopFrame, wire::ClientFrame>;
constexpr std::uint32_t kHidden = 4;

// A hop whose behaviour is a function of the frames that come.
class FakeHop : public wire::SpanService::Service {
 public:
  using Behaviour =
      std::function<bool(const wire::ClientFrame&, Stream&)>;  // false: end the stream

  explicit FakeHop(Behaviour behaviour) : behaviour_(std::move(behaviour)) {
    auto started =
        net::start_server(proto::Endpoint::v4({127, 0, 0, 1}, 0), identity_, std::nullopt, {this});
    CHECK(started.ok()) << started.status();
    running_ = *std::move(started);
  }
  ~FakeHop() override { running_.server->Shutdown(std::chrono::system_clock::now()); }

  grpc::Status Session(grpc::ServerContext*, Stream* stream) override {
    wire::ClientFrame frame;
    while (stream->Read(&frame)) {
      if (!behaviour_(frame, *stream)) break;
    }
    return grpc::Status::OK;
  }
  Hop hop(proto::Span span) const { return {identity_.peer_id(), {running_.endpoint}, span}; }

 private:
  Behaviour behaviour_;
  identity::Identity identity_ = identity::Identity::generate();
  net::RunningServer running_;
};

wire::HopFrame welcome(const wire::Open& open, std::uint32_t rows = 1024) {
  wire::HopFrame frame;
  wire::Welcome& message = *frame.mutable_welcome();
  *message.mutable_version() = open.version();
  *message.mutable_span() = open.span();
  message.set_max_positions(open.max_positions());
  message.set_max_rows_per_step(rows);
  return frame;
}

wire::HopFrame ack(const wire::Step& step) {
  wire::HopFrame frame;
  frame.mutable_ack()->set_epoch(step.epoch());
  frame.mutable_ack()->set_step_id(step.step_id());
  frame.mutable_ack()->set_position(step.start_position() + step.activation().rows());
  frame.mutable_ack()->set_compute_us(5);
  return frame;
}

// The step's rows as they came, as far as they are asked for.
wire::HopFrame echo(const wire::Step& step) {
  wire::HopFrame frame;
  wire::Result& result = *frame.mutable_result();
  result.set_epoch(step.epoch());
  result.set_step_id(step.step_id());
  const std::uint32_t rows = step.activation().rows();
  const std::uint32_t first = step.return_rows() == wire::RETURN_LAST ? rows - 1 : 0;
  result.set_start_position(step.start_position() + first);
  *result.mutable_activation() = step.activation();
  result.mutable_activation()->set_rows(rows - first);
  result.mutable_activation()->set_data(
      step.activation().data().substr(first * kHidden * sizeof(float)));
  return frame;
}

// A hop as it should be, but for what `on_step` does instead.
FakeHop::Behaviour honest(std::function<bool(const wire::Step&, Stream&)> on_step = {},
                          std::uint32_t rows = 1024) {
  return [=](const wire::ClientFrame& frame, Stream& stream) {
    if (frame.has_open()) stream.Write(welcome(frame.open(), rows));
    if (frame.has_heartbeat()) {
      wire::HopFrame answer;
      *answer.mutable_heartbeat() = frame.heartbeat();
      stream.Write(answer);
    }
    if (!frame.has_step()) return true;
    if (on_step) return on_step(frame.step(), stream);
    if (frame.step().return_rows() != wire::RETURN_NONE) stream.Write(echo(frame.step()));
    stream.Write(ack(frame.step()));
    return true;
  };
}

class Ring : public ::testing::Test {
 protected:
  static void SetUpTestSuite() { net::init_transport(); }

  std::unique_ptr<RingSession> session(const FakeHop& hop) {
    RingOptions options;
    options.hidden = kHidden;
    options.positions = 4096;
    options.epoch = 3;
    return std::make_unique<RingSession>(Route{hop.hop({0, 8})}, options, channels_, io_,
                                         interrupt_);
  }
  // Of a hop that computes the model's ends.
  std::unique_ptr<RingSession> scoring_session(const FakeHop& hop) {
    RingOptions options;
    options.hidden = kHidden;
    options.vocabulary = 8;
    options.positions = 4096;
    options.epoch = 3;
    Hop only = hop.hop({0, 8});
    only.ends = {true, proto::WeightFormat::kQ8};
    return std::make_unique<RingSession>(Route{only}, options, channels_, io_, interrupt_);
  }
  // Opens, sends one row, and returns the error that must come of it.
  std::string error_of(const FakeHop& hop, std::unique_ptr<RingSession> ring = nullptr) {
    if (!ring) ring = session(hop);
    absl::Status status = ring->open();
    if (status.ok())
      status = ring->run(std::vector<float>(kHidden, 1.0f), 0, RowsWanted::kLast).status();
    EXPECT_FALSE(status.ok());
    EXPECT_EQ(ring->failure().culprit, hop.hop({}).peer);
    EXPECT_THAT(std::string(status.message()), HasSubstr(proto::short_name(hop.hop({}).peer)));
    return std::string(status.message());
  }

  base::StopToken interrupt_;
  net::ChannelPool channels_{identity::Identity::generate(), std::nullopt};
  net::IoThread io_;
};

TEST_F(Ring, RowsGoOutInChunksAndComeBackInOrder) {
  std::vector<wire::Step> steps;
  FakeHop hop(honest(
      [&](const wire::Step& step, Stream& stream) {
        steps.push_back(step);
        if (step.return_rows() != wire::RETURN_NONE) stream.Write(echo(step));
        stream.Write(ack(step));
        return true;
      },
      100));
  std::vector<float> rows(250 * kHidden);
  for (std::size_t i = 0; i < rows.size(); ++i) rows[i] = static_cast<float>(i);
  auto ring = session(hop);
  ASSERT_TRUE(ring->open().ok());
  EXPECT_EQ(*ring->run(rows, 0, RowsWanted::kAll), rows);
  EXPECT_EQ(*ring->run(rows, 250, RowsWanted::kLast),
            std::vector<float>(rows.end() - kHidden, rows.end()));
  EXPECT_TRUE(ring->run(rows, 10, RowsWanted::kNone)->empty());
  ring.reset();
  ASSERT_EQ(steps.size(), 9u);
  const std::vector<std::uint32_t> starts{0, 100, 200, 250, 350, 450, 10, 110, 210};
  for (std::size_t i = 0; i < steps.size(); ++i) {
    EXPECT_EQ(steps[i].start_position(), starts[i]);
    EXPECT_EQ(steps[i].activation().rows(), i % 3 == 2 ? 50u : 100u);
    EXPECT_EQ(steps[i].epoch(), 3u);
    EXPECT_GT(steps[i].step_id(), i == 0 ? 0 : steps[i - 1].step_id());
    const auto expected = i < 3 ? wire::RETURN_ALL : i == 5 ? wire::RETURN_LAST : wire::RETURN_NONE;
    EXPECT_EQ(steps[i].return_rows(), expected) << i;
  }
}

// A last hop to whom the first step has been pushed, one row of fives, when `before` returns.
FakeHop::Behaviour pushed_five(std::function<void()> before) {
  return [before = std::move(before)](const wire::ClientFrame& frame, Stream& stream) {
    if (!frame.has_open()) return true;
    before();
    stream.Write(welcome(frame.open()));
    wire::Step pushed;
    pushed.set_epoch(frame.open().epoch());
    pushed.set_step_id(1);
    pushed.set_return_rows(wire::RETURN_LAST);
    *pushed.mutable_activation() =
        *proto::encode_activation(std::vector<float>(kHidden, 5.0f), 1, kHidden, wire::CODEC_F32);
    stream.Write(echo(pushed));
    stream.Write(ack(pushed));
    return true;
  };
}

RingOptions early_options() {
  RingOptions options;
  options.hidden = kHidden;
  options.positions = 16;
  options.early_rows = 8;
  return options;
}

// A session that knows what hops take, and asks for nothing that they keep.
TEST_F(Ring, TheFirstStepTravelsBehindOpenWithoutWaitingForWelcomes) {
  std::promise<void> stepped;
  FakeHop first(honest([&](const wire::Step& step, Stream& stream) {
    stepped.set_value();
    stream.Write(ack(step));
    return true;
  }));
  FakeHop second(pushed_five([has_stepped = stepped.get_future().share()] {
    EXPECT_EQ(has_stepped.wait_for(std::chrono::seconds(20)), std::future_status::ready);
  }));
  RingSession ring({first.hop({0, 4}), second.hop({4, 8})}, early_options(), channels_, io_,
                   interrupt_);
  ASSERT_TRUE(ring.open().ok());
  EXPECT_FALSE(ring.is_open());
  EXPECT_EQ(*ring.run(std::vector<float>(kHidden, 1.0f), 0, RowsWanted::kLast),
            std::vector<float>(kHidden, 5.0f));
  EXPECT_TRUE(ring.is_open());
}

// What it computes in is known by its welcome: rows that came before count only with it.
TEST_F(Ring, AnEarlyStepCountsOnlyOnceEveryHopHasWelcomedUs) {
  FakeHop first([](const wire::ClientFrame& frame, Stream& stream) {
    if (frame.has_step()) {
      stream.Write(ack(frame.step()));
      wire::HopFrame answer = welcome(wire::Open());
      stream.Write(answer);  // to another session than was asked for
    }
    return true;
  });
  FakeHop second(pushed_five([] {}));
  RingSession ring({first.hop({0, 4}), second.hop({4, 8})}, early_options(), channels_, io_,
                   interrupt_);
  ASSERT_TRUE(ring.open().ok());
  const auto rows = ring.run(std::vector<float>(kHidden, 1.0f), 0, RowsWanted::kLast);
  ASSERT_FALSE(rows.ok());
  EXPECT_THAT(std::string(rows.status().message()), HasSubstr("another session than was asked"));
  EXPECT_EQ(ring.failure().culprit, first.hop({}).peer);
  EXPECT_FALSE(ring.is_open());
}

// A hop that embeds and scores: token i of a vocabulary of eight has logit -i, whatever the row.
FakeHop::Behaviour scoring(std::function<void(wire::Result&)> change = {},
                           std::vector<wire::Step>* steps = nullptr) {
  return [=](const wire::ClientFrame& frame, Stream& stream) {
    if (frame.has_open()) {
      wire::HopFrame answer = welcome(frame.open(), 100);
      answer.mutable_welcome()->set_embeds(frame.open().embed());
      if (frame.open().score()) answer.mutable_welcome()->set_head(wire::WEIGHTS_Q8);
      stream.Write(answer);
    }
    if (!frame.has_step()) return true;
    const wire::Step& step = frame.step();
    if (steps != nullptr) steps->push_back(step);
    const std::size_t rows = step.token_ids().size() / 4;
    if (step.return_rows() != wire::RETURN_NONE) {
      const std::size_t count = step.return_rows() == wire::RETURN_ALL ? rows : 1;
      const auto wanted =
          proto::from_wire(step.scores(), static_cast<std::uint32_t>(count), 8).value();
      proto::RowScores row;
      for (std::int32_t id = 0; id < static_cast<std::int32_t>(wanted.top); ++id) {
        row.top.push_back({id, -static_cast<float>(id)});
      }
      row.rest_log_sum = -7.0;
      std::vector<proto::RowScores> all(count, row);
      for (std::size_t i = 0; i < wanted.also.size(); ++i) {
        all[i * count / wanted.also.size()].also.push_back(-static_cast<float>(wanted.also[i]));
      }
      wire::HopFrame answer;
      wire::Result& result = *answer.mutable_result();
      result.set_epoch(step.epoch());
      result.set_step_id(step.step_id());
      result.set_start_position(step.start_position() + static_cast<std::uint32_t>(rows - count));
      *result.mutable_scores() = proto::encode_scores(all);
      if (change) change(result);
      stream.Write(answer);
    }
    stream.Write(ack(step));
    return true;
  };
}

TEST_F(Ring, IdsGoOutInChunksAndScoresComeBackInOrder) {
  std::vector<wire::Step> steps;
  FakeHop hop(scoring({}, &steps));
  auto ring = scoring_session(hop);
  ASSERT_TRUE(ring->open().ok());
  const std::vector<std::int32_t> ids(250, 3);
  proto::ScoresWanted wanted{2, {}};
  for (std::size_t i = 0; i < ids.size(); ++i) wanted.also.push_back(static_cast<int>(i % 8));
  const auto scores = ring->run_ids(ids, 0, RowsWanted::kAll, wanted);
  ASSERT_TRUE(scores.ok()) << scores.status();
  ASSERT_EQ(scores->size(), 250u);
  for (std::size_t i = 0; i < ids.size(); ++i) {
    EXPECT_EQ((*scores)[i].also, std::vector<float>{-static_cast<float>(i % 8)}) << i;
  }
  EXPECT_EQ(ring->run_ids(ids, 250, RowsWanted::kLast, {3, {}})->size(), 1u);
  EXPECT_TRUE(ring->run_ids(ids, 10, RowsWanted::kNone, {3, {}})->empty());
  ring.reset();
  ASSERT_EQ(steps.size(), 9u);
  for (std::size_t i = 0; i < steps.size(); ++i) {
    EXPECT_FALSE(steps[i].has_activation());
    EXPECT_EQ(steps[i].token_ids().size(), 4u * (i % 3 == 2 ? 50 : 100));
    EXPECT_EQ(steps[i].has_scores(), steps[i].return_rows() != wire::RETURN_NONE) << i;
  }
}

TEST_F(Ring, BrokenScoresAreTheLastHopsFault) {
  const auto error = [&](const std::function<void(wire::Result&)>& change) {
    FakeHop hop(scoring(change));
    auto ring = scoring_session(hop);
    EXPECT_TRUE(ring->open().ok());
    const auto status =
        ring->run_ids(std::vector<std::int32_t>{1}, 0, RowsWanted::kLast, {3, {}}).status();
    EXPECT_EQ(ring->failure().culprit, hop.hop({}).peer);
    return std::string(status.message());
  };
  EXPECT_THAT(error([](auto& r) { r.clear_scores(); }), HasSubstr("another shape"));
  EXPECT_THAT(error([](auto& r) { r.mutable_scores()->set_ids(std::string(12, '\xff')); }),
              HasSubstr("outside of the vocabulary"));
  EXPECT_THAT(error([](auto& r) { r.mutable_scores()->set_logits(std::string(12, '\xff')); }),
              HasSubstr("not finite"));
  EXPECT_THAT(error([](auto& r) { r.set_start_position(5); }), HasSubstr("other rows"));
}

TEST_F(Ring, AHopThatDoesNotComputeItsEndIsAskedAgain) {
  FakeHop hop(honest());
  auto ring = scoring_session(hop);
  const auto status = ring->open();
  EXPECT_THAT(std::string(status.message()), HasSubstr("does not compute the end of the model"));
  EXPECT_TRUE(ring->failure().changed);
}

TEST_F(Ring, EveryHopLearnsItsNeighboursAndASecretOfTheirs) {
  std::vector<wire::Open> opens(3);
  std::vector<std::unique_ptr<FakeHop>> hops;
  Route route;
  for (std::size_t i = 0; i < opens.size(); ++i) {
    hops.push_back(
        std::make_unique<FakeHop>([&opens, i](const wire::ClientFrame& frame, Stream& stream) {
          if (frame.has_open()) {
            opens[i] = frame.open();
            stream.Write(welcome(frame.open()));
          }
          return true;
        }));
    route.push_back(hops.back()->hop(
        {static_cast<std::uint32_t>(i * 2), static_cast<std::uint32_t>(i * 2 + 2)}));
  }
  RingOptions options;
  options.hidden = kHidden;
  options.positions = 77;
  {
    RingSession ring(route, options, channels_, io_, interrupt_);
    ASSERT_TRUE(ring.open().ok());
  }
  EXPECT_TRUE(opens[0].hop_token().empty());
  EXPECT_TRUE(opens[0].previous_peer_id().empty());
  EXPECT_FALSE(opens[2].has_next());
  for (std::size_t i = 0; i + 1 < opens.size(); ++i) {
    EXPECT_EQ(opens[i].next().peer_id(), route[i + 1].peer.to_bytes());
    EXPECT_EQ(opens[i].next().hop_token(), opens[i + 1].hop_token());
    EXPECT_EQ(opens[i + 1].hop_token().size(), proto::HopToken::kSize);
    EXPECT_EQ(opens[i + 1].previous_peer_id(), route[i].peer.to_bytes());
    EXPECT_EQ(opens[i].session_id(), opens[i + 1].session_id());
    EXPECT_EQ(opens[i].max_positions(), 77u);
  }
  EXPECT_NE(opens[1].hop_token(), opens[2].hop_token());
}

TEST_F(Ring, AHopThatReturnsWhatIsNoNumberIsNamed) {
  FakeHop hop(honest([](const wire::Step& step, Stream& stream) {
    wire::HopFrame frame = echo(step);
    const float nan = std::numeric_limits<float>::quiet_NaN();
    frame.mutable_result()->mutable_activation()->mutable_data()->replace(
        0, sizeof(nan), reinterpret_cast<const char*>(&nan), sizeof(nan));
    return stream.Write(frame);
  }));
  EXPECT_THAT(error_of(hop), HasSubstr("broken activation"));
}

TEST_F(Ring, AHopThatReturnsOtherRowsIsNamed) {
  FakeHop elsewhere(honest([](const wire::Step& step, Stream& stream) {
    wire::HopFrame frame = echo(step);
    frame.mutable_result()->set_start_position(9);
    return stream.Write(frame);
  }));
  EXPECT_THAT(error_of(elsewhere), HasSubstr("other rows"));
  FakeHop unasked(honest([](const wire::Step& step, Stream& stream) {
    wire::HopFrame frame = echo(step);
    frame.mutable_result()->set_step_id(99);
    return stream.Write(frame);
  }));
  EXPECT_THAT(error_of(unasked), HasSubstr("nobody asked for"));
  FakeHop wide(honest([](const wire::Step& step, Stream& stream) {
    wire::HopFrame frame = echo(step);
    frame.mutable_result()->mutable_activation()->set_hidden(1u << 30);
    return stream.Write(frame);
  }));
  EXPECT_THAT(error_of(wide), HasSubstr("broken activation"));
}

TEST_F(Ring, FramesOfAnOlderEpochAreDropped) {
  FakeHop hop(honest([](const wire::Step& step, Stream& stream) {
    wire::HopFrame late = echo(step);
    late.mutable_result()->set_epoch(step.epoch() - 1);
    late.mutable_result()->mutable_activation()->set_data("nonsense");
    stream.Write(late);
    stream.Write(echo(step));
    return stream.Write(ack(step));
  }));
  auto ring = session(hop);
  ASSERT_TRUE(ring->open().ok());
  EXPECT_TRUE(ring->run(std::vector<float>(kHidden, 1.0f), 0, RowsWanted::kLast).ok());
}

TEST_F(Ring, AnAgreementToAnotherSessionIsNone) {
  FakeHop hop([](const wire::ClientFrame& frame, Stream& stream) {
    if (!frame.has_open()) return true;
    wire::HopFrame answer = welcome(frame.open());
    answer.mutable_welcome()->mutable_span()->set_end(7);
    return stream.Write(answer);
  });
  EXPECT_THAT(error_of(hop), HasSubstr("another session"));
}

TEST_F(Ring, BeginsAtTheLeastThatItsHopsHaveKept) {
  std::vector<wire::Open> opens(2);
  std::vector<wire::Keep> kept(2);
  std::atomic<int> keeps{0};
  std::vector<std::unique_ptr<FakeHop>> hops;
  for (std::size_t i = 0; i < 2; ++i) {
    hops.push_back(
        std::make_unique<FakeHop>([&, i](const wire::ClientFrame& frame, Stream& stream) {
          if (frame.has_open()) {
            opens[i] = frame.open();
            wire::HopFrame answer = welcome(frame.open());
            answer.mutable_welcome()->set_kept_positions(i == 0 ? 96 : 64);
            answer.mutable_welcome()->set_compute(wire::COMPUTE_I8);
            answer.mutable_welcome()->set_weights(wire::WEIGHTS_Q4);
            answer.mutable_welcome()->set_kv(wire::KV_F32);
            stream.Write(answer);
          }
          if (frame.has_keep()) {
            kept[i] = frame.keep();
            ++keeps;
          }
          return true;
        }));
  }
  RingOptions options;
  options.hidden = kHidden;
  options.positions = 128;
  options.epoch = 5;
  options.prefix = {std::string(48, 'a'), std::string(48, 'b')};
  Route route{hops[0]->hop({0, 4}), hops[1]->hop({4, 8})};
  for (Hop& hop : route) {
    hop.numerics = {proto::Compute::kI8, proto::WeightFormat::kQ4, proto::KvFormat::kF32};
  }
  {
    RingSession ring(route, options, channels_, io_, interrupt_);
    ASSERT_TRUE(ring.open().ok());
    EXPECT_EQ(ring.kept_positions(), 64u);
    EXPECT_TRUE(ring.names_numerics());
    ring.keep(2, {std::string(16, 'c'), std::string(16, 'd')});
    const auto until = std::chrono::steady_clock::now() + std::chrono::seconds(20);
    while (keeps < 2 && std::chrono::steady_clock::now() < until) {
      std::this_thread::sleep_for(std::chrono::milliseconds(1));
    }
  }
  ASSERT_EQ(keeps, 2);
  EXPECT_EQ(opens[0].prefix(), std::string(48, 'a'));
  EXPECT_EQ(opens[1].prefix(), std::string(48, 'b'));
  EXPECT_EQ(kept[0].hashes(), std::string(16, 'c'));
  EXPECT_EQ(kept[1].hashes(), std::string(16, 'd'));
  EXPECT_EQ(kept[1].first_page(), 2u);
  EXPECT_EQ(kept[1].epoch(), 5u);
}

TEST_F(Ring, AHopThatKeepsMoreThanItWasAskedForAgreesToAnotherSession) {
  for (const std::uint32_t positions : {32u, 33u, 0xffffffe0u}) {
    FakeHop hop([&](const wire::ClientFrame& frame, Stream& stream) {
      if (!frame.has_open()) return true;
      wire::HopFrame answer = welcome(frame.open());
      answer.mutable_welcome()->set_kept_positions(positions);
      return stream.Write(answer);
    });
    EXPECT_THAT(error_of(hop), HasSubstr("another session"));
  }
}

// It was started anew with other weights since it was asked.
TEST_F(Ring, AHopThatComputesInWhatItDidNotSayIsAskedAgain) {
  FakeHop hop([&](const wire::ClientFrame& frame, Stream& stream) {
    if (!frame.has_open()) return true;
    wire::HopFrame answer = welcome(frame.open());
    answer.mutable_welcome()->set_compute(wire::COMPUTE_I8);
    answer.mutable_welcome()->set_weights(wire::WEIGHTS_Q8);
    answer.mutable_welcome()->set_kv(wire::KV_F32);
    return stream.Write(answer);
  });
  RingOptions options;
  options.hidden = kHidden;
  options.positions = 16;
  Route route{hop.hop({0, 8})};
  for (const bool changed : {false, true}) {
    const auto weights = changed ? proto::WeightFormat::kQ4 : proto::WeightFormat::kQ8;
    route[0].numerics = {proto::Compute::kI8, weights, proto::KvFormat::kF32};
    RingSession ring(route, options, channels_, io_, interrupt_);
    const absl::Status status = ring.open();
    EXPECT_EQ(status.ok(), !changed) << status;
    EXPECT_EQ(ring.failure().changed, changed);
    if (!changed) continue;
    EXPECT_EQ(status.code(), absl::StatusCode::kUnavailable);
    EXPECT_THAT(std::string(status.message()),
                HasSubstr("it computes in i8/q8 by now, and said i8/q4 when it was asked"));
    EXPECT_EQ(ring.failure().culprit, route[0].peer);
  }
}

TEST_F(Ring, ARefusalCarriesItsReasonAndWhenToTryAgain) {
  FakeHop hop([](const wire::ClientFrame&, Stream& stream) {
    wire::HopFrame frame;
    frame.mutable_failure()->set_code(
        static_cast<std::uint32_t>(absl::StatusCode::kResourceExhausted));
    frame.mutable_failure()->set_reason("no \x1b[31mroom");
    frame.mutable_failure()->set_retry_after_ms(700);
    stream.Write(frame);
    return false;
  });
  auto ring = session(hop);
  const absl::Status status = ring->open();
  EXPECT_EQ(status.code(), absl::StatusCode::kResourceExhausted);
  EXPECT_THAT(std::string(status.message()), HasSubstr("no ?[31mroom"));
  EXPECT_EQ(ring->failure().retry_after, std::chrono::milliseconds(700));
}

TEST_F(Ring, AStreamThatEndsIsTheHopsFault) {
  FakeHop hop(honest([](const wire::Step&, Stream&) { return false; }));
  EXPECT_THAT(error_of(hop), HasSubstr("ended the session"));
}

TEST_F(Ring, ANodeThatIsNotThereIsNamed) {
  auto gone = std::make_unique<FakeHop>(honest());
  auto ring = session(*gone);
  const proto::PeerId peer = gone->hop({}).peer;
  const std::string address = proto::to_string(gone->hop({}).addresses.front());
  gone.reset();
  const absl::Status status = ring->open();
  EXPECT_EQ(status.code(), absl::StatusCode::kUnavailable);
  EXPECT_EQ(ring->failure().culprit, peer);
  EXPECT_EQ(
      std::string(status.message()),
      "node " + proto::short_name(peer) + " at " + address +
          ": nothing listens there. Check that the node is running, and its address and port");
}

TEST_F(Ring, BlameGoesToTheHopThatItsNeighbourNames) {
  FakeHop second(honest());
  const std::string second_peer = second.hop({}).peer.to_bytes();
  FakeHop first(honest([&](const wire::Step&, Stream& stream) {
    wire::HopFrame frame;
    frame.mutable_failure()->set_code(static_cast<std::uint32_t>(absl::StatusCode::kUnavailable));
    frame.mutable_failure()->set_reason("the next hop does not take it");
    frame.mutable_failure()->set_peer_id(second_peer);
    stream.Write(frame);
    return false;
  }));
  RingOptions options;
  options.hidden = kHidden;
  options.positions = 16;
  RingSession ring({first.hop({0, 4}), second.hop({4, 8})}, options, channels_, io_, interrupt_);
  ASSERT_TRUE(ring.open().ok());
  EXPECT_FALSE(ring.run(std::vector<float>(kHidden), 0, RowsWanted::kLast).ok());
  EXPECT_EQ(ring.failure().culprit, second.hop({}).peer);
  EXPECT_EQ(ring.failure().told_by, first.hop({}).peer);
  const auto name = [](const Hop& hop) {
    return "node " + proto::short_name(hop.peer) + " at " + proto::to_string(hop.addresses[0]);
  };
  EXPECT_EQ(
      std::string(ring.failure().status.message()),
      name(second.hop({})) + ": " + name(first.hop({})) + " says: the next hop does not take it");
}

// A stream has a bound of its own, whatever its session sends.
TEST_F(Ring, WhatAHopDoesNotTakeIsBounded) {
  std::promise<void> over;
  FakeHop hop([read = over.get_future().share()](const wire::ClientFrame&, Stream&) {
    read.wait_for(std::chrono::seconds(60));  // reads no more
    return false;
  });
  const auto inbox = std::make_shared<HopInbox>();
  const Hop at = hop.hop({0, 8});
  const auto stream = HopStream::open(channels_.get(at.peer, at.addresses), 7, "node x", inbox);
  wire::ClientFrame frame;
  frame.mutable_step()->mutable_activation()->set_data(std::string(proto::kMaxChunkBytes, 'x'));
  for (std::size_t sent = 0; sent < kMaxUnsentBytes + 4 * proto::kMaxChunkBytes;
       sent += proto::kMaxChunkBytes) {
    stream->send(frame);
  }
  const auto event =
      inbox->take(std::chrono::steady_clock::now() + std::chrono::seconds(20), interrupt_);
  ASSERT_TRUE(event.has_value());
  EXPECT_EQ(event->hop, 7u);
  ASSERT_TRUE(event->closed.has_value());
  EXPECT_EQ(event->closed->code(), absl::StatusCode::kResourceExhausted);
  EXPECT_THAT(std::string(event->closed->message()), HasSubstr("node x: it does not take"));
  over.set_value();
}

// Writes what is no frame, and waits.
class Garbler final
    : public wire::SpanService::WithRawCallbackMethod_Session<wire::SpanService::Service> {
 public:
  grpc::ServerBidiReactor<grpc::ByteBuffer, grpc::ByteBuffer>* Session(
      grpc::CallbackServerContext*) override {
    class Reactor final : public grpc::ServerBidiReactor<grpc::ByteBuffer, grpc::ByteBuffer> {
     public:
      Reactor() {
        const grpc::Slice slice("\xff\xff\xff");
        garbage_ = grpc::ByteBuffer(&slice, 1);
        StartWrite(&garbage_);
      }
      void OnCancel() override { Finish(grpc::Status::CANCELLED); }
      void OnDone() override { delete this; }

     private:
      grpc::ByteBuffer garbage_;
    };
    return new Reactor;
  }
};

TEST_F(Ring, AFrameThatCannotBeReadEndsTheStreamAndSaysSo) {
  Garbler garbler;
  const identity::Identity identity = identity::Identity::generate();
  auto server =
      net::start_server(proto::Endpoint::v4({127, 0, 0, 1}, 0), identity, std::nullopt, {&garbler});
  ASSERT_TRUE(server.ok()) << server.status();
  const auto inbox = std::make_shared<HopInbox>();
  const auto stream =
      HopStream::open(channels_.get(identity.peer_id(), {server->endpoint}), 0, "node x", inbox);
  const auto event =
      inbox->take(std::chrono::steady_clock::now() + std::chrono::seconds(20), interrupt_);
  ASSERT_TRUE(event.has_value());
  ASSERT_TRUE(event->closed.has_value());
  EXPECT_EQ(std::string(event->closed->message()), "node x: it sent a frame that cannot be read");
  EXPECT_TRUE(stream->wait_closed(std::chrono::steady_clock::now() + std::chrono::seconds(5)));
  server->server->Shutdown(std::chrono::system_clock::now());
}

TEST_F(Ring, ASilentHopIsGivenUpAfterItsHeartbeatsStop) {
  std::atomic<bool> frozen{false};
  auto behave = honest([&](const wire::Step&, Stream&) {
    frozen = true;
    return true;
  });
  FakeHop hop([&, behave](const wire::ClientFrame& frame, Stream& stream) {
    return frozen || behave(frame, stream);  // frozen: reads on, says nothing
  });
  const auto started = std::chrono::steady_clock::now();
  EXPECT_THAT(error_of(hop), HasSubstr("silent"));
  EXPECT_LT(std::chrono::steady_clock::now() - started, std::chrono::seconds(6));
}

TEST_F(Ring, AHopThatFloodsTheClientIsGivenUp) {
  const auto flood = [](Stream& stream, const wire::HopFrame& frame) {
    while (stream.Write(frame)) {
    }
    return false;
  };
  wire::HopFrame heartbeat, unknown, old;
  heartbeat.mutable_heartbeat()->set_nonce(1);
  old.mutable_ack()->set_epoch(3);
  FakeHop mute([&](const wire::ClientFrame&, Stream& stream) { return flood(stream, heartbeat); });
  EXPECT_THAT(error_of(mute), HasSubstr("floods"));
  for (const wire::HopFrame& frame : {heartbeat, unknown, old}) {
    FakeHop hop(honest([&](const wire::Step&, Stream& stream) { return flood(stream, frame); }));
    EXPECT_THAT(error_of(hop), HasSubstr("floods"));
  }
}

TEST_F(Ring, MessagesThatMeanNothingAreNoProgress) {
  std::atomic<bool> over{false};
  FakeHop hop(honest([&](const wire::Step& step, Stream& stream) {
    wire::HopFrame heartbeat;
    heartbeat.mutable_heartbeat()->set_nonce(1);
    wire::HopFrame old = ack(step);
    old.mutable_ack()->set_step_id(0);
    // The acknowledgement of the step itself is news once; its result never comes.
    while (!over && stream.Write(heartbeat) && stream.Write(old) && stream.Write(ack(step))) {
      std::this_thread::sleep_for(std::chrono::milliseconds(5));
    }
    return false;
  }));
  RingOptions options;
  options.hidden = kHidden;
  options.positions = 16;
  options.leave = [](const PaceTrouble&) { return true; };
  auto ring =
      std::make_unique<RingSession>(Route{hop.hop({0, 8})}, options, channels_, io_, interrupt_);
  const auto started = std::chrono::steady_clock::now();
  EXPECT_THAT(error_of(hop, std::move(ring)), HasSubstr("has not done its step"));
  EXPECT_LT(std::chrono::steady_clock::now() - started, std::chrono::seconds(5));
  over = true;
}

TEST_F(Ring, AStepThatDoesNotGetToTheNextHopIsACutBetweenTheTwo) {
  FakeHop first(
      honest([](const wire::Step& step, Stream& stream) { return stream.Write(ack(step)); }));
  FakeHop second(honest());
  RingOptions options;
  options.hidden = kHidden;
  options.positions = 16;
  options.leave = [](const PaceTrouble& trouble) {
    return trouble.kind == PaceTrouble::Kind::kCut;
  };
  RingSession ring({first.hop({0, 4}), second.hop({4, 8})}, options, channels_, io_, interrupt_);
  ASSERT_TRUE(ring.open().ok());
  const auto status = ring.run(std::vector<float>(kHidden), 0, RowsWanted::kLast).status();
  EXPECT_THAT(std::string(status.message()), HasSubstr("does not get through"));
  EXPECT_EQ(ring.failure().culprit, second.hop({}).peer);
  EXPECT_EQ(ring.failure().before, first.hop({}).peer);
}

TEST_F(Ring, ARefusalWithoutWordsBecomesASentence) {
  FakeHop hop([](const wire::ClientFrame&, Stream& stream) {
    wire::HopFrame frame;
    frame.mutable_failure()->set_code(static_cast<std::uint32_t>(absl::StatusCode::kCancelled));
    frame.mutable_failure()->set_reason("CANCELLED");
    stream.Write(frame);
    return false;
  });
  EXPECT_THAT(error_of(hop), HasSubstr("it ended the call without a reason"));
}

TEST_F(Ring, AnInterruptEndsTheWait) {
  FakeHop hop(honest([](const wire::Step&, Stream&) { return true; }));
  auto ring = session(hop);
  ASSERT_TRUE(ring->open().ok());
  std::thread user([&] {
    std::this_thread::sleep_for(std::chrono::milliseconds(100));
    interrupt_.stop(2);
  });
  EXPECT_EQ(ring->run(std::vector<float>(kHidden), 0, RowsWanted::kLast).status().code(),
            absl::StatusCode::kCancelled);
  user.join();
}

TEST_F(Ring, AnIdleSessionSendsHeartbeats) {
  std::atomic<int> heartbeats{0};
  FakeHop hop([&](const wire::ClientFrame& frame, Stream& stream) {
    if (frame.has_open()) stream.Write(welcome(frame.open()));
    if (frame.has_heartbeat()) ++heartbeats;
    return true;
  });
  auto ring = session(hop);
  ASSERT_TRUE(ring->open().ok());
  std::this_thread::sleep_for(std::chrono::milliseconds(proto::kHeartbeatIntervalMs + 500));
  EXPECT_GE(heartbeats, 2);  // one with the opening, one later
}

}  // namespace
}  // namespace shoal::client
