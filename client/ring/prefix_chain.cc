// SPDX-License-Identifier: Apache-2.0
#include "client/ring/prefix_chain.h"

#include <algorithm>

#include "base/check.h"
#include "identity/primitives.h"
#include "proto/limits.h"

namespace shoal::client {
namespace {

constexpr std::string_view kSaltDomain = "shoal-prefix-salt-1";
constexpr std::string_view kNameDomain = "shoal-prefix-name-1";
constexpr std::string_view kSeedDomain = "shoal-prefix-seed-1";

template <typename Bytes>
Bytes mac(const identity::Bytes32& key, std::string_view text) {
  Bytes result;
  identity::primitives().mac(key, text, result.bytes);
  return result;
}

void append_u32(std::string& text, std::uint32_t value) {
  for (int shift = 0; shift < 32; shift += 8) text.push_back(static_cast<char>(value >> shift));
}

}  // namespace

PrefixSalt prefix_salt_of(const identity::Identity& identity) {
  identity::Bytes32 key;
  std::copy(identity.seed().begin(), identity.seed().end(), key.begin());
  return mac<PrefixSalt>(key, kSaltDomain);
}

PrefixSalt prefix_salt_named(std::string_view name) {
  return mac<PrefixSalt>({}, std::string(kNameDomain).append(name));
}

PrefixSeed prefix_seed(const PrefixSalt& salt, const proto::Digest& model, proto::Span span,
                       std::span<const proto::Numerics> before) {
  CHECK(before.size() == span.begin) << before.size() << " blocks before " << span.begin;
  std::string text(kSeedDomain);
  text += model.to_bytes();
  append_u32(text, span.begin);
  append_u32(text, span.end);
  for (const proto::Numerics& each : before) {
    text.push_back(static_cast<char>(each.compute));
    text.push_back(static_cast<char>(each.weights));
    text.push_back(static_cast<char>(each.kv));
  }
  return mac<PrefixSeed>(salt.bytes, text);
}

std::string page_hashes(const PrefixSeed& seed, std::span<const std::int32_t> ids) {
  constexpr std::size_t kPage = proto::kPrefixPagePositions;
  std::string hashes;
  std::string text;  // the hash before, and the page's tokens
  for (std::size_t begin = 0; begin + kPage <= ids.size(); begin += kPage) {
    for (const std::int32_t id : ids.subspan(begin, kPage)) {
      append_u32(text, static_cast<std::uint32_t>(id));
    }
    text = mac<proto::PageHash>(seed.bytes, text).to_bytes();
    hashes += text;
  }
  return hashes;
}

}  // namespace shoal::client
