// SPDX-License-Identifier: Apache-2.0
#include "net/server.h"

#include <grpcpp/resource_quota.h>
#include <grpcpp/server_builder.h>

#include "net/flow_control.h"
#include "proto/limits.h"

namespace shoal::net {
namespace {

void set_limits(grpc::ServerBuilder& builder) {
  builder.SetMaxReceiveMessageSize(static_cast<int>(proto::kMaxMessageBytes));
  builder.SetMaxSendMessageSize(static_cast<int>(proto::kMaxMessageBytes));
  builder.SetResourceQuota(grpc::ResourceQuota("shoal").Resize(proto::kServerMemoryBytes));
  // A compressed message of 4 MiB may unpack to gigabytes, and activations do not compress: refuse
  // all of them.
  builder.SetCompressionAlgorithmSupportStatus(GRPC_COMPRESS_DEFLATE, false);
  builder.SetCompressionAlgorithmSupportStatus(GRPC_COMPRESS_GZIP, false);
  const auto set = [&](const char* name, std::uint64_t value) {
    builder.AddChannelArgument(name, static_cast<int>(value));
  };
  limit_flow_control(set);
  set(GRPC_ARG_MAX_CONCURRENT_STREAMS, proto::kMaxStreamsPerConnection);
  set(GRPC_ARG_MAX_METADATA_SIZE, proto::kMaxMetadataBytes);
  set(GRPC_ARG_KEEPALIVE_TIME_MS, proto::kKeepaliveTimeMs);
  set(GRPC_ARG_KEEPALIVE_TIMEOUT_MS, proto::kKeepaliveTimeoutMs);
  set(GRPC_ARG_HTTP2_MIN_RECV_PING_INTERVAL_WITHOUT_DATA_MS, proto::kMinPingIntervalMs);
  set(GRPC_ARG_HTTP2_MAX_PINGS_WITHOUT_DATA, 0);
  set(GRPC_ARG_MAX_CONNECTION_IDLE_MS, proto::kMaxConnectionIdleMs);
}

}  // namespace

void RunningServer::shut_down(std::chrono::milliseconds grace) {
  if (front != nullptr) front->stop_accepting();
  if (server != nullptr) server->Shutdown(std::chrono::system_clock::now() + grace);
  if (front != nullptr) front->stop();
  server.reset();
}

absl::StatusOr<RunningServer> start_server(const proto::Endpoint& listen,
                                           const identity::Identity& identity,
                                           const std::optional<identity::SwarmKey>& swarm_key,
                                           const std::vector<grpc::Service*>& services,
                                           const FrontOptions& options) {
  init_transport();
  auto front = Front::open(listen, identity, swarm_key, options);
  if (!front.ok()) return front.status();
  grpc::ServerBuilder builder;
  set_limits(builder);
  for (grpc::Service* service : services) builder.RegisterService(service);
  RunningServer running;
  if (services.empty()) {  // for gRPC no server; this one answers that it knows no such call
    running.nothing = std::make_unique<grpc::CallbackGenericService>();
    builder.RegisterCallbackGenericService(running.nothing.get());
  }
  running.server = builder.BuildAndStart();
  if (running.server == nullptr) {
    return absl::ResourceExhaustedError(
        "gRPC could not start its server: too few threads or descriptors (ulimit -u, ulimit -n)");
  }
  running.front = std::move(*front);
  running.endpoint = running.front->endpoint();
  running.front->serve(*running.server);
  return running;
}

}  // namespace shoal::net
