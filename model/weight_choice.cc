// SPDX-License-Identifier: Apache-2.0
#include "model/weight_choice.h"

#include <array>

namespace shoal::model {
namespace {

struct NamedChoice {
  WeightChoice choice;
  const char* name;
};
constexpr std::array<NamedChoice, 5> kChoices = {{{WeightChoice::kStored, "stored"},
                                                  {WeightChoice::kQ8, "q8"},
                                                  {WeightChoice::kQ4, "q4"},
                                                  {WeightChoice::kQ4S, "q4s"},
                                                  {WeightChoice::kMma, "stored"}}};

}  // namespace

std::optional<WeightChoice> weight_choice_named(std::string_view name) {
  for (const NamedChoice& each : kChoices) {
    if (name == each.name) return each.choice;
  }
  return std::nullopt;
}

const char* name_of(WeightChoice choice) { return kChoices[static_cast<std::size_t>(choice)].name; }

kernels::WeightFormat format_of(WeightChoice choice, kernels::DType stored) {
  switch (choice) {
    case WeightChoice::kStored:
      return kernels::stored_format(stored);
    case WeightChoice::kQ8:
      return kernels::WeightFormat::kQ8;
    case WeightChoice::kQ4:
      return kernels::WeightFormat::kQ4;
    case WeightChoice::kQ4S:
      return kernels::WeightFormat::kQ4S;
    case WeightChoice::kMma:
      return stored == kernels::DType::kF16 ? kernels::WeightFormat::kMmaF16
                                            : kernels::WeightFormat::kMmaBF16;
  }
  return kernels::stored_format(stored);
}

}  // namespace shoal::model
