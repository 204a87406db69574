// SPDX-License-Identifier: Apache-2.0
#include "tests/kernels/golden/golden_main.h"

#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <iostream>
#include <iterator>
#include <memory>
#include <optional>
#include <set>
#include <string>

#include "kernels/cpu_executor.h"
#include "kernels/cuda/device_choice.h"
#include "kernels/cuda/open_devices.h"
#include "tests/kernels/golden/golden.h"

namespace shoal::kernels::golden {
namespace {

struct CommandLine {
  cuda::DeviceChoice device = {cuda::DeviceChoice::Kind::kCpu, {}};
  bool small = false, real = true;
  std::string only, against, write;
  std::int64_t each = 0;
};

// Empty, or what is wrong.
std::string parse(int argc, char** argv, CommandLine& line) {
  for (int i = 1; i + 1 < argc; i += 2) {
    const std::string name = argv[i], value = argv[i + 1];
    if (name == "--device") {
      const cuda::ParsedDevice parsed = cuda::parse_device(value);
      if (!parsed.choice) return parsed.error;
      line.device = *parsed.choice;
    } else if (name == "--shapes") {
      if (value != "real" && value != "small" && value != "all") {
        return "--shapes takes real, small or all, not \"" + value + "\"";
      }
      line.small = value != "real";
      line.real = value != "small";
    } else if (name == "--each") {
      line.each = std::atoi(value.c_str());
      if (line.each < 1) return "--each takes a number from 1 on, not \"" + value + "\"";
    } else if (name == "--only" || name == "--against" || name == "--write") {
      (name == "--only" ? line.only : name == "--against" ? line.against : line.write) = value;
    } else {
      return "unknown argument \"" + name + "\"; golden_main.h lists them";
    }
  }
  if (argc % 2 == 0) return "each argument needs a value: " + std::string(argv[argc - 1]);
  return {};
}

constexpr const char* kHead =
    "# What a CPU makes of seeded inputs, operator by operator: tests/kernels/golden. Made by\n"
    "#   shoal-golden --shapes all --write tests/fixtures/operator_hashes.txt\n";

int run(const CommandLine& line) {
  std::unique_ptr<Executor> executor;
  if (line.device.kind != cuda::DeviceChoice::Kind::kCpu) {
    cuda::OpenedDevices opened = cuda::open_devices(line.device);
    if (opened.gpus.empty()) {
      std::printf("no GPU: %s\n", opened.line.c_str());
      return 77;
    }
    executor = std::move(opened.gpus.front());
  } else {
    executor = Executor::cpu(0);
  }
  const bool on_gpu = executor->device() != Device::kCpu;
  const Choice choice{line.only, line.each > 0 ? line.each : on_gpu ? 1 : 16};

  Hashes written;
  if (!line.against.empty()) {
    std::ifstream file(line.against);
    const Read read = read_hashes({std::istreambuf_iterator<char>(file), {}});
    if (!read.wrong.empty()) {
      std::fprintf(stderr, "shoal-golden: %s: %s\n", line.against.c_str(), read.wrong.c_str());
      return 2;
    }
    written = read.hashes;
  }
  std::string all = kHead;
  std::int64_t count = 0, wrong = 0, alone = 0;
  const auto tell = [&](const Found& found) {
    ++count;
    alone += found.alone;
    all += line_of(found) + "\n";
    const std::string fault = line.against.empty() ? fault_of({{found.name, found.hash}}, found)
                                                   : fault_of(written, found);
    wrong += fault.empty() ? 0 : 1;
    if (line.against.empty()) std::printf("%s\n", line_of(found).c_str());
    if (!fault.empty()) std::printf("WRONG: %s: %s\n", found.name.c_str(), fault.c_str());
    std::fflush(stdout);
  };
  const auto begin = std::chrono::steady_clock::now();
  if (line.small) golden::run(*executor, small_shapes(), choice, tell);
  if (line.real) golden::run(*executor, real_shapes(), choice, tell);
  const std::chrono::duration<double> took = std::chrono::steady_clock::now() - begin;
  if (const std::string why = executor->failure(); !why.empty()) {
    std::printf("FAILED: %s\n", why.c_str());
    return 1;
  }
  std::printf("%s: %lld hashes, %lld wrong; %lld rows alone too; %.0f s\n", on_gpu ? "GPU" : "CPU",
              static_cast<long long>(count), static_cast<long long>(wrong),
              static_cast<long long>(alone), took.count());
  if (count == 0) std::printf("nothing has \"%s\" in its name\n", line.only.c_str());
  if (wrong > 0 || count == 0) return 1;
  if (!line.write.empty()) {
    if (on_gpu || !line.only.empty()) {
      std::fprintf(stderr, "shoal-golden: --write is for a CPU and all hashes\n");
      return 2;
    }
    std::ofstream file(line.write);
    if (!(file << all).flush()) {
      std::fprintf(stderr, "shoal-golden: cannot write %s\n", line.write.c_str());
      return 1;
    }
  }
  return 0;
}

}  // namespace

int golden_main(int argc, char** argv) {
  CommandLine line;
  if (const std::string wrong = parse(argc, argv, line); !wrong.empty()) {
    std::fprintf(stderr, "shoal-golden: %s\n", wrong.c_str());
    return 2;
  }
  return run(line);
}

}  // namespace shoal::kernels::golden
