// SPDX-License-Identifier: Apache-2.0
#include "dht/reachability.h"

#include <algorithm>
#include <bit>

#include "dht/diversity.h"

namespace shoal::dht {
namespace {

constexpr Duration kSlept = seconds(2);  // a timer that is so late: the machine was suspended

// Of splitmix64: every bit of the result depends on every bit of x.
std::uint64_t scramble(std::uint64_t x) {
  x = (x ^ x >> 30) * 0xbf58476d1ce4e5b9;
  x = (x ^ x >> 27) * 0x94d049bb133111eb;
  return x ^ x >> 31;
}

}  // namespace

std::size_t RecentAddresses::place(const proto::Endpoint& endpoint) const {
  // NATs that look at the port too let in less, never more.
  const auto words = std::bit_cast<std::array<std::uint64_t, 2>>(endpoint.address);
  return scramble(scramble(words[0] ^ secret_) ^ words[1]) % kBits;
}

void RecentAddresses::rotate(TimePoint now) {
  const auto passed = (now - began_) / generation_;
  if (passed <= 0) return;
  for (std::size_t i = 0; i < std::min<std::size_t>(static_cast<std::size_t>(passed), kGenerations);
       ++i) {
    youngest_ = (youngest_ + 1) % kGenerations;
    filters_[youngest_] = {};
  }
  began_ += passed * generation_;
}

void RecentAddresses::add(const proto::Endpoint& endpoint, TimePoint now) {
  rotate(now);
  const std::size_t at = place(endpoint);
  filters_[youngest_][at / 64] |= std::uint64_t{1} << at % 64;
}

bool RecentAddresses::has(const proto::Endpoint& endpoint, TimePoint now) {
  rotate(now);
  const std::size_t at = place(endpoint);
  std::uint64_t word = 0;
  for (const Filter& filter : filters_) word |= filter[at / 64];
  return (word >> at % 64 & 1) != 0;
}

Reachability::Reachability(const ReachabilityConfig& config, identity::Random& random,
                           TimePoint now)
    : config_(config),
      started_(now),
      written_(config.nat_memory, random),
      next_round_(now + config.first),
      wait_(config.again_doubtful) {}

void Reachability::not_needed(TimePoint now) {
  if (running_ || state_ == State::kUnreachable) end_round(State::kUnknown, now);
  next_round_ = now + config_.first;
}

void Reachability::heard(const proto::Endpoint& from, std::uint64_t token, TimePoint now) {
  const auto dial = open_.find(token);
  if (is_exempt(from)) return;  // a neighbour of ours: behind the same NAT, perhaps
  const bool unasked = !written_.has(from, now);
  const std::uint64_t network = wide_network(from);
  if (dial != open_.end()) {
    open_.erase(dial);
    // Of somebody we know, or of one network for the second time, it says nothing new.
    if (unasked && std::find(dialers_.begin(), dialers_.end(), network) == dialers_.end()) {
      dialers_.push_back(network);
      ++confirmed_;
    }
    return judge(now);
  }
  if (!unasked) return;
  stranger_in_round_ = true;
  std::erase_if(strangers_, [&](const Stranger& known) { return known.network == network; });
  if (strangers_.size() >= config_.needed) strangers_.erase(strangers_.begin());
  strangers_.push_back({network, now});
  if (state_ != State::kReachable && strangers_come(now)) end_round(State::kReachable, now);
}

bool Reachability::strangers_come(TimePoint now) const {
  return strangers_.size() >= config_.needed && now - strangers_.front().at < config_.fresh;
}

void Reachability::handle_timeout(TimePoint now) {
  if (!running_) {
    if (now < next_round_) return;
    if (strangers_come(now)) return end_round(State::kReachable, now);
    running_ = true;
    round_began_ = now;
    stranger_in_round_ = false;
    asks_ = confirmed_ = missed_ = 0;
    return;
  }
  // We slept, and with us the socket: what did not come says nothing.
  if (now >= next_timeout() + kSlept) return end_round(state_, now);
  for (auto it = open_.begin(); it != open_.end();) {
    if (now < it->second.overdue) {
      ++it;
      continue;
    }
    if (it->second.promised) ++missed_;
    it = open_.erase(it);
  }
  judge(now);
}

TimePoint Reachability::next_timeout() const {
  if (!running_) return next_round_;
  TimePoint next = round_began_ + config_.round;
  for (const auto& [token, dial] : open_) next = std::min(next, dial.overdue);
  return next;
}

bool Reachability::wants_more() const {
  return running_ && asks_ < config_.max_asks &&
         open_.size() + confirmed_ + missed_ < config_.answers;
}

bool Reachability::may_help(const proto::Endpoint& helper) const {
  return !is_exempt(helper) &&
         std::find(helpers_.begin(), helpers_.end(), wide_network(helper)) == helpers_.end();
}

std::uint64_t Reachability::asked(const proto::Endpoint& helper, identity::Random& random,
                                  TimePoint now) {
  std::uint64_t token = 0;
  while (token == 0 || open_.contains(token)) token = random.next();
  open_[token] = {now + config_.promise, false};
  helpers_.push_back(wide_network(helper));
  ++asks_;
  ++total_asks_;
  return token;
}

void Reachability::answered(std::uint64_t token, bool promised, TimePoint now) {
  const auto dial = open_.find(token);
  if (dial == open_.end()) return;  // it came before the answer, or too late
  if (promised) {
    dial->second = {now + config_.promise, true};
  } else {
    open_.erase(dial);
  }
  judge(now);
}

void Reachability::judge(TimePoint now) {
  if (!running_) return;
  if (confirmed_ >= config_.needed) return end_round(State::kReachable, now);
  if (missed_ >= config_.needed) {
    // Helpers may lie, or their friends be gone: a stranger who came meanwhile says more.
    return end_round(stranger_in_round_ || confirmed_ > 0 ? State::kUnknown : State::kUnreachable,
                     now);
  }
  const bool spent = asks_ >= config_.max_asks && open_.empty();
  if (!spent && now - round_began_ < config_.round) return;
  end_round(state_, now);
  next_round_ = now + wait_;
  wait_ = std::min(2 * wait_, config_.again);
}

void Reachability::end_round(State state, TimePoint now) {
  running_ = false;
  open_.clear();
  helpers_.clear();
  dialers_.clear();
  if (state != state_) wait_ = config_.again_doubtful;
  state_ = state;
  // What came soon after the start may have been let in for what an earlier run of ours wrote.
  const bool sure = state == State::kReachable && now - started_ >= config_.nat_memory;
  next_round_ = now + (sure ? config_.again : config_.again_doubtful);
}

bool DialHelp::take(const proto::Endpoint& asker, TimePoint now) {
  if (!networks_.take(scramble(narrow_network(asker) ^ secret_), now)) return false;
  return all_.take(all_full_at_, 1, 0, now);
}

}  // namespace shoal::dht
