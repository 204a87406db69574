// SPDX-License-Identifier: Apache-2.0
// shoal-bench: what a hop costs in software, and tokens per second, in one run on loopback with
// real node processes; beside it the floors that the same bytes have without us (echo.h). Prints a
// Markdown table, or with --json one object. `shoal-bench dht` does the same for the directory
// (dht_bench.h).
#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <cstdio>
#include <nlohmann/json.hpp>

#include "client/ring/swarm_pipeline.h"
#include "client/swarm/swarm_connection.h"
#include "client/text/generate.h"
#include "client/text/local_pipeline.h"
#include "net/identity_tls.h"
#include "tests/bench/dht_bench.h"
#include "tests/bench/echo.h"
#include "tests/cli/process_swarm.h"

namespace shoal::bench {
namespace {

struct Options {
  std::string model = tests::kDemoModel;
  int tokens = 400;
  int echoes = 20'000;
  bool json = false;
};

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

absl::StatusOr<RouteResult> measure_swarm(const client::UserModel& model, const Options& options,
                                          int nodes) {
  tests::ProcessSwarm swarm({.model = options.model});
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
                                                        const Options& options) {
  std::vector<RouteResult> results;
  base::StopToken never;
  auto local = client::LocalPipeline::create(model, options.tokens + 64, never);
  if (!local.ok()) return local.status();
  auto alone = measure(**local, model, options.tokens, 0);
  if (!alone.ok()) return alone.status();
  results.push_back(*std::move(alone));
  for (const int nodes : {1, 2, 3}) {
    auto result = measure_swarm(model, options, nodes);
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

absl::Status run(const Options& options) {
  auto model = client::load_user_model(options.model, 1);
  if (!model.ok()) return model.status();
  // A decode step's message: one row in f32, its shape, step and positions.
  const std::size_t bytes = (*model)->hidden() * sizeof(float) + 32;
  auto tcp = tcp_echo(bytes, options.echoes);
  if (!tcp.ok()) return tcp.status();
  auto grpc = grpc_echo(bytes, options.echoes);
  if (!grpc.ok()) return grpc.status();
  auto routes = measure_routes(**model, options);
  if (!routes.ok()) return routes.status();
  fmt::print("{}",
             options.json ? json(*routes, *grpc, *tcp, bytes) : table(*routes, *grpc, *tcp, bytes));
  return absl::OkStatus();
}

}  // namespace
}  // namespace shoal::bench

int main(int argc, char** argv) {
  shoal::net::init_transport();
  shoal::bench::Options options;
  CLI::App app("Measures a local swarm beside bare gRPC and bare TCP.", "shoal-bench");
  app.add_option("--model", options.model, "Folder of a Hugging Face model")->capture_default_str();
  app.add_option("--tokens", options.tokens, "Decode steps of each route")
      ->check(CLI::Range(50, 100'000))
      ->capture_default_str();
  app.add_option("--echoes", options.echoes, "Round trips of each echo")
      ->check(CLI::Range(100, 10'000'000))
      ->capture_default_str();
  app.add_flag("--json", options.json, "One JSON object instead of tables");
  shoal::bench::DhtOptions dht;
  CLI::App& directory = *app.add_subcommand("dht", "Measures the directory's UDP shell instead");
  directory.add_option("--seconds", dht.seconds, "Of each kind of request")
      ->check(CLI::Range(0.1, 600.0))
      ->capture_default_str();
  directory.add_option("--window", dht.window, "Requests in flight")
      ->check(CLI::Range(1, 1024))
      ->capture_default_str();
  directory.add_option("--records", dht.records, "Whose memory is measured")
      ->check(CLI::Range(100, 1'000'000))
      ->capture_default_str();
  directory.add_option("--joins", dht.joins, "Runs of each size of swarm")
      ->check(CLI::Range(1, 1000))
      ->capture_default_str();
  directory.add_flag("--json", dht.json, "One JSON object instead of tables");
  CLI11_PARSE(app, argc, argv);
  try {
    const absl::Status status =
        directory.parsed() ? shoal::bench::run_dht(dht) : shoal::bench::run(options);
    if (status.ok()) return 0;
    fmt::print(stderr, "shoal-bench: {}\n", std::string(status.message()));
  } catch (const std::exception& error) {  // a node that did not start
    fmt::print(stderr, "shoal-bench: {}\n", error.what());
  }
  return 1;
}
