// SPDX-License-Identifier: Apache-2.0
#include "tests/nat/network.h"

#include <fcntl.h>
#include <sched.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <stdexcept>

#include "base/check.h"
#include "tests/support/temp_dir.h"

namespace shoal::tests {
namespace {

constexpr int kToolTimeoutMs = 10'000;
constexpr const char* kOwnNetwork = "/proc/thread-self/ns/net";

int open_network() { return open(kOwnNetwork, O_RDONLY | O_CLOEXEC); }

Outcome run_tool(const std::string& name, const std::vector<std::string>& words,
                 const std::string& input) {
  std::vector<std::string> command = {system_program(name)};
  command.insert(command.end(), words.begin(), words.end());
  const Outcome outcome = tests::run(command, kToolTimeoutMs, input);
  if (outcome.status != 0) {
    throw std::runtime_error(name + " said: " + outcome.err + "to:\n" + input);
  }
  return outcome;
}

// The kernel kills it when the thread ends that started it, so also when this process is killed.
std::vector<std::string> mortal(const std::vector<std::string>& command) {
  std::vector<std::string> all = {system_program("setpriv"), "--pdeathsig", "KILL", "--"};
  all.insert(all.end(), command.begin(), command.end());
  return all;
}

}  // namespace

std::string system_program(const std::string& name) {
  for (const char* folder : {"/usr/sbin/", "/sbin/", "/usr/bin/", "/bin/"}) {
    if (std::filesystem::exists(folder + name)) return folder + name;
  }
  return "";
}

std::string Network::unavailable() {
  if (geteuid() != 0) return "needs root, to make networks";
  for (const auto& [tool, package] : {std::pair{"ip", "iproute2"},
                                      {"nft", "nftables"},
                                      {"setpriv", "util-linux"},
                                      {"miniupnpd", "miniupnpd"}}) {
    if (system_program(tool).empty()) {
      return std::string("needs ") + tool + ", of the package " + package;
    }
  }
  const int tun = open("/dev/net/tun", O_RDWR | O_CLOEXEC);
  if (tun < 0) return "needs /dev/net/tun, for links with delay";
  close(tun);
  try {
    const Network network;
    network.nft("table ip try {\n chain post { type nat hook postrouting priority srcnat; }\n}\n");
  } catch (const std::runtime_error& error) {
    return std::string("this root may not make networks with routers: ") + error.what();
  }
  return "";
}

Network::Visit::Visit(int descriptor) : home_(open_network()) {
  CHECK(home_ >= 0 && setns(descriptor, CLONE_NEWNET) == 0) << "cannot enter a network";
}

Network::Visit::~Visit() {
  CHECK(setns(home_, CLONE_NEWNET) == 0) << "cannot leave a network";
  close(home_);
}

Network::Network() {
  const int home = open_network();
  if (home < 0 || unshare(CLONE_NEWNET) != 0) {
    if (home >= 0) close(home);
    throw std::runtime_error("unshare: no new network");
  }
  descriptor_ = open_network();
  CHECK(descriptor_ >= 0 && setns(home, CLONE_NEWNET) == 0) << "cannot leave a new network";
  close(home);
  ip("link set lo up");
}

Network::~Network() { close(descriptor_); }

void Network::ip(const std::string& commands) const {
  within([&] { return run_tool("ip", {"-batch", "-"}, commands + "\n"); });
}

void Network::nft(const std::string& rules) const {
  within([&] { return run_tool("nft", {"-f", "-"}, rules); });
}

std::string Network::nft_reply(const std::vector<std::string>& words) const {
  return within([&] { return run_tool("nft", words, "").out; });
}

void Network::set(const std::string& name, const std::string& value) const {
  within([&] {
    std::ofstream file("/proc/sys/net/" + name);
    if (!(file << value << std::flush)) throw std::runtime_error("cannot set net/" + name);
  });
}

void Network::cable(const std::string& name, const Network& other,
                    const std::string& other_name) const {
  const std::string far =
      "/proc/" + std::to_string(getpid()) + "/fd/" + std::to_string(other.descriptor_);
  ip("link add " + name + " type veth peer name " + other_name + " netns " + far + "\nlink set " +
     name + " up");
  other.ip("link set " + other_name + " up");
}

std::unique_ptr<Process> Network::start(const std::vector<std::string>& command) const {
  return within([&] { return std::make_unique<Process>(mortal(command)); });
}

Outcome Network::run(const std::vector<std::string>& command, int timeout_ms) const {
  return within([&] { return tests::run(mortal(command), timeout_ms); });
}

}  // namespace shoal::tests
