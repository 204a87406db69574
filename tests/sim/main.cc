// SPDX-License-Identifier: Apache-2.0
// shoal-sim: swarms of thousands of peers in one process, as tables or as JSON.
#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>

#include "tests/sim/command_line.h"

namespace shoal::sim {
namespace {

Report run(const CommandLine& line) {
  if (line.command == "lookup") return run_lookup(line.lookup);
  if (line.command == "publish") return run_publish(line.publish);
  if (line.command == "sybil") return run_sybil(line.sybil);
  if (line.command == "flood") return run_flood(line.flood);
  if (line.command == "churn") return run_churn(line.churn);
  return run_small(line.small);
}

// Of gigabytes of small pages half of the time goes into finding them: glibc takes huge ones when
// it is told so before the program starts.
void use_huge_pages(char** argv) {
  constexpr const char* kTunables = "GLIBC_TUNABLES";
  if (std::getenv(kTunables) != nullptr) return;
  ::setenv(kTunables, "glibc.malloc.hugetlb=1", 1);
  ::execv("/proc/self/exe", argv);  // where that fails, the pages are small
}

// A campaign fails when a seed does.
int faults(const CommandLine& line) {
  const FaultsResult result = run_faults(line.faults);
  fmt::print("{}", line.json ? result.report.json() + "\n" : result.report.table());
  return result.failures == 0 ? 0 : 1;
}

}  // namespace
}  // namespace shoal::sim

int main(int argc, char** argv) {
  using namespace shoal::sim;
  use_huge_pages(argv);
  CommandLine line;
  if (const int status = parse_command_line(argc, argv, line); status != 0)
    return std::max(status, 0);
  choose_crypto(line.crypto);
  if (line.command == "sybil" && line.crypto == Crypto::kModel) choose_crypto(quick_primitives());
  if (line.command == "faults") return faults(line);
  const Report report = run(line);
  fmt::print("{}", line.json ? report.json() + "\n" : report.table());
  return 0;
}
