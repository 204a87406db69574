// SPDX-License-Identifier: Apache-2.0
#include "dht/cookie.h"

#include <sodium/utils.h>

#include <algorithm>

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

// Of the MAC, which nobody else can choose.
std::uint64_t fingerprint(const Cookie& cookie) {
  std::uint64_t value = 0;
  for (std::size_t i = 8; i < 16; ++i) value = value << 8 | cookie[i];
  return value;
}

}  // namespace

CookieJar::CookieJar(const SessionConfig& config, identity::Random& random)
    : ttl_(config.cookie_ttl),
      random_(random.bytes<32>()),
      secret_(random.bytes<32>()),
      used_(config.max_used_cookies) {}

std::array<std::uint8_t, 16> CookieJar::mac(const Cookie& cookie,
                                            const proto::Endpoint& from) const {
  std::array<char, 8 + 16 + 2> text;
  std::copy_n(cookie.begin(), 8, text.begin());
  std::copy(from.address.begin(), from.address.end(), text.begin() + 8);
  text[24] = static_cast<char>(from.port >> 8);
  text[25] = static_cast<char>(from.port & 0xff);
  std::array<std::uint8_t, 16> result;
  identity::primitives().mac(secret_, {text.data(), text.size()}, result);
  return result;
}

Cookie CookieJar::make(const proto::Endpoint& from, TimePoint now) {
  Cookie cookie{};
  const std::uint32_t time = ticks(now);
  for (int i = 0; i < 4; ++i)
    cookie[static_cast<std::size_t>(i)] = static_cast<std::uint8_t>(time >> (24 - 8 * i));
  random_.fill(std::span(cookie).subspan<4, 4>());
  const auto tag = mac(cookie, from);
  std::copy(tag.begin(), tag.end(), cookie.begin() + 8);
  return cookie;
}

bool CookieJar::valid(const Cookie& cookie, const proto::Endpoint& from, TimePoint now) const {
  const auto limit = static_cast<std::uint32_t>(ttl_.count() >> 20);
  if (ticks(now) - ticks_of(cookie) > limit) return false;
  const auto tag = mac(cookie, from);
  return sodium_memcmp(tag.data(), cookie.data() + 8, tag.size()) == 0 &&
         !used_.contains(fingerprint(cookie));
}

void CookieJar::use(const Cookie& cookie) { used_.insert(fingerprint(cookie)); }

}  // namespace shoal::dht
