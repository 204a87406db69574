// SPDX-License-Identifier: Apache-2.0
// A network of a test's own that has no name: a Linux network namespace that lives by a descriptor
// of this process. Whatever ends this process, a kill too, ends its networks, since the programs
// that were started in them are killed with it. Needs root. One thread at a time; start() only from
// a thread that outlives the program, because a program dies with the thread that started it.
#pragma once

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "tests/support/process.h"

namespace shoal::tests {

class Network {
 public:
  // "" when such networks can be made here, with routers in them; else why not, for GTEST_SKIP.
  static std::string unavailable();

  Network();  // with loopback up and nothing else; throws std::runtime_error
  ~Network();
  Network(const Network&) = delete;
  Network& operator=(const Network&) = delete;

  // Runs `f` with this thread in the network: sockets that it opens, and programs that it starts,
  // stay there.
  template <typename F>
  auto within(F f) const {
    const Visit visit(descriptor_);
    return f();
  }
  // Commands of ip(8), one a line; throws when one fails.
  void ip(const std::string& commands) const;
  // Rules of nft(8); throws when they are refused.
  void nft(const std::string& rules) const;
  // What nft answers to these words: nft_reply({"-j", "list", "ruleset"}).
  std::string nft_reply(const std::vector<std::string>& words) const;
  // A setting of the network: set("ipv4/ip_forward", "1").
  void set(const std::string& name, const std::string& value) const;
  // A cable: `name` here, `other_name` there, both up.
  void cable(const std::string& name, const Network& other, const std::string& other_name) const;

  std::unique_ptr<Process> start(const std::vector<std::string>& command) const;
  Outcome run(const std::vector<std::string>& command, int timeout_ms) const;

 private:
  class Visit {
   public:
    explicit Visit(int descriptor);
    ~Visit();

   private:
    int home_;
  };

  int descriptor_ = -1;
};

// ip(8), nft(8) and the like lie where root alone looks for programs; "" when there is none.
std::string system_program(const std::string& name);

}  // namespace shoal::tests
