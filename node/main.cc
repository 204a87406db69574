// SPDX-License-Identifier: Apache-2.0
// shoal-node: the volunteer's program. Results and errors are one line each: online on stdout, what
// went wrong on stderr.
#include <fmt/format.h>
#include <spdlog/sinks/stdout_sinks.h>
#include <spdlog/spdlog.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <exception>
#include <functional>
#include <new>
#include <system_error>
#include <thread>
#include <utility>

#include "base/memory_ledger.h"
#include "cli/settings.h"
#include "cli/shown.h"
#include "cli/standard_streams.h"
#include "cli/usage.h"
#include "model/file_guard.h"
#include "net/identity_tls.h"
#include "net/process_start.h"
#include "net/resolve.h"
#include "node/caretaker.h"
#include "node/command_line.h"
#include "node/device/memory.h"
#include "node/hub_span.h"
#include "node/identity_file.h"
#include "node/member/twin.h"
#include "node/netcheck.h"
#include "node/node.h"
#include "node/owner_commands.h"
#include "node/plan.h"
#include "node/priority.h"
#include "node/ready_file.h"
#include "node/reload.h"
#include "node/service/service_command.h"
#include "node/service/service_manager.h"
#include "node/signals.h"
#include "node/start_watch.h"
#include "proto/limits.h"

