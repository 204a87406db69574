// SPDX-License-Identifier: Apache-2.0
// shoal-node: the volunteer's program. Results and errors are one line each: online on stdout, what
// went wrong on stderr.
#include <fmt/format.h>
#include <spdlog/sinks/stdout_sinks.h>
#include <spdlog/spdlog.h>

#include <cstdio>
#include <exception>

#include "cli/standard_streams.h"
#include "cli/usage.h"
#include "net/identity_tls.h"
#include "net/resolve.h"
#include "node/command_line.h"
#include "node/identity_file.h"
#include "node/node.h"
#include "node/ready_file.h"
#include "node/signals.h"

namespace shoal::node {
namespace {

int fail(const absl::Status& status) {
  fmt::print(stderr, "shoal-node: {}\n", cli::one_line(status));
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
  if (!line.announce.empty()) {
    const auto announce = resolve_one(line.announce, proto::AddressUse::kAnnounce);
    if (!announce.ok()) return announce.status();
    options.announce = *announce;
  }
  if (!line.metrics.empty()) {
    const auto metrics = resolve_one(line.metrics, proto::AddressUse::kListen);
    if (!metrics.ok()) return metrics.status();
    options.metrics = *metrics;
  }
  for (const std::string& address : line.join) {
    const auto endpoints = net::resolve(address, proto::AddressUse::kDial);
    if (!endpoints.ok()) return endpoints.status();
    options.join.insert(options.join.end(), endpoints->begin(), endpoints->end());
  }
  return absl::OkStatus();
}

void tell_online(const Node& node) {
  if (node.span().empty()) {
    fmt::print("bootstrap node {} is online at {}\n", to_string(node.peer_id()),
               proto::to_string(node.endpoint()));
  } else {
    fmt::print("node {} is online at {} and serves blocks {} of {}\n", to_string(node.peer_id()),
               proto::to_string(node.endpoint()), proto::to_string(node.span()), node.model_name());
  }
  std::fflush(stdout);
}

int serve(const CommandLine& line) {
  ReadyFile ready(line.ready_file);
  Signals signals([&ready] { ready.remove(); });
  start_logging(line.log_level);
  net::init_transport();
  if (absl::Status status = ready.prepare(); !status.ok()) return fail(status);

  const bool bootstrap = line.action == CommandLine::Action::kBootstrap;
  NodeOptions options;
  if (absl::Status status = resolve_addresses(line, options); !status.ok()) return fail(status);
  if (!line.swarm_key.empty()) {
    const auto key = dht::read_swarm_key(line.swarm_key);
    if (!key.ok()) return fail(key.status());
    options.swarm_key = *key;
  }
  auto identity = line.identity.empty()
                      ? IdentityFile::open_default(bootstrap ? "bootstrap.key" : "node.key")
                      : IdentityFile::open(line.identity);
  if (!identity.ok()) return fail(identity.status());
  options.identity = identity->identity();
  options.contacts_file = identity->contacts_path();
  if (line.new_swarm && !options.contacts_file.empty()) {
    // A new swarm knows nobody, whatever swarm this identity was in before.
    std::remove(options.contacts_file.c_str());
  }
  options.model_directory = line.model;
  options.model_name = line.model_name;
  options.blocks = line.blocks;
  options.add_model = line.add_model;
  options.threads = line.threads;
  options.kv_positions = line.kv_positions;
  options.max_sessions = line.max_sessions;
  options.max_sessions_per_peer = line.max_sessions_per_peer;
  options.public_name = line.public_name;
  options.cancelled = &signals.stop();

  auto node = Node::start(std::move(options));
  if (!node.ok()) {
    const bool asked = absl::IsCancelled(node.status()) && signals.stop();
    return asked ? 0 : fail(node.status());
  }
  if (absl::Status status = ready.write(ready_json(**node)); !status.ok()) return fail(status);
  tell_online(**node);
  signals.wait_for_stop();
  ready.remove();
  (*node)->drain_and_stop(static_cast<std::uint32_t>(line.drain_timeout_s * 1000),
                          &signals.hurry());
  return 0;
}

int main(int argc, char** argv) {
  cli::open_standard_streams();
  const auto line = parse_command_line(argc, argv);
  if (!line.ok()) return fail(line.status());
  if (line->action == CommandLine::Action::kPrint) {
    fmt::print("{}", line->print);
    const absl::Status written = cli::finish_output();
    return written.ok() || cli::output_reader_is_gone() ? 0 : fail(written);
  }
  return serve(*line);
}

}  // namespace
}  // namespace shoal::node

int main(int argc, char** argv) {
  try {
    return shoal::node::main(argc, argv);
  } catch (const std::exception& error) {
    fmt::print(stderr, "shoal-node: {}\n", error.what());
    return 1;
  }
}
