// SPDX-License-Identifier: Apache-2.0
// Where models and fixtures of tests are: the folder of the sources, or, for tests that came in a
// bundle (scripts/package), what the bundle has of it. Thread-safe.
#pragma once

#include <filesystem>
#include <string>
#include <system_error>

namespace shoal::tests {

// `compiled`: where the sources were when the test was compiled.
inline std::string source_folder(const char* compiled) {
  namespace fs = std::filesystem;
  std::error_code none;
  const fs::path program = fs::read_symlink("/proc/self/exe", none);
  const fs::path bundled = program.parent_path() / "../../share/shoal/check";
  if (!program.empty() && fs::exists(bundled / "tests", none)) return bundled.lexically_normal();
  return compiled;
}

}  // namespace shoal::tests

#define SHOAL_SOURCE_FOLDER ::shoal::tests::source_folder(SHOAL_SOURCE_DIR)
