// SPDX-License-Identifier: Apache-2.0
// What a peer does unasked, so that its table stays true: checks and refreshes.
#include "dht/kademlia.h"

namespace shoal::dht {

void Kademlia::check_contacts(TimePoint now) {
  while (const auto contact = table_.poll_check(now)) {
    wire::DhtMessage message;
    message.mutable_ping();
    request(*contact, std::move(message), {Purpose::Kind::kPing}, 2, now);
  }
}

void Kademlia::refresh(TimePoint now) {
  if (now < next_refresh_) return;
  const bool small = table_.size() <= config_.routing.k;
  const Duration interval = small ? config_.refresh_small : config_.refresh_large;
  next_refresh_ = now + Duration(static_cast<std::int64_t>(static_cast<double>(interval.count()) *
                                                           (0.8 + 0.4 * random_.unit())));
  if (table_.size() == 0) return;
  Key target = key_of(self_.peer_id());
  const bool own = small || random_.below(8) == 0;
  if (!own) {
    // A random id that shares exactly `bit` leading bits with ours.
    const auto bit = static_cast<std::size_t>(
        random_.below(static_cast<std::uint64_t>(table_.deepest_bucket()) + 1));
    Key other{random_.bytes<32>()};
    for (std::size_t i = 0; i <= bit && i < 256; ++i) {
      const auto mask = static_cast<std::uint8_t>(0x80 >> i % 8);
      std::uint8_t& byte = other.bytes[i / 8];
      const bool ours = (target.bytes[i / 8] & mask) != 0;
      const bool want = i == bit ? !ours : ours;
      byte = static_cast<std::uint8_t>(want ? byte | mask : byte & ~mask);
    }
    target = other;
  }
  start(Operation::Kind::kRefresh, target,
        {.goal = own ? LookupPlan::Goal::kEverybody : LookupPlan::Goal::kClosest}, now);
}

}  // namespace shoal::dht
