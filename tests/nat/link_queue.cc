// SPDX-License-Identifier: Apache-2.0
#include "tests/nat/link_queue.h"

#include <algorithm>
#include <utility>

namespace shoal::tests {

LinkQueue::Nanoseconds LinkQueue::duration(std::size_t bytes) const {
  if (options_.mbit_per_s <= 0) return Nanoseconds(0);
  const double microseconds = static_cast<double>(bytes) * 8 / options_.mbit_per_s;
  return Nanoseconds(static_cast<std::int64_t>(microseconds * 1000));
}

bool LinkQueue::push(Packet packet, Nanoseconds now) {
  if (options_.loss > 0 && std::uniform_real_distribution<>(0, 1)(random_) < options_.loss) {
    return false;
  }
  const Nanoseconds leaves = std::max(now, free_at_);
  if (options_.mbit_per_s > 0 && leaves - now > duration(options_.queue_bytes)) return false;
  free_at_ = leaves + duration(packet.size());
  under_way_.push_back({free_at_ + options_.one_way, std::move(packet)});
  return true;
}

std::optional<LinkQueue::Nanoseconds> LinkQueue::next() const {
  if (under_way_.empty()) return std::nullopt;
  return under_way_.front().arrives;
}

std::optional<LinkQueue::Packet> LinkQueue::pop(Nanoseconds now) {
  if (under_way_.empty() || under_way_.front().arrives > now) return std::nullopt;
  Packet packet = std::move(under_way_.front().packet);
  under_way_.pop_front();
  return packet;
}

}  // namespace shoal::tests
