// SPDX-License-Identifier: Apache-2.0
#include "identity/random.h"

#include <sodium.h>

#include <algorithm>

#include "identity/sodium.h"

namespace shoal::identity {

Random::Random(const Seed& seed) : key_(seed), used_(sizeof(buffer_)) { ensure_sodium(); }

Random::Random(std::uint64_t seed)
    : Random([seed] {
        Seed wide{};
        for (int i = 0; i < 8; ++i)
          wide[static_cast<std::size_t>(i)] = static_cast<std::uint8_t>(seed >> (8 * i));
        return wide;
      }()) {}

Random Random::from_system() {
  ensure_sodium();
  Seed seed;
  randombytes_buf(seed.data(), seed.size());
  return Random(seed);
}

void Random::fill(std::span<std::uint8_t> out) {
  while (!out.empty()) {
    if (used_ == buffer_.size()) {
      std::array<std::uint8_t, crypto_stream_chacha20_NONCEBYTES> nonce{};
      for (std::size_t i = 0; i < 8; ++i) nonce[i] = static_cast<std::uint8_t>(block_ >> (8 * i));
      ++block_;
      crypto_stream_chacha20(buffer_.data(), buffer_.size(), nonce.data(), key_.data());
      used_ = 0;
    }
    const std::size_t n = std::min(out.size(), buffer_.size() - used_);
    std::copy_n(buffer_.begin() + static_cast<std::ptrdiff_t>(used_), n, out.begin());
    used_ += n;
    out = out.subspan(n);
  }
}

std::uint64_t Random::next() {
  const auto raw = bytes<8>();
  std::uint64_t result = 0;
  for (const std::uint8_t byte : raw) result = result << 8 | byte;
  return result;
}

std::uint64_t Random::below(std::uint64_t bound) {
  if (bound == 0) return 0;
  const std::uint64_t rest =
      (0 - bound) % bound;  // 2^64 mod bound: values below it would bias the result
  std::uint64_t value = next();
  while (value < rest) value = next();
  return value % bound;
}

double Random::unit() { return static_cast<double>(next() >> 11) * 0x1.0p-53; }

}  // namespace shoal::identity
