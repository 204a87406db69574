// SPDX-License-Identifier: Apache-2.0
// How far gRPC may read ahead of us: by itself it measures the connection and grows the window of
// every stream to megabytes, which whoever sends and is not read then fills. For servers and
// channels alike. Pure.
#pragma once

#include <grpc/grpc.h>

#include "proto/limits.h"

namespace shoal::net {

// `set` takes the name of a channel argument and its value.
template <typename Set>
void limit_flow_control(const Set& set) {
  set(GRPC_ARG_HTTP2_BDP_PROBE, 0);
  set(GRPC_ARG_HTTP2_STREAM_LOOKAHEAD_BYTES, proto::kStreamWindowBytes);
}

}  // namespace shoal::net
