// SPDX-License-Identifier: Apache-2.0
// Bytes of safetensors files, right and wrong, for tests.
#pragma once

#include <cstdint>
#include <string>

namespace shoal::model {

// Length, header text, data: nothing is checked or padded.
inline std::string safetensors_bytes(const std::string& header, const std::string& data) {
  std::string file;
  for (int i = 0; i < 8; ++i) {
    file += static_cast<char>(static_cast<std::uint64_t>(header.size()) >> (8 * i));
  }
  return file + header + data;
}

}  // namespace shoal::model
