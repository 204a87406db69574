// SPDX-License-Identifier: Apache-2.0
#include "tests/support/network_namespace.h"

#include <unistd.h>

#include <atomic>
#include <filesystem>
#include <sstream>
#include <stdexcept>

#include "tests/support/process.h"

namespace shoal::tests {
namespace {

constexpr int kTimeoutMs = 10'000;

std::string ip_program() {
  for (const char* path : {"/usr/sbin/ip", "/sbin/ip", "/usr/bin/ip", "/bin/ip"}) {
    if (std::filesystem::exists(path)) return path;
  }
  return "";
}

Outcome run_ip(const std::string& arguments) {
  std::vector<std::string> command = {ip_program()};
  std::istringstream words(arguments);
  for (std::string word; words >> word;) command.push_back(word);
  return run(command, kTimeoutMs);
}

void must(const std::string& arguments) {
  const Outcome outcome = run_ip(arguments);
  if (outcome.status != 0) throw std::runtime_error("ip " + arguments + ": " + outcome.err);
}

std::string new_name() {
  static std::atomic<int> count{0};
  return "shoal-" + std::to_string(getpid()) + "-" + std::to_string(++count);
}

}  // namespace

std::string NetworkNamespace::unavailable() {
  if (geteuid() != 0) return "needs root, to make network namespaces";
  if (ip_program().empty()) return "needs ip(8), of the package iproute2";
  const std::string name = new_name();
  if (run_ip("netns add " + name).status != 0) return "this root may not make network namespaces";
  run_ip("netns del " + name);
  return "";
}

NetworkNamespace::NetworkNamespace() : name_(new_name()) {
  must("netns add " + name_);
  ip("link set lo up");
}

// The links go first: what a namespace held, the kernel takes down some time after the name is
// gone, and until then the far ends of its links keep their names.
NetworkNamespace::~NetworkNamespace() {
  for (const std::string& link : links_) run_ip("-n " + name_ + " link del " + link);
  run_ip("netns del " + name_);
}

void NetworkNamespace::ip(const std::string& arguments) { must("-n " + name_ + " " + arguments); }

void NetworkNamespace::connect(const std::string& name, NetworkNamespace& other,
                               const std::string& other_name) {
  ip("link add " + name + " type veth peer name " + other_name + " netns " + other.name_);
  links_.push_back(name);
  ip("link set " + name + " up");
  other.ip("link set " + other_name + " up");
}

void NetworkNamespace::set(const std::string& name, const std::string& value) {
  const Outcome outcome =
      run(inside({"/bin/sh", "-c", "echo " + value + " > /proc/sys/net/" + name}), kTimeoutMs);
  if (outcome.status != 0) throw std::runtime_error(name + ": " + outcome.err);
}

std::vector<std::string> NetworkNamespace::inside(std::vector<std::string> command) const {
  command.insert(command.begin(), {ip_program(), "netns", "exec", name_});
  return command;
}

}  // namespace shoal::tests
