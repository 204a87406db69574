// SPDX-License-Identifier: Apache-2.0
// `shoal`, the user's program: parses, runs one subcommand, and turns its status into one line and
// an exit code: 0 done, 1 failed, 2 wrong usage (cli/usage.h), 128 + signal when interrupted.
#include <signal.h>
#include <unistd.h>

#include <cstdio>
#include <exception>
#include <string>
#include <vector>

#include "cli/standard_streams.h"
#include "cli/usage.h"
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

int fail(const absl::Status& status) {
  std::fflush(stdout);
  std::fprintf(stderr, "shoal: %s\n", shoal::cli::one_line(status).c_str());
  return shoal::cli::exit_status(status);
}

}  // namespace

int main(int argc, char** argv) {
  shoal::cli::open_standard_streams();
  const auto command =
      parse_command_line(std::vector<std::string>(argv + 1, argv + argc),
                         isatty(STDIN_FILENO) != 0 || !shoal::cli::has_standard_input());
  if (!command.ok()) return fail(command.status());
  shoal::net::init_transport();
  signal(SIGPIPE, SIG_IGN);  // a reader that went away is seen by the write
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
  const absl::Status written = shoal::cli::finish_output();
  if (!written.ok() && shoal::cli::output_reader_is_gone()) return 128 + SIGPIPE;
  if (!status.ok()) return fail(status);
  if (!written.ok()) return fail(written);
  return 0;
}
