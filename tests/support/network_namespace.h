// SPDX-License-Identifier: Apache-2.0
// Networks of a test's own: Linux network namespaces, joined by virtual cables. Nothing that
// happens in them leaves this machine. Needs root.
#pragma once

#include <string>
#include <vector>

namespace shoal::tests {

class NetworkNamespace {
 public:
  // "" when namespaces can be made here; else why not, for GTEST_SKIP.
  static std::string unavailable();

  NetworkNamespace();  // with loopback up and nothing else; throws std::runtime_error
  ~NetworkNamespace();
  NetworkNamespace(const NetworkNamespace&) = delete;
  NetworkNamespace& operator=(const NetworkNamespace&) = delete;

  // ip(8) in it: ip("addr add 10.1.0.1/24 dev eth0"). Words are split at spaces; throws when ip
  // fails.
  void ip(const std::string& arguments);
  // A cable: `name` here, `other_name` there; both ends up, IPv6 without waiting for its checks.
  void connect(const std::string& name, NetworkNamespace& other, const std::string& other_name);
  // A setting of its network: set("ipv4/ip_forward", "1").
  void set(const std::string& name, const std::string& value);
  // The command, to be run in it.
  std::vector<std::string> inside(std::vector<std::string> command) const;

 private:
  std::string name_;
  std::vector<std::string> links_;  // that connect() made here
};

}  // namespace shoal::tests
