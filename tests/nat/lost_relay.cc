// SPDX-License-Identifier: Apache-2.0
#include "tests/nat/lost_relay.h"

#include <signal.h>

#include <algorithm>
#include <chrono>
#include <thread>
#include <vector>

namespace shoal::tests {
namespace {

using Clock = std::chrono::steady_clock;
using std::chrono::milliseconds;

constexpr std::size_t kAskedPrompt = 0;
constexpr std::chrono::seconds kSessionBegins{20};
constexpr int kSessionEndsMs = 60'000;

}  // namespace

LostRelay lose_relay(NatSwarm& swarm, const Host& user, const Host& node, int tokens) {
  LostRelay result;
  forget_bytes(user);
  const auto begun = Clock::now();
  const auto command = user.network.start(swarm.generate_command(kAskedPrompt, tokens));
  NatNode* carrier = nullptr;
  while (carrier == nullptr && Clock::now() - begun < kSessionBegins && command->running()) {
    std::this_thread::sleep_for(milliseconds(5));
    for (std::size_t r = 0; r < swarm.relays(); ++r) {
      if (tcp_bytes(user, *swarm.relay(r).host) > NatSwarm::payload(kAskedPrompt, tokens) / 5)
        carrier = &swarm.relay(r);
    }
  }
  if (carrier == nullptr) {
    result.answer.wrong = "no relay carried it: " + command->err();
    return result;
  }
  if (!command->running()) {
    result.answer.wrong = "it had ended before the relay was killed";
    return result;
  }
  carrier->process->signal(SIGKILL);
  const int status = command->wait(kSessionEndsMs);
  const double took = std::chrono::duration<double>(Clock::now() - begun).count();
  result.answer =
      NatSwarm::judged({status, command->out(), command->err(), took}, kAskedPrompt, tokens);
  if (!result.answer.wrong.empty()) return result;
  if (tcp_bytes(user, node) > NatSwarm::payload(kAskedPrompt, tokens) / 5) {
    result.answer.wrong = "it went directly, and not over a relay";
    return result;
  }
  auto steps = result.answer.json.at("timings").at("per_token_ms").get<std::vector<double>>();
  std::ranges::sort(steps);
  result.median_ms = steps.at(steps.size() / 2);
  result.longest_ms = steps.back();
  result.reroutes = result.answer.json.at("reroutes").get<int>();
  return result;
}

}  // namespace shoal::tests
