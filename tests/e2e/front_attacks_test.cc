// SPDX-License-Identifier: Apache-2.0
// Every attack of tests/attack on a real node with a real model, one after another, each from an
// address and with identities of its own, in a process of its own: the attacker is hung up on and
// stays out, honest calls go on, and the node's memory hardly grows.
#include <gtest/gtest.h>

#include <atomic>
#include <fstream>
#include <nlohmann/json.hpp>
#include <sstream>
#include <thread>

#include "base/check.h"
#include "identity/identity.h"
#include "net/channel_pool.h"
#include "proto/limits.h"
#include "proto/span_service.grpc.pb.h"
#include "tests/attack/attacks.h"
#include "tests/support/process.h"
#include "tests/support/temp_dir.h"

namespace shoal::tests {
namespace {

constexpr double kMaxGrowthMb = 64;

double resident_mb(pid_t pid, const char* what) {
  std::ifstream status("/proc/" + std::to_string(pid) + "/status");
  for (std::string line; std::getline(status, line);) {
    if (line.rfind(what, 0) == 0)
      return std::stod(line.substr(std::string(what).size() + 1)) / 1024;
  }
  return 0;
}

struct Victim {
  Victim() {
    process = std::make_unique<Process>(std::vector<std::string>{
        program("shoal-node"), "run", "--model", SHOAL_SOURCE_DIR "/models/demo", "--listen",
        "127.0.0.1:0", "--new-swarm", "--threads", "1", "--identity", folder.file("key"),
        "--ready-file", folder.file("ready"), "--log-level", "warn"});
    CHECK(wait_for_file(folder.file("ready"), *process, 30'000)) << process->err();
    const auto ready = nlohmann::json::parse(read_file(folder.file("ready")));
    peer = *proto::PeerId::from_bytes(*proto::unhex(ready["peer_id"].get<std::string>()));
    endpoint = *proto::parse_endpoint(ready["address"].get<std::string>());
  }
  TempDir folder;
  std::unique_ptr<Process> process;
  proto::PeerId peer;
  proto::Endpoint endpoint;
};

// Describes the node again and again, from the same address as nobody of the attackers.
class Honest {
 public:
  explicit Honest(const Victim& victim) : pool_(identity::Identity::generate(), std::nullopt) {
    thread_ = std::thread([this, &victim] {
      while (!stop_) {
        grpc::ClientContext context;
        context.set_deadline(std::chrono::system_clock::now() + kDeadline);
        wire::DescribeRequest request;
        request.mutable_version()->set_major(proto::kProtocolMajor);
        wire::DescribeReply reply;
        const auto channel = pool_.get(victim.peer, {victim.endpoint});
        const grpc::Status status =
            wire::SpanService::NewStub(channel)->Describe(&context, request, &reply);
        status.ok() ? ++good : ++bad;
        if (!status.ok()) last_error = status.error_message();
        std::this_thread::sleep_for(std::chrono::milliseconds(20));
      }
    });
  }
  ~Honest() { stop(); }
  void stop() {
    stop_ = true;
    if (thread_.joinable()) thread_.join();
  }
  // True once more than `calls` were answered: waits for the one that is under way.
  bool goes_on_after(int calls) const {
    const auto end = std::chrono::steady_clock::now() + 2 * kDeadline;
    while (good <= calls && bad == 0 && std::chrono::steady_clock::now() < end)
      std::this_thread::sleep_for(std::chrono::milliseconds(5));
    return good > calls;
  }
  std::atomic<int> good = 0, bad = 0;
  std::string last_error;  // after stop()

 private:
  static constexpr std::chrono::seconds kDeadline{5};
  net::ChannelPool pool_;
  std::atomic<bool> stop_ = false;
  std::thread thread_;
};

TEST(FrontAttacks, NoneGetsMoreThanAMoment) {
  Victim victim;
  Honest honest(victim);
  std::this_thread::sleep_for(std::chrono::milliseconds(500));
  const double before = resident_mb(victim.process->pid(), "VmRSS:");
  int number = 0;
  for (const attack::Attack& attack : attack::attacks()) {
    SCOPED_TRACE(attack.name + ": " + attack.what);
    ++number;
    const bool waits = attack.name.rfind("idle", 0) == 0 || attack.name.rfind("slow", 0) == 0 ||
                       attack.name == "silent-streams";
    // Within their limits for so short a time; front_test has less patience.
    const bool lasts = attack.name == "never-reads" || attack.name == "half-messages";
    // What gRPC itself ends may be a mistake: a few times, and the address is refused. It ends
    // pings when it is quicker than the front, which takes more of them.
    const int tries = attack.name == "hpack-bomb" || attack.name == "ping" ? 6 : 1;
    const int good = honest.good;
    int hung_up = 0, refused_same = 0, refused_other = 0;
    double after_ms = 0;
    unsigned long long sent = 0;
    for (int i = 0; i < tries && !refused_same; ++i) {
      const Outcome run_ =
          run({program("shoal-attack"), attack.name, "127.0.1." + std::to_string(number),
               proto::to_string(victim.endpoint), std::to_string(1'000 * number),
               waits   ? "8000"
               : lasts ? "2000"
                       : "5000"},
              20'000);
      ASSERT_EQ(run_.status, 0) << run_.err;
      std::istringstream(run_.out) >> hung_up >> after_ms >> sent >> refused_same >> refused_other;
    }
    const double now = resident_mb(victim.process->pid(), "VmRSS:");
    std::printf("%-26s hung up %d after %5.0f ms, %9llu bytes, refused %d %d, RSS %+6.1f MB\n",
                attack.name.c_str(), hung_up, after_ms, sent, refused_same, refused_other,
                now - before);
    EXPECT_TRUE(hung_up || lasts);
    EXPECT_TRUE(lasts || (refused_same && refused_other));
    // An attack may end between two honest calls; the one that it met has its own deadline.
    EXPECT_TRUE(honest.goes_on_after(good));
    EXPECT_EQ(honest.bad, 0);
  }
  honest.stop();
  EXPECT_EQ(honest.bad, 0) << honest.last_error;
  EXPECT_LT(resident_mb(victim.process->pid(), "VmHWM:") - before, kMaxGrowthMb);
  EXPECT_TRUE(victim.process->running());
}

}  // namespace
}  // namespace shoal::tests
