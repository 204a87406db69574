// SPDX-License-Identifier: Apache-2.0
#include "node/member/dial_back.h"

#include <algorithm>
#include <map>
#include <set>

#include "dht/diversity.h"

namespace shoal::node {
namespace {

using proto::Endpoint;

bool is_among(const Endpoint& address, std::span<const Endpoint> own) {
  return std::ranges::any_of(
      own, [&](const Endpoint& entry) { return entry.address == address.address; });
}

struct Ballot {
  std::size_t yes = 0, no = 0;

  void count(DialOutcome outcome) {
    if (outcome == DialOutcome::kReached) ++yes;
    if (outcome == DialOutcome::kSilent || outcome == DialOutcome::kRefused ||
        outcome == DialOutcome::kOther) {
      ++no;
    }
  }
  Reached verdict() const {
    if (yes + no == 0) return Reached::kUnknown;
    return yes >= no ? Reached::kYes : Reached::kNo;
  }
  bool is_settled(std::size_t open) const { return yes > no + open || no > yes + open; }
};

}  // namespace

const char* words_of(DialOutcome outcome) {
  switch (outcome) {
    case DialOutcome::kNotAsked:
      return "not asked";
    case DialOutcome::kReached:
      return "reached";
    case DialOutcome::kSilent:
      return "no answer";
    case DialOutcome::kRefused:
      return "refused";
    case DialOutcome::kOther:
      return "somebody else answers";
    case DialOutcome::kUntried:
      return "not tried";
  }
  return "?";
}

bool may_ask_at(const Endpoint& address, std::span<const Endpoint> known_by, bool keyed_swarm) {
  if (keyed_swarm || !dht::is_exempt(address)) return true;
  return std::ranges::all_of(known_by, dht::is_exempt);
}

std::vector<Helper> choose_helpers(std::vector<Helper> known, std::span<const Endpoint> machine,
                                   bool v4, std::size_t most, identity::Random& random) {
  std::erase_if(known, [&](const Helper& helper) {
    return helper.at.is_v4() != v4 || helper.at.is_loopback() || !helper.at.is_usable() ||
           is_among(helper.at, machine);
  });
  for (std::size_t i = known.size(); i > 1; --i) std::swap(known[i - 1], known[random.below(i)]);
  // Those of a network that has one already stand behind those that bring another.
  std::set<proto::PeerId> peers;
  std::map<std::uint64_t, int> networks;
  struct Ranked {
    int rank = 0;
    Helper helper;
  };
  std::vector<Ranked> ranked;
  for (const Helper& helper : known) {
    if (!peers.insert(helper.peer).second) continue;
    const int before = networks[dht::wide_network(helper.at)]++;
    // Who is beyond our network says more; a relay of ours says least.
    const int rank =
        before + (dht::is_exempt(helper.at) ? 1'000 : 0) + (helper.is_relay ? 1'000'000 : 0);
    ranked.push_back({rank, helper});
  }
  std::ranges::stable_sort(ranked, {}, &Ranked::rank);
  std::vector<Helper> result;
  for (const Ranked& entry : ranked) {
    if (result.size() == most) break;
    result.push_back(entry.helper);
  }
  return result;
}

Verdict judge(std::span<const DialBackAnswer> answers, std::span<const Endpoint> machine) {
  const auto is_near = [&](const DialBackAnswer& answer) {
    return dht::is_exempt(answer.seen) && is_among(answer.seen, machine);
  };
  const bool some_far = std::ranges::any_of(answers, [&](const DialBackAnswer& answer) {
    return !is_near(answer) && !answer.seen.is_loopback();
  });
  Verdict verdict;
  Ballot tcp, udp;
  std::map<Endpoint, std::size_t> seen;
  for (const DialBackAnswer& answer : answers) {
    if (answer.seen.is_loopback() || (some_far && is_near(answer))) continue;
    tcp.count(answer.tcp);
    udp.count(answer.udp);
    Endpoint address = answer.seen;
    address.port = 0;
    ++seen[address];
    ++verdict.helpers;
  }
  verdict.tcp = tcp.verdict();
  verdict.udp = udp.verdict();
  const auto most =
      std::ranges::max_element(seen, {}, [](const auto& entry) { return entry.second; });
  if (most != seen.end()) verdict.seen = most->first;
  return verdict;
}

bool is_settled(std::span<const DialBackAnswer> answers, std::size_t open) {
  Ballot tcp, udp;
  for (const DialBackAnswer& answer : answers) {
    tcp.count(answer.tcp);
    udp.count(answer.udp);
  }
  return tcp.is_settled(open) && udp.is_settled(open);
}

}  // namespace shoal::node
