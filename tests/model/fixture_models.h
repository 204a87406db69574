// SPDX-License-Identifier: Apache-2.0
// The small models of tests/fixtures/models that have the reference's logits: one of every family
// and RoPE variant.
#pragma once

#include <vector>

namespace shoal::model {

inline const std::vector<const char*> kFixtureModels = {
    "llama_mha",     "llama_linear",      "llama_llama3",       "llama_llama3_new",
    "llama_yarn",    "llama_yarn_mscale", "llama_yarn_options", "llama_bias",
    "llama_sharded", "mistral_window",    "qwen2_window",       "qwen3",
    "qwen3_bias"};

}  // namespace shoal::model
