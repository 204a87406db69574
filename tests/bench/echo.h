// SPDX-License-Identifier: Apache-2.0
// The floors that a hop is held against: one round trip of the same bytes over loopback, without
// any of our software (blocking TCP), and through nothing but gRPC with our mutual TLS (one
// bidirectional stream, callback API).
#pragma once

#include <cstddef>

#include "absl/status/statusor.h"
#include "tests/bench/latency.h"

namespace shoal::bench {

absl::StatusOr<Latency> tcp_echo(std::size_t bytes, int round_trips);
absl::StatusOr<Latency> grpc_echo(std::size_t bytes, int round_trips);

}  // namespace shoal::bench
