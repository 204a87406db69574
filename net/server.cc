// SPDX-License-Identifier: Apache-2.0
#include "net/server.h"

#include <grpcpp/resource_quota.h>
#include <grpcpp/server_builder.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

#include "absl/strings/str_cat.h"
#include "net/flow_control.h"
#include "proto/limits.h"

namespace shoal::net {
namespace {

// gRPC does not say why it could not listen: ask the system the same.
int listen_error(const proto::Endpoint& listen) {
  sockaddr_storage storage{};
  socklen_t size = 0;
  if (listen.is_v4()) {
    auto* v4 = reinterpret_cast<sockaddr_in*>(&storage);
    v4->sin_family = AF_INET;
    v4->sin_port = htons(listen.port);
    std::memcpy(&v4->sin_addr, listen.address.data() + 12, 4);
    size = sizeof(*v4);
  } else {
    auto* v6 = reinterpret_cast<sockaddr_in6*>(&storage);
    v6->sin6_family = AF_INET6;
    v6->sin6_port = htons(listen.port);
    std::memcpy(&v6->sin6_addr, listen.address.data(), 16);
    size = sizeof(*v6);
  }
  const int fd = socket(storage.ss_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
  if (fd < 0) return errno;
  const int one = 1;
  setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
  int error = 0;
  if (bind(fd, reinterpret_cast<const sockaddr*>(&storage), size) != 0 || ::listen(fd, 1) != 0) {
    error = errno;
  }
  close(fd);
  return error;
}

absl::Status cannot_listen(const proto::Endpoint& listen) {
  const std::string name = proto::to_string(listen);
  switch (const int error = listen_error(listen)) {
    case 0:  // free by now
    case EADDRINUSE:
      return absl::AlreadyExistsError(
          absl::StrCat("cannot listen on ", name,
                       ": the port is in use by another program. Choose another port with --listen "
                       "(port 0 picks a free one), or stop that program"));
    case EADDRNOTAVAIL:
      return absl::InvalidArgumentError(absl::StrCat(
          "cannot listen on ", name,
          ": this machine does not have that address. Use one of its own addresses, or "
          "0.0.0.0 for all"));
    case EACCES:
      return absl::PermissionDeniedError(absl::StrCat(
          "cannot listen on ", name, ": not permitted. Choose a port above 1023 with --listen"));
    default:
      return absl::UnavailableError(absl::StrCat("cannot listen on ", name, ": ",
                                                 std::strerror(error),
                                                 ". Choose another address with --listen"));
  }
}

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
  set(GRPC_ARG_ALLOW_REUSEPORT, 0);  // else two servers share a port in silence
  set(GRPC_ARG_MAX_CONCURRENT_STREAMS, proto::kMaxStreamsPerConnection);
  set(GRPC_ARG_MAX_METADATA_SIZE, proto::kMaxMetadataBytes);
  set(GRPC_ARG_SERVER_HANDSHAKE_TIMEOUT_MS, proto::kConnectTimeoutMs);
  set(GRPC_ARG_KEEPALIVE_TIME_MS, proto::kKeepaliveTimeMs);
  set(GRPC_ARG_KEEPALIVE_TIMEOUT_MS, proto::kKeepaliveTimeoutMs);
  set(GRPC_ARG_HTTP2_MIN_RECV_PING_INTERVAL_WITHOUT_DATA_MS, proto::kMinPingIntervalMs);
  set(GRPC_ARG_HTTP2_MAX_PINGS_WITHOUT_DATA, 0);
  set(GRPC_ARG_MAX_CONNECTION_IDLE_MS, proto::kMaxConnectionIdleMs);
}

}  // namespace

absl::StatusOr<RunningServer> start_server(const proto::Endpoint& listen,
                                           const dht::Identity& identity,
                                           const std::optional<dht::SwarmKey>& swarm_key,
                                           const std::vector<grpc::Service*>& services) {
  grpc::ServerBuilder builder;
  set_limits(builder);
  int port = 0;
  builder.AddListeningPort(proto::to_string(listen), server_credentials(identity, swarm_key),
                           &port);
  for (grpc::Service* service : services) builder.RegisterService(service);
  RunningServer running;
  running.server = builder.BuildAndStart();
  if (running.server == nullptr || port <= 0) return cannot_listen(listen);
  running.endpoint = listen;
  running.endpoint.port = static_cast<std::uint16_t>(port);
  return running;
}

}  // namespace shoal::net
