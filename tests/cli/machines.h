// SPDX-License-Identifier: Apache-2.0
// For tests of what machines do to programs: nodes of a test's own folder, commands under a shell's
// ulimit or trap.
#pragma once

#include <gtest/gtest.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <chrono>
#include <functional>
#include <thread>

#include "tests/cli/process_swarm.h"

namespace shoal::tests {

// COMMAND run by a shell that does `before` first: ulimit, trap, redirections.
inline std::vector<std::string> after(const std::string& before, std::vector<std::string> command) {
  std::vector<std::string> all = {"/bin/bash", "-c", before + "; exec \"$@\"", "bash"};
  all.insert(all.end(), command.begin(), command.end());
  return all;
}

inline bool eventually(int timeout_ms, const std::function<bool()>& holds) {
  const auto deadline = std::chrono::steady_clock::now() + std::chrono::milliseconds(timeout_ms);
  while (!holds()) {
    if (std::chrono::steady_clock::now() >= deadline) return false;
    std::this_thread::sleep_for(std::chrono::milliseconds(20));
  }
  return true;
}

// A port that nobody has at this moment.
inline std::string free_address() {
  const int probe = ::socket(AF_INET, SOCK_STREAM, 0);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t size = sizeof(address);
  EXPECT_EQ(bind(probe, reinterpret_cast<sockaddr*>(&address), size), 0);
  getsockname(probe, reinterpret_cast<sockaddr*>(&address), &size);
  close(probe);
  return "127.0.0.1:" + std::to_string(ntohs(address.sin_port));
}

class Machines : public testing::Test {
 protected:
  std::vector<std::string> node(const std::string& name, std::vector<std::string> arguments,
                                const std::string& listen = "127.0.0.1:0") {
    std::vector<std::string> command = {program("shoal-node"),
                                        "run",
                                        "--model",
                                        model_,
                                        "--listen",
                                        listen,
                                        "--threads",
                                        "1",
                                        "--identity",
                                        folder_.file(name + ".key"),
                                        "--ready-file",
                                        folder_.file(name + ".json")};
    command.insert(command.end(), arguments.begin(), arguments.end());
    return command;
  }
  nlohmann::json ready(const std::string& name, Process& process) {
    EXPECT_TRUE(wait_for_file(folder_.file(name + ".json"), process, 20'000)) << process.err();
    return nlohmann::json::parse(read_file(folder_.file(name + ".json")), nullptr, false);
  }
  bool online(const std::string& name) { return !read_file(folder_.file(name + ".json")).empty(); }

  TempDir folder_;
  std::string model_ = kDemoModel;
};

}  // namespace shoal::tests
