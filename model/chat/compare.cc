// SPDX-License-Identifier: Apache-2.0
#include "model/chat/compare.h"

#include <string.h>

#include <algorithm>
#include <cmath>

namespace shoal::model::chat {
namespace {

bool is_plain(const Sequence& sequence) {
  return sequence.kind == Sequence::Kind::kList || sequence.kind == Sequence::Kind::kTuple;
}

void spend(Budget* budget, std::size_t steps) {
  if (budget != nullptr) budget->spend(steps);
}

// 64 bits of an integer fit into a long double's mantissa.
int order_numbers(const Value& left, const Value& right) {
  const auto wide = [](const Value& value) {
    const std::optional<std::int64_t> integer = value.as_integer();
    return integer ? static_cast<long double>(*integer)
                   : static_cast<long double>(*value.as_double());
  };
  const long double a = wide(left);
  const long double b = wide(right);
  return a < b ? -1 : (a > b ? 1 : 0);
}

bool is_nan(const Value& value) { return value.is_float() && std::isnan(*value.as_double()); }

}  // namespace

bool equals(const Value& left, const Value& right, Budget* budget) {
  spend(budget, 1);
  if (left.is_number() && right.is_number()) {
    if (is_nan(left) || is_nan(right)) return false;
    return order_numbers(left, right) == 0;
  }
  if (left.text() != nullptr && right.text() != nullptr) {
    const std::string_view a = left.text()->bytes();
    const std::string_view b = right.text()->bytes();
    if (a.size() == b.size()) spend(budget, a.size() / 64);
    return a == b;
  }
  if (left.is_undefined() || right.is_undefined()) {
    return left.is_undefined() && right.is_undefined();
  }
  if (left.sequence() != nullptr && right.sequence() != nullptr) {
    const Sequence& a = *left.sequence();
    const Sequence& b = *right.sequence();
    if (a.kind != b.kind || a.items.size() != b.items.size()) return false;
    if (a.kind == Sequence::Kind::kValues) return &a == &b;
    return std::equal(
        a.items.begin(), a.items.end(), b.items.begin(),
        [&](const Value& one, const Value& other) { return equals(one, other, budget); });
  }
  if (left.dict() != nullptr && right.dict() != nullptr) {
    const Dict& a = *left.dict();
    const Dict& b = *right.dict();
    if (a.entries().size() != b.entries().size()) return false;
    return std::all_of(a.entries().begin(), a.entries().end(), [&](const auto& entry) {
      const Value* other = b.find(entry.first);
      return other != nullptr && equals(entry.second, *other, budget);
    });
  }
  return left.same_as(right);
}

int order(const Value& left, const Value& right, std::string_view what, Budget* budget) {
  spend(budget, 1);
  for (const Value* value : {&left, &right}) {
    if (value->is_undefined()) fail(value->undefined_message());
  }
  if (left.is_number() && right.is_number()) return order_numbers(left, right);
  if (left.text() != nullptr && right.text() != nullptr) {
    const std::string_view a = left.text()->bytes();  // bytes of UTF-8 are in the order of codes
    const std::string_view b = right.text()->bytes();
    spend(budget, std::min(a.size(), b.size()) / 64);
    return a < b ? -1 : (a > b ? 1 : 0);
  }
  const Sequence* a = left.sequence();
  const Sequence* b = right.sequence();
  if (a != nullptr && b != nullptr && a->kind == b->kind && is_plain(*a)) {
    const std::size_t both = std::min(a->items.size(), b->items.size());
    for (std::size_t i = 0; i < both; ++i) {
      if (!equals(a->items[i], b->items[i], budget))
        return order(a->items[i], b->items[i], what, budget);
    }
    return a->items.size() < b->items.size() ? -1 : (a->items.size() > b->items.size() ? 1 : 0);
  }
  fail("'" + std::string(what) + "' not supported between instances of '" + left.type_name() +
       "' and '" + right.type_name() + "'");
}

bool contains(const Value& container, const Value& item, Budget* budget) {
  if (const Text* text = container.text()) {
    if (item.text() == nullptr) {
      fail(std::string("'in <string>' requires string as left operand, not ") + item.type_name());
    }
    spend(budget, text->bytes().size() / 64);
    return find_bytes(text->bytes(), item.text()->bytes(), 0) != std::string_view::npos;
  }
  if (const Dict* dict = container.dict()) return dict->find(item) != nullptr;
  if (container.is_undefined()) return false;
  if (const Sequence* sequence = container.sequence()) {
    return std::any_of(sequence->items.begin(), sequence->items.end(), [&](const Value& one) {
      return one.same_as(item) || equals(one, item, budget);
    });
  }
  if (Iterator* iterator = container.iterator()) {
    while (iterator->next < iterator->items.size()) {
      if (equals(iterator->items[iterator->next++], item, budget)) return true;
    }
    return false;
  }
  fail(std::string("argument of type '") + container.type_name() + "' is not iterable");
}

Items items_of(const Value& value, Budget& budget) {
  Items items;
  if (const Sequence* sequence = value.sequence()) {
    budget.spend(1 + sequence->items.size() / 8);
    return sequence->items;
  }
  if (const Dict* dict = value.dict()) {
    budget.spend(1 + dict->entries().size() / 8);
    for (const auto& entry : dict->entries()) items.push_back(entry.first);
    return items;
  }
  if (Iterator* iterator = value.iterator()) {
    items.assign(iterator->items.begin() + static_cast<std::ptrdiff_t>(iterator->next),
                 iterator->items.end());
    budget.spend(1 + items.size() / 8);
    iterator->next = iterator->items.size();
    return items;
  }
  if (const Text* text = value.text()) {
    for (std::size_t at = 0; at < text->bytes().size();) {
      std::size_t end = at + 1;
      while (end < text->bytes().size() &&
             (static_cast<unsigned char>(text->bytes()[end]) & 0xC0) == 0x80) {
        ++end;
      }
      items.push_back(part_of(*text, at, end, budget));
      at = end;
    }
    return items;
  }
  if (value.is_undefined()) return items;
  fail(std::string("'") + value.type_name() + "' object is not iterable");
}

bool is_iterable(const Value& value) {
  return value.sequence() != nullptr || value.dict() != nullptr || value.iterator() != nullptr ||
         value.text() != nullptr || value.is_undefined();
}

std::int64_t length_of(const Value& value) {
  if (const Text* text = value.text()) return static_cast<std::int64_t>(text->length());
  if (const Sequence* sequence = value.sequence())
    return static_cast<std::int64_t>(sequence->items.size());
  if (const Dict* dict = value.dict()) return static_cast<std::int64_t>(dict->entries().size());
  if (value.is_undefined()) return 0;
  if (Object* object = value.object()) {
    if (const std::optional<std::int64_t> length = object->length()) return *length;
  }
  fail(std::string("object of type '") + value.type_name() + "' has no len()");
}

std::size_t find_bytes(std::string_view text, std::string_view part, std::size_t from) {
  if (from > text.size()) return std::string_view::npos;
  if (part.empty()) return from;
  const void* found = memmem(text.data() + from, text.size() - from, part.data(), part.size());
  if (found == nullptr) return std::string_view::npos;
  return static_cast<std::size_t>(static_cast<const char*>(found) - text.data());
}

}  // namespace shoal::model::chat
