// SPDX-License-Identifier: Apache-2.0
// Filters on lists and whatever can be gone through. What the reference gives as a generator is an
// iterator here: made at once, gone through once.
#include <algorithm>
#include <memory>
#include <string>
#include <utility>

#include "model/chat/arguments.h"
#include "model/chat/compare.h"
#include "model/chat/filters.h"
#include "model/chat/interpreter.h"
#include "model/chat/operators.h"
#include "model/chat/print.h"
#include "model/chat/test_functions.h"
#include "model/chat/text_operations.h"

namespace shoal::model::chat {
namespace {

Value first_filter(Interpreter& run, const Value& value, Arguments arguments) {
  const Bound bound("first", std::move(arguments), {});
  if (Iterator* iterator = value.iterator()) {
    if (iterator->next < iterator->items.size()) return iterator->items[iterator->next++];
  } else if (const Sequence* sequence = value.sequence()) {
    if (!sequence->items.empty()) return sequence->items.front();
  } else {
    const Items items = items_of(value, run.budget());
    if (!items.empty()) return items.front();
  }
  return Value::undefined("No first item, sequence was empty.");
}

Value last_filter(Interpreter& run, const Value& value, Arguments arguments) {
  const Bound bound("last", std::move(arguments), {});
  if (value.iterator() != nullptr) fail("'generator' object is not reversible");
  if (const Sequence* sequence = value.sequence()) {
    if (!sequence->items.empty()) return sequence->items.back();
  } else {
    const Items items = items_of(value, run.budget());
    if (!items.empty()) return items.back();
  }
  return Value::undefined("No last item, sequence was empty.");
}

Value length_filter(Interpreter&, const Value& value, Arguments arguments) {
  const Bound bound("length", std::move(arguments), {});
  return Value(length_of(value));
}

Value list_filter(Interpreter& run, const Value& value, Arguments arguments) {
  const Bound bound("list", std::move(arguments), {});
  return Value::list(items_of(value, run.budget()), &run.budget());
}

Value reverse_filter(Interpreter& run, const Value& value, Arguments arguments) {
  const Bound bound("reverse", std::move(arguments), {});
  if (const Text* text = value.text()) return Value(reversed_text(*text, run.budget()));
  const bool was_iterator = value.iterator() != nullptr || value.is_undefined();
  Items items = items_of(value, run.budget());
  std::reverse(items.begin(), items.end());
  return was_iterator ? Value::list(std::move(items), &run.budget())
                      : Value::iterator(std::move(items), &run.budget());
}

Value join_filter(Interpreter& run, const Value& value, Arguments arguments) {
  const Bound bound("join", std::move(arguments), {"d", "attribute"});
  const Text separator = bound.has(0) ? to_text(bound[0], run.budget()) : Text();
  TextBuilder out(&run.budget());
  bool is_first = true;
  for (Value& item : items_of(value, run.budget())) {
    if (!is_first) out.append(separator);
    is_first = false;
    if (bound.has(1) && !bound[1].is_none()) {
      append_text(attribute_path(run, std::move(item), bound[1]), &out, run.budget());
    } else {
      append_text(item, &out, run.budget());
    }
  }
  return Value(out.finish());
}

Value map_filter(Interpreter& run, const Value& value, Arguments arguments) {
  if (!value.truthy()) return Value::iterator({}, &run.budget());
  Items result;
  if (arguments.positional.empty()) {
    const bool by_attribute = std::any_of(arguments.named.begin(), arguments.named.end(),
                                          [](const auto& one) { return one.first == "attribute"; });
    if (!by_attribute) fail("map requires a filter argument");
    // By name only, in the order in which they are bound here.
    const Bound bound("map", std::move(arguments), {"attribute", "default"});
    for (Value& item : items_of(value, run.budget())) {
      result.push_back(
          attribute_path(run, std::move(item), bound[0], bound.has(1) ? &bound[1] : nullptr));
    }
    return Value::iterator(std::move(result), &run.budget());
  }
  const Value name = arguments.positional.front();
  if (name.text() == nullptr) fail("map wants the name of a filter");
  arguments.positional.erase(arguments.positional.begin());
  for (const Value& item : items_of(value, run.budget())) {
    result.push_back(apply_filter(run, name.text()->bytes(), item, arguments));
  }
  return Value::iterator(std::move(result), &run.budget());
}

template <bool keep, bool by_attribute>
Value select_filter(Interpreter& run, const Value& value, Arguments arguments) {
  if (!value.truthy()) return Value::iterator({}, &run.budget());
  std::size_t used = 0;
  Value path;
  if (by_attribute) {
    if (arguments.positional.empty()) fail("Missing parameter for attribute name");
    path = arguments.positional[used++];
  }
  std::optional<Value> test;
  if (used < arguments.positional.size()) test = arguments.positional[used++];
  if (test && test->text() == nullptr) fail("select wants the name of a test");
  arguments.positional.erase(arguments.positional.begin(),
                             arguments.positional.begin() + static_cast<std::ptrdiff_t>(used));
  Items result;
  for (Value& item : items_of(value, run.budget())) {
    const Value seen = by_attribute ? attribute_path(run, item, path) : item;
    const bool good =
        test ? apply_test(run, test->text()->bytes(), seen, arguments) : seen.truthy();
    if (good == keep) result.push_back(std::move(item));
  }
  return Value::iterator(std::move(result), &run.budget());
}

// Stable, as Python's; the keys are compared, and fail where they cannot be.
Items sorted_by(Items items, const Items& keys, bool reverse, Budget& budget) {
  std::vector<std::size_t> places(items.size());
  for (std::size_t i = 0; i < places.size(); ++i) places[i] = i;
  std::stable_sort(places.begin(), places.end(), [&](std::size_t left, std::size_t right) {
    const int sign = order(keys[left], keys[right], "<", &budget);
    return reverse ? sign > 0 : sign < 0;
  });
  Items result;
  for (const std::size_t place : places) result.push_back(std::move(items[place]));
  return result;
}

Value sort_key(Interpreter& run, const Value& item, const Value& attribute, bool fold_case) {
  if (attribute.text() == nullptr || attribute.text()->bytes().find(',') == std::string_view::npos)
    return folded(run, attribute_path(run, item, attribute), fold_case);
  const Text comma(",", true, nullptr);
  Items keys;
  for (Text& part : split(*attribute.text(), &comma, -1, false, run.budget())) {
    keys.push_back(folded(run, attribute_path(run, item, Value(std::move(part))), fold_case));
  }
  return Value::list(std::move(keys), &run.budget());
}

Value sort_filter(Interpreter& run, const Value& value, Arguments arguments) {
  const Bound bound("sort", std::move(arguments), {"reverse", "case_sensitive", "attribute"});
  Items items = items_of(value, run.budget());
  Items keys;
  for (const Value& item : items) {
    keys.push_back(sort_key(run, item, bound[2], !bound.truth(1, false)));
  }
  return Value::list(sorted_by(std::move(items), keys, bound.truth(0, false), run.budget()),
                     &run.budget());
}

Value dict_sort_filter(Interpreter& run, const Value& value, Arguments arguments) {
  const Bound bound("dictsort", std::move(arguments), {"case_sensitive", "by", "reverse"});
  const Dict* dict = value.dict();
  if (dict == nullptr) {
    fail(value.is_undefined() ? value.undefined_message() : "dictsort needs a mapping");
  }
  const std::string_view by = bound.has(1) ? bound.text(1).bytes() : "key";
  if (by != "key" && by != "value") fail("You can only sort by either \"key\" or \"value\"");
  Items items;
  Items keys;
  for (const auto& [key, item] : dict->entries()) {
    items.push_back(Value::tuple({key, item}, &run.budget()));
    keys.push_back(folded(run, by == "key" ? key : item, !bound.truth(0, false)));
  }
  return Value::list(sorted_by(std::move(items), keys, bound.truth(2, false), run.budget()),
                     &run.budget());
}

Value unique_filter(Interpreter& run, const Value& value, Arguments arguments) {
  const Bound bound("unique", std::move(arguments), {"case_sensitive", "attribute"});
  Dict seen(&run.budget());
  Items result;
  for (Value& item : items_of(value, run.budget())) {
    const Value key = folded(run, attribute_path(run, item, bound[1]), !bound.truth(0, false));
    if (seen.find(key) != nullptr) continue;
    seen.set(key, Value());
    result.push_back(std::move(item));
  }
  return Value::iterator(std::move(result), &run.budget());
}

template <bool wants_less>
Value extreme_filter(Interpreter& run, const Value& value, Arguments arguments) {
  const Bound bound("min", std::move(arguments), {"case_sensitive", "attribute"});
  std::optional<Value> best;
  Value best_key;
  for (Value& item : items_of(value, run.budget())) {
    const Value key = folded(run, attribute_path(run, item, bound[1]), !bound.truth(0, false));
    if (best) {
      const int sign = order(key, best_key, wants_less ? "<" : ">", &run.budget());
      if (wants_less ? sign >= 0 : sign <= 0) continue;
    }
    best = std::move(item);
    best_key = key;
  }
  return best ? *best : Value::undefined("No aggregated item, sequence was empty.");
}

Value sum_filter(Interpreter& run, const Value& value, Arguments arguments) {
  const Bound bound("sum", std::move(arguments), {"attribute", "start"});
  Value total = bound.has(1) ? bound[1] : Value(std::int64_t{0});
  if (total.text() != nullptr) fail("sum() can't sum strings [use ''.join(seq) instead]");
  for (Value& item : items_of(value, run.budget())) {
    total =
        binary(Operator::kAdd, total, attribute_path(run, std::move(item), bound[0]), run.budget());
  }
  return total;
}

Value batch_filter(Interpreter& run, const Value& value, Arguments arguments) {
  const Bound bound("batch", std::move(arguments), {"linecount", "fill_with"}, 1);
  const std::int64_t count = bound.integer(0, 1);
  Items result;
  Items line;
  const auto flush = [&] { result.push_back(Value::list(std::exchange(line, {}), &run.budget())); };
  for (Value& item : items_of(value, run.budget())) {
    if (static_cast<std::int64_t>(line.size()) == count) flush();
    line.push_back(std::move(item));
  }
  if (!line.empty()) {
    Charge charge(&run.budget(), 0);  // the count may be any
    while (bound.has(1) && !bound[1].is_none() && static_cast<std::int64_t>(line.size()) < count) {
      run.budget().spend(1);
      charge.add(2 * sizeof(Value));
      line.push_back(bound[1]);
    }
    charge.reset();
    flush();
  }
  return Value::iterator(std::move(result), &run.budget());
}

Value slice_filter(Interpreter& run, const Value& value, Arguments arguments) {
  const Bound bound("slice", std::move(arguments), {"slices", "fill_with"}, 1);
  const Items items = items_of(value, run.budget());
  const std::int64_t slices = bound.integer(0, 1);
  if (slices == 0) fail("integer division or modulo by zero");
  const auto count = static_cast<std::int64_t>(items.size());
  Items result;
  std::int64_t begin = 0;
  for (std::int64_t i = 0; i < slices; ++i) {
    run.budget().spend(1);
    const bool has_extra = i < count % slices;
    const std::int64_t end = begin + count / slices + (has_extra ? 1 : 0);
    Items part(items.begin() + begin, items.begin() + end);
    if (bound.has(1) && !bound[1].is_none() && !has_extra) part.push_back(bound[1]);
    result.push_back(Value::list(std::move(part), &run.budget()));
    begin = end;
  }
  return Value::iterator(std::move(result), &run.budget());
}

Value group_by_filter(Interpreter& run, const Value& value, Arguments arguments) {
  const Bound bound("groupby", std::move(arguments), {"attribute", "default", "case_sensitive"}, 1);
  const Value* fallback = bound.has(1) ? &bound[1] : nullptr;
  const bool fold_case = !bound.truth(2, false);
  const Items items = items_of(value, run.budget());
  const auto key_of = [&](const Value& item) {
    return attribute_path(run, item, bound[0], fallback);
  };
  Items keys;
  for (const Value& item : items) keys.push_back(folded(run, key_of(item), fold_case));
  Items places;
  for (std::size_t i = 0; i < items.size(); ++i) places.emplace_back(static_cast<std::int64_t>(i));
  places = sorted_by(std::move(places), keys, false, run.budget());
  Items groups;
  Items group;
  Value group_key;
  const auto flush = [&] {
    if (group.empty()) return;
    const Value shown = fold_case ? key_of(group.front()) : group_key;
    groups.push_back(
        Value::tuple({shown, Value::list(std::exchange(group, {}), &run.budget())}, &run.budget()));
  };
  for (const Value& place : places) {
    const auto i = static_cast<std::size_t>(*place.as_integer());
    if (!group.empty() && !equals(keys[i], group_key, &run.budget())) flush();
    if (group.empty()) group_key = keys[i];
    group.push_back(items[i]);
  }
  flush();
  return Value::list(std::move(groups), &run.budget());
}

Value items_filter(Interpreter& run, const Value& value, Arguments arguments) {
  const Bound bound("items", std::move(arguments), {});
  Items result;
  if (const Dict* dict = value.dict()) {
    for (const auto& [key, item] : dict->entries()) {
      result.push_back(Value::tuple({key, item}, &run.budget()));
    }
  } else if (!value.is_undefined()) {
    fail("Can only get item pairs from a mapping.");
  }
  return Value::iterator(std::move(result), &run.budget());
}

}  // namespace

const FilterTable& sequence_filters() {
  static const FilterTable kFilters = {
      {"first", first_filter},
      {"last", last_filter},
      {"length", length_filter},
      {"count", length_filter},
      {"list", list_filter},
      {"reverse", reverse_filter},
      {"join", join_filter},
      {"map", map_filter},
      {"select", select_filter<true, false>},
      {"reject", select_filter<false, false>},
      {"selectattr", select_filter<true, true>},
      {"rejectattr", select_filter<false, true>},
      {"sort", sort_filter},
      {"dictsort", dict_sort_filter},
      {"unique", unique_filter},
      {"min", extreme_filter<true>},
      {"max", extreme_filter<false>},
      {"sum", sum_filter},
      {"batch", batch_filter},
      {"slice", slice_filter},
      {"groupby", group_by_filter},
      {"items", items_filter},
  };
  return kFilters;
}

}  // namespace shoal::model::chat
