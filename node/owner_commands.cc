// SPDX-License-Identifier: Apache-2.0
#include "node/owner_commands.h"

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <nlohmann/json.hpp>

#include "cli/usage.h"
#include "node/control/control_server.h"
#include "node/control/local_socket.h"
#include "node/control/node_status.h"
#include "node/identity_file.h"
#include "proto/printable.h"

namespace shoal::node {
namespace {

using Verb = ControlRequest::Verb;

// Of the system's service: root may look there.
constexpr const char* kServiceFolder = "/var/lib/shoal";
constexpr std::size_t kMaxShownPath = 4096;
constexpr const char* kHowToName =
    "name it with --identity FILE, its key file, as it was started with";

void add_which_node(cli::Command& command, OwnerLine& line, const char* which) {
  command.option("--identity", "FILE", which, cli::name(line.identity));
  command.flag("--json", line.json, "Print one JSON object a line for each node");
}

// What --identity takes for the node behind this socket. An identity of one run has no file, but
// its socket a name of its own.
std::string key_of(const std::string& socket) {
  const auto reply = ask_node(socket, {});
  const auto json = nlohmann::json::parse(reply.ok() ? *reply : "", nullptr, false);
  const auto found = json.is_object() ? json.find("identity") : json.end();
  if (!json.is_object() || found == json.end() || !found->is_string()) return socket;
  const std::string key = proto::printable(found->get<std::string>(), kMaxShownPath);
  return key == found->get<std::string>() ? key : socket;
}

// Empty: it is not there, or somebody else could lie to us in it.
std::string safe_runtime_folder() {
  std::string folder = runtime_folder();
  return is_own_folder(folder) ? folder : std::string();
}

// The sockets of all nodes that are meant.
absl::StatusOr<std::vector<std::string>> sockets_of(const OwnerLine& line) {
  const std::string runtime = safe_runtime_folder();
  if (!line.identity.empty()) {
    std::vector<std::string> paths = socket_paths(line.identity, runtime);
    if (line.identity.ends_with(".sock")) paths.push_back(line.identity);  // as we list them
    for (const std::string& path : paths) {
      if (connect_to(path).ok()) return std::vector<std::string>{path};
    }
    return absl::UnavailableError(fmt::format(
        "no node runs here with the identity {}: start one with shoal-node run, or look at those "
        "that run with shoal-node status",
        line.identity));
  }
  std::vector<std::string> folders;
  for (const std::string& folder : {state_folder(), runtime, std::string(kServiceFolder)}) {
    if (!folder.empty() && std::ranges::find(folders, folder) == folders.end()) {
      folders.push_back(folder);
    }
  }
  std::vector<std::string> found = listening_sockets(folders);
  if (found.empty()) {
    return absl::UnavailableError(
        "no node of this user runs here: start one with shoal-node run; one that was started with "
        "--identity FILE is found with the same --identity FILE");
  }
  if (found.size() > 1 && line.request.verb != Verb::kStatus) {
    std::string names;
    for (const std::string& path : found) names += (names.empty() ? "" : ", ") + key_of(path);
    return absl::FailedPreconditionError(fmt::format(
        "{} nodes run here ({}): say which one is meant, and {}", found.size(), names, kHowToName));
  }
  return found;
}

// Of what the node says now, what has become of the order.
std::string order_text(Verb verb, const std::string& reply) {
  const auto json = nlohmann::json::parse(reply, nullptr, false);
  const std::string status = node_status_text(reply);
  const std::size_t first = status.find('\n');
  const std::string node = status.substr(0, status.find(':'));
  if (verb == Verb::kResume) {
    const std::string state = json.is_object() ? json.value("state", std::string()) : "";
    if (state == "serving") return node + " serves again, whatever its hours say\n";
    return node + " will serve again, whatever its hours say: it is " + state + "\n";
  }
  const std::size_t second = status.find('\n', first + 1);
  const auto sessions = json.is_object() ? json.value("sessions", std::uint64_t{0}) : 0;
  return fmt::format("{} takes no new sessions and pauses; open now: {}\n{}", node, sessions,
                     status.substr(first + 1, second - first));
}

}  // namespace

OwnerCommands add_owner_commands(cli::Command& program, OwnerLine& line) {
  OwnerCommands commands;
  constexpr const char* kWhich =
      "The key file of the node that is meant (default: the only one that this user runs here)";
  cli::Command& status =
      program.command("status", "Say what this machine's node does, and what it did so far");
  add_which_node(status, line,
                 "The key file of the node that is meant (default: all that this user runs here)");
  commands.status = &status;

  cli::Command& pause = program.command(
      "pause", "Let a node's sessions finish for --drain-timeout, then serve nobody");
  pause.option("--for", "TIME", "Until so much later: 45s, 30m, 2h or 1d (default: until resume)",
               cli::name(line.pause_for));
  pause.flag("--free", line.request.free,
             "Give the memory back too: the blocks are loaded again at the end");
  add_which_node(pause, line, kWhich);
  commands.pause = &pause;

  cli::Command& resume =
      program.command("resume", "Serve again, also outside of --hours, until they begin");
  add_which_node(resume, line, kWhich);
  commands.resume = &resume;

  cli::Command& drain =
      program.command("drain", "Let a node's sessions finish, however long they take, then pause");
  drain.flag("--stop", line.request.stop, "End the program then");
  drain.flag("--free", line.request.free, "Give the memory back then");
  add_which_node(drain, line, kWhich);
  commands.drain = &drain;
  return commands;
}

absl::Status settle_owner_line(const OwnerCommands& commands, const cli::Command* called,
                               OwnerLine& line) {
  line.request.verb = called == commands.pause    ? Verb::kPause
                      : called == commands.resume ? Verb::kResume
                      : called == commands.drain  ? Verb::kDrain
                                                  : Verb::kStatus;
  if (line.pause_for.empty()) return absl::OkStatus();
  const auto seconds = parse_pause_time(line.pause_for);
  if (!seconds.ok()) return cli::usage_error("--for: " + std::string(seconds.status().message()));
  line.request.for_s = *seconds;
  return absl::OkStatus();
}

absl::StatusOr<std::string> ask_as_owner(const OwnerLine& line) {
  const auto sockets = sockets_of(line);
  if (!sockets.ok()) return sockets.status();
  std::string text;
  absl::Status failed;
  for (const std::string& socket : *sockets) {
    const auto reply = ask_node(socket, line.request);
    if (!reply.ok()) {
      failed = reply.status();
    } else if (line.json) {
      text += *reply + "\n";
    } else if (line.request.verb == Verb::kStatus) {
      text += (text.empty() ? "" : "\n") + node_status_text(*reply);
    } else {
      text += order_text(line.request.verb, *reply);
    }
  }
  // One of several that does not answer hides none of the others.
  if (text.empty()) return failed;
  return text;
}

int own_node_on_port(std::uint16_t port) {
  if (port == 0) return 0;
  for (const std::string& socket : listening_sockets({state_folder(), safe_runtime_folder()})) {
    const auto reply = ask_node(socket, {});
    const int process = reply.ok() ? process_on_port(*reply, port) : 0;
    if (process != 0 && process != getpid()) return process;
  }
  return 0;
}

}  // namespace shoal::node
