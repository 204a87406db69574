// SPDX-License-Identifier: Apache-2.0
// shoal-gpu-truth: what the first GPU makes of single instructions, beside what the host knows of
// them (truth.h). Ends with 0 when all is as it should be, 1 when not, 77 when there is no GPU.
//   shoal-gpu-truth [--tiles N] [--seed N] [--rule mma8|mma9]   --rule: hold it to another one
//   shoal-gpu-truth --ceilings              what the card can do at most, as lines "name value"
//   --emulate mma8|mma9                     the emulator, by that rule, in place of a GPU
#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <optional>
#include <string>
#include <utility>

#include "tests/kernels/truth/truth.h"

namespace shoal::kernels::cuda::truth {
namespace {

struct CommandLine {
  Options options;
  std::optional<emulator::MmaRule> emulate, rule;
  bool ceilings = false;
};

std::optional<emulator::MmaRule> rule_named(const std::string& name) {
  for (const auto rule : {emulator::MmaRule::kAmpere, emulator::MmaRule::kHopper}) {
    if (name == name_of(rule)) return rule;
  }
  return std::nullopt;
}

// 0: not a number in range.
std::int64_t number(const std::string& text) {
  char* end = nullptr;
  const long long value = std::strtoll(text.c_str(), &end, 10);
  return *end == '\0' && value >= 1 && value <= 10'000'000 ? value : 0;
}

// Empty, or what is wrong.
std::string parse(int argc, char** argv, CommandLine& line) {
  for (int i = 1; i < argc; ++i) {
    const std::string name = argv[i];
    if (name == "--ceilings") {
      line.ceilings = true;
      continue;
    }
    const std::string value = i + 1 < argc ? argv[++i] : "";
    if (name == "--tiles" || name == "--seed") {
      const std::int64_t n = number(value);
      if (n == 0) return name + " takes a number from 1 to 10000000, not \"" + value + "\"";
      if (name == "--tiles") line.options.tiles = n;
      if (name == "--seed") line.options.seed = static_cast<std::uint64_t>(n);
    } else if (name == "--emulate" || name == "--rule") {
      const auto rule = rule_named(value);
      if (!rule) return name + " takes mma8 or mma9, not \"" + value + "\"";
      (name == "--emulate" ? line.emulate : line.rule) = rule;
    } else {
      return "unknown argument \"" + name +
             "\"; use --tiles, --seed, --rule, --ceilings, --emulate";
    }
  }
  return {};
}

void print(const Outcome& o) {
  const char* const verdict = !o.failure.empty() ? "FAILED"
                              : !o.decides       ? "(another rule)"
                              : o.differ == 0    ? "right"
                                                 : "WRONG";
  std::printf("| %s | %lld | %lld | %lld | %s | %s |\n", o.what.c_str(),
              static_cast<long long>(o.items), static_cast<long long>(o.outputs),
              static_cast<long long>(o.differ), verdict,
              o.failure.empty() ? o.first.c_str() : o.failure.c_str());
  std::fflush(stdout);
}

int run(const CommandLine& line) {
  OpenedBack opened;
  if (line.emulate) {
    opened.back = emulated_back(*line.emulate, 1);
  } else {
    opened = open_gpu_back();
  }
  if (opened.back == nullptr) {
    std::printf("no GPU: %s\n", opened.why.c_str());
    return 77;
  }
  if (line.ceilings) {
    const std::string text = opened.back->ceilings();
    std::printf("%s", text.c_str());
    return text.rfind("failed", 0) == 0 ? 1 : 0;
  }
  Options options = line.options;
  options.rule = line.rule.value_or(opened.back->rule());
  std::printf("%s; its tensor cores should round by %s\n\n", opened.back->name().c_str(),
              name_of(opened.back->rule()));
  std::printf("| what | items | outputs | differ | | first difference |\n");
  std::printf("| --- | --- | --- | --- | --- | --- |\n");
  const std::vector<Outcome> outcomes = check(*opened.back, options, &print);
  const bool right = std::all_of(outcomes.begin(), outcomes.end(),
                                 [](const Outcome& outcome) { return outcome.right(); });
  std::printf("\n%s\n", right ? "all as it should be" : "NOT as it should be");
  return right ? 0 : 1;
}

}  // namespace
}  // namespace shoal::kernels::cuda::truth

int main(int argc, char** argv) {
  using namespace shoal::kernels::cuda::truth;
  CommandLine line;
  if (const std::string wrong = parse(argc, argv, line); !wrong.empty()) {
    std::fprintf(stderr, "shoal-gpu-truth: %s\n", wrong.c_str());
    return 2;
  }
  return run(line);
}
