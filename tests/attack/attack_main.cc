// SPDX-License-Identifier: Apache-2.0
// shoal-attack NAME FROM-ADDRESS VICTIM-HOST:PORT IDENTITY MILLISECONDS: one attack on a node of
// this machine's loopback; prints what came of it as one line: hung_up after_ms sent refused_same
// refused_other.
#include <csignal>
#include <cstdio>
#include <cstdlib>

#include "tests/attack/attacks.h"

int main(int argc, char** argv) {
  using namespace shoal;
  if (argc != 6) {
    for (const attack::Attack& one : attack::attacks()) {
      std::printf("%-26s %s\n", one.name.c_str(), one.what.c_str());
    }
    return 2;
  }
  std::signal(SIGPIPE, SIG_IGN);
  attack::Plan plan;
  plan.name = argv[1];
  const auto from = proto::parse_endpoint(std::string(argv[2]) + ":0");
  const auto to = proto::parse_endpoint(argv[3]);
  if (!from.ok() || !to.ok() || !from->is_loopback() || !to->is_loopback()) {
    std::fprintf(stderr, "only nodes on loopback are attacked\n");
    return 2;
  }
  plan.from = *from;
  plan.to = *to;
  plan.identity = std::atoi(argv[4]);
  plan.time = std::chrono::milliseconds(std::atoi(argv[5]));
  const attack::Outcome outcome = attack::run(plan);
  std::printf("%d %.0f %llu %d %d\n", outcome.hung_up, outcome.after_ms,
              static_cast<unsigned long long>(outcome.sent), outcome.refused_same,
              outcome.refused_other);
  return 0;
}
