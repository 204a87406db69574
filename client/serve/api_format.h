// SPDX-License-Identifier: Apache-2.0
// Which form a request asks its answer to have: response_format of OpenAI's API, structured_outputs
// of vLLM, and its older guided_*. Pure.
#pragma once

#include <nlohmann/json.hpp>
#include <optional>
#include <string>

#include "absl/status/statusor.h"
#include "client/constrain/constraint.h"
#include "client/serve/api_fields.h"

namespace shoal::client {

struct FormQuery {
  std::string param;  // the field that said so
  constrain::Form form;
};

// Nothing: any text. INVALID_ARGUMENT names the field; whether a schema or an expression is a good
// one shows when its grammar is made.
absl::StatusOr<std::optional<FormQuery>> read_form(const ApiFields& fields);

// As if the request had left it out: null, false, "", [], {}.
bool is_nothing(const nlohmann::ordered_json& value);

}  // namespace shoal::client
