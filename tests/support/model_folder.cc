// SPDX-License-Identifier: Apache-2.0
#include "tests/support/model_folder.h"

#include <filesystem>

namespace shoal::tests {

void copy_model(const std::string& from, const std::string& to) {
  std::filesystem::create_directories(to);
  for (const auto& entry : std::filesystem::directory_iterator(from)) {
    const auto target = std::filesystem::path(to) / entry.path().filename();
    if (entry.path().extension() == ".safetensors") {
      std::filesystem::create_symlink(entry.path(), target);
    } else {
      std::filesystem::copy_file(entry.path(), target);
    }
  }
}

}  // namespace shoal::tests
