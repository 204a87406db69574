// SPDX-License-Identifier: Apache-2.0
#include "model/chat/json_value.h"

#include <limits>
#include <memory>
#include <nlohmann/json.hpp>
#include <string>
#include <utility>

#include "model/tokenizer/utf8.h"

namespace shoal::model::chat {
namespace {

constexpr int kMaxInputDepth = 64;

class Converter {
 public:
  Converter(const TrustedRole& trusted_role, Budget& budget)
      : trusted_role_(trusted_role), budget_(budget) {}

  Value convert(const nlohmann::ordered_json& json, bool trusted, int depth) {
    using Kind = nlohmann::ordered_json::value_t;
    if (depth > kMaxInputDepth) {
      fail("the conversation is nested more than " + std::to_string(kMaxInputDepth) + " deep");
    }
    budget_.spend(1);
    switch (json.type()) {
      case Kind::string:
        return Value(text(json.get_ref<const std::string&>(), trusted));
      case Kind::boolean:
        return Value(json.get<bool>());
      case Kind::number_integer:
        return Value(json.get<std::int64_t>());
      case Kind::number_unsigned:
        if (json.get<std::uint64_t>() > std::numeric_limits<std::int64_t>::max()) {
          fail("the integer " + json.dump() + " needs more than 64 bits; write it as a string");
        }
        return Value(json.get<std::int64_t>());
      case Kind::number_float:
        return Value(json.get<double>());
      case Kind::array: {
        Items items;
        items.reserve(json.size());
        for (const auto& item : json) items.push_back(convert(item, trusted, depth + 1));
        return Value::list(std::move(items), &budget_);
      }
      case Kind::object:
        return dict(json, trusted, depth);
      default:
        return Value();
    }
  }

 private:
  Text text(const std::string& bytes, bool trusted) {
    if (!is_utf8(bytes)) fail("the conversation has text that is not UTF-8: " + in_quotes(bytes));
    return Text(bytes, trusted, &budget_);
  }

  Value dict(const nlohmann::ordered_json& json, bool trusted, int depth) {
    auto dict = std::make_shared<Dict>(&budget_);
    for (const auto& [key, value] : json.items()) {
      const bool is_role = key == "role" && value.is_string() && trusted_role_ &&
                           trusted_role_(value.get_ref<const std::string&>());
      dict->set(Value(text(key, trusted)), convert(value, trusted || is_role, depth + 1));
    }
    return Value(std::shared_ptr<const Dict>(std::move(dict)));
  }

  const TrustedRole& trusted_role_;
  Budget& budget_;
};

}  // namespace

Value value_of(const nlohmann::ordered_json& json, bool trusted, const TrustedRole& trusted_role,
               Budget& budget) {
  return Converter(trusted_role, budget).convert(json, trusted, 0);
}

}  // namespace shoal::model::chat
