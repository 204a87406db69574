// SPDX-License-Identifier: Apache-2.0
#include "tests/sim/knobs.h"

#include <fmt/format.h>

namespace shoal::sim {

Knobs draw_knobs(std::uint64_t seed) {
  FastRandom random(mix(seed) ^ 0xfa017);
  const auto share = [&](double probability, double most) {
    return random.chance(probability) ? most * random.unit() : 0;
  };
  Knobs knobs;
  // Most private swarms are small; some seeds are larger than a bucket.
  const std::uint64_t kind = random.below(10);
  knobs.peers = kind < 6   ? random.between(1, 8)
                : kind < 9 ? random.between(6, 20)
                           : random.between(18, 40);
  knobs.addresses = random.chance(0.5) ? AddressKind::kPublic : AddressKind::kPrivate;
  knobs.keyed = random.chance(0.2);
  knobs.links.median_rtt_ms = 5 + 150 * random.unit();
  knobs.links.sigma = random.unit();
  knobs.links.jitter = random.unit();
  knobs.links.loss = share(0.7, 0.3);
  knobs.links.duplication = share(0.4, 0.5);
  knobs.links.corruption = share(0.4, 0.01);
  knobs.links.slow = share(0.4, 0.1);
  knobs.links.slow_mean_ms = 2000 * random.unit();
  knobs.owners = 0.2 + 0.8 * random.unit();
  knobs.clients = share(0.3, 0.3);
  knobs.full_stores = share(0.2, 0.5);
  knobs.skew = share(0.5, 0.001);
  knobs.faults_per_s = share(0.9, 0.5);
  knobs.fault_time = dht::seconds(static_cast<std::int64_t>(random.between(20, 100)));
  knobs.ttl_ms =
      random.chance(0.5) ? 180'000 : static_cast<std::uint32_t>(random.between(90'000, 180'000));
  knobs.replay = share(0.3, 0.2);
  if (random.chance(0.4)) {
    for (std::uint64_t i = random.between(1, 3); i > 0; --i) {
      std::size_t* const kinds[] = {&knobs.colluders, &knobs.liars, &knobs.poisoners,
                                    &knobs.flooders};
      ++*kinds[random.below(4)];
    }
  }
  if (random.chance(0.15)) knobs.sybils = random.between(1, 12);
  return knobs;
}

std::string Knobs::describe() const {
  return fmt::format(
      "{} peers, {} addresses, {}, rtt {:.0f} ms, loss {:.2f}, duplication {:.2f}, corruption "
      "{:.4f}, slow {:.2f}, owners {:.2f}, clients {:.2f}, full stores {:.2f}, skew {:.4f}, "
      "faults/s {:.2f} for {} s, ttl {} ms, replay {:.2f}, colluders {}, liars {}, poisoners {}, "
      "flooders {}, sybils {}",
      peers, addresses == AddressKind::kPublic ? "public" : "private", keyed ? "keyed" : "open",
      links.median_rtt_ms, links.loss, links.duplication, links.corruption, links.slow, owners,
      clients, full_stores, skew, faults_per_s, fault_time / dht::seconds(1), ttl_ms, replay,
      colluders, liars, poisoners, flooders, sybils);
}

}  // namespace shoal::sim
