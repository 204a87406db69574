// SPDX-License-Identifier: Apache-2.0
// Manifests from nodes that send them in pieces, and from nodes that lie about them.
#include "net/manifest_call.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <functional>
#include <thread>

#include "base/check.h"
#include "net/server.h"
#include "proto/limits.h"
#include "proto/span_service.grpc.pb.h"
#include "tests/identity/examples.h"
#include "tests/net/echo_node.h"

namespace shoal::net {
namespace {

using ::testing::HasSubstr;

// Answers as it is told to.
class ManifestService : public wire::SpanService::CallbackService {
 public:
  using Answer = std::function<grpc::Status(std::uint64_t offset, wire::ManifestReply& reply)>;
  explicit ManifestService(Answer answer) : answer_(std::move(answer)) {}

  grpc::ServerUnaryReactor* Manifest(grpc::CallbackServerContext* context,
                                     const wire::ManifestRequest* request,
                                     wire::ManifestReply* reply) override {
    grpc::ServerUnaryReactor* reactor = context->DefaultReactor();
    const grpc::Status status = answer_(request->offset(), *reply);
    if (status.error_code() == grpc::DO_NOT_USE) {
      left_open_ = reactor;
    } else {
      reactor->Finish(status);
    }
    ++calls;
    return reactor;
  }
  // A server waits for all its calls.
  void end() {
    if (grpc::ServerUnaryReactor* const open = left_open_) open->Finish(grpc::Status::CANCELLED);
  }
  std::atomic<int> calls = 0;

 private:
  const Answer answer_;
  std::atomic<grpc::ServerUnaryReactor*> left_open_ = nullptr;
};

struct ManifestNode {
  ManifestNode(int number, ManifestService::Answer answer)
      : service(std::move(answer)), identity(identity::identity_of(number)) {
    auto started = start_server(loopback(), identity, {}, {&service});
    CHECK(started.ok()) << started.status().ToString();
    running = std::move(*started);
  }
  ~ManifestNode() {
    service.end();
    running.shut_down(std::chrono::milliseconds(200));
  }
  proto::ServedModel::Node as_served() const {
    return {identity.peer_id(), {loopback(running.endpoint.port)}};
  }

  ManifestService service;
  identity::Identity identity;
  RunningServer running;
};

ManifestService::Answer pieces_of(const std::string& bytes, std::size_t piece) {
  return [bytes, piece](std::uint64_t offset, wire::ManifestReply& reply) {
    reply.set_total_bytes(bytes.size());
    reply.set_chunk(bytes.substr(offset, piece));
    return grpc::Status::OK;
  };
}

class ManifestCall : public testing::Test {
 protected:
  absl::StatusOr<std::string> fetch(const std::vector<const ManifestNode*>& nodes) {
    proto::ServedModel model;
    for (const ManifestNode* node : nodes) model.nodes.push_back(node->as_served());
    return fetch_manifest(pool_, model, stop_);
  }
  const identity::Identity identity_ = identity::identity_of(1);
  ChannelPool pool_{identity_, {}};
  base::StopToken stop_;
};

TEST_F(ManifestCall, PutsThePiecesTogether) {
  std::string bytes(2 * proto::kManifestChunkBytes + 12'345, 'x');
  for (std::size_t i = 0; i < bytes.size(); i += 1000) bytes[i] = static_cast<char>('a' + i % 26);
  const ManifestNode node(2, pieces_of(bytes, proto::kManifestChunkBytes));
  const auto fetched = fetch({&node});
  ASSERT_TRUE(fetched.ok()) << fetched.status();
  EXPECT_EQ(*fetched, bytes);
  EXPECT_EQ(node.service.calls, 3);
}

TEST_F(ManifestCall, ANodeThatSendsWhatItMayNotIsLeft) {
  const auto lies = [&](ManifestService::Answer answer, const char* why) {
    const ManifestNode liar(2, std::move(answer));
    const auto fetched = fetch({&liar});
    EXPECT_THAT(std::string(fetched.status().message()), HasSubstr(why));
    EXPECT_LE(liar.service.calls, 2) << why;
    const ManifestNode honest(3, pieces_of("manifest", 3));
    EXPECT_EQ(fetch({&liar, &honest}).value_or(""), "manifest") << why;
    pool_.drop(liar.identity.peer_id());
    pool_.drop(honest.identity.peer_id());
  };
  const auto sends = [](std::uint64_t total, std::size_t chunk) {
    return [total, chunk](std::uint64_t, wire::ManifestReply& reply) {
      reply.set_total_bytes(total);
      reply.set_chunk(std::string(chunk, 'x'));
      return grpc::Status::OK;
    };
  };
  lies(sends(proto::kMaxManifestBytes + 1, 10), "too large");
  lies(sends(0, 0), "too large");
  lies(sends(10, 0), "another part");
  lies(sends(10, 11), "another part");
  lies(sends(10, 6), "another part");  // the second piece is too long
  lies(sends(3 << 20, proto::kManifestChunkBytes + 1), "another part");
  lies(
      [](std::uint64_t, wire::ManifestReply&) { return grpc::Status(grpc::NOT_FOUND, "not mine"); },
      "not mine");
}

TEST_F(ManifestCall, TheFirstThatIsTakenEndsTheSearch) {
  const ManifestNode one(2, pieces_of("one", 100)), two(3, pieces_of("two", 100)),
      three(4, pieces_of("three", 100));
  std::vector<proto::ServedModel> models(3);
  int number = 0;
  for (const ManifestNode* node : {&one, &two, &three}) {
    models[static_cast<std::size_t>(number)].digest.bytes[0] = static_cast<std::uint8_t>(number);
    models[static_cast<std::size_t>(number++)].nodes = {node->as_served()};
  }
  std::vector<std::string> seen;
  const auto takes = [&](const std::string& wanted) {
    return [&seen, wanted](const proto::Digest&, const std::string& bytes) {
      seen.push_back(bytes);
      return bytes == wanted ? absl::OkStatus() : absl::FailedPreconditionError("another one");
    };
  };
  EXPECT_TRUE(find_manifest(pool_, models, takes("two"), stop_).ok());
  EXPECT_EQ(seen, (std::vector<std::string>{"one", "two"}));
  const absl::Status none = find_manifest(pool_, models, takes("four"), stop_);
  EXPECT_TRUE(absl::IsNotFound(none));
  EXPECT_THAT(std::string(none.message()), HasSubstr("another one"));
  EXPECT_TRUE(absl::IsNotFound(find_manifest(pool_, {}, takes("one"), stop_)));
}

TEST_F(ManifestCall, WhoIsInterruptedWaitsNoLonger) {
  const ManifestNode silent(
      2, [](std::uint64_t, wire::ManifestReply&) { return grpc::Status(grpc::DO_NOT_USE, ""); });
  std::thread later([&] {
    while (silent.service.calls == 0) std::this_thread::sleep_for(std::chrono::milliseconds(5));
    stop_.stop(2);
  });
  EXPECT_TRUE(absl::IsCancelled(fetch({&silent}).status()));
  later.join();
}

}  // namespace
}  // namespace shoal::net
