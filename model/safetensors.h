// SPDX-License-Identifier: Apache-2.0
// The header of one safetensors file, parsed totally: any bytes give a list of tensors that lie
// inside the file, or an error. Pure. Format: github.com/huggingface/safetensors README; the checks
// of its Rust reader and a few more (unknown keys, repeated keys, rank and number of tensors are
// bounded).
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <span>
#include <string>
#include <vector>

#include "absl/status/statusor.h"

namespace shoal::model {

struct SafetensorsEntry {
  std::string dtype;
  std::vector<std::int64_t> shape;
  std::size_t begin = 0, end = 0;  // bytes from the beginning of the file

  bool operator==(const SafetensorsEntry&) const = default;
};

using SafetensorsTable = std::map<std::string, SafetensorsEntry>;  // by the names in the file

// `file` is the whole file; only its header is read. Errors begin with `where`.
absl::StatusOr<SafetensorsTable> parse_safetensors(std::span<const std::byte> file,
                                                   const std::string& where);

}  // namespace shoal::model
