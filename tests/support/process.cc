// SPDX-License-Identifier: Apache-2.0
#include "tests/support/process.h"

#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <filesystem>
#include <future>
#include <thread>

#include "base/check.h"
#include "tests/support/temp_dir.h"

namespace shoal::tests {
namespace {

using Clock = std::chrono::steady_clock;

void redirect(const std::string& path, int flags, int descriptor) {
  const int file = open(path.c_str(), flags, 0600);
  if (file < 0 || dup2(file, descriptor) < 0) _exit(126);
  close(file);
}

std::string make_folder() {
  std::string pattern = (std::filesystem::temp_directory_path() / "shoal-process-XXXXXX").string();
  CHECK(mkdtemp(pattern.data()) != nullptr) << pattern;
  return pattern;
}

pid_t spawn(const std::vector<std::string>& command, const std::string& folder,
            const std::string& input) {
  std::vector<char*> arguments;
  for (const std::string& argument : command)
    arguments.push_back(const_cast<char*>(argument.c_str()));
  arguments.push_back(nullptr);
  const pid_t pid = fork();
  CHECK(pid >= 0) << "fork";
  if (pid == 0) {
    // Whatever started the tests, in the background perhaps.
    for (const int number : {SIGINT, SIGHUP, SIGQUIT, SIGPIPE}) ::signal(number, SIG_DFL);
    // What this machine's user has configured is not meant for tests.
    for (const char* name : {"SHOAL_CONFIG", "SHOAL_NODE_CONFIG"}) setenv(name, "off", 1);
    redirect(input, O_RDONLY, STDIN_FILENO);
    redirect(folder + "/out", O_WRONLY | O_CREAT | O_TRUNC, STDOUT_FILENO);
    redirect(folder + "/err", O_WRONLY | O_CREAT | O_TRUNC, STDERR_FILENO);
    execvp(arguments[0], arguments.data());
    _exit(127);
  }
  return pid;
}

}  // namespace

Process::Process(std::vector<std::string> command) : folder_(make_folder()) {
  pid_ = spawn(command, folder_, "/dev/null");
}

Process::Process(Process&& other) noexcept
    : pid_(other.pid_),
      reaped_(other.reaped_),
      status_(other.status_),
      folder_(std::move(other.folder_)) {
  other.pid_ = -1;
  other.reaped_ = true;
  other.folder_.clear();
}

Process::~Process() {
  if (pid_ > 0 && !reaped_) {
    kill(pid_, SIGKILL);
    reap(0);
  }
  if (!folder_.empty()) {
    std::error_code ignored;
    std::filesystem::remove_all(folder_, ignored);
  }
}

void Process::reap(int flags) {
  int raw = 0;
  if (reaped_ || waitpid(pid_, &raw, flags) != pid_) return;
  reaped_ = true;
  status_ = WIFEXITED(raw) ? WEXITSTATUS(raw) : 128 + WTERMSIG(raw);
}

bool Process::running() {
  reap(WNOHANG);
  return !reaped_;
}

void Process::signal(int number) {
  if (running()) kill(pid_, number);
}

int Process::wait(int timeout_ms) {
  const auto deadline = Clock::now() + std::chrono::milliseconds(timeout_ms);
  while (running()) {
    if (Clock::now() >= deadline) return -1;
    std::this_thread::sleep_for(std::chrono::milliseconds(5));
  }
  return status_;
}

std::string Process::out() const { return read_file(folder_ + "/out"); }
std::string Process::err() const { return read_file(folder_ + "/err"); }

Outcome run(std::vector<std::string> command, int timeout_ms, const std::string& input) {
  const auto started = Clock::now();
  TempDir folder;
  const std::string input_path = folder.file("in");
  write_file(input_path, input);
  const std::string out = folder.path();
  const pid_t pid = spawn(command, out, input_path);
  Outcome outcome;
  const auto deadline = started + std::chrono::milliseconds(timeout_ms);
  int raw = 0;
  while (waitpid(pid, &raw, WNOHANG) == 0) {
    if (Clock::now() >= deadline) {
      kill(pid, SIGKILL);
      waitpid(pid, &raw, 0);
      outcome.err = "killed after its time-out\n";
      raw = -1;
      break;
    }
    std::this_thread::sleep_for(std::chrono::milliseconds(2));
  }
  if (raw != -1) outcome.status = WIFEXITED(raw) ? WEXITSTATUS(raw) : 128 + WTERMSIG(raw);
  outcome.out = read_file(folder.file("out"));
  outcome.err += read_file(folder.file("err"));
  outcome.seconds = std::chrono::duration<double>(Clock::now() - started).count();
  return outcome;
}

std::vector<Outcome> run_together(const std::vector<std::vector<std::string>>& commands,
                                  int timeout_ms) {
  std::vector<std::future<Outcome>> running;
  for (const auto& command : commands) {
    running.push_back(
        std::async(std::launch::async, [&, timeout_ms] { return run(command, timeout_ms); }));
  }
  std::vector<Outcome> outcomes;
  for (auto& one : running) outcomes.push_back(one.get());
  return outcomes;
}

bool wait_for_file(const std::string& path, Process& process, int timeout_ms) {
  const auto deadline = Clock::now() + std::chrono::milliseconds(timeout_ms);
  while (read_file(path).empty()) {
    if (Clock::now() >= deadline || !process.running()) return false;
    std::this_thread::sleep_for(std::chrono::milliseconds(5));
  }
  return true;
}

std::string program(const std::string& name) {
  // Test programs and products share one folder of the build.
  return (std::filesystem::read_symlink("/proc/self/exe").parent_path() / name).string();
}

}  // namespace shoal::tests
