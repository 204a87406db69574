// SPDX-License-Identifier: Apache-2.0
#include "model/chat/globals.h"

#include <ctime>
#include <memory>

#include "model/chat/arguments.h"
#include "model/chat/compare.h"
#include "model/chat/interpreter.h"
#include "model/chat/print.h"
#include "model/tokenizer/utf8.h"

namespace shoal::model::chat {
namespace {

Value range_function(Interpreter& run, Arguments arguments) {
  const Bound bound("range", std::move(arguments), {"/start", "/stop", "/step"}, 1);
  const std::int64_t begin = bound.has(1) ? bound.integer(0, 0) : 0;
  const std::int64_t end = bound.has(1) ? bound.integer(1, 0) : bound.integer(0, 0);
  const std::int64_t step = bound.integer(2, 1);
  if (step == 0) fail("range() arg 3 must not be zero");
  Items items;
  for (std::int64_t i = begin; step > 0 ? i < end : i > end;) {
    if (static_cast<std::int64_t>(items.size()) >= kMaxRange) {
      fail("Range too big. The sandbox blocks ranges larger than MAX_RANGE (" +
           std::to_string(kMaxRange) + ").");
    }
    items.emplace_back(i);
    if (__builtin_add_overflow(i, step, &i)) break;
  }
  run.budget().spend(1 + items.size() / 8);
  auto range = std::make_shared<Sequence>(Sequence::Kind::kRange, std::move(items), &run.budget());
  range->shown = "range(" + std::to_string(begin) + ", " + std::to_string(end) +
                 (step == 1 ? "" : ", " + std::to_string(step)) + ")";
  return Value(std::shared_ptr<const Sequence>(std::move(range)));
}

// dict(mapping or pairs, name=value ...), as (key, value).
std::vector<std::pair<Value, Value>> dict_entries(Interpreter& run, Arguments arguments) {
  std::vector<std::pair<Value, Value>> entries;
  if (arguments.positional.size() > 1) fail("dict expected at most 1 argument");
  if (!arguments.positional.empty()) {
    const Value& from = arguments.positional[0];
    if (const Dict* dict = from.dict()) {
      entries = dict->entries();
    } else {
      for (const Value& item : items_of(from, run.budget())) {
        Items pair = items_of(item, run.budget());
        if (pair.size() != 2) fail("dict wants pairs of a key and a value");
        entries.emplace_back(std::move(pair[0]), std::move(pair[1]));
      }
    }
  }
  for (auto& [name, value] : arguments.named) {
    entries.emplace_back(Text(name, arguments.trusted_names, &run.budget()), std::move(value));
  }
  run.budget().spend(1 + entries.size());
  return entries;
}

Value dict_function(Interpreter& run, Arguments arguments) {
  auto dict = std::make_shared<Dict>(&run.budget());
  for (auto& [key, value] : dict_entries(run, std::move(arguments)))
    dict->set(key, std::move(value));
  return Value(std::shared_ptr<const Dict>(std::move(dict)));
}

Value namespace_function(Interpreter& run, Arguments arguments) {
  Namespace* ns = run.new_namespace();
  for (auto& [key, value] : dict_entries(run, std::move(arguments))) {
    if (key.text() == nullptr) fail("the attributes of a namespace have names");
    if (key.text()->bytes().starts_with('_')) {
      fail("an attribute of a namespace may not begin with an underscore");
    }
    run.budget().spend(1 + ns->attributes.size() / 8);
    ns->set(key.text()->bytes(), std::move(value));
  }
  return Value(ns);
}

Value raise_function(Interpreter& run, Arguments arguments) {
  const Bound bound("raise_exception", std::move(arguments), {"message"}, 1);
  std::string message(to_text(bound[0], run.budget()).bytes().substr(0, 4096));
  while (!is_utf8(message)) message.pop_back();  // where it was cut
  throw TemplateError(TemplateError::Kind::kRaised, std::move(message));
}

Value time_function(Interpreter& run, Arguments arguments) {
  const Bound bound("strftime_now", std::move(arguments), {"format"}, 1);
  // Of a time without a zone Python writes %z and %Z as nothing; the seconds have no parts here.
  std::string format;
  const std::string_view given = bound.text(0).bytes();
  for (std::size_t i = 0; i < given.size(); ++i) {
    if (given[i] != '%' || i + 1 == given.size()) {
      format.push_back(given[i]);
      continue;
    }
    ++i;
    if (given[i] == 'f') {
      format += "000000";
    } else if (given[i] != 'z' && given[i] != 'Z') {
      format.push_back('%');
      format.push_back(given[i]);
    }
  }
  if (format.size() > 1000 || format.find('\0') != std::string::npos) {
    fail("strftime_now: this is no format of a time");
  }
  format.push_back('.');  // so that nothing written is told from nothing to write
  char buffer[8192];
  const std::size_t size = std::strftime(buffer, sizeof buffer, format.c_str(), &run.now());
  if (size == 0 || !is_utf8(std::string_view(buffer, size))) {
    fail("strftime_now: this is no format of a time");
  }
  return Value(Text(std::string(buffer, size - 1), bound.text(0).is_trusted(), &run.budget()));
}

class Cycler : public Object {
 public:
  Cycler(Items items, Budget& budget)
      : items_(std::move(items)), charge_(&budget, items_.size() * sizeof(Value)) {
    depth = checked_depth(1 + depth_of(items_));
  }
  const char* type_name() const override { return "Cycler"; }
  bool is_callable() const override { return false; }
  std::optional<Value> attribute(Interpreter&, std::string_view name) override {
    if (name == "current") return items_[at_];
    const auto self = shared_from_this();
    if (name == "next") {
      return function(
          [self, this](Interpreter&, const Arguments&) {
            Value value = items_[at_];
            at_ = (at_ + 1) % items_.size();
            return value;
          },
          depth);
    }
    if (name == "reset") {
      return function(
          [self, this](Interpreter&, const Arguments&) {
            at_ = 0;
            return Value();
          },
          depth);
    }
    return std::nullopt;
  }

 private:
  Items items_;
  std::size_t at_ = 0;
  Charge charge_;
};

class Joiner : public Object {
 public:
  explicit Joiner(Text separator) : separator_(std::move(separator)) {}
  const char* type_name() const override { return "Joiner"; }
  Value call(Interpreter&, Arguments) override {
    if (std::exchange(used_, true)) return Value(separator_);
    return Value(Text());
  }

 private:
  Text separator_;
  bool used_ = false;
};

Value cycler_function(Interpreter& run, Arguments arguments) {
  if (arguments.positional.empty()) fail("at least one item has to be provided");
  return Value(std::static_pointer_cast<Object>(
      std::make_shared<Cycler>(std::move(arguments.positional), run.budget())));
}

Value joiner_function(Interpreter&, Arguments arguments) {
  const Bound bound("joiner", std::move(arguments), {"sep"});
  return Value(std::static_pointer_cast<Object>(
      std::make_shared<Joiner>(bound.has(0) ? bound.text(0) : Text(", ", true, nullptr))));
}

}  // namespace

std::vector<std::pair<std::string, Value>> global_functions() {
  return {
      {"range", function(range_function)},         {"dict", function(dict_function)},
      {"namespace", function(namespace_function)}, {"raise_exception", function(raise_function)},
      {"strftime_now", function(time_function)},   {"cycler", function(cycler_function)},
      {"joiner", function(joiner_function)}};
}

}  // namespace shoal::model::chat
