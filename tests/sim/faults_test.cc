// SPDX-License-Identifier: Apache-2.0
// The fault campaign: its seeds hold, runs repeat, the model of the cryptography changes nothing,
// and its checks can fail: bugs made on purpose are found by the invariant that is meant to find
// them.
#include <gtest/gtest.h>

#include <iostream>

#include "tests/sim/fault_run.h"
#include "tests/sim/model_primitives.h"
#include "tests/sim/scenarios.h"

namespace shoal::sim {
namespace {

using dht::seconds;

class FaultsTest : public testing::Test {
 protected:
  FaultsTest() { choose_crypto(Crypto::kModel); }
  ~FaultsTest() override { choose_crypto(Crypto::kSodium); }
};

// A quiet swarm, in which nothing but the bug on purpose goes wrong.
Knobs quiet(std::size_t peers) {
  Knobs knobs;
  knobs.peers = peers;
  knobs.owners = 1;
  knobs.fault_time = seconds(100);
  return knobs;
}

std::string finding(FaultRun& run) {
  const Verdict verdict = run.run();
  return verdict.violation ? verdict.violation->what : "nothing";
}

void expect_found(FaultRun& run, const std::string& what) {
  const std::string found = finding(run);
  EXPECT_NE(found.find(what), std::string::npos)
      << "expected \"" << what << "\", found \"" << found << "\"";
}

// A sanitizer takes about ten times as long.
#ifdef SHOAL_SANITIZED
constexpr std::uint64_t kSeeds = 60;
#else
constexpr std::uint64_t kSeeds = 1000;
#endif

TEST_F(FaultsTest, AThousandSeedsHold) {
  FaultsOptions options;
  options.end = kSeeds;
  options.jobs = 2;
  options.crypto = "model";
  const FaultsResult result = run_faults(options);
  std::cout << result.report.table();
  EXPECT_EQ(result.failures, 0u);
}

TEST_F(FaultsTest, AQuietSwarmViolatesNothing) {
  for (const std::size_t peers : {1u, 2u, 5u, 25u}) {
    FaultRun run(peers, quiet(peers));
    EXPECT_EQ(finding(run), "nothing") << peers;
  }
}

TEST_F(FaultsTest, TheSameSeedIsTheSameRunWithEitherCryptography) {
  for (std::uint64_t seed = 0; seed < 12; ++seed) {
    choose_crypto(Crypto::kModel);
    const Verdict model = FaultRun(seed).run(), again = FaultRun(seed).run();
    choose_crypto(Crypto::kSodium);
    const Verdict sodium = FaultRun(seed).run();
    EXPECT_EQ(model.trace, again.trace) << seed;
    EXPECT_EQ(model.trace, sodium.trace) << seed;
    EXPECT_EQ(model.events, sodium.events) << seed;
    EXPECT_EQ(model.finds, sodium.finds) << seed;
  }
}

// Planted: signatures that always fit.
bool always_fits(const identity::Bytes32&, std::string_view, const identity::Bytes64&) {
  return true;
}

TEST_F(FaultsTest, FindsAStoreThatTakesUnsignedRecords) {
  static identity::Primitives careless = model_primitives();
  careless.verify = always_fits;
  choose_crypto(careless);
  Knobs knobs = quiet(6);
  knobs.poisoners = 2;
  FaultRun run(1, knobs);
  expect_found(run, "which its owner never signed");
}

TEST_F(FaultsTest, AFailingSeedSaysHowToRunItAgain) {
  static identity::Primitives careless = model_primitives();
  careless.verify = always_fits;
  choose_crypto(careless);
  FaultsOptions options;
  options.crypto = "model";
  while (draw_knobs(options.begin).poisoners == 0) ++options.begin;
  options.end = options.begin + 1;
  const FaultsResult result = run_faults(options);
  EXPECT_EQ(result.failures, 1u);
  const std::string again = "; again: shoal-sim faults --seeds " + std::to_string(options.begin) +
                            ":" + std::to_string(options.end) + " --crypto model";
  EXPECT_NE(result.report.table().find(again), std::string::npos) << result.report.table();
}

TEST_F(FaultsTest, FindsAStoreThatForgetsWhatWasNewer) {
  Knobs knobs = quiet(6);
  knobs.liars = 4;
  for (std::uint64_t seed = 1; seed <= 5; ++seed) {  // a liar must come before the owner does
    FaultRun run(seed, knobs);
    Swarm& swarm = run.swarm();
    for (std::size_t i = 0; i < 80; ++i) {
      swarm.after(seconds(60) + dht::milliseconds(500) * static_cast<std::int64_t>(i), [&swarm, i] {
        const auto peer = static_cast<PeerIndex>(i % swarm.size());
        if (swarm.is_honest(peer) && swarm.is_up(peer)) swarm.forget(peer);
      });
    }
    expect_found(run, "after");
  }
}

TEST_F(FaultsTest, FindsAReplicaThatKeepsARecordPastItsTime) {
  Knobs knobs = quiet(4);
  knobs.fault_time = seconds(420);
  FaultRun run(3, knobs);
  run.swarm().after(seconds(20), [&run] {
    run.swarm().set_clock(2, 0.2);  // its minute has five of ours
    run.swarm().crash(3);           // nobody renews this record
  });
  expect_found(run, "whose time is over");
}

// Planted: what goes out and what is told differs from what the core said.
struct Planted : Tamper {
  std::function<int(PeerIndex, const dht::Datagram&)> on_send;
  std::function<int(PeerIndex, dht::Event&)> on_end;
  int copies(PeerIndex from, const dht::Datagram& datagram) override {
    return on_send ? on_send(from, datagram) : 1;
  }
  int endings(PeerIndex peer, dht::Event& event) override {
    return on_end ? on_end(peer, event) : 1;
  }
};

TEST_F(FaultsTest, FindsAnswersThatAmplify) {
  Knobs knobs = quiet(4);
  knobs.flooders = 2;
  FaultRun run(4, knobs);
  Planted planted;
  planted.on_send = [](PeerIndex, const dht::Datagram&) { return 4; };
  run.swarm().tamper(&planted);
  expect_found(run, "to an address that never spoke");
}

TEST_F(FaultsTest, FindsOperationsThatNeverEnd) {
  FaultRun run(5, quiet(4));
  Planted planted;
  planted.on_end = [](PeerIndex, const dht::Event& event) {
    return event.kind == dht::Event::Kind::kFindDone ? 0 : 1;
  };
  run.swarm().tamper(&planted);
  expect_found(run, "find did not end");
}

TEST_F(FaultsTest, FindsOperationsThatEndTwice) {
  FaultRun run(6, quiet(4));
  Planted planted;
  planted.on_end = [](PeerIndex, const dht::Event&) { return 2; };
  run.swarm().tamper(&planted);
  expect_found(run, "ended twice");
}

TEST_F(FaultsTest, FindsResultsThatNobodySigned) {
  FaultRun run(7, quiet(4));
  Planted planted;
  planted.on_end = [](PeerIndex, dht::Event& event) {
    if (!event.records.empty()) event.records.front().sequence += 1000;
    return 1;
  };
  run.swarm().tamper(&planted);
  expect_found(run, "which its owner never signed");
}

TEST_F(FaultsTest, FindsResultsOfAnotherKey) {
  FaultRun run(8, quiet(4));
  Planted planted;
  planted.on_end = [](PeerIndex, dht::Event& event) {
    for (dht::Record& record : event.records) record.offer.model_digest.bytes.fill(9);
    return 1;
  };
  run.swarm().tamper(&planted);
  expect_found(run, "which has another key");
}

TEST_F(FaultsTest, FindsThatARecordDoesNotReachOthers) {
  FaultRun run(9, quiet(5));
  Planted planted;
  // After the faults it says nothing any more, but believes to be well.
  planted.on_send = [&run](PeerIndex from, const dht::Datagram&) {
    return from == 2 && run.swarm().now() > dht::TimePoint{seconds(1000 + 120)} ? 0 : 1;
  };
  run.swarm().tamper(&planted);
  const std::string found = finding(run);
  EXPECT_TRUE(found.find("finds") != std::string::npos || found.find("know") != std::string::npos)
      << found;
}

TEST_F(FaultsTest, FindsTablesBeyondTheirBounds) {
  FaultRun run(10, quiet(8));
  const auto modest = std::make_shared<dht::KademliaConfig>();
  modest->sessions.max_sessions = 2;
  // The bound that is checked changes; the peer lives on with the one it had.
  run.swarm().after(seconds(30), [&] { run.swarm().set_config(1, modest); });
  expect_found(run, "sessions, at most 2");
}

}  // namespace
}  // namespace shoal::sim
