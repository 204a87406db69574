// SPDX-License-Identifier: Apache-2.0
#include "node/member/ladder.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "dht/diversity.h"
#include "proto/limits.h"

namespace shoal::node {
namespace {

using proto::Address;
using proto::Endpoint;

// Private addresses that neighbours use, of a node that others reach elsewhere.
constexpr std::size_t kNeighbourAddresses = 2;

bool is_good(Rung rung) { return rung == Rung::kDirect || rung == Rung::kMapped; }

void add_once(std::vector<Address>& list, const Address& address) {
  if (std::ranges::find(list, address) == list.end()) list.push_back(address);
}

std::string names_of(std::span<const Address> relays) {
  std::vector<std::string> names;
  for (const Address& relay : relays) {
    if (!relay.relay) continue;
    std::string name = proto::short_name(*relay.relay);
    if (std::ranges::find(names, name) == names.end()) names.push_back(std::move(name));
  }
  if (names.empty()) return "relays";
  if (names.size() == 1) return "relay " + names[0];
  std::string result = "relays " + names[0];
  for (std::size_t i = 1; i < names.size(); ++i)
    result += (i + 1 == names.size() ? " and " : ", ") + names[i];
  return result;
}

}  // namespace

void Ladder::begin(bool v4, bool v6) {
  for (const Family family : kFamilies) {
    State& state = this->state(family);
    state.is_there = family == Family::kV4 ? v4 : v6;
    state.doubted = state.remapped = false;
    if (!state.is_there) {
      state = {};
    } else if (options_.mode == ReachMode::kRelay) {
      go_down(state);
    } else {
      state.stage = state.mapping ? Stage::kAskingMapped : Stage::kAsking;
    }
  }
}

bool Ladder::is_elsewhere(std::span<const Endpoint> before, std::span<const Endpoint> now) const {
  const auto is_among = [](std::span<const Endpoint> list, const Endpoint& address) {
    return std::ranges::find(list, address) != list.end();
  };
  const auto was_known = [&](const Endpoint& address) {
    const State& state = this->state(address.is_v4() ? Family::kV4 : Family::kV6);
    return is_among(before, address) ||
           (state.last.seen && state.last.seen->address == address.address);
  };
  return !std::ranges::all_of(before, [&](const Endpoint& one) { return is_among(now, one); }) ||
         !std::ranges::all_of(now, was_known);
}

void Ladder::forget() { states_ = {}; }

Ladder::Step Ladder::next(Family family) const {
  switch (state(family).stage) {
    case Stage::kIdle:
      return Step::kNothing;
    case Stage::kAsking:
    case Stage::kAskingMapped:
      return Step::kAsk;
    case Stage::kMapping:
      return Step::kMap;
    case Stage::kRelaying:
      return Step::kRelay;
  }
  return Step::kNothing;
}

std::uint16_t Ladder::port_to_ask(Family family) const {
  const State& state = this->state(family);
  return state.stage == Stage::kAskingMapped ? state.mapping->external.port : outside_port(family);
}

bool Ladder::asks_udp(Family family) const {
  const State& state = this->state(family);
  return state.stage != Stage::kAskingMapped ||
         state.mapping->udp_port == state.mapping->external.port;
}

void Ladder::settle(State& state, Rung rung) {
  state.rung = rung;
  state.stage = Stage::kIdle;
}

// What is below being dialled directly.
void Ladder::go_down(State& state) {
  if (options_.may_relay && options_.mode != ReachMode::kDirect) {
    state.stage = Stage::kRelaying;
  } else {
    settle(state, Rung::kUnreached);
  }
}

void Ladder::judged(Family family, const Verdict& verdict) {
  State& state = this->state(family);
  const bool asked_mapped = state.stage == Stage::kAskingMapped;
  if (verdict.tcp == Reached::kUnknown) {
    // Nobody says anything: what was known stays as good as it was.
    if (is_good(state.rung) || state.rung == Rung::kRelayed) {
      state.stage = Stage::kIdle;
    } else {
      settle(state, Rung::kNobodyToAsk);
    }
    return;
  }
  if (verdict.tcp == Reached::kNo && is_good(state.rung) && !std::exchange(state.doubted, true)) {
    return;  // the same question once more
  }
  state.last = verdict;
  if (verdict.tcp == Reached::kYes) {
    return settle(state, asked_mapped ? Rung::kMapped : Rung::kDirect);
  }
  const bool may_map = options_.may_map && options_.mode == ReachMode::kAuto;
  if (may_map && !std::exchange(state.remapped, true)) {
    state.stage = Stage::kMapping;  // for the first time, or because the router has forgotten
  } else {
    go_down(state);
  }
}

Ladder::Step Ladder::only_relays_to_ask(Family family) {
  State& state = this->state(family);
  if (!is_good(state.rung)) go_down(state);
  return next(family);
}

void Ladder::mapped(Family family, const absl::StatusOr<net::PortMapping>& mapping) {
  State& state = this->state(family);
  if (mapping.ok()) {
    state.mapping = *mapping;
    state.why_unmapped.clear();
    state.stage = Stage::kAskingMapped;
    return;
  }
  state.mapping.reset();
  state.why_unmapped = std::string(mapping.status().message());
  go_down(state);
}

void Ladder::remap(Family family, const absl::StatusOr<net::PortMapping>& mapping) {
  State& state = this->state(family);
  state.mapping = mapping.ok() ? std::optional(*mapping) : std::nullopt;
}

std::optional<Endpoint> Ladder::outside_of(Family family) const {
  const State& state = this->state(family);
  if (is_as_told() || !is_good(state.rung) || !state.last.seen) return std::nullopt;
  Endpoint outside = *state.last.seen;  // as helpers proved it
  outside.port = state.rung == Rung::kMapped && state.mapping ? state.mapping->external.port
                                                              : outside_port(family);
  return outside;
}

std::optional<Endpoint> Ladder::untried_from_inside(std::span<const Endpoint> own) const {
  // Nothing translates IPv6 addresses.
  const State& v4 = state(Family::kV4);
  const auto outside = outside_of(Family::kV4);
  if (!options_.may_relay || v4.stage != Stage::kIdle || !outside || outside == v4.inside_at ||
      std::ranges::find(own, outside->address, &Endpoint::address) != own.end()) {
    return std::nullopt;
  }
  return outside;
}

void Ladder::tried_from_inside(bool came_back) {
  State& v4 = state(Family::kV4);
  v4.inside_at = outside_of(Family::kV4);
  v4.inside_comes_back = came_back;
}

bool Ladder::wants_relays() const {
  const State& v4 = state(Family::kV4);
  const State& v6 = state(Family::kV6);
  const auto is_low = [](const State& state) {
    return state.is_there && (state.stage == Stage::kRelaying || state.rung == Rung::kRelayed ||
                              (state.stage == Stage::kIdle && state.rung == Rung::kUnreached));
  };
  if (!options_.may_relay || options_.mode == ReachMode::kDirect) return false;
  // Who has IPv4 is reached by nearly everybody; who has only IPv6 is not.
  if (v4.is_there && is_good(v4.rung) && v4.stage == Stage::kIdle)
    return v4.inside_at && v4.inside_at == outside_of(Family::kV4) && !v4.inside_comes_back;
  return is_low(v4) || is_low(v6);
}

void Ladder::relayed(std::size_t relays) {
  for (State& state : states_) {
    const bool was_low = state.rung == Rung::kRelayed || state.rung == Rung::kUnreached;
    if (state.stage == Stage::kRelaying || (state.stage == Stage::kIdle && was_low))
      settle(state, relays > 0 ? Rung::kRelayed : Rung::kUnreached);
  }
}

bool Ladder::is_settled() const {
  return std::ranges::all_of(
      states_, [](const State& state) { return !state.is_there || state.stage == Stage::kIdle; });
}

std::optional<bool> Ladder::udp_reached() const {
  std::optional<bool> result;
  for (const State& state : states_) {
    if (!state.is_there || state.last.udp == Reached::kUnknown) continue;
    result = result.value_or(false) || state.last.udp == Reached::kYes;
  }
  return result;
}

std::vector<Address> Ladder::announced(std::span<const Endpoint> own,
                                       std::span<const Address> relays) const {
  std::vector<Address> direct, near;
  for (const Family family : kFamilies) {
    const auto outside = outside_of(family);
    if (!outside) continue;
    if (!dht::is_exempt(*outside) || state(family).rung == Rung::kMapped ||
        std::ranges::find(own, *outside) == own.end()) {
      add_once(direct, *outside);
    }
  }
  for (const Endpoint& address : own) {
    const State& state = this->state(address.is_v4() ? Family::kV4 : Family::kV6);
    const bool is_far = !dht::is_exempt(address);
    const bool is_closed = state.rung == Rung::kRelayed || state.rung == Rung::kMapped ||
                           state.rung == Rung::kUnreached;
    if (!is_closed || is_as_told()) {
      add_once(direct, address);
    } else if (!is_far && !address.is_loopback()) {
      add_once(near, address);
    }
  }
  if (near.size() > kNeighbourAddresses) near.resize(kNeighbourAddresses);
  const std::size_t through = std::min<std::size_t>(relays.size(), 2);
  std::vector<Address> result = direct;
  for (const Address& address : near) add_once(result, address);
  if (result.size() + through > proto::kMaxRecordAddresses)
    result.resize(proto::kMaxRecordAddresses - through);
  for (std::size_t i = 0; i < through; ++i) add_once(result, relays[i]);
  if (result.empty()) {
    for (const Endpoint& address : own) add_once(result, address);
  }
  return result;
}

std::string Ladder::words_of(const State& state, std::span<const Endpoint> own,
                             std::span<const Address> relays, Family family) const {
  std::string machine = "this machine";
  for (const Endpoint& address : own) {
    if (!is_of(family, address) || address.is_loopback()) continue;
    std::string text = proto::to_string(address);
    machine += fmt::format(" ({})", text.substr(0, text.rfind(':')));
    break;
  }
  const std::string forward =
      fmt::format("forward TCP and UDP port {} to {}", options_.port, machine);
  const bool no_udp = state.last.udp == Reached::kNo;
  switch (state.rung) {
    case Rung::kUnknown:
      return "";
    case Rung::kNobodyToAsk:
      return "nobody is there yet to tell whether others reach it";
    case Rung::kDirect:
      return no_udp
                 ? fmt::format("direct; UDP does not come through: forward UDP port {} to {}, too",
                               options_.port, machine)
                 : "direct";
    case Rung::kMapped:
      return fmt::format("mapped by {}{}",
                         state.mapping ? net::name_of(state.mapping->protocol) : "?",
                         no_udp ? ", TCP only" : "");
    case Rung::kRelayed:
      return fmt::format("through {}; {} for more speed", names_of(relays), forward);
    case Rung::kUnreached:
      return options_.mode == ReachMode::kDirect
                 ? fmt::format("as told, but others do not reach it: {}", forward)
                 : fmt::format("others do not reach it, and no relay is there: {}", forward);
  }
  return "";
}

std::string Ladder::told(std::span<const Endpoint> own, std::span<const Address> relays) const {
  const State& v4 = state(Family::kV4);
  const State& v6 = state(Family::kV6);
  std::string by_v4 = v4.is_there ? words_of(v4, own, relays, Family::kV4) : "";
  std::string by_v6 = v6.is_there ? words_of(v6, own, relays, Family::kV6) : "";
  // Of a family that nobody could be asked about there is nothing to tell beside another.
  if (by_v6.empty() || (v6.rung == Rung::kNobodyToAsk && !by_v4.empty())) return by_v4;
  if (by_v4.empty() || v4.rung == Rung::kNobodyToAsk) return by_v6;
  if (v4.rung == v6.rung && v4.rung == Rung::kDirect && by_v4 == by_v6) return by_v4;
  return fmt::format("IPv4 {}; IPv6 {}", by_v4, by_v6);
}

}  // namespace shoal::node
