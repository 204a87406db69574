// SPDX-License-Identifier: Apache-2.0
#include "tests/sim/population.h"

#include <fmt/format.h>

#include <algorithm>

#include "proto/limits.h"
#include "tests/sim/ideal_tables.h"
#include "tests/sim/meter.h"

namespace shoal::sim {
namespace {

// Keys that hostile peers have made to tell of: the closest of them to any key is closer than any
// peer nine times in ten.
constexpr std::size_t kGhostsPerPeer = 10;

}  // namespace

Population::Population(const PopulationOptions& options)
    : swarm_({options.seed, {.loss = options.loss}, options.addresses, options.threads}),
      colluders_(std::nullopt, options.collusion) {
  const std::uint64_t before = resident_bytes();
  Meter meter;
  std::vector<PeerIndex> all;
  for (std::size_t i = 0; i < options.peers; ++i) {
    if (swarm_.random().chance(options.hostile)) {
      all.push_back(colluders_.add(swarm_));
    } else {
      all.push_back(swarm_.add(options.config));
      honest_.push_back(all.back());
    }
  }
  if (colluders_.size() > 0) colluders_.invent(swarm_, kGhostsPerPeer * options.peers, honest_);
  if (options.add_others) {
    const std::vector<PeerIndex> others = options.add_others(swarm_);
    all.insert(all.end(), others.begin(), others.end());
  }
  fill_ideal_tables(swarm_, all);
  build_s_ = meter.total_s();
  bytes_per_peer_ =
      static_cast<double>(resident_bytes() - before) / static_cast<double>(options.peers);
}

std::vector<PeerIndex> Population::draw_honest(std::size_t count) {
  std::vector<PeerIndex> all = honest_;
  count = std::min(count, all.size());
  for (std::size_t i = 0; i < count; ++i)
    std::swap(all[i], all[i + swarm_.random().below(all.size() - i)]);
  all.resize(count);
  return all;
}

PeerIndex Population::random_live() {
  for (;;) {
    const PeerIndex peer = honest_[swarm_.random().below(honest_.size())];
    if (swarm_.is_up(peer)) return peer;
  }
}

void Population::kill(double share) {
  for (const PeerIndex peer : honest_) {
    if (swarm_.random().chance(share)) swarm_.crash(peer);
  }
}

void Population::report(Report& report) const {
  report.add("peers", static_cast<std::uint64_t>(swarm_.size()));
  report.add("bytes_per_peer", bytes_per_peer_);
  report.add("build_s", build_s_);
}

dht::Record record_of(PeerIndex owner) {
  dht::Record record;
  record.ttl_ms = proto::kMaxRecordTtlMs;
  record.load.state = proto::NodeState::kOnline;
  for (std::size_t i = 0; i < 4; ++i)
    record.offer.model_digest.bytes[i] = static_cast<std::uint8_t>(owner >> 8 * i);
  record.offer.model_digest.bytes[4] = 1;
  record.offer.model_name = "simulated";
  record.offer.block_count = 1;
  record.offer.span = {0, 1};
  record.offer.numerics = {proto::Compute::kF32, proto::WeightFormat::kBf16, proto::KvFormat::kF32};
  record.load.block_step_us = 100;
  record.addresses = {proto::Endpoint::v4({192, 0, 2, 1}, 7000)};
  return record;
}

dht::Key key_of_record(PeerIndex owner) {
  return dht::model_key({}, record_of(owner).offer.model_digest);
}

void report_settings(Report& report, const PopulationOptions& options) {
  report.add("seed", options.seed);
  report.add("loss", options.loss);
  report.add("hostile", options.hostile);
}

void report_cost(Report& report, const Swarm& swarm, std::uint64_t events, double wall_s) {
  report.add("virtual_s", static_cast<double>(swarm.now().time_since_epoch().count()) / 1e9 - 1000);
  report.add("events", swarm.events());
  report.add("datagrams", swarm.datagrams());
  report.add("peak_resident_bytes", peak_resident_bytes());
  report.add("events_per_s", static_cast<double>(events) / wall_s);
  report.add("trace", fmt::format("{:016x}", swarm.trace_hash()));
}

}  // namespace shoal::sim
