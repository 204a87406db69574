// SPDX-License-Identifier: Apache-2.0
// The small tokenizers of tests/fixtures/tokenizers and what the reference does with them
// (scripts/fixtures/make_tokenizers.py says what the files hold).
#pragma once

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "model/tokenizer.h"
#include "tests/support/temp_dir.h"

namespace shoal::model {

using Ids = std::vector<std::int32_t>;

using tests::read_file;

inline std::string fixture(const std::string& name) {
  return std::string(SHOAL_SOURCE_DIR) + "/tests/fixtures/tokenizers/" + name;
}

inline nlohmann::json read_json(const std::string& path) {
  return nlohmann::json::parse(read_file(path));
}

inline const std::vector<std::string>& tokenizer_kinds() {
  static const std::vector<std::string> kinds = {"gpt2",
                                                 "gpt2_added_tokens",
                                                 "llama3",
                                                 "qwen2",
                                                 "tekken",
                                                 "cl100k",
                                                 "deepseek",
                                                 "llama2_legacy",
                                                 "gemma",
                                                 "llama2_metaspace_first",
                                                 "metaspace_always",
                                                 "metaspace_never_unknown_fused",
                                                 "unknown_not_fused"};
  return kinds;
}

inline std::string repeated(const std::string& unit, std::size_t times) {
  std::string text;
  text.reserve(unit.size() * times);
  for (std::size_t i = 0; i < times; ++i) text += unit;
  return text;
}

}  // namespace shoal::model
