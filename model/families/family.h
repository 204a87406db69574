// SPDX-License-Identifier: Apache-2.0
// The families of models that we compute: one file each in this folder, named after its model_type,
// which makes a ModelConfig of the family's config.json. Pure.
#pragma once

#include <span>
#include <string_view>

#include "absl/status/statusor.h"
#include "model/config.h"
#include "model/json_fields.h"

namespace shoal::model {

struct Family {
  std::string_view architecture;  // "LlamaForCausalLM"
  std::string_view model_type;    // "llama"
  std::string_view base;          // the architecture without a head, as its own class saves it
  // Fills `config`, whose architecture is set, with a kind for every block. What is wrong, or would
  // change the mathematics and is not computed, is left as the fields' failure.
  void (*read)(JsonFields& fields, ModelConfig& config);
};
extern const Family kLlama, kMistral, kQwen2, kQwen3;

std::span<const Family* const> families();

// By `architectures` and `model_type`; an error names what the file says and what is supported.
absl::StatusOr<const Family*> find_family(JsonFields& fields);

}  // namespace shoal::model
