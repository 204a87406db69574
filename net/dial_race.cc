// SPDX-License-Identifier: Apache-2.0
#include "net/dial_race.h"

#include <algorithm>
#include <cerrno>

#include "absl/strings/str_cat.h"
#include "base/check.h"
#include "net/status.h"
#include "proto/limits.h"

namespace shoal::net {
namespace {

std::vector<proto::Address> of_sort(const std::vector<proto::Address>& addresses, bool direct) {
  std::vector<proto::Address> result;
  for (const proto::Address& address : addresses) {
    if (address.is_direct() == direct) result.push_back(address);
  }
  return result;
}

// Families alternate, beginning with that of the first; within one the order stays.
std::vector<proto::Address> alternated(std::vector<proto::Address> addresses) {
  std::vector<proto::Address> result;
  while (!addresses.empty()) {
    auto next = std::find_if(addresses.begin(), addresses.end(), [&](const proto::Address& a) {
      return result.empty() || a.endpoint.is_v4() != result.back().endpoint.is_v4();
    });
    if (next == addresses.end()) next = addresses.begin();
    result.push_back(*next);
    addresses.erase(next);
  }
  return result;
}

}  // namespace

DialRace::DialRace(const std::vector<proto::Address>& addresses,
                   const std::optional<proto::Address>& worked_last, Time now)
    : next_start_(now), deadline_(now + std::chrono::milliseconds(proto::kConnectTimeoutMs)) {
  CHECK(!addresses.empty());
  std::vector<proto::Address> order = addresses;
  if (worked_last) {
    const auto found = std::find(order.begin(), order.end(), *worked_last);
    if (found != order.end()) std::rotate(order.begin(), found, found + 1);
  }
  add(alternated(of_sort(order, true)));
  add(alternated(of_sort(order, false)));
}

void DialRace::add(const std::vector<proto::Address>& addresses) {
  for (const proto::Address& address : addresses) {
    if (entrants_.size() >= proto::kMaxDialledAddresses) return;
    if (std::any_of(entrants_.begin(), entrants_.end(),
                    [&](const Entrant& known) { return known.address == address; })) {
      continue;
    }
    entrants_.push_back({.address = address, .failure = std::nullopt});
    const absl::Status usable = proto::check_address(address.endpoint, proto::AddressUse::kDial);
    if (usable.ok()) continue;
    entrants_.back().started = true;
    entrants_.back().failure = absl::UnavailableError(usable.message());
  }
}

std::vector<proto::Address> DialRace::due(Time now) {
  std::vector<proto::Address> result;
  if (now >= deadline_) return result;
  for (Entrant& entrant : entrants_) {
    if (entrant.started) continue;
    const bool running = std::any_of(entrants_.begin(), entrants_.end(), [](const Entrant& other) {
      return other.started && !other.failure;
    });
    if (running && now < next_start_) break;
    entrant.started = true;
    result.push_back(entrant.address);
    next_start_ = now + std::chrono::milliseconds(proto::kDialStaggerMs);
  }
  return result;
}

void DialRace::failed(const proto::Address& address, absl::Status why) {
  CHECK(!why.ok());
  for (Entrant& entrant : entrants_) {
    if (entrant.address != address || !entrant.started || entrant.failure) continue;
    entrant.failure = std::move(why);
    next_start_ = Time::min();
    return;
  }
}

void DialRace::slept(std::chrono::nanoseconds time) {
  deadline_ += std::chrono::duration_cast<Time::duration>(time);
}

bool DialRace::lost(Time now) const {
  return now >= deadline_ ||
         std::all_of(entrants_.begin(), entrants_.end(),
                     [](const Entrant& entrant) { return entrant.failure.has_value(); });
}

DialRace::Time DialRace::next() const {
  const bool more = std::any_of(entrants_.begin(), entrants_.end(),
                                [](const Entrant& entrant) { return !entrant.started; });
  return more ? std::min(next_start_, deadline_) : deadline_;
}

absl::Status DialRace::verdict() const {
  std::vector<std::string> reasons;  // of each address
  bool stranger_everywhere = true;
  for (const Entrant& entrant : entrants_) {
    const absl::Status why = entrant.failure.value_or(connect_failure(ETIMEDOUT));
    stranger_everywhere = stranger_everywhere && absl::IsUnauthenticated(why);
    reasons.emplace_back(why.message());
  }
  std::string words = reasons.front();
  if (std::any_of(reasons.begin(), reasons.end(),
                  [&](const std::string& reason) { return reason != words; })) {
    words = absl::StrCat("none of its ", reasons.size(), " addresses will do");
    for (std::size_t i = 0; i < reasons.size(); ++i) {
      absl::StrAppend(&words, i == 0 ? ": " : "; ", proto::to_string(entrants_[i].address), ": ",
                      reasons[i]);
    }
  }
  return stranger_everywhere ? absl::UnauthenticatedError(words) : absl::UnavailableError(words);
}

}  // namespace shoal::net
