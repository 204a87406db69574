// SPDX-License-Identifier: Apache-2.0
// The memory of a real node whose clients, or whose next hops, do not read what it sends: it grows
// by less than 128 MiB in all, is back within 64 MiB of the start a moment later, and everybody is
// told.
#include <gtest/gtest.h>
#include <unistd.h>

#include <atomic>
#include <fstream>
#include <nlohmann/json.hpp>
#include <thread>

#include "net/identity_tls.h"
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
    node_.emplace(std::vector<std::string>{
        tests::program("shoal-node"), "run", "--model", kDemoModel, "--listen", "127.0.0.1:0",
        "--new-swarm", "--blocks", "0:2", "--threads", "1", "--kv-positions", "65536", "--identity",
        folder_.file("node.key"), "--ready-file", ready});
    ASSERT_TRUE(tests::wait_for_file(ready, *node_, 20'000)) << node_->err();
    const auto json = nlohmann::json::parse(tests::read_file(ready));
    peer_ = *proto::PeerId::from_bytes(*proto::unhex(json["peer_id"].get<std::string>()));
    endpoint_ = *proto::parse_endpoint(json["address"].get<std::string>());
  }
  wire::Open open(std::uint32_t positions) {
    static std::uint32_t number = 0;
    wire::Open open;
    open.mutable_version()->set_major(proto::kProtocolMajor);
    std::string id(16, 'i');
    ++number;
    id.replace(0, 4, reinterpret_cast<const char*>(&number), 4);
    open.set_session_id(id);
    open.set_model_digest(demo().digest.to_bytes());
    open.mutable_span()->set_end(2);
    open.set_max_positions(positions);
    open.set_epoch(1);
    open.set_codec(wire::CODEC_F32);
    return open;
  }

  tests::TempDir folder_;
  std::optional<tests::Process> node_;
  proto::PeerId peer_;
  proto::Endpoint endpoint_;
};

TEST_F(UnreadTest, FortySessionsWhoseClientNeverReadsCostLittleAndComeBack) {
  // A first client, so that what gRPC and the pages of the model take once is in the start.
  {
    HopClient client;
    HopStream stream(client.channel(peer_, endpoint_));
    ASSERT_TRUE(stream.open(open(1024)));
    ASSERT_TRUE(stream.read()->has_welcome());
    for (std::uint64_t i = 0; i < 3; ++i) {
      ASSERT_TRUE(stream.step(step_of(i, 0, random_rows(1, 1024), wire::RETURN_LAST)));
      ASSERT_TRUE(stream.read(true)->has_result());
    }
  }
  const std::int64_t start = resident(node_->pid());
  std::int64_t most = start;
  std::vector<std::thread> clients;
  std::atomic<bool> over = false;
  for (int c = 0; c < 4; ++c) {
    clients.emplace_back([&] {
      HopClient client;
      std::vector<std::unique_ptr<HopStream>> streams;
      for (int s = 0; s < 12; ++s) {
        streams.push_back(std::make_unique<HopStream>(client.channel(peer_, endpoint_), 60));
        streams.back()->open(open(1024));
      }
      const wire::Step chunk = step_of(1, 0, random_rows(1, 1024), wire::RETURN_ALL);
      std::vector<std::thread> writers;
      for (auto& stream : streams) {
        writers.emplace_back([&] {
          wire::Step step = chunk;
          for (std::uint64_t id = 1; id < 60 && !over; ++id) {
            step.set_step_id(id);
            if (!stream->step(step)) break;  // it is told that it ends
          }
          while (!over) std::this_thread::sleep_for(std::chrono::milliseconds(50));
        });
      }
      for (auto& writer : writers) writer.join();
    });
  }
  const auto end = Clock::now() + std::chrono::seconds(15);
  while (Clock::now() < end) {
    most = std::max(most, resident(node_->pid()));
    std::this_thread::sleep_for(std::chrono::milliseconds(20));
  }
  over = true;
  for (auto& client : clients) client.join();
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

}  // namespace
}  // namespace shoal::node
