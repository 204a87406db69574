// SPDX-License-Identifier: Apache-2.0
#include "dht/cookie.h"

#include <sodium.h>

#include <algorithm>

#include "dht/address.h"
#include "dht/sodium.h"

namespace shoal::dht {
namespace {

// Layout: 4 bytes of time in units of 2^20 ns (about a millisecond, wraps after 52 days), 4 random
// bytes, 16 of MAC.
std::uint32_t ticks(TimePoint now) {
  return static_cast<std::uint32_t>(now.time_since_epoch().count() >> 20);
}

std::uint32_t ticks_of(const Cookie& cookie) {
  return static_cast<std::uint32_t>(cookie[0]) << 24 | static_cast<std::uint32_t>(cookie[1]) << 16 |
         static_cast<std::uint32_t>(cookie[2]) << 8 | cookie[3];
}

}  // namespace

CookieJar::CookieJar(const SessionConfig& config, Random& random)
    : config_(config), random_(random.bytes<32>()), secret_(random.bytes<32>()) {}

std::array<std::uint8_t, 16> CookieJar::mac(const Cookie& cookie, const proto::Endpoint& from,
                                            const Echo& echo) const {
  std::string text(cookie.begin(), cookie.begin() + 8);
  text += encode_address(from);
  text.append(echo.begin(), echo.end());
  std::array<std::uint8_t, 16> result;
  crypto_generichash(result.data(), result.size(), as_bytes(text), text.size(), secret_.data(),
                     secret_.size());
  return result;
}

Cookie CookieJar::make(const proto::Endpoint& from, const Echo& echo, TimePoint now) {
  Cookie cookie{};
  const std::uint32_t time = ticks(now);
  for (int i = 0; i < 4; ++i)
    cookie[static_cast<std::size_t>(i)] = static_cast<std::uint8_t>(time >> (24 - 8 * i));
  random_.fill(std::span(cookie).subspan<4, 4>());
  const auto tag = mac(cookie, from, echo);
  std::copy(tag.begin(), tag.end(), cookie.begin() + 8);
  return cookie;
}

bool CookieJar::valid(const Cookie& cookie, const proto::Endpoint& from, const Echo& echo,
                      TimePoint now) {
  const auto limit = static_cast<std::uint32_t>(config_.cookie_ttl.count() >> 20);
  while (!used_order_.empty() && ticks(now) - ticks_of(used_order_.front()) > limit) {
    used_.erase(used_order_.front());
    used_order_.pop_front();
  }
  if (ticks(now) - ticks_of(cookie) > limit || used_.contains(cookie)) return false;
  const auto tag = mac(cookie, from, echo);
  return sodium_memcmp(tag.data(), cookie.data() + 8, tag.size()) == 0;
}

void CookieJar::use(const Cookie& cookie) {
  if (used_order_.size() >= config_.max_used_cookies) {
    used_.erase(used_order_.front());
    used_order_.pop_front();
  }
  if (used_.insert(cookie).second) used_order_.push_back(cookie);
}

}  // namespace shoal::dht
