// SPDX-License-Identifier: Apache-2.0
// What a peer does unasked, so that its table stays true: checks and refreshes.
#include <algorithm>
#include <utility>

#include "dht/kademlia.h"

namespace shoal::dht {
namespace {

constexpr std::size_t kRemembered = 16;  // of a table that answers: one of them will return

}  // namespace

void Kademlia::check_contacts(TimePoint now) {
  while (const auto contact = table_.poll_check(now)) {
    wire::DhtMessage message;
    message.mutable_ping();
    request(*contact, std::move(message), {Purpose::Kind::kPing}, 2, now);
  }
}

// A table that has become small meanwhile does not wait as long as it might when it was large:
// there everybody is to know everybody.
TimePoint Kademlia::refresh_due() const {
  return table_.small() ? std::min(next_refresh_, last_refresh_ + config_.refresh_small)
                        : next_refresh_;
}

void Kademlia::refresh(TimePoint now) {
  if (now < refresh_due()) return;
  last_refresh_ = now;
  const bool small = table_.small();
  const Duration interval = small ? config_.refresh_small : config_.refresh_large;
  next_refresh_ = now + Duration(static_cast<std::int64_t>(static_cast<double>(interval.count()) *
                                                           (0.8 + 0.4 * random_.unit())));
  if (table_.size() == 0) return;
  remember_some();
  const bool own = std::exchange(refresh_self_, false) || small || random_.below(8) == 0;
  const auto goal = own ? LookupPlan::Goal::kEverybody : LookupPlan::Goal::kClosest;
  start(Operation::Kind::kRefresh, own ? key_of(self_.peer_id()) : refresh_target(), {.goal = goal},
        now);
}

// A random id of a bucket: it shares exactly so many leading bits with ours.
Key Kademlia::refresh_target() {
  const Key self = key_of(self_.peer_id());
  const auto bit = static_cast<std::size_t>(
      random_.below(static_cast<std::uint64_t>(table_.deepest_bucket()) + 1));
  Key target{random_.bytes<32>()};
  for (std::size_t i = 0; i <= bit && i < 256; ++i) {
    const auto mask = static_cast<std::uint8_t>(0x80 >> i % 8);
    std::uint8_t& byte = target.bytes[i / 8];
    const bool ours = (self.bytes[i / 8] & mask) != 0;
    const bool want = i == bit ? !ours : ours;
    byte = static_cast<std::uint8_t>(want ? byte | mask : byte & ~mask);
  }
  return target;
}

// While most of the table answers: when the network goes, all of it is lost within minutes.
void Kademlia::remember_some() {
  if (2 * table_.verified() <= table_.size()) return;
  std::vector<Contact> verified;
  for (const RoutingTable::Entry* entry :
       table_.closest(Key{random_.bytes<32>()}, kRemembered, RoutingTable::Which::kTellable))
    verified.push_back(entry->contact);
  if (!verified.empty()) remembered_ = std::move(verified);
}

}  // namespace shoal::dht
