// SPDX-License-Identifier: Apache-2.0
// The memory of a real node whose clients, or whose next hops, do not read what it sends: it grows
// by less than 128 MiB in all, is back within 64 MiB of the start a moment later, and everybody is
// told.
#include <gtest/gtest.h>
#include <unistd.h>

#include <atomic>
#include <fstream>
#include <functional>
#include <nlohmann/json.hpp>
#include <thread>

#include "net/identity_tls.h"
#include "net/server.h"
#include "tests/node/announcement.h"
#include "tests/node/demo_model.h"
#include "tests/node/hop_client.h"
#include "tests/support/process.h"
#include "tests/support/temp_dir.h"

namespace shoal::node {
namespace {

using Clock = std::chrono::steady_clock;
constexpr std::int64_t kMiB = 1 << 20;

std::int64_t resident(pid_t pid) {
  std::ifstream in("/proc/" + std::to_string(pid) + "/statm");
  std::int64_t total = 0;
  std::int64_t pages = 0;
  in >> total >> pages;
  return pages * sysconf(_SC_PAGESIZE);
}

class UnreadTest : public testing::Test {
 protected:
  void SetUp() override {
    net::init_transport();
    const std::string ready = folder_.file("node.json");
    // KV in little: it is what --kv-positions says, however quickly it fills, and not what waits.
    node_.emplace(std::vector<std::string>{
        tests::program("shoal-node"), "run", "--model", kDemoModel, "--listen", "127.0.0.1:0",
        "--new-swarm", "--blocks", "0:2", "--threads", "1", "--kv-positions", "65536", "--kv-dtype",
        "i8", "--identity", folder_.file("node.key"), "--ready-file", ready});
    ASSERT_TRUE(tests::wait_for_file(ready, *node_, 20'000)) << node_->err();
    const auto json = nlohmann::json::parse(tests::read_file(ready));
    peer_ = *proto::PeerId::from_bytes(*proto::unhex(json["peer_id"].get<std::string>()));
    endpoint_ = *proto::parse_endpoint(json["address"].get<std::string>());
  }
  wire::Open open(std::uint32_t positions) {
    static std::atomic<std::uint32_t> numbers = 0;
    const std::uint32_t number = ++numbers;
    wire::Open open;
    open.mutable_version()->set_major(proto::kProtocolMajor);
    std::string id(16, 'i');
    id.replace(0, 4, reinterpret_cast<const char*>(&number), 4);
    open.set_session_id(id);
    open.set_model_digest(demo().digest.to_bytes());
    open.mutable_span()->set_end(2);
    open.set_max_positions(positions);
    open.set_epoch(1);
    open.set_codec(wire::CODEC_F32);
    return open;
  }

  // What the node takes for its first session is no growth.
  void warm_up() {
    HopClient client;
    HopStream stream(client.channel(peer_, endpoint_));
    ASSERT_TRUE(stream.open(open(1024)));
    ASSERT_TRUE(stream.read()->has_welcome());
    for (std::uint64_t i = 0; i < 3; ++i) {
      ASSERT_TRUE(stream.step(step_of(i, 0, random_rows(1, 1024), wire::RETURN_LAST)));
      ASSERT_TRUE(stream.read(true)->has_result());
    }
  }

  // Runs `attack` on four threads while it looks at the node's memory; checks that, and what is
  // left of it afterwards.
  void grows_little_and_gives_back(
      std::chrono::seconds time, const std::function<void(const std::atomic<bool>& over)>& attack) {
    warm_up();
    const std::int64_t start = resident(node_->pid());
    std::int64_t most = start;
    std::atomic<bool> over = false;
    std::vector<std::thread> attackers;
    for (int i = 0; i < 4; ++i) attackers.emplace_back([&] { attack(over); });
    const auto end = Clock::now() + time;
    while (Clock::now() < end) {
      most = std::max(most, resident(node_->pid()));
      std::this_thread::sleep_for(std::chrono::milliseconds(20));
    }
    over = true;
    for (std::thread& attacker : attackers) attacker.join();
    EXPECT_LT(most - start, 128 * kMiB);
    std::int64_t now = most;
    const auto back = Clock::now() + std::chrono::seconds(45);
    while (Clock::now() < back && (now = resident(node_->pid())) - start > 64 * kMiB) {
      std::this_thread::sleep_for(std::chrono::milliseconds(200));
    }
    EXPECT_LT(now - start, 64 * kMiB);
    std::printf("resident: %lld MiB at the start, %lld at most, %lld afterwards\n",
                static_cast<long long>(start / kMiB), static_cast<long long>(most / kMiB),
                static_cast<long long>(now / kMiB));
    EXPECT_TRUE(node_->running());
  }

  tests::TempDir folder_;
  std::optional<tests::Process> node_;
  proto::PeerId peer_;
  proto::Endpoint endpoint_;
};

// A next hop that accepts every push, and reads none of it.
class Sink final : public wire::SpanService::CallbackService {
 public:
  grpc::ServerReadReactor<wire::PushFrame>* Push(grpc::CallbackServerContext*,
                                                 wire::PushReply*) override {
    class Reactor final : public grpc::ServerReadReactor<wire::PushFrame> {
     public:
      Reactor() { StartSendInitialMetadata(); }
      void OnCancel() override { Finish(grpc::Status::CANCELLED); }
      void OnDone() override { delete this; }
    };
    return new Reactor;
  }
};

// Twelve sessions of one client; each sends chunks until its stream ends, or it is over.
void send_chunks(HopClient& client, const std::shared_ptr<grpc::Channel>& channel,
                 const std::vector<wire::Open>& opens, wire::ReturnRows return_rows, bool reads,
                 std::atomic<int>& told, const std::atomic<bool>& over) {
  const wire::Step chunk = step_of(1, 0, random_rows(1, 1024), return_rows);
  std::vector<std::thread> sessions;
  for (const wire::Open& open : opens) {
    sessions.emplace_back([&, open, number = sessions.size()] {
      HopStream stream(channel, 60);
      stream.open(open);
      std::thread reader;
      if (reads) {
        reader = std::thread([&] {
          if (const auto failure = stream.failure(); failure && !failure->peer_id().empty()) ++told;
        });
      }
      wire::Step step = chunk;
      if (reads)
        std::this_thread::sleep_for(std::chrono::milliseconds(4'000 * number / opens.size()));
      for (std::uint64_t id = 1; id < 200 && !over; ++id) {
        step.set_step_id(id);
        if (!stream.step(step)) break;
        // Where somebody reads what the node says: about as fast as it computes, for what is
        // refused because its queue is full proves nothing there.
        std::this_thread::sleep_for(std::chrono::milliseconds(reads ? 4'000 : 10));
      }
      while (!over) std::this_thread::sleep_for(std::chrono::milliseconds(50));
      stream.cancel();
      if (reader.joinable()) reader.join();
    });
  }
  for (std::thread& session : sessions) session.join();
}

TEST_F(UnreadTest, FortyEightSessionsWhoseClientNeverReads) {
  std::atomic<int> told = 0;
  grows_little_and_gives_back(std::chrono::seconds(6), [&](const std::atomic<bool>& over) {
    HopClient client;
    std::vector<wire::Open> opens;
    for (int i = 0; i < 12; ++i) opens.push_back(open(1024));
    send_chunks(client, client.channel(peer_, endpoint_), opens, wire::RETURN_ALL, false, told,
                over);
  });
}

TEST_F(UnreadTest, FortyEightSessionsWhoseNextHopNeverReads) {
  Sink sink;
  const identity::Identity identity = identity::Identity::generate();
  auto server =
      net::start_server(*proto::parse_endpoint("127.0.0.1:0"), identity, std::nullopt, {&sink});
  ASSERT_TRUE(server.ok()) << server.status();
  const Announcement announced(identity, demo(), {2, 8}, endpoint_, server->endpoint);
  std::atomic<int> told = 0;
  // Longer than the 15 s after which a stream ends of which nothing is taken.
  grows_little_and_gives_back(std::chrono::seconds(20), [&](const std::atomic<bool>& over) {
    HopClient client;
    std::vector<wire::Open> opens;
    for (int i = 0; i < 12; ++i) {
      opens.push_back(open(1024));
      opens.back().mutable_next()->set_peer_id(identity.peer_id().to_bytes());
      opens.back().mutable_next()->set_hop_token(std::string(16, 't'));
    }
    send_chunks(client, client.channel(peer_, endpoint_), opens, wire::RETURN_NONE, true, told,
                over);
  });
  EXPECT_GT(told, 0) << "the hop that does not read is named";
  server->server->Shutdown(std::chrono::system_clock::now());
}

}  // namespace
}  // namespace shoal::node
