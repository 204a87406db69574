// SPDX-License-Identifier: Apache-2.0
// `shoal`, the user's program: parses, runs one subcommand, and turns its status into one line and
// an exit code: 0 done, 1 failed, 2 wrong usage (cli/usage.h), 128 + signal when interrupted.
#include <signal.h>
#include <unistd.h>

#include <cstdio>
#include <exception>
#include <new>
#include <string>
#include <system_error>
#include <thread>
#include <vector>

#include "cli/settings.h"
#include "cli/standard_streams.h"
#include "cli/usage.h"
#include "client/cli/commands.h"
#include "client/cli/interrupt.h"
#include "model/file_guard.h"
#include "net/identity_tls.h"
#include "net/process_start.h"

namespace {

using namespace shoal::client;  // NOLINT: a program of one file

absl::Status run(const CommandLine& command, const shoal::base::StopToken& interrupt) {
  if (const auto* flags = std::get_if<GenerateFlags>(&command)) {
    return run_generate(*flags, interrupt);
  }
  if (const auto* flags = std::get_if<ChatFlags>(&command)) return run_chat(*flags, interrupt);
  if (const auto* flags = std::get_if<ServeFlags>(&command)) return run_serve(*flags, interrupt);
  if (const auto* flags = std::get_if<ScoreFlags>(&command)) return run_score(*flags, interrupt);
  if (const auto* flags = std::get_if<StatusFlags>(&command)) return run_status(*flags, interrupt);
  if (const auto* flags = std::get_if<SwarmNewFlags>(&command)) return run_swarm_new(*flags);
  if (const auto* flags = std::get_if<PullFlags>(&command)) return run_pull(*flags, interrupt);
  if (const auto* flags = std::get_if<ModelsFlags>(&command)) {
    return run_models(*flags, interrupt);
  }
  std::fputs(std::get<Notice>(command).text.c_str(), stdout);
  return absl::OkStatus();
}

int fail(const absl::Status& status) {
  std::fflush(stdout);
  std::fprintf(stderr, "shoal: %s\n", shoal::cli::one_line(status).c_str());
  return shoal::cli::exit_status(status);
}

// What the libraries and we start, beside the threads that compute; measured, with some to spare.
constexpr int kThreads = 20;
constexpr std::uint64_t kDescriptors = 48;
constexpr std::uint64_t kMemoryBytes = 64 << 20;
constexpr int kLocalThreads = 2;
constexpr int kServerThreads = 4;

absl::Status check_limits(const CommandLine& command) {
  int threads = kThreads;
  int asked = 0;
  const auto take = [&](const auto& flags) {
    asked = flags.threads;
    if (flags.swarm.local) threads = kLocalThreads;
  };
  if (const auto* flags = std::get_if<GenerateFlags>(&command)) {
    take(*flags);
  } else if (const auto* chat = std::get_if<ChatFlags>(&command)) {
    take(*chat);
  } else if (const auto* serve = std::get_if<ServeFlags>(&command)) {
    take(*serve);
    threads += serve->max_concurrent + kServerThreads;
  } else if (const auto* score = std::get_if<ScoreFlags>(&command)) {
    take(*score);
  } else if (const auto* models = std::get_if<ModelsFlags>(&command)) {
    if (models->swarm.join.empty()) return absl::OkStatus();
  } else if (!std::get_if<StatusFlags>(&command)) {
    return absl::OkStatus();  // nothing that takes threads
  }
  const int compute = asked > 0 ? asked : static_cast<int>(std::thread::hardware_concurrency());
  return shoal::net::check_process_limits({.program = "shoal",
                                           .threads = threads + compute,
                                           .descriptors = kDescriptors,
                                           .memory_bytes = kMemoryBytes});
}

}  // namespace

int main(int argc, char** argv) {
  shoal::cli::open_standard_streams();
  shoal::net::end_with_a_sentence("shoal");
  const auto command =
      parse_command_line(std::vector<std::string>(argv + 1, argv + argc),
                         isatty(STDIN_FILENO) != 0 || !shoal::cli::has_standard_input(),
                         shoal::cli::settings_of_process("shoal"));
  if (!command.ok()) return fail(command.status());
  shoal::net::init_transport();
  shoal::base::StopToken& interrupt = interrupt_by_signals();
  shoal::model::guard_mapped_files("shoal", shoal::model::LostFile::kExit);
  absl::Status status;
  try {
    status = check_limits(*command);
    if (status.ok()) status = run(*command, interrupt);
  } catch (const std::bad_alloc&) {
    status = absl::ResourceExhaustedError("out of memory: raise the limit (ulimit -v)");
  } catch (const std::system_error& error) {
    status = absl::ResourceExhaustedError("the system refused a thread or a file (" +
                                          std::string(error.what()) +
                                          "): raise the limits (ulimit -u, -n, -v)");
  } catch (const std::exception& error) {  // out of memory, or a library that threw
    status = absl::InternalError(error.what());
  }
  if (interrupt.stopped()) {
    std::fflush(stdout);
    return 128 + interrupt.signal();
  }
  const absl::Status written = shoal::cli::finish_output();
  if (!written.ok() && shoal::cli::output_reader_is_gone()) return 128 + SIGPIPE;
  if (!status.ok()) return fail(status);
  if (!written.ok()) return fail(written);
  return 0;
}
