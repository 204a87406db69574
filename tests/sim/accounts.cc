// SPDX-License-Identifier: Apache-2.0
#include "tests/sim/accounts.h"

#include <algorithm>

namespace shoal::sim {
namespace {

// Beyond this an operation counts as never ended; the core ends all of them sooner.
constexpr dht::Duration kLimit = dht::seconds(60);

}  // namespace

void PublishAccount::add(const Swarm& swarm, dht::TimePoint begin, const dht::Event& event) {
  took_ms.add_ms(event.took == dht::Duration{} ? swarm.now() - begin : event.took);
  replicas.add(event.replicas);
  messages.add(static_cast<double>(event.requests));
}

void PublishAccount::report(Report& report) const {
  report.add("publishes", static_cast<std::uint64_t>(took_ms.size() + unfinished));
  report.add("publish_ms", took_ms);
  report.add("replicas", replicas);
  report.add("publish_messages_mean", messages.mean());
  report.add("publishes_never_ended", static_cast<std::uint64_t>(unfinished));
}

LookupAccount::Question LookupAccount::ask(const Swarm& swarm, PeerIndex asker, PeerIndex owner,
                                           std::uint64_t expected) {
  return {asker, owner, expected, swarm.now(), swarm.sent(asker)};
}

LookupAccount::Outcome LookupAccount::add(const Swarm& swarm, const Question& question,
                                          const dht::Event& event) {
  const auto& key = swarm.identity(question.owner).public_key();
  const auto record =
      std::find_if(event.records.begin(), event.records.end(),
                   [&](const dht::Record& candidate) { return candidate.public_key == key; });
  const bool found = record != event.records.end();
  if (event.first_record) first_.add_ms(*event.first_record);
  if (event.three_replicas) three_.add_ms(*event.three_replicas);
  if (found) hops_.add(event.hops);
  // The core tells them; where it does not, what can be seen from outside.
  took_.add_ms(event.took == dht::Duration{} ? swarm.now() - question.begin : event.took);
  messages_.add(static_cast<double>(event.requests == 0 ? swarm.sent(question.asker) - question.sent
                                                        : event.requests));
  answers_.add(static_cast<double>(event.answered));
  const Outcome outcome = !found                                  ? Outcome::kMissing
                          : record->sequence >= question.expected ? Outcome::kNewest
                                                                  : Outcome::kOld;
  (outcome == Outcome::kNewest ? newest_ : outcome == Outcome::kOld ? old_ : missing_) += 1;
  return outcome;
}

double LookupAccount::success() const {
  return lookups() == 0 ? 0 : static_cast<double>(newest_) / static_cast<double>(lookups());
}

void LookupAccount::report(Report& report) const {
  report.add("lookups", static_cast<std::uint64_t>(lookups()));
  report.add("success", success());
  report.add("not_found", static_cast<std::uint64_t>(missing_));
  report.add("old_record", static_cast<std::uint64_t>(old_));
  report.add("never_ended", static_cast<std::uint64_t>(unfinished_));
  report.add("first_record_ms", first_);
  report.add("three_replicas_ms", three_);
  report.add("lookup_ms", took_);
  report.add("messages_mean", messages_.mean());
  report.add("messages_p99", messages_.percentile(0.99));
  report.add("answers_mean", answers_.mean());
  report.add("hops_p50", hops_.percentile(0.5));
  report.add("hops_p99", hops_.percentile(0.99));
}

PublishAccount publish_all(Population& population, const std::vector<PeerIndex>& owners,
                           dht::Duration spread) {
  Swarm& swarm = population.swarm();
  // Shared with callbacks that may outlive this call.
  const auto account = std::make_shared<PublishAccount>();
  const auto open = std::make_shared<std::size_t>(owners.size());
  for (std::size_t i = 0; i < owners.size(); ++i) {
    swarm.after(spread * static_cast<std::int64_t>(i) / static_cast<std::int64_t>(owners.size()),
                [&swarm, account, open, owner = owners[i]] {
                  swarm.publish(owner, record_of(owner), {key_of_record(owner)},
                                [&swarm, account, open, begin = swarm.now()](const auto& event) {
                                  account->add(swarm, begin, event);
                                  --*open;
                                });
                });
  }
  const auto limit = swarm.now() + spread + kLimit;
  while (*open > 0 && swarm.step(limit)) {
  }
  account->unfinished = *open;
  return *account;
}

LookupAccount look_up(Population& population, const std::vector<PeerIndex>& owners,
                      std::size_t lookups, dht::Duration spread, bool secure) {
  Swarm& swarm = population.swarm();
  const auto account = std::make_shared<LookupAccount>();
  const auto open = std::make_shared<std::size_t>(lookups);
  for (std::size_t i = 0; i < lookups; ++i) {
    const PeerIndex asker = population.random_live();
    const PeerIndex owner = owners[swarm.random().below(owners.size())];
    swarm.after(spread * static_cast<std::int64_t>(i) / static_cast<std::int64_t>(lookups),
                [&swarm, account, open, asker, owner, secure] {
                  swarm.find(
                      asker, key_of_record(owner),
                      [&swarm, account, open,
                       question = LookupAccount::ask(swarm, asker, owner, swarm.sequence(owner))](
                          const dht::Event& event) {
                        account->add(swarm, question, event);
                        --*open;
                      },
                      secure);
                });
  }
  const auto limit = swarm.now() + spread + kLimit;
  while (*open > 0 && swarm.step(limit)) {
  }
  for (; *open > 0; --*open) account->add_unfinished();
  return *account;
}

Samples honest_holders(Population& population, const std::vector<PeerIndex>& owners) {
  Swarm& swarm = population.swarm();
  std::vector<std::size_t> counts(swarm.size());
  for (const PeerIndex peer : population.honest()) {
    if (!swarm.is_up(peer)) continue;
    for (const PeerIndex owner : owners) {
      const auto* entry = swarm.core(peer).store().get(swarm.identity(owner).peer_id());
      counts[owner] +=
          peer != owner && entry != nullptr && entry->sequence == swarm.sequence(owner);
    }
  }
  Samples result;
  for (const PeerIndex owner : owners) result.add(static_cast<double>(counts[owner]));
  return result;
}

std::vector<PeerIndex> held_by(Swarm& swarm, PeerIndex holder,
                               const std::vector<PeerIndex>& owners) {
  std::vector<PeerIndex> result;
  for (const PeerIndex owner : owners) {
    if (swarm.core(holder).store().get(swarm.identity(owner).peer_id()) != nullptr)
      result.push_back(owner);
  }
  return result;
}

}  // namespace shoal::sim
