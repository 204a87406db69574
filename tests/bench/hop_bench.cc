// SPDX-License-Identifier: Apache-2.0
#include "tests/bench/hop_bench.h"

#include <fmt/format.h>

#include <algorithm>
#include <nlohmann/json.hpp>
#include <optional>
#include <utility>
#include <vector>

#include "client/ring/swarm_pipeline.h"
#include "client/swarm/swarm_connection.h"
#include "client/text/generate.h"
#include "client/text/local_pipeline.h"
#include "tests/bench/echo.h"
#include "tests/bench/random_model.h"
#include "tests/cli/process_swarm.h"

namespace shoal::bench {
namespace {

struct RouteResult {
  int nodes = 0;        // 0: in this process
  Latency token_us;     // from one token to the next, embedding, head and sampling included
  Latency step_us;      // through the blocks
  Latency software_us;  // of a step: its time less what the hops computed, per hop
  double tokens_per_s() const { return 1e6 / token_us.p50(); }
};

absl::StatusOr<RouteResult> measure(client::Pipeline& pipeline, const client::UserModel& model,
                                    int tokens, int nodes) {
  client::GenerateRequest request;
  auto ids = model.tokenizer->encode("Once upon a time");
  if (!ids.ok()) return ids.status();
  request.prompt_ids = *std::move(ids);
  request.max_tokens = tokens;
  request.sampling.greedy = true;
  request.ignore_eos = true;
  RouteResult result;
  result.nodes = nodes;
  client::GenerateObserver observer;
  observer.on_step = [&](std::size_t token, const client::StepTiming& timing, double client_us) {
    if (token < 20) return;  // the prefill, and caches that warm up
    double software_us = timing.total_us;
    for (const client::HopTiming& hop : timing.hops) software_us -= hop.compute_us;
    result.token_us.samples_us.push_back(timing.total_us + client_us);
    result.step_us.samples_us.push_back(timing.total_us);
    result.software_us.samples_us.push_back(software_us / std::max(nodes, 1));
  };
  base::StopToken never;
  auto generated = client::generate(pipeline, model, request, never, observer);
  if (!generated.ok()) return generated.status();
  return result;
}

absl::StatusOr<RouteResult> measure_swarm(const client::UserModel& model,
                                          const std::string& directory, const HopBench& options,
                                          int nodes) {
  tests::ProcessSwarm swarm(
      {.model = directory,
       .node_arguments = {"--weights", model::name_of(options.weights), "--cache", "off"}});
  const int blocks = static_cast<int>(model.block_count());
  for (int i = 0; i < nodes; ++i) {
    swarm.start_node(fmt::format("{}:{}", blocks * i / nodes, blocks * (i + 1) / nodes));
  }
  base::StopToken never;
  client::JoinOptions join;
  join.peers = {swarm.address(0)};
  auto connection = client::SwarmConnection::join(std::move(join), never);
  if (!connection.ok()) return connection.status();
  client::SwarmPipelineOptions ring;
  ring.positions = static_cast<std::uint32_t>(options.tokens + 64);
  ring.full_timings = true;
  auto pipeline = client::SwarmPipeline::create(model, **connection, ring, never);
  if (!pipeline.ok()) return pipeline.status();
  return measure(**pipeline, model, options.tokens, nodes);
}

absl::StatusOr<std::vector<RouteResult>> measure_routes(const client::UserModel& model,
                                                        const std::string& directory,
                                                        const HopBench& options) {
  std::vector<RouteResult> results;
  base::StopToken never;
  auto local = client::LocalPipeline::create(model, options.tokens + 64, never,
                                             {.weights = options.weights});
  if (!local.ok()) return local.status();
  auto alone = measure(**local, model, options.tokens, 0);
  if (!alone.ok()) return alone.status();
  results.push_back(*std::move(alone));
  for (const int nodes : {1, 2, 3}) {
    auto result = measure_swarm(model, directory, options, nodes);
    if (!result.ok()) return result.status();
    results.push_back(*std::move(result));
  }
  return results;
}

std::string table(const std::vector<RouteResult>& routes, const Latency& grpc, const Latency& tcp,
                  std::size_t bytes) {
  std::string text =
      "| route | tokens/s | of local | step p50 us | step p99 us | software per hop p50 us | p99 "
      "us | p50 in gRPC echoes |\n"
      "| --- | --- | --- | --- | --- | --- | --- | --- |\n";
  for (const RouteResult& route : routes) {
    text += fmt::format("| {} | {:.0f} | {:.2f} | {:.0f} | {:.0f} | ",
                        route.nodes == 0   ? "--local"
                        : route.nodes == 1 ? "1 node"
                                           : fmt::format("{} nodes", route.nodes),
                        route.tokens_per_s(), route.tokens_per_s() / routes.front().tokens_per_s(),
                        route.step_us.p50(), route.step_us.p99());
    text += route.nodes == 0
                ? "- | - | - |\n"
                : fmt::format("{:.0f} | {:.0f} | {:.2f} |\n", route.software_us.p50(),
                              route.software_us.p99(), route.software_us.p50() / grpc.p50());
  }
  text += fmt::format(
      "\n| floor: round trip of {} bytes | p50 us | p99 us |\n| --- | --- | --- |\n"
      "| bare gRPC, mutual TLS | {:.0f} | {:.0f} |\n| bare TCP | {:.0f} | {:.0f} |\n",
      bytes, grpc.p50(), grpc.p99(), tcp.p50(), tcp.p99());
  return text;
}

std::string json(const std::vector<RouteResult>& routes, const Latency& grpc, const Latency& tcp,
                 std::size_t bytes) {
  nlohmann::json result{{"echo_bytes", bytes},
                        {"grpc_echo_us", {{"p50", grpc.p50()}, {"p99", grpc.p99()}}},
                        {"tcp_echo_us", {{"p50", tcp.p50()}, {"p99", tcp.p99()}}}};
  for (const RouteResult& route : routes) {
    result["routes"].push_back(
        {{"nodes", route.nodes},
         {"tokens_per_s", route.tokens_per_s()},
         {"step_us", {{"p50", route.step_us.p50()}, {"p99", route.step_us.p99()}}},
         {"software_per_hop_us",
          {{"p50", route.software_us.p50()}, {"p99", route.software_us.p99()}}}});
  }
  return result.dump(2) + "\n";
}

}  // namespace

absl::Status run_hop(const HopBench& options) {
  std::optional<RandomModel> random;
  std::string directory = options.model;
  if (options.geometry) {
    auto made = RandomModel::make(*options.geometry, options.blocks, true);
    if (!made.ok()) return made.status();
    random.emplace(*std::move(made));
    directory = random->directory();
  }
  auto model = client::load_user_model(directory, 1);
  if (!model.ok()) return model.status();
  // A decode step's message: one row in f32, its shape, step and positions.
  const std::size_t bytes = (*model)->hidden() * sizeof(float) + 32;
  auto tcp = tcp_echo(bytes, options.echoes);
  if (!tcp.ok()) return tcp.status();
  auto grpc = grpc_echo(bytes, options.echoes);
  if (!grpc.ok()) return grpc.status();
  auto routes = measure_routes(**model, directory, options);
  if (!routes.ok()) return routes.status();
  fmt::print("{}",
             options.json ? json(*routes, *grpc, *tcp, bytes) : table(*routes, *grpc, *tcp, bytes));
  return absl::OkStatus();
}

}  // namespace shoal::bench
