// SPDX-License-Identifier: Apache-2.0
// The names of a model's tensors, as files write them and as we ask for them, and what a file's
// names and types say about how it was quantized. Pure.
#pragma once

#include <map>
#include <string>
#include <string_view>

namespace shoal::model {

struct TensorInfo;

// The name under which the model looks a tensor up: files of the base model lack the "model." that
// the model with its head has, and some have it twice. As the reference maps them; any other name
// is returned as it is.
std::string canonical_tensor_name(std::string_view name);

// How a tensor of this type (and name) was quantized, for an error message; empty when it was not.
std::string quantization_of(std::string_view name, std::string_view dtype);
// Of all tensors: that of the first which is quantized.
std::string quantization_of(const std::map<std::string, TensorInfo>& tensors);

}  // namespace shoal::model
