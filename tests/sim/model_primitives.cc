// SPDX-License-Identifier: Apache-2.0
#include "tests/sim/model_primitives.h"

#include <algorithm>
#include <atomic>
#include <cstring>

namespace shoal::sim {
namespace {

using identity::AeadNonce;
using identity::Bytes32;
using identity::Bytes64;

std::uint64_t load(const char* at) {
  std::uint64_t word;
  std::memcpy(&word, at, sizeof(word));
  return word;
}

// Both halves of the 128-bit product, folded.
std::uint64_t fold(std::uint64_t a, std::uint64_t b) {
  const auto product = static_cast<unsigned __int128>(a) * b;
  return static_cast<std::uint64_t>(product) ^ static_cast<std::uint64_t>(product >> 64);
}

// A keyed hash over several texts, after wyhash: 16 bytes per multiplication.
class Hash {
 public:
  explicit Hash(std::span<const std::uint8_t, 32> key) {
    std::memcpy(key_.data(), key.data(), 32);
    a_ = key_[0] ^ 0xa0761d6478bd642fu;
    b_ = key_[1] ^ 0xe7037ed1a0b428dbu;
  }

  Hash& add(std::string_view text) {
    const char* at = text.data();
    std::size_t left = text.size();
    for (; left >= 16; at += 16, left -= 16) step(load(at), load(at + 8));
    char rest[16] = {};
    if (left > 0) std::memcpy(rest, at, left);
    step(load(rest), load(rest + 8) ^ text.size() << 56 ^ left);  // texts cannot run into another
    return *this;
  }
  Hash& add(std::span<const std::uint8_t> bytes) {
    return add({reinterpret_cast<const char*>(bytes.data()), bytes.size()});
  }

  void finish(std::span<std::uint8_t> out) const {
    std::uint64_t word = 0;
    for (std::size_t i = 0; i < out.size(); ++i) {
      if (i % 8 == 0) word = fold(a_ ^ key_[2] ^ i * 0x9e3779b97f4a7c15u, b_ ^ key_[3] ^ i);
      out[i] = static_cast<std::uint8_t>(word >> 8 * (i % 8));
    }
  }

 private:
  void step(std::uint64_t low, std::uint64_t high) {
    a_ = fold(a_ ^ low, high ^ 0x8ebc6af09c88c6e3u ^ key_[2]);
    b_ = fold(b_ ^ high ^ 0x589965cc75374cc3u, low ^ 0x1d8e4e27c47d124fu ^ key_[3]) + a_;
  }

  std::array<std::uint64_t, 4> key_;
  std::uint64_t a_, b_;
};

void sign(const identity::Bytes64& secret, std::string_view text, identity::Bytes64& signature) {
  Hash(std::span(secret).last<32>()).add(text).finish(signature);  // keyed by the public half
}

bool verify(const identity::Bytes32& public_key, std::string_view text,
            const identity::Bytes64& signature) {
  identity::Bytes64 expected;
  Hash(std::span(public_key)).add(text).finish(expected);
  return expected == signature;
}

bool exchange_key_of(const identity::Bytes32& public_key, identity::Bytes32& exchange_key) {
  exchange_key = public_key;
  return public_key != identity::Bytes32{};
}

// In the model a secret is its own public form, and the exchange a hash of both in order.
void exchange_secret_of(const identity::Bytes64& secret, identity::Bytes32& exchange_secret) {
  std::copy_n(secret.begin() + 32, 32, exchange_secret.begin());
}

void exchange_pair(const identity::Bytes32& exchange_secret, identity::Bytes32& exchange_key) {
  exchange_key = exchange_secret;
}

bool exchange(const identity::Bytes32& exchange_secret, const identity::Bytes32& exchange_key,
              identity::Bytes32& shared) {
  if (exchange_key == identity::Bytes32{}) return false;
  const auto [low, high] = std::minmax(exchange_secret, exchange_key);
  Hash(std::span(low)).add(std::span<const std::uint8_t>(high)).finish(shared);
  return true;
}

void mac(const identity::Bytes32& key, std::string_view text, std::span<std::uint8_t> out) {
  Hash(std::span(key)).add(text).finish(out);
}

std::array<std::uint8_t, identity::kAeadTagBytes> tag_of(const identity::Bytes32& key,
                                                         const identity::AeadNonce& nonce,
                                                         std::string_view header,
                                                         std::string_view plain) {
  std::array<std::uint8_t, identity::kAeadTagBytes> tag;
  Hash(std::span(key)).add(std::span<const std::uint8_t>(nonce)).add(header).add(plain).finish(tag);
  return tag;
}

void seal(const identity::Bytes32& key, const identity::AeadNonce& nonce, std::string_view header,
          std::string_view plain, std::uint8_t* out) {
  const auto tag = tag_of(key, nonce, header, plain);
  std::memmove(out, plain.data(), plain.size());
  std::memcpy(out + plain.size(), tag.data(), tag.size());
}

bool open(const identity::Bytes32& key, const identity::AeadNonce& nonce, std::string_view header,
          std::string_view ciphertext, std::uint8_t* out) {
  if (ciphertext.size() < identity::kAeadTagBytes) return false;
  const std::string_view plain = ciphertext.substr(0, ciphertext.size() - identity::kAeadTagBytes);
  const auto tag = tag_of(key, nonce, header, plain);
  if (std::memcmp(tag.data(), plain.data() + plain.size(), tag.size()) != 0) return false;
  std::memmove(out, plain.data(), plain.size());
  return true;
}

void quick_key_pair(const identity::Bytes32& seed, identity::Bytes32& public_key,
                    identity::Bytes64& secret) {
  Hash(std::span(seed)).finish(public_key);
  std::copy(seed.begin(), seed.end(), secret.begin());
  std::copy(public_key.begin(), public_key.end(), secret.begin() + 32);
}

std::atomic<const identity::Primitives*> chosen{nullptr};

}  // namespace

const identity::Primitives& model_primitives() {
  // Key pairs are real, so that every peer has the same id, and with it the same neighbours, as
  // with the real cryptography.
  static const identity::Primitives table = {
      identity::sodium_primitives().key_pair,
      sign,
      verify,
      exchange_key_of,
      exchange_secret_of,
      exchange_pair,
      exchange,
      mac,
      seal,
      open,
  };
  return table;
}

const identity::Primitives& quick_primitives() {
  static const identity::Primitives table = [] {
    identity::Primitives quick = model_primitives();
    quick.key_pair = quick_key_pair;
    return quick;
  }();
  return table;
}

void choose_crypto(Crypto crypto) {
  chosen = crypto == Crypto::kModel ? &model_primitives() : &identity::sodium_primitives();
}

void choose_crypto(const identity::Primitives& table) { chosen = &table; }

}  // namespace shoal::sim

namespace shoal::identity {

const Primitives& primitives() {
  const Primitives* table = sim::chosen.load(std::memory_order_relaxed);
  return table != nullptr ? *table : sodium_primitives();
}

}  // namespace shoal::identity
