// SPDX-License-Identifier: Apache-2.0
// For precompiled headers alone: names what most files instantiate of templates, so that clang
// keeps the instances there and does not make them again in each object. Nobody calls it.
#pragma once

#include <fmt/format.h>

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <nlohmann/json.hpp>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

namespace shoal::common_instances {

template <typename Json>
void json(std::string text) {
  Json value = Json::parse(text, nullptr, false);
  value["a"] = text;
  value["a"] = 1;
  value["a"] = 1u;
  value["a"] = 1.0;
  value["a"] = true;
  value["a"] = std::uint64_t{1};
  value["a"] = std::int64_t{1};
  value.push_back({{"a", text}, {"b", 1}});
  for (const auto& item : value.items()) text += item.key() + item.value().dump();
  for (const Json& item : value) text += item.dump(2);
  text += value.value("a", text) + value.at("a").template get<std::string>();
  if (value.contains("a") && value.value("a", 1.0) > value.at("a").template get<double>()) return;
  if (value.at("a").template get<int>() > 0) return;
  value = Json::parse(std::string_view(text));
  value = Json::parse(text.c_str());
}

template <typename T>
void sequence(std::vector<T> values, T value) {
  values.push_back(value);
  values.emplace_back(value);
  values.insert(values.end(), values.begin(), values.begin());
  values.resize(values.size() + 1);
  values.erase(values.begin());
  values.reserve(values.at(0) == value ? 1 : 2);
  values.assign(1, value);
  std::set<T> sorted(values.begin(), values.end());
  sorted.insert(value);
  sorted.erase(value);
  if (sorted.contains(value) || values == std::vector<T>(values)) values.clear();
}

template <typename Value>
void table(const std::string& key, Value value) {
  std::map<std::string, Value> map{{key, value}};
  map[key] = value;
  map.emplace(key, value);
  map.insert_or_assign(key, value);
  if (const auto found = map.find(key); found != map.end()) map.erase(found);
  for (const auto& [name, entry] : std::map<std::string, Value>(map)) map.at(name) = entry;
}

inline void containers(const std::string& text) {
  sequence<std::string>({text}, text);
  sequence<int>({1}, 1);
  sequence<std::uint8_t>({1}, 1);
  sequence<std::uint32_t>({1}, 1);
  sequence<std::uint64_t>({1}, 1);
  sequence<double>({1}, 1);
  table(text, text);
  table(text, 1);
  table(text, std::uint64_t{1});
  std::function<void()> call = [] {};
  std::optional<std::string> some = text;
  some = std::nullopt;
  std::function<void(const std::string&)> tell = [call, some](const std::string&) { call(); };
  tell(some.value_or(text));
  std::thread(call).join();
}

inline void texts(std::string text) {
  json<nlohmann::json>(text);
  json<nlohmann::ordered_json>(text);
  text += fmt::format("{} {:.1f} {} {:>8}", text, 1.0, 1, text);
  text += fmt::format("{} {} {}", std::uint64_t{1}, std::string_view(text), "a");
}

}  // namespace shoal::common_instances
