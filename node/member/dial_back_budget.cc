// SPDX-License-Identifier: Apache-2.0
#include "node/member/dial_back_budget.h"

#include <utility>

namespace shoal::node {
namespace {

// The bucket of a key, if there is room for one: those that are full again say nothing.
template <typename Buckets, typename Key>
net::TokenBucket* bucket_of(Buckets& buckets, const Key& key, net::Rate rate, std::size_t most,
                            DialBackBudget::Time now) {
  if (const auto known = buckets.find(key); known != buckets.end()) return &known->second;
  if (buckets.size() >= most) {
    for (auto it = buckets.begin(); it != buckets.end();) {
      const auto entry = it++;
      if (entry->second.is_full(now)) buckets.erase(entry);
    }
  }
  if (buckets.size() >= most) return nullptr;
  return &buckets.emplace(key, net::TokenBucket(rate, now)).first->second;
}

}  // namespace

bool DialBackBudget::begin(const proto::PeerId& peer, const net::Network& address, Time now) {
  if (under_way_ >= limits_.at_once || !all_.has(now, 1)) return false;
  net::TokenBucket* const at =
      bucket_of(addresses_, address, limits_.address, limits_.remembered, now);
  if (at == nullptr || !at->has(now, 1)) return false;
  net::TokenBucket* const of = bucket_of(peers_, peer, limits_.peer, limits_.remembered, now);
  if (of == nullptr || !of->take(now)) return false;
  at->take(now);
  all_.take(now);
  ++under_way_;
  return true;
}

}  // namespace shoal::node
