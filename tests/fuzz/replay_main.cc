// SPDX-License-Identifier: Apache-2.0
// Drives a fuzz target without libFuzzer (CHANGES FOLDER...): every file of the folders, then that
// many fixed random changes of each. Always the same inputs, so a failure repeats.
#include <algorithm>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <random>
#include <string>
#include <vector>

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size);

namespace {

constexpr std::size_t kMaxBytes = 1 << 16;

void run(const std::string& input) {
  LLVMFuzzerTestOneInput(reinterpret_cast<const std::uint8_t*>(input.data()), input.size());
}

void change(std::string& input, std::mt19937& random) {
  if (input.empty()) input.push_back(0);
  const std::size_t at = random() % input.size();
  switch (random() % 6) {
    case 0:
      input[at] = static_cast<char>(random());
      break;
    case 1:
      input[at] = static_cast<char>(input[at] ^ (1 << random() % 8));
      break;
    case 2:
      input.erase(at, random() % 32);
      break;
    case 3:
      input.insert(at, input.substr(random() % input.size(), random() % 64));
      break;
    case 4:
      input.insert(at, random() % 16, static_cast<char>(random() % 2 == 0 ? 0xff : random()));
      break;
    default:
      input.resize(at);
  }
  if (input.size() > kMaxBytes) input.resize(kMaxBytes);
}

}  // namespace

int main(int argc, char** argv) {
  std::vector<std::filesystem::path> files;
  const int changes_per_file = argc > 1 ? std::atoi(argv[1]) : 0;
  for (int i = 2; i < argc; ++i) {
    for (const auto& entry : std::filesystem::directory_iterator(argv[i])) {
      if (entry.is_regular_file()) files.push_back(entry.path());
    }
  }
  std::sort(files.begin(), files.end());
  if (files.empty()) {
    std::fprintf(stderr, "no corpus: say how many changes, and a folder with at least one file\n");
    return 1;
  }
  run("");
  std::mt19937 random(1);
  for (const auto& path : files) {
    std::ifstream in(path, std::ios::binary);
    const std::string seed((std::istreambuf_iterator<char>(in)), {});
    run(seed);
    for (int i = 0; i < changes_per_file; ++i) {
      std::string input = seed;
      for (unsigned changes = 1 + random() % 6; changes > 0; --changes) change(input, random);
      run(input);
    }
  }
  std::printf("%zu files, %d changes of each: no fault\n", files.size(), changes_per_file);
  return 0;
}
