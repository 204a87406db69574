// SPDX-License-Identifier: Apache-2.0
// shoal-node: the volunteer's program. Results and errors are one line each: online on stdout, what
// went wrong on stderr.
#include <fmt/format.h>
#include <spdlog/sinks/stdout_sinks.h>
#include <spdlog/spdlog.h>

#include <chrono>
#include <cstdio>
#include <exception>
#include <new>
#include <system_error>
#include <thread>
#include <utility>

#include "base/memory_ledger.h"
#include "cli/standard_streams.h"
#include "cli/usage.h"
#include "model/file_guard.h"
#include "net/identity_tls.h"
#include "net/process_start.h"
#include "net/resolve.h"
#include "node/command_line.h"
#include "node/device/memory.h"
#include "node/identity_file.h"
#include "node/member/twin.h"
#include "node/node.h"
#include "node/plan.h"
#include "node/ready_file.h"
#include "node/signals.h"
#include "proto/limits.h"

namespace shoal::node {
namespace {

// A whole family of cloned disks.
constexpr std::size_t kMostTwins = 16;
constexpr auto kTendInterval = std::chrono::milliseconds(1'000);

// An output that nobody reads any more, or that is full, stops nobody (fmt::print would throw).
void say(std::FILE* to, const std::string& text) {
  std::fputs(text.c_str(), to);
  std::fflush(to);
}

int fail(const absl::Status& status) {
  say(stderr, fmt::format("shoal-node: {}\n", cli::one_line(status)));
  return cli::exit_status(status);
}

void start_logging(const std::string& level) {
  auto logger = std::make_shared<spdlog::logger>("shoal-node",
                                                 std::make_shared<spdlog::sinks::stderr_sink_mt>());
  logger->set_pattern("%Y-%m-%d %H:%M:%S.%e %l %v");
  logger->set_level(spdlog::level::from_str(level == "error" ? "err" : level));
  logger->flush_on(spdlog::level::trace);
  spdlog::set_default_logger(std::move(logger));
}

absl::StatusOr<proto::Endpoint> resolve_one(const std::string& address, proto::AddressUse use) {
  auto endpoints = net::resolve(address, use);
  if (!endpoints.ok()) return endpoints.status();
  return endpoints->front();
}

absl::Status resolve_addresses(const CommandLine& line, NodeOptions& options) {
  const auto listen = resolve_one(line.listen, proto::AddressUse::kListen);
  if (!listen.ok()) return listen.status();
  options.listen = *listen;
  for (const std::string& address : line.announce) {
    const auto announce = net::resolve(address, proto::AddressUse::kAnnounce);
    if (!announce.ok()) return announce.status();
    options.announce.insert(options.announce.end(), announce->begin(), announce->end());
  }
  if (options.announce.size() > proto::kMaxRecordAddresses) {
    return cli::usage_error(fmt::format("--announce: {} addresses are too many: name at most {}",
                                        options.announce.size(), proto::kMaxRecordAddresses));
  }
  if (!line.metrics.empty()) {
    const auto metrics = resolve_one(line.metrics, proto::AddressUse::kListen);
    if (!metrics.ok()) return metrics.status();
    options.metrics = *metrics;
  }
  for (const std::string& address : line.join) {
    // Names are looked up while joining: at boot there may be no name server yet.
    if (const auto numeric = proto::parse_endpoint(address); numeric.ok()) {
      options.join.push_back(*numeric);
    } else {
      options.join_names.push_back(address);
    }
  }
  return absl::OkStatus();
}

void tell_online(const Node& node) {
  if (node.span().empty()) {
    say(stdout, fmt::format("bootstrap node {} is online at {}\n", to_string(node.peer_id()),
                            proto::to_string(node.endpoint())));
  } else {
    say(stdout, fmt::format("node {} is online at {} and serves blocks {} of {}\n",
                            to_string(node.peer_id()), proto::to_string(node.endpoint()),
                            proto::to_string(node.span()), node.model_name()));
  }
}

// What the libraries and we start, beside the threads that compute; measured, with some to spare.
constexpr int kThreads = 24;
constexpr std::uint64_t kDescriptors = 64;
constexpr std::uint64_t kMemoryBytes = 160 << 20;

absl::Status check_limits(const CommandLine& line) {
  const int compute =
      line.threads > 0 ? line.threads : static_cast<int>(std::thread::hardware_concurrency());
  return net::check_process_limits({.program = "shoal-node",
                                    .threads = kThreads + compute,
                                    .descriptors = kDescriptors,
                                    .memory_bytes = kMemoryBytes});
}

// A node from its start to its end; OK when it was asked to stop.
absl::Status run_once(const CommandLine& line, const NodeOptions& options, ReadyFile& ready,
                      Signals& signals) {
  auto node = Node::start(options);
  if (!node.ok()) return node.status();
  if (absl::Status status = ready.write(ready_json(**node)); !status.ok()) return status;
  tell_online(**node);
  absl::Status health;
  proto::Span span = (*node)->span();
  while (health.ok() && !signals.wait_for_stop(kTendInterval)) {
    health = (*node)->tend();
    if (std::exchange(span, (*node)->span()) == span || !health.ok()) continue;
    // It has moved.
    if (absl::Status told = ready.write(ready_json(**node)); !told.ok()) {
      spdlog::warn("{}", cli::one_line(told));
    }
  }
  ready.remove();
  // A node that is ill can finish nothing: what it would compute would be wrong.
  const double drain_s = health.ok() ? line.drain_timeout_s : 0;
  (*node)->drain_and_stop(static_cast<std::uint32_t>(drain_s * 1000), &signals.hurry());
  return health;
}

int serve(const CommandLine& line) {
  ReadyFile ready(line.ready_file);
  Signals signals([&ready] { ready.remove(); });
  if (absl::Status status = check_limits(line); !status.ok()) return fail(status);
  model::guard_mapped_files("shoal-node", model::LostFile::kGoOn);
  start_logging(line.log_level);
  net::init_transport();
  if (absl::Status status = ready.prepare(); !status.ok()) return fail(status);

  const bool bootstrap = line.action == CommandLine::Action::kBootstrap;
  NodeOptions options;
  if (absl::Status status = resolve_addresses(line, options); !status.ok()) return fail(status);
  if (!line.swarm_key.empty()) {
    const auto key = identity::read_swarm_key(line.swarm_key);
    if (!key.ok()) return fail(key.status());
    options.swarm_key = *key;
  }
  if (!bootstrap) {
    auto model = find_node_model(line.model, signals.stop());
    if (!model.ok()) return absl::IsCancelled(model.status()) ? 0 : fail(model.status());
    options.model_directory = model->folder;
    options.model_name = line.model_name.empty() ? model->name : line.model_name;
    options.fetch_span = model->fetch_span;
  }
  options.blocks = line.blocks;
  options.add_model = line.add_model;
  if (!bootstrap) options.open_devices = [&line] { return open_chosen(line.device); };
  options.threads = line.threads;
  options.kv_positions = line.kv_positions;
  options.kv_dtype = line.kv_dtype;
  options.weights = line.weights;
  options.ends = line.ends;
  options.cache = line.cache;
  options.memory = line.memory;
  options.memory_ledger = base::MemoryLedger::default_folder();
  if (!line.rebalance) options.rebalance.reset();
  options.max_sessions = line.max_sessions;
  options.max_sessions_per_peer = line.max_sessions_per_peer;
  options.public_name = line.public_name;
  if (line.join_timeout_s) {
    options.join_timeout_ms = static_cast<std::uint32_t>(*line.join_timeout_s * 1000);
  } else {
    options.join_timeout_ms.reset();
  }
  options.cancelled = &signals.stop();

  std::vector<proto::PeerId> taken;
  while (true) {
    auto identity = line.identity.empty()
                        ? IdentityFile::open_default(bootstrap ? "bootstrap" : "node", taken)
                        : IdentityFile::open(line.identity);
    if (!identity.ok()) return fail(identity.status());
    options.identity = identity->identity();
    options.contacts_file = identity->contacts_path();
    if (line.new_swarm && !options.contacts_file.empty()) {
      // A new swarm knows nobody, whatever swarm this identity was in before.
      std::remove(options.contacts_file.c_str());
    }
    const absl::Status ended = run_once(line, options, ready, signals);
    if (ended.ok()) return 0;
    if (absl::IsCancelled(ended) && signals.stop().stopped()) return 0;
    const bool other_helps =
        is_twin_error(ended) && line.identity.empty() && taken.size() < kMostTwins;
    if (!other_helps) return fail(ended);
    spdlog::warn("another node with the identity of {} is online: this one takes another",
                 identity->path());
    taken.push_back(options.identity.peer_id());
  }
}

int show_plan(const CommandLine& line) {
  model::guard_mapped_files("shoal-node", model::LostFile::kExit);
  const auto plan = plan_of(line);
  if (!plan.ok()) return fail(plan.status());
  say(stdout, line.json ? plan_json(*plan) : plan_text(*plan));
  const absl::Status written = cli::finish_output();
  return written.ok() || cli::output_reader_is_gone() ? 0 : fail(written);
}

int main(int argc, char** argv) {
  cli::open_standard_streams();
  net::end_with_a_sentence("shoal-node");
  const auto line = parse_command_line(argc, argv);
  if (!line.ok()) return fail(line.status());
  if (line->action == CommandLine::Action::kPrint) {
    say(stdout, line->print);
    const absl::Status written = cli::finish_output();
    return written.ok() || cli::output_reader_is_gone() ? 0 : fail(written);
  }
  if (line->action == CommandLine::Action::kPlan) return show_plan(*line);
  return serve(*line);
}

}  // namespace
}  // namespace shoal::node

int main(int argc, char** argv) {
  shoal::node::settle_allocator();
  try {
    return shoal::node::main(argc, argv);
  } catch (const std::bad_alloc&) {
    return shoal::node::fail(absl::ResourceExhaustedError(
        "out of memory: raise the limit (ulimit -v), or serve fewer --blocks or --kv-positions"));
  } catch (const std::system_error& error) {
    return shoal::node::fail(absl::ResourceExhaustedError(
        fmt::format("the system refused a thread or a file ({}): raise the limits (ulimit -u, -n, "
                    "-v)",
                    error.what())));
  } catch (const std::exception& error) {
    return shoal::node::fail(absl::InternalError(error.what()));
  }
}
