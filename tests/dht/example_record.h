// SPDX-License-Identifier: Apache-2.0
// Records for tests, and their keys in the public swarm.
#pragma once

#include "dht/record.h"
#include "proto/limits.h"

namespace shoal::dht {

inline Record example_record(std::uint64_t sequence, proto::Span span = {0, 4},
                             std::uint8_t model = 1) {
  Record record;
  record.sequence = sequence;
  record.ttl_ms = proto::kMaxRecordTtlMs;
  record.load.state = proto::NodeState::kOnline;
  record.offer.model_digest.bytes.fill(model);
  record.offer.model_name = "demo";
  record.offer.block_count = 8;
  record.offer.span = span;
  record.offer.numerics = {proto::Compute::kF32, proto::WeightFormat::kBf16, proto::KvFormat::kF32};
  record.offer.ends.embeds = span.begin == 0;
  record.load.block_step_us = 100;
  record.addresses = {proto::Endpoint::v4({127, 0, 0, 1}, 7000)};
  return record;
}

inline proto::Digest example_model(std::uint8_t model = 1) {
  proto::Digest digest;
  digest.bytes.fill(model);
  return digest;
}

}  // namespace shoal::dht