namespace shoal::node {
namespace {

// A whole family of cloned disks.
constexpr std::size_t kMostTwins = 16;
constexpr std::uint32_t kNetCheckJoinMs = 8'000;
constexpr auto kTendInterval = std::chrono::milliseconds(1'000);
constexpr auto kLookInterval = std::chrono::milliseconds(200);
// Sessions of a node that hands over get at least so long: its successor serves already.
constexpr double kHandOverDrainS = 300;
// Beyond the drain: what leaving takes at most.
constexpr auto kLeaving = std::chrono::milliseconds(15'000);

// An output that nobody reads any more, or that is full, stops nobody (fmt::print would throw).
void say(std::FILE* to, const std::string& text) {
  std::fputs(text.c_str(), to);
  std::fflush(to);
}

int fail(const absl::Status& status) {
  say(stderr, fmt::format("shoal-node: {}\n", cli::one_line(status)));
  return cli::exit_status(status);
}

spdlog::level::level_enum level_of(const std::string& name) {
  return spdlog::level::from_str(name == "error" ? "err" : name);
}

void start_logging(const std::string& level) {
  auto logger = std::make_shared<spdlog::logger>("shoal-node",
                                                 std::make_shared<spdlog::sinks::stderr_sink_mt>());
  logger->set_pattern("%Y-%m-%d %H:%M:%S.%e %l %v");
  logger->set_level(level_of(level));
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

std::string online_text(const Node& node) {
  std::string where = node.place();
  if (const std::string reach = node.reach(); !reach.empty()) where += fmt::format(" ({})", reach);
  if (node.span().empty())
    return fmt::format("bootstrap node {} is online {}", to_string(node.peer_id()), where);
  return fmt::format("node {} is online {} and serves blocks {} of {}", to_string(node.peer_id()),
                     where, proto::to_string(node.span()), node.model_name());
}

// What the libraries and we start, beside the threads that compute; measured, with some to spare.
constexpr int kThreads = 28;
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

CaretakerOptions care_options(const CommandLine& line, std::uint16_t port) {
  return {.hours = line.hours,
          .free_by_hours = line.free_paused,
          .patience = std::chrono::milliseconds(static_cast<int>(line.drain_timeout_s * 1000)),
          .bootstrap = line.action == CommandLine::Action::kBootstrap,
          .port = port};
}

// Reads the configuration again; what is wrong with it leaves all as it is.
void reload(const std::function<absl::StatusOr<CommandLine>()>& read, CommandLine& line,
            std::uint16_t port, Node* node, Caretaker& caretaker) {
  const auto next = read();
  if (!next.ok()) {
    spdlog::warn("the configuration stays as it was: {}", cli::one_line(next.status()));
    return;
  }
  const Reload changes = compare_options(line.given, next->given);
  if (changes.has("nice")) {
    if (absl::Status given = give_way(next->nice); !given.ok()) {
      spdlog::warn("{}", cli::one_line(given));
    }
  }
  if (node != nullptr) node->set_limits(next->max_sessions, next->max_sessions_per_peer);
  caretaker.set_options(care_options(*next, port));
  line.max_sessions = next->max_sessions;
  line.max_sessions_per_peer = next->max_sessions_per_peer;
  line.drain_timeout_s = next->drain_timeout_s;
  line.nice = next->nice;
  line.log_level = next->log_level;
  line.given = next->given;
  spdlog::info("{}", reload_text(changes));
  spdlog::default_logger()->set_level(level_of(line.log_level));
}

// What one life of a node needs beside its options.
struct NodeLife {
  CommandLine& line;
  const NodeOptions& options;
  const std::function<absl::StatusOr<CommandLine>()>& read;
  IdentityFile& identity;
  ReadyFile& ready;
  Signals& signals;
  ServiceManager& manager;
  Caretaker& caretaker;
};

// While it serves; an error: it is ill.
absl::Status serve_on(NodeLife& life, Node& node, Caretaker::Next& next) {
  absl::Status health;
  auto tend_at = std::chrono::steady_clock::now();
  proto::Span span = node.span();
  while (health.ok() && next == Caretaker::Next::kGoOn &&
         !life.signals.wait_for_stop(kLookInterval) && !life.signals.hand_over_asked()) {
    if (life.signals.take_reload())
      reload(life.read, life.line, life.options.listen.port, &node, life.caretaker);
    next = life.caretaker.look(node);
    const auto now = std::chrono::steady_clock::now();
    if (now < tend_at) continue;
    tend_at = now + kTendInterval;
    health = node.tend();
    life.manager.beat();
    if (std::exchange(span, node.span()) == span || !health.ok()) continue;
    // It has moved.
    if (absl::Status told = life.ready.write(ready_json(node)); !told.ok()) {
      spdlog::warn("{}", cli::one_line(told));
    }
  }
  return health;
}

// The same command twice: who has the port is the owner's own.
absl::Status name_own_node(const absl::Status& status, const proto::Endpoint& listen) {
  if (!absl::IsAlreadyExists(status) || is_twin_error(status)) return status;
  const int process = own_node_on_port(listen.port);
  if (process == 0) return status;
  return absl::AlreadyExistsError(
      fmt::format("UDP port {} is taken: a node of yours (process {}) runs there already: see "
                  "shoal-node status; to replace it, --take-over",
                  proto::to_string(listen), process));
}

// A start that is no longer wanted: it has no sessions that anybody would wait for.
absl::Status give_up(NodeLife& life) {
  if (life.signals.hand_over_asked()) {
    spdlog::info("hands over to its successor before it has started");
    life.caretaker.hand_over();
    life.identity.release();
  } else {
    spdlog::info("gives up starting, as its owner or its hours have it");
  }
  return absl::OkStatus();
}

// A node from its start to its end; OK when it was asked to stop, or to leave for a while.
absl::Status run_once(NodeLife& life) {
  StartWatch watch(life.signals.stop(), [&life] {
    return life.signals.hand_over_asked() || !life.caretaker.wants_node();
  });
  NodeOptions options = life.options;
  options.cancelled = &watch.token();
  options.on_silence = [&life](const std::string& at) { life.caretaker.waits_for(at); };
  auto node = Node::start(std::move(options));
  if (!node.ok()) {
    const bool unwanted = watch.token().stopped() && !life.signals.stop().stopped();
    if (unwanted && absl::IsCancelled(node.status())) return give_up(life);
    return name_own_node(node.status(), life.options.listen);
  }
  watch.began();
  if (absl::Status status = life.ready.write(ready_json(**node)); !status.ok()) return status;
  say(stdout, online_text(**node) + "\n");
  life.manager.serves(online_text(**node));
  // They may have been changed since the program was started.
  (*node)->set_limits(life.line.max_sessions, life.line.max_sessions_per_peer);
  life.caretaker.began(**node);
  auto next = Caretaker::Next::kGoOn;
  absl::Status health = serve_on(life, **node, next);
  life.caretaker.leaving(**node);
  life.ready.remove();
  // A node that is ill can finish nothing: what it would compute would be wrong.
  double drain_s = health.ok() ? life.line.drain_timeout_s : 0;
  if (health.ok() && life.signals.hand_over_asked()) {
    spdlog::info("hands over to its successor");
    drain_s = std::max(drain_s, kHandOverDrainS);
    (*node)->hand_over(static_cast<std::uint32_t>(drain_s * 1000));
    life.caretaker.hand_over();
    life.identity.release();
  }
  const std::chrono::milliseconds drain(static_cast<std::uint32_t>(drain_s * 1000));
  if (next == Caretaker::Next::kLeave) {
    life.manager.rests("leaves for a while");
  } else {
    life.manager.ends(drain + kLeaving);
  }
  (*node)->drain_and_stop(static_cast<std::uint32_t>(drain.count()), life.signals.hand_over_asked()
                                                                         ? &life.signals.stop()
                                                                         : &life.signals.hurry());
  if (next == Caretaker::Next::kStop) life.signals.ask_to_stop();
  return health;
}

// False: the program is to end.
bool wait_until_wanted(NodeLife& life) {
  if (life.signals.stop().stopped()) return false;
  auto start = life.caretaker.look_without_node();
  if (start == Caretaker::Start::kLater) life.manager.rests("paused: nothing is loaded");
  while (start == Caretaker::Start::kLater && !life.signals.wait_for_stop(kLookInterval) &&
         !life.signals.hand_over_asked()) {
    if (life.signals.take_reload())
      reload(life.read, life.line, life.options.listen.port, nullptr, life.caretaker);
    start = life.caretaker.look_without_node();
  }
  return start == Caretaker::Start::kNow && !life.signals.stop().stopped();
}

// One node after the other, where its owner has one go and come back.
absl::Status run_wanted(NodeLife& life) {
  while (wait_until_wanted(life)) {
    absl::Status ended = run_once(life);
    if (!ended.ok() || life.signals.hand_over_asked()) return ended;
  }
  return absl::OkStatus();
}

absl::StatusOr<IdentityFile> open_identity(const CommandLine& line,
                                           const std::vector<proto::PeerId>& taken,
                                           const base::StopToken& stop) {
  const char* name = line.action == CommandLine::Action::kBootstrap ? "bootstrap" : "node";
  if (!line.identity.empty()) {
    return line.take_over ? IdentityFile::take_over(line.identity, stop)
                          : IdentityFile::open(line.identity);
  }
  return line.take_over ? IdentityFile::take_over_default(name, stop)
                        : IdentityFile::open_default(name, taken);
}

int serve(CommandLine line, const std::function<absl::StatusOr<CommandLine>()>& read) {
  ReadyFile ready(line.ready_file);
  Signals signals([&ready] { ready.remove(); });
  if (line.nice != 0) {
    if (absl::Status status = give_way(line.nice); !status.ok()) return fail(status);
  }
  if (absl::Status status = check_limits(line); !status.ok()) return fail(status);
  ServiceManager manager;
  manager.tell("starts");
  model::guard_mapped_files("shoal-node", model::LostFile::kGoOn);
  start_logging(line.log_level);
  if (!line.origins.empty()) spdlog::info("{}", line.origins);
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
  options.relay_mbit = line.relay ? std::optional(line.relay_mbit) : std::nullopt;
  if (line.udp == "off") options.udp = dht::UdpUse::kOff;
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
  options.reach = line.reach;

  std::vector<proto::PeerId> taken;
  while (true) {
    auto identity = open_identity(line, taken, signals.stop());
    if (!identity.ok()) return signals.stop().stopped() ? 0 : fail(identity.status());
    options.identity = identity->identity();
    options.contacts_file = identity->contacts_path(line.join);
    absl::Status ended;
    {
      Caretaker caretaker(*identity, care_options(line, options.listen.port));
      options.account = &caretaker.account();
      NodeLife life{line, options, read, *identity, ready, signals, manager, caretaker};
      ended = run_wanted(life);
    }
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

// Exit status 1 when nobody would reach a node here, or nobody could tell.
int check_network(const CommandLine& line) {
  Signals signals([] {});
  start_logging(line.log_level);
  net::init_transport();
  NodeOptions resolved;
  if (absl::Status status = resolve_addresses(line, resolved); !status.ok()) return fail(status);
  MembershipOptions options;
  if (!line.swarm_key.empty()) {
    const auto key = identity::read_swarm_key(line.swarm_key);
    if (!key.ok()) return fail(key.status());
    options.swarm_key = *key;
  }
  options.listen = resolved.listen;
  options.join = resolved.join;
  options.join_names = resolved.join_names;
  options.announce = resolved.announce;
  options.join_timeout_ms = kNetCheckJoinMs;
  if (line.join_timeout_s)
    options.join_timeout_ms = static_cast<std::uint32_t>(*line.join_timeout_s * 1000);
  const auto check = check_net(std::move(options), signals.stop());
  if (!check.ok()) return fail(check.status());
  say(stdout, line.json ? netcheck_json(*check) : netcheck_text(*check));
  const absl::Status written = cli::finish_output();
  if (!written.ok() && !cli::output_reader_is_gone()) return fail(written);
  return check->is_good() ? 0 : cli::kExitFailed;
}

int control_service(const CommandLine& line) {
  // Else only a log would tell.
  if (line.service.action == ServiceRequest::Action::kInstall) {
    if (absl::Status found = check_model_option(line.model); !found.ok()) return fail(found);
  }
  const auto report = run_service(line.service);
  if (!report.ok()) return fail(report.status());
  if (line.service.action == ServiceRequest::Action::kInstall) {
    const std::string note = note_of_model_option(line.model);
    if (!note.empty()) say(stderr, fmt::format("shoal-node: warning: {}\n", cli::printable(note)));
  }
  say(stdout, report->text);
  return report->good ? 0 : cli::kExitFailed;
}

int main(int argc, char** argv) {
  cli::open_standard_streams();
  net::end_with_a_sentence("shoal-node");
  const auto read = [argc, argv] {
    return parse_command_line(argc, argv, cli::settings_of_process("shoal-node"));
  };
  const auto line = read();
  if (!line.ok()) return fail(line.status());
  if (line->action == CommandLine::Action::kPrint) {
    say(stdout, line->print);
    const absl::Status written = cli::finish_output();
    return written.ok() || cli::output_reader_is_gone() ? 0 : fail(written);
  }
  if (line->action == CommandLine::Action::kPlan) return show_plan(*line);
  if (line->action == CommandLine::Action::kNetCheck) return check_network(*line);
  if (line->action == CommandLine::Action::kService) return control_service(*line);
  if (line->action == CommandLine::Action::kOwner) {
    const auto answer = ask_as_owner(line->owner);
    if (!answer.ok()) return fail(answer.status());
    say(stdout, *answer);
    const absl::Status written = cli::finish_output();
    return written.ok() || cli::output_reader_is_gone() ? 0 : fail(written);
  }
  return serve(*line, read);
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
