// SPDX-License-Identifier: Apache-2.0
#include "model/chat/subscript.h"

#include <algorithm>
#include <limits>
#include <memory>
#include <string>
#include <utility>

#include "model/chat/interpreter.h"
#include "model/chat/print.h"

namespace shoal::model::chat {
namespace {

Value missing_attribute(const Value& object, std::string_view name) {
  return Value::undefined("'" + std::string(object.type_name()) + " object' has no attribute '" +
                          std::string(name) + "'");
}

std::optional<Value> method_of(Interpreter& interpreter, const Value& object,
                               std::string_view name) {
  if (object.dict() != nullptr) return dict_method(object, name);
  if (object.text() != nullptr) return text_method(object, name);
  if (object.sequence() != nullptr) return sequence_method(object, name);
  if (object.object() != nullptr && !name.starts_with('_')) {
    return object.object()->attribute(interpreter, name);
  }
  if (const Namespace* ns = object.ns()) {
    if (const Value* value = ns->find(name)) return *value;
  }
  return std::nullopt;
}

std::optional<Value> element(const Value& object, std::int64_t index, Budget& budget) {
  const auto place = [&](std::size_t count) -> std::optional<std::size_t> {
    const auto size = static_cast<std::int64_t>(count);
    if (index < -size || index >= size) return std::nullopt;
    return static_cast<std::size_t>(index < 0 ? index + size : index);
  };
  if (const Text* text = object.text()) {
    const std::optional<std::size_t> at = place(text->length());
    if (!at) return std::nullopt;
    if (!text->is_ascii()) budget.spend_bytes(text->bytes().size());
    const std::size_t begin = text->byte_of(*at);
    std::size_t end = begin + 1;
    while (end < text->bytes().size() &&
           (static_cast<unsigned char>(text->bytes()[end]) & 0xC0) == 0x80) {
      ++end;
    }
    return Value(part_of(*text, begin, end, budget));
  }
  const Sequence* sequence = object.sequence();
  using Kind = Sequence::Kind;
  if (sequence == nullptr || sequence->kind == Kind::kKeys || sequence->kind == Kind::kValues ||
      sequence->kind == Kind::kItems) {
    return std::nullopt;
  }
  const std::optional<std::size_t> at = place(sequence->items.size());
  if (!at) return std::nullopt;
  return sequence->items[*at];
}

std::optional<std::int64_t> bound(const Value& value) {
  if (value.is_none()) return std::nullopt;
  if (const std::optional<std::int64_t> integer = value.as_integer()) return *integer;
  fail("slice indices must be integers or None");
}

}  // namespace

Value attribute_of(Interpreter& interpreter, const Value& object, std::string_view name) {
  if (object.is_undefined()) fail(object.undefined_message());
  if (std::optional<Value> method = method_of(interpreter, object, name)) return *method;
  if (const Dict* dict = object.dict()) {
    if (const Value* value = dict->find(name)) return *value;
  }
  return missing_attribute(object, name);
}

Value item_of(Interpreter& interpreter, const Value& object, const Value& key) {
  if (object.is_undefined()) fail(object.undefined_message());
  if (const Dict* dict = object.dict()) {
    if (is_hashable(key)) {
      if (const Value* value = dict->find(key)) return *value;
    }
  } else if (const std::optional<std::int64_t> index = key.as_integer()) {
    if (std::optional<Value> value = element(object, *index, interpreter.budget())) return *value;
  }
  if (const Text* name = key.text()) {
    if (std::optional<Value> method = method_of(interpreter, object, name->bytes())) return *method;
    return missing_attribute(object, name->bytes());
  }
  TextBuilder shown(&interpreter.budget());
  append_repr(key, &shown, interpreter.budget());
  return Value::undefined(std::string(object.type_name()) + " object has no element " +
                          std::string(shown.bytes().substr(0, 100)));
}

Value slice_of(const Value& object, const Value& begin, const Value& end, const Value& step,
               Budget& budget) {
  if (object.is_undefined()) fail(object.undefined_message());
  const Text* text = object.text();
  const Sequence* sequence = object.sequence();
  using Kind = Sequence::Kind;
  const bool is_view =
      sequence != nullptr && (sequence->kind == Kind::kKeys || sequence->kind == Kind::kValues ||
                              sequence->kind == Kind::kItems);
  if ((text == nullptr && sequence == nullptr) || is_view) {
    fail(std::string("'") + object.type_name() + "' object is not subscriptable by a slice");
  }
  const auto size =
      static_cast<std::int64_t>(text != nullptr ? text->length() : sequence->items.size());
  const std::int64_t stride = bound(step).value_or(1);
  if (stride == 0) fail("slice step cannot be zero");
  const bool forward = stride > 0;
  const auto clamp = [&](std::optional<std::int64_t> value, std::int64_t fallback) {
    if (!value) return fallback;
    const std::int64_t from_begin = *value < 0 ? *value + size : *value;
    return std::clamp(from_begin, forward ? std::int64_t{0} : std::int64_t{-1},
                      forward ? size : size - 1);
  };
  const std::int64_t first = clamp(bound(begin), forward ? 0 : size - 1);
  const std::int64_t last = clamp(bound(end), forward ? size : -1);
  if (text != nullptr) {
    if (!text->is_ascii()) budget.spend_bytes(text->bytes().size());
    if (stride == 1) {
      const std::size_t from = text->byte_of(static_cast<std::size_t>(first));
      const std::size_t to = text->byte_of(static_cast<std::size_t>(std::max(first, last)));
      return Value(part_of(*text, from, to, budget));
    }
    std::vector<std::size_t> starts;  // of each character, and the end
    for (std::size_t i = 0; i < text->bytes().size(); ++i) {
      if ((static_cast<unsigned char>(text->bytes()[i]) & 0xC0) != 0x80) starts.push_back(i);
    }
    starts.push_back(text->bytes().size());
    const Charge charge(&budget, starts.size() * sizeof(std::size_t));
    TextBuilder out(&budget);
    for (std::int64_t i = first; forward ? i < last : i > last;) {
      out.append(*text, starts[static_cast<std::size_t>(i)],
                 starts[static_cast<std::size_t>(i) + 1]);
      if (__builtin_add_overflow(i, stride, &i)) break;
    }
    return Value(out.finish());
  }
  Items items;
  for (std::int64_t i = first; forward ? i < last : i > last;) {
    items.push_back(sequence->items[static_cast<std::size_t>(i)]);
    if (__builtin_add_overflow(i, stride, &i)) break;
  }
  budget.spend(1 + items.size() / 8);
  const Kind kind = sequence->kind == Kind::kTuple ? Kind::kTuple : Kind::kList;
  return Value(std::make_shared<const Sequence>(kind, std::move(items), &budget));
}

}  // namespace shoal::model::chat
