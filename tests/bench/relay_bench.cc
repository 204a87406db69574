// SPDX-License-Identifier: Apache-2.0
#include "tests/bench/relay_bench.h"

#include <fmt/format.h>

#include <chrono>
#include <thread>

#include "net/channel_pool.h"
#include "net/io_thread.h"
#include "net/relay.h"
#include "net/server.h"
#include "node/member/relay_keeper.h"
#include "proto/tunnel.h"
#include "tests/bench/grpc_echo.h"
#include "tests/bench/latency.h"

namespace shoal::bench {
namespace {

using Clock = std::chrono::steady_clock;

constexpr int kEchoesPerTurn = 100;
constexpr std::size_t kPieceBytes = 1u << 20;
const proto::Endpoint kAnyPort = proto::Endpoint::v4({127, 0, 0, 1}, 0);

double microseconds_since(Clock::time_point begin) {
  return std::chrono::duration<double, std::micro>(Clock::now() - begin).count();
}

// A relay, an echo server that parks at it, and nothing else.
class RelayedEcho {
 public:
  absl::Status start(std::uint32_t mbit) {
    net::RelayOptions options;
    options.bytes_per_second = mbit * 1e6 / 8;
    options.bytes_of_peer = {1e15, 1e12};
    relay_ = std::make_unique<net::Relay>(options);
    auto host = net::start_server(kAnyPort, relay_identity_, std::nullopt, {});
    if (!host.ok()) return host.status();
    host_ = *std::move(host);
    host_.front->open_door(proto::kTunnelProtocol, relay_->door());
    auto server = net::start_server(kAnyPort, identity_, std::nullopt, {&service_});
    if (!server.ok()) return server.status();
    server_ = *std::move(server);
    io_.run_and_wait([this] {
      keeper_ = std::make_unique<node::RelayKeeper>(
          io_.context(), identity_, std::nullopt, *server_.front, server_.endpoint.port, [this] {
            return std::vector<node::RelayCandidate>{{host_.endpoint, relay_identity_.peer_id()}};
          });
      keeper_->start([] {});
    });
    for (int i = 0; i < 500 && relayed().empty(); ++i) {
      std::this_thread::sleep_for(std::chrono::milliseconds(10));
    }
    return relayed().empty() ? absl::UnavailableError("the relay does not take the server")
                             : absl::OkStatus();
  }
  ~RelayedEcho() {
    io_.run_and_wait([this] { keeper_.reset(); });
    if (host_.front) host_.front->close_door(proto::kTunnelProtocol);
    if (server_.server) server_.server->Shutdown();
  }

  const proto::PeerId& peer() const { return identity_.peer_id(); }
  std::vector<proto::Address> direct() const { return {server_.endpoint}; }
  std::vector<proto::Address> relayed() {
    std::vector<proto::Address> result;
    io_.run_and_wait([&] { result = keeper_->addresses(); });
    return result;
  }

 private:
  const identity::Identity identity_ = identity::Identity::generate();
  const identity::Identity relay_identity_ = identity::Identity::generate();
  EchoService service_;
  std::unique_ptr<net::Relay> relay_;
  net::RunningServer host_, server_;
  net::IoThread io_;
  std::unique_ptr<node::RelayKeeper> keeper_;
};

// One stream by one way.
class EchoWay {
 public:
  EchoWay(const proto::PeerId& peer, const std::vector<proto::Address>& addresses)
      : channels_(identity::Identity::generate(), std::nullopt),
        stub_(wire::SpanService::NewStub(channels_.get(peer, addresses))) {
    client_.start(*stub_);
  }
  ~EchoWay() { client_.finish(); }

  bool echo(const std::string& payload, int times) {
    for (int i = 0; i < times; ++i) {
      const auto begin = Clock::now();
      if (!client_.round_trip(payload)) return false;
      latency_.samples_us.push_back(microseconds_since(begin));
    }
    return true;
  }
  const Latency& latency() const { return latency_; }
  void forget() { latency_ = {}; }
  // Megabytes per second of those echoes, both ways together.
  double speed(std::size_t bytes) const {
    double us = 0;
    for (const double sample : latency_.samples_us) us += sample;
    return 2.0 * static_cast<double>(bytes * latency_.samples_us.size()) / us;
  }

 private:
  net::ChannelPool channels_;
  std::unique_ptr<wire::SpanService::Stub> stub_;
  EchoClient client_;
  Latency latency_;
};

}  // namespace

absl::Status run_relay(const RelayBench& options) {
  RelayedEcho server;
  if (absl::Status up = server.start(options.mbit); !up.ok()) return up;
  EchoWay direct(server.peer(), server.direct());
  EchoWay relayed(server.peer(), server.relayed());
  const auto both = [&](const std::string& payload, int times, int per_turn) {
    for (int done = 0; done < times; done += per_turn) {
      if (!direct.echo(payload, per_turn) || !relayed.echo(payload, per_turn)) return false;
    }
    return true;
  };
  const absl::Status broken = absl::UnavailableError("an echo broke off");
  if (!both(std::string(options.bytes, 'x'), kEchoesPerTurn, kEchoesPerTurn)) return broken;
  direct.forget();
  relayed.forget();
  if (!both(std::string(options.bytes, 'x'), options.echoes, kEchoesPerTurn)) return broken;
  const Latency direct_step = direct.latency(), relayed_step = relayed.latency();
  direct.forget();
  relayed.forget();
  if (!both(std::string(kPieceBytes, 'x'), options.megabytes, 10)) return broken;
  fmt::print(
      "| way | step of {} bytes, p50 us | p99 us | {} MiB there and back, MB/s |\n"
      "| --- | --- | --- | --- |\n"
      "| direct | {:.0f} | {:.0f} | {:.0f} |\n| through a relay ({} Mbit/s) | {:.0f} | {:.0f} | "
      "{:.0f} |\n| difference | {:.0f} | {:.0f} | {:.2f} |\n",
      options.bytes, options.megabytes, direct_step.p50(), direct_step.p99(),
      direct.speed(kPieceBytes), options.mbit, relayed_step.p50(), relayed_step.p99(),
      relayed.speed(kPieceBytes), relayed_step.p50() - direct_step.p50(),
      relayed_step.p99() - direct_step.p99(),
      relayed.speed(kPieceBytes) / direct.speed(kPieceBytes));
  return absl::OkStatus();
}

}  // namespace shoal::bench
