// SPDX-License-Identifier: Apache-2.0
#include "tests/bench/grpc_echo.h"

#include <chrono>

#include "net/channel_pool.h"
#include "net/server.h"
#include "tests/bench/echo.h"

namespace shoal::bench {
absl::StatusOr<Latency> grpc_echo(std::size_t bytes, int round_trips) {
  const auto server_identity = identity::Identity::generate();
  EchoService service;
  auto server = net::start_server(proto::Endpoint::v4({127, 0, 0, 1}, 0), server_identity,
                                  std::nullopt, {&service});
  if (!server.ok()) return server.status();
  net::ChannelPool channels(identity::Identity::generate(), std::nullopt);
  Latency latency;
  {
    auto stub =
        wire::SpanService::NewStub(channels.get(server_identity.peer_id(), {server->endpoint}));
    EchoClient client;
    client.start(*stub);
    const std::string payload(bytes, 'x');
    for (int i = 0; i < round_trips; ++i) {
      const auto started = std::chrono::steady_clock::now();
      if (!client.round_trip(payload)) break;
      latency.samples_us.push_back(
          std::chrono::duration<double, std::micro>(std::chrono::steady_clock::now() - started)
              .count());
    }
    client.finish();
  }
  server->server->Shutdown();
  if (latency.samples_us.size() != static_cast<std::size_t>(round_trips)) {
    return absl::UnavailableError("the gRPC echo broke off");
  }
  return latency;
}

}  // namespace shoal::bench
