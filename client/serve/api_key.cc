// SPDX-License-Identifier: Apache-2.0
#include "client/serve/api_key.h"

#include <algorithm>

#include "client/serve/http_text.h"

namespace shoal::client {
namespace {

bool equals_in_constant_time(std::string_view given, std::string_view key) {
  unsigned differs = given.size() == key.size() ? 0u : 1u;
  for (std::size_t i = 0; i < key.size(); ++i) {
    const char c = i < given.size() ? given[i] : '\0';
    differs |= static_cast<unsigned char>(c) ^ static_cast<unsigned char>(key[i]);
  }
  return differs == 0;
}

}  // namespace

bool is_authorized(std::string_view authorization, const std::vector<std::string>& keys) {
  constexpr std::string_view kScheme = "Bearer ";
  if (authorization.size() < kScheme.size() ||
      !same_ignoring_case(authorization.substr(0, kScheme.size()), kScheme)) {
    return false;
  }
  const std::string_view given = authorization.substr(kScheme.size());
  bool found = false;
  for (const std::string& key : keys) found = equals_in_constant_time(given, key) || found;
  return found;
}

bool is_plain_host(std::string_view host) {
  if (host.empty() || host.front() == '[') return true;  // HTTP/1.0, or an address of IPv6
  host = host.substr(0, host.find(':'));
  if (same_ignoring_case(host, "localhost")) return true;
  return std::ranges::all_of(host, [](char c) { return (c >= '0' && c <= '9') || c == '.'; });
}

}  // namespace shoal::client
