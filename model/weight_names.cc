// SPDX-License-Identifier: Apache-2.0
#include "model/weight_names.h"

#include <algorithm>
#include <array>

#include "absl/strings/str_cat.h"
#include "model/checkpoint.h"

namespace shoal::model {
namespace {

bool is_model_name(std::string_view name) {
  for (const std::string_view begin :
       {"model.embed_tokens.", "model.layers.", "model.norm.", "lm_head."}) {
    if (name.starts_with(begin)) return true;
  }
  return false;
}

struct Mark {
  std::string_view ending;  // of the tensor's name
  std::string_view what;
};
// Longer endings first. What the formats keep beside, or in place of, a weight.
constexpr std::array kMarks = {
    Mark{".qweight", "packed integers with scales, as GPTQ and AWQ write them"},
    Mark{".qzeros", "packed integers with scales, as GPTQ and AWQ write them"},
    Mark{".g_idx", "packed integers with scales, as GPTQ writes them"},
    Mark{".weight_packed", "compressed-tensors"},
    Mark{".weight_shape", "compressed-tensors"},
    Mark{".weight_zero_point", "compressed-tensors"},
    Mark{".weight_scale_inv", "FP8 with block scales, as DeepSeek writes it"},
    Mark{".weight_scale_2", "NVFP4"},
    Mark{".weight_scale", "FP8 or integers with scales"},
    Mark{".input_scale", "FP8 or integers with scales"},
    Mark{".weight.absmax", "bitsandbytes"},
    Mark{".weight.quant_map", "bitsandbytes"},
    Mark{".weight.nested_absmax", "bitsandbytes"},
    Mark{".SCB", "bitsandbytes, 8 bits"},
    Mark{".weight_format", "bitsandbytes, 8 bits"},
    Mark{".W_q", "HQQ"},
    Mark{".codebooks", "AQLM"},
    Mark{".weight_scales", "integers with scales"},
    Mark{".weight_blocks", "MXFP4"},
    Mark{"_blocks", "MXFP4"},
    Mark{"_scales", "integers with scales"},
    Mark{".scales", "integers with scales"},
    Mark{".biases", "integers with scales and biases, as MLX writes them"},
};

}  // namespace

std::string canonical_tensor_name(std::string_view name) {
  constexpr std::string_view kPrefix = "model.";
  if (name.starts_with(kPrefix) && is_model_name(name.substr(kPrefix.size()))) {
    return std::string(name.substr(kPrefix.size()));
  }
  if (!is_model_name(name)) {
    std::string longer = absl::StrCat("model.", std::string(name));
    if (is_model_name(longer)) return longer;
  }
  return std::string(name);
}

std::string quantization_of(std::string_view name, std::string_view dtype) {
  for (const Mark& mark : kMarks) {
    if (name.ends_with(mark.ending)) return std::string(mark.what);
  }
  if (!name.ends_with(".weight")) return "";
  if (dtype.starts_with("F8_")) return absl::StrCat("FP8, type ", std::string(dtype));
  if (dtype.starts_with("F4") || dtype.starts_with("F6_")) {
    return absl::StrCat("floats of 4 or 6 bits, type ", std::string(dtype));
  }
  if (dtype == "I8" || dtype == "U8") {
    return absl::StrCat("integers of 8 bits, or packed ones, type ", std::string(dtype));
  }
  if (dtype.starts_with("I") || dtype.starts_with("U") || dtype == "BOOL") {
    return absl::StrCat("packed integers, type ", std::string(dtype));
  }
  return "";
}

std::string quantization_of(const std::map<std::string, TensorInfo>& tensors) {
  // Marks tell more than types do: they are asked first.
  for (const bool by_type : {false, true}) {
    for (const auto& [name, info] : tensors) {
      std::string what = quantization_of(name, by_type ? info.dtype : "");
      if (!what.empty()) return what;
    }
  }
  return "";
}

}  // namespace shoal::model
