// SPDX-License-Identifier: Apache-2.0
// `shoal`, the user's program: parses, runs one subcommand, and turns its status into one line and
// an exit code: 0 done, 1 failed, 2 wrong usage, 128 + signal when interrupted.
#include <cstdio>
#include <exception>
#include <string>
#include <vector>

#include "client/commands.h"
#include "net/identity_tls.h"

namespace {

using namespace shoal::client;  // NOLINT: a program of one file

absl::Status run(const CommandLine& command, const Interrupt& interrupt) {
  if (const auto* flags = std::get_if<GenerateFlags>(&command)) {
    return run_generate(*flags, interrupt);
  }
  if (const auto* flags = std::get_if<ScoreFlags>(&command)) return run_score(*flags, interrupt);
  if (const auto* flags = std::get_if<StatusFlags>(&command)) return run_status(*flags, interrupt);
  if (const auto* flags = std::get_if<SwarmNewFlags>(&command)) return run_swarm_new(*flags);
  std::fputs(std::get<Notice>(command).text.c_str(), stdout);
  return absl::OkStatus();
}

int fail(const std::string& text, int code) {
  std::fflush(stdout);
  std::fprintf(stderr, "shoal: %s\n", text.c_str());
  return code;
}

}  // namespace

int main(int argc, char** argv) {
  shoal::net::init_transport();
  const auto command = parse_command_line(std::vector<std::string>(argv + 1, argv + argc));
  if (!command.ok()) return fail(std::string(command.status().message()), 2);
  Interrupt& interrupt = interrupt_by_signals();
  absl::Status status;
  try {
    status = run(*command, interrupt);
  } catch (const std::exception& error) {  // out of memory, or a library that threw
    status = absl::InternalError(error.what());
  }
  if (interrupt.triggered()) {
    std::fflush(stdout);
    return 128 + interrupt.signal();
  }
  if (!status.ok()) return fail(std::string(status.message()), 1);
  if (std::fflush(stdout) != 0 || std::ferror(stdout)) return fail("could not write the output", 1);
  return 0;
}
