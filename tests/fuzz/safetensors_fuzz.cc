// SPDX-License-Identifier: Apache-2.0
// A safetensors file from anywhere: tensors inside the file, one after another, or an error.
#include <span>

#include "base/check.h"
#include "model/safetensors.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const auto entries =
      shoal::model::parse_safetensors(std::as_bytes(std::span(data, size)), "fuzzed file");
  if (!entries.ok()) {
    CHECK(!entries.status().message().empty());
    return 0;
  }
  std::size_t bytes = 0;
  for (const auto& [name, entry] : *entries) {
    CHECK(entry.begin <= entry.end && entry.end <= size) << name;
    bytes += entry.end - entry.begin;
  }
  CHECK(bytes <= size);
  return 0;
}
