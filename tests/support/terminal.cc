// SPDX-License-Identifier: Apache-2.0
#include "tests/support/terminal.h"

#include <poll.h>
#include <pty.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <csignal>

#include "base/check.h"

namespace shoal::tests {

Terminal::Terminal(std::vector<std::string> command) {
  winsize size{};
  size.ws_col = 100;
  size.ws_row = 30;
  std::vector<char*> arguments;
  for (std::string& argument : command) arguments.push_back(argument.data());
  arguments.push_back(nullptr);
  pid_ = forkpty(&terminal_, nullptr, nullptr, &size);
  if (pid_ == 0) {
    execv(arguments[0], arguments.data());
    _exit(127);
  }
}

Terminal::~Terminal() {
  if (status_ == -1) {
    kill(pid_, SIGKILL);
    waitpid(pid_, nullptr, 0);
  }
  if (terminal_ >= 0) close(terminal_);
}

void Terminal::type(const std::string& keys) {
  CHECK(write(terminal_, keys.data(), keys.size()) == static_cast<ssize_t>(keys.size()));
}

bool Terminal::shows(const std::string& text, int timeout_ms) {
  const auto until = std::chrono::steady_clock::now() + std::chrono::milliseconds(timeout_ms);
  while (shown_.find(text) == std::string::npos && std::chrono::steady_clock::now() < until) {
    if (!read_some()) break;
  }
  return shown_.find(text) != std::string::npos;
}

int Terminal::wait(int timeout_ms) {
  shows("\x01 never", timeout_ms);
  int status = 0;
  if (waitpid(pid_, &status, WNOHANG) == pid_) status_ = WEXITSTATUS(status);
  return status_;
}

int Terminal::hang_up(int timeout_ms) {
  close(terminal_);
  terminal_ = -1;
  const auto until = std::chrono::steady_clock::now() + std::chrono::milliseconds(timeout_ms);
  int status = 0;
  while (status_ == -1 && std::chrono::steady_clock::now() < until) {
    if (waitpid(pid_, &status, WNOHANG) == pid_) {
      status_ = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
    } else {
      usleep(5'000);
    }
  }
  return status_;
}

bool Terminal::read_some() {
  pollfd wanted{terminal_, POLLIN, 0};
  if (poll(&wanted, 1, 50) <= 0) return true;
  char buffer[4096];
  const ssize_t n = read(terminal_, buffer, sizeof(buffer));
  if (n <= 0) {  // the program has ended
    usleep(50'000);
    return false;
  }
  shown_.append(buffer, static_cast<std::size_t>(n));
  return true;
}

}  // namespace shoal::tests
