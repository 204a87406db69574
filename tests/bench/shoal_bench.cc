// SPDX-License-Identifier: Apache-2.0
// shoal-bench: the product's own benchmarks. Each prints ratios within one run, as Markdown or as
// one JSON object. `decode` and `prefill`: a span alone (span_bench.h); `sessions`: a node's device
// (session_bench.h); `hop`: a swarm of processes (hop_bench.h); `dht`: the directory (dht_bench.h);
// `relay`: the way through a relay (relay_bench.h);
// `model` writes the random weights, for measuring others beside us (scripts/bench).
#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <cstdio>
#include <exception>
#include <optional>
#include <string>
#include <vector>

#include "model/kv_pool.h"
#include "net/identity_tls.h"
#include "tests/bench/dht_bench.h"
#include "tests/bench/hop_bench.h"
#include "tests/bench/random_model.h"
#include "tests/bench/relay_bench.h"
#include "tests/bench/session_bench.h"
#include "tests/bench/span_bench.h"
#include "tests/cli/process_swarm.h"

namespace shoal::bench {
namespace {

// What `decode`, `prefill` and `sessions` share.
struct Shape {
  std::string geometry = "llama-3.2-1b";
  std::int64_t blocks = 4;
  std::string weights = "stored";
  std::string compute = "exact";
  std::string kv = "f32";
  std::string device = "cpu";
  int threads = 0;
  bool json = false;
  std::string plot;
};

CLI::Validator one_of_geometries() {
  return {[](const std::string& name) {
            return geometry_named(name) ? std::string() : "not one of " + geometry_names();
          },
          "NAME"};
}
// Random weights are stored as bf16.
std::optional<model::WeightChoice> random_weights_named(const std::string& name) {
  return model::weight_choice_named(name == "bf16" ? "stored" : name);
}
absl::StatusOr<model::WeightChoice> weights_of(const Shape& shape) {
  const model::WeightChoice weights = *random_weights_named(shape.weights);
  if (shape.compute == "exact") return weights;
  if (weights == model::WeightChoice::kStored) return model::WeightChoice::kMma;
  return absl::InvalidArgumentError("--compute mma multiplies stored weights, and --weights is " +
                                    shape.weights + ": leave one of the two out");
}
CLI::Validator one_of_random_weights() {
  return {[](const std::string& name) {
            return random_weights_named(name) ? std::string()
                                              : "not one of stored (or bf16), q8, q4, q4s";
          },
          "FORMAT"};
}
CLI::Validator one_of_weights() {
  return {[](const std::string& name) {
            return model::weight_choice_named(name) ? std::string()
                                                    : "not one of stored, q8, q4, q4s";
          },
          "FORMAT"};
}

void add_shape(CLI::App& command, Shape& shape) {
  command.add_option("--geometry", shape.geometry, "Shape of the model: " + geometry_names())
      ->check(one_of_geometries())
      ->capture_default_str();
  command.add_option("--blocks", shape.blocks, "Blocks of it, with random weights")
      ->check(CLI::Range(1, 128))
      ->capture_default_str();
  command.add_option("--weights", shape.weights, "stored (or bf16: the same), q8, q4 or q4s")
      ->check(one_of_random_weights())
      ->capture_default_str();
  command.add_option("--compute", shape.compute, "exact, or mma: float tensor cores of a GPU")
      ->check(CLI::IsMember({"exact", "mma"}))
      ->capture_default_str();
  command.add_option("--kv-dtype", shape.kv, "f32, bf16, f16 or i8")
      ->check([](const std::string& name) {
        return model::kv_dtype_named(name) ? std::string() : "not one of f32, bf16, f16, i8";
      })
      ->capture_default_str();
  command.add_option("--device", shape.device, "As of shoal-node: auto, cpu, cuda, cuda:N")
      ->check([](const std::string& text) { return kernels::cuda::parse_device(text).error; })
      ->capture_default_str();
  command.add_option("--threads", shape.threads, "0: one per available core")
      ->check(CLI::Range(0, 1024))
      ->capture_default_str();
  command.add_flag("--json", shape.json, "One JSON object instead of a table");
  command.add_option("--plot", shape.plot, "Write a picture (SVG) to this file too");
}

void add_list(CLI::App& command, const std::string& name, std::vector<std::int64_t>& list,
              const std::string& text, std::int64_t least, std::int64_t most) {
  command.add_option(name, list, text)
      ->delimiter(',')
      ->check(CLI::Range(least, most))
      ->capture_default_str();
}

absl::Status print(const absl::StatusOr<Report>& report, const Shape& shape) {
  if (!report.ok()) return report.status();
  fmt::print("{}", shape.json ? json_of(*report) : table_of(*report));
  return shape.plot.empty() ? absl::OkStatus() : write_plot(*report, shape.plot);
}

// The command line, one member for each command that it has.
class Program {
 public:
  Program() {
    add_span(decode_, "Sessions of one row each", rows_of_decode_, contexts_of_decode_);
    add_span(prefill_, "Rows of one session", rows_of_prefill_, contexts_of_prefill_);
    add_shape(sessions_, shape_);
    add_list(sessions_, "--sessions", session_bench_.sessions, "A point for each", 1, 64);
    sessions_.add_option("--context", session_bench_.context, "Positions of each at first")
        ->check(CLI::Range(1, 32'768))
        ->capture_default_str();
    sessions_.add_option("--tokens", session_bench_.tokens, "Steps of each session")
        ->check(CLI::Range(8, 100'000))
        ->capture_default_str();
    sessions_.add_option("--prompt", session_bench_.prompt, "Rows of a prompt beside them")
        ->check(CLI::Range(0, 32'768))
        ->capture_default_str();
    add_hop();
    add_dht();
    add_relay();
    add_model();
    app_.require_subcommand(1);
  }

  CLI::App& app() { return app_; }

  absl::Status run() {
    if (dht_.parsed()) return run_dht(dht_bench_);
    if (relay_.parsed()) return run_relay(relay_bench_);
    if (model_.parsed()) {
      return write_random_model(model_folder_, *geometry_named(shape_.geometry), shape_.blocks,
                                true);
    }
    if (hop_.parsed()) {
      if (!hop_geometry_.empty()) hop_bench_.geometry = geometry_named(hop_geometry_);
      hop_bench_.weights = *model::weight_choice_named(hop_weights_);
      return run_hop(hop_bench_);
    }
    const auto weights = weights_of(shape_);
    if (!weights.ok()) return weights.status();
    if (sessions_.parsed()) {
      session_bench_.geometry = *geometry_named(shape_.geometry);
      session_bench_.blocks = shape_.blocks;
      session_bench_.weights = *weights;
      session_bench_.kv = *model::kv_dtype_named(shape_.kv);
      session_bench_.device = *kernels::cuda::parse_device(shape_.device).choice;
      session_bench_.threads = shape_.threads;
      return print(measure_sessions(session_bench_), shape_);
    }
    const bool prefill = prefill_.parsed();
    return print(measure_span({.geometry = *geometry_named(shape_.geometry),
                               .blocks = shape_.blocks,
                               .weights = *weights,
                               .kv = *model::kv_dtype_named(shape_.kv),
                               .prefill = prefill,
                               .rows = prefill ? rows_of_prefill_ : rows_of_decode_,
                               .contexts = prefill ? contexts_of_prefill_ : contexts_of_decode_,
                               .device = *kernels::cuda::parse_device(shape_.device).choice,
                               .threads = shape_.threads,
                               .passes = passes_}),
                 shape_);
  }

 private:
  void add_span(CLI::App& command, const std::string& rows_text, std::vector<std::int64_t>& rows,
                std::vector<std::int64_t>& contexts) {
    add_shape(command, shape_);
    add_list(command, "--rows", rows, rows_text + ", a point for each", 1, 2048);
    add_list(command, "--context", contexts, "Positions before the rows, a point for each", 0,
             32'768);
    command.add_option("--passes", passes_, "Of each point, each beside a bare read")
        ->check(CLI::Range(1, 1000))
        ->capture_default_str();
  }
  void add_hop() {
    hop_bench_.model = tests::kDemoModel;
    CLI::Option* const model =
        hop_.add_option("--model", hop_bench_.model, "Folder of a Hugging Face model")
            ->capture_default_str();
    hop_.add_option("--geometry", hop_geometry_, "Random weights instead: " + geometry_names())
        ->check(one_of_geometries())
        ->excludes(model);
    hop_.add_option("--blocks", hop_bench_.blocks, "Blocks of that")
        ->check(CLI::Range(3, 128))
        ->capture_default_str();
    hop_.add_option("--weights", hop_weights_, "stored, q8, q4 or q4s")
        ->check(one_of_weights())
        ->capture_default_str();
    hop_.add_option("--tokens", hop_bench_.tokens, "Decode steps of each route")
        ->check(CLI::Range(50, 100'000))
        ->capture_default_str();
    hop_.add_option("--echoes", hop_bench_.echoes, "Round trips of each echo")
        ->check(CLI::Range(100, 10'000'000))
        ->capture_default_str();
    hop_.add_flag("--json", hop_bench_.json, "One JSON object instead of tables");
  }
  void add_dht() {
    dht_.add_option("--seconds", dht_bench_.seconds, "Of each kind of request")
        ->check(CLI::Range(0.1, 600.0))
        ->capture_default_str();
    dht_.add_option("--window", dht_bench_.window, "Requests in flight")
        ->check(CLI::Range(1, 1024))
        ->capture_default_str();
    dht_.add_option("--records", dht_bench_.records, "Whose memory is measured")
        ->check(CLI::Range(100, 1'000'000))
        ->capture_default_str();
    dht_.add_option("--joins", dht_bench_.joins, "Runs of each size of swarm")
        ->check(CLI::Range(1, 1000))
        ->capture_default_str();
    dht_.add_flag("--json", dht_bench_.json, "One JSON object instead of tables");
  }
  void add_relay() {
    relay_.add_option("--bytes", relay_bench_.bytes, "Of a step")
        ->check(CLI::Range(16, 1 << 20))
        ->capture_default_str();
    relay_.add_option("--echoes", relay_bench_.echoes, "Steps each way of going")
        ->check(CLI::Range(100, 1'000'000))
        ->capture_default_str();
    relay_.add_option("--megabytes", relay_bench_.megabytes, "In one piece after the other")
        ->check(CLI::Range(1, 10'000))
        ->capture_default_str();
    relay_.add_option("--mbit", relay_bench_.mbit, "That the relay carries at most")
        ->check(CLI::Range(1, 1'000'000))
        ->capture_default_str();
  }

  void add_model() {
    model_.add_option("--geometry", shape_.geometry, "Shape of the model: " + geometry_names())
        ->check(one_of_geometries())
        ->capture_default_str();
    model_.add_option("--blocks", shape_.blocks, "Blocks of it")
        ->check(CLI::Range(1, 128))
        ->capture_default_str();
    model_.add_option("FOLDER", model_folder_, "Where, a folder that is there")
        ->required()
        ->check(CLI::ExistingDirectory);
  }

  CLI::App app_{"Measures what this machine makes of Shoal, as ratios within one run.",
                "shoal-bench"};
  CLI::App& decode_ = *app_.add_subcommand("decode", "A span's decode step beside bare reads");
  CLI::App& prefill_ = *app_.add_subcommand("prefill", "A span's prefill beside bare products");
  CLI::App& sessions_ = *app_.add_subcommand("sessions", "Sessions together on a node's device");
  CLI::App& hop_ = *app_.add_subcommand("hop", "A local swarm beside bare gRPC and bare TCP");
  CLI::App& dht_ = *app_.add_subcommand("dht", "The directory's UDP shell");
  CLI::App& relay_ = *app_.add_subcommand("relay", "The way through a relay beside the direct one");
  CLI::App& model_ = *app_.add_subcommand("model", "Writes a model with random weights");
  std::string model_folder_;
  Shape shape_;
  std::vector<std::int64_t> rows_of_decode_{1}, contexts_of_decode_{0};
  std::vector<std::int64_t> rows_of_prefill_{512}, contexts_of_prefill_{0};
  int passes_ = 9;
  SessionBench session_bench_{.geometry = {}, .sessions = {16}};
  HopBench hop_bench_;
  std::string hop_geometry_, hop_weights_ = "stored";
  DhtOptions dht_bench_;
  RelayBench relay_bench_;
};

}  // namespace
}  // namespace shoal::bench

int main(int argc, char** argv) {
  shoal::net::init_transport();
  shoal::bench::Program program;
  CLI11_PARSE(program.app(), argc, argv);
  try {
    const absl::Status status = program.run();
    if (status.ok()) return 0;
    fmt::print(stderr, "shoal-bench: {}\n", std::string(status.message()));
  } catch (const std::exception& error) {  // a node that did not start
    fmt::print(stderr, "shoal-bench: {}\n", error.what());
  }
  return 1;
}
