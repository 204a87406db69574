// SPDX-License-Identifier: Apache-2.0
// A headless Chromium with one page, driven by its DevTools protocol over a WebSocket on loopback,
// which it does not leave. Blocks the caller; throws std::runtime_error with what went wrong.
#pragma once

#include <chrono>
#include <memory>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <vector>

namespace shoal::tests {

struct Viewport {
  int width = 1440;
  int height = 900;
  double scale = 1;
  bool phone = false;
  bool dark = false;
  bool still = false;  // prefers-reduced-motion
};

class Browser {
 public:
  using Json = nlohmann::json;

  static std::optional<std::string> program();  // nothing where none is installed

  Browser();  // a blank page
  ~Browser();
  Browser(const Browser&) = delete;

  Json command(const std::string& method, const Json& parameters = Json::object());
  // The value of an expression, when its promise is kept; throws what it throws.
  Json evaluate(const std::string& expression);
  // Until the expression is true; false after so long.
  bool becomes_true(const std::string& expression,
                    std::chrono::milliseconds time = std::chrono::milliseconds(15'000));
  void open(const std::string& url);  // and loads it
  void show_as(const Viewport& viewport);

  void type(const std::string& text);                     // where the focus is
  void press(const std::string& key, int modifiers = 0);  // "Enter", "Escape", "ArrowDown", "Tab"
  std::string screenshot();                               // PNG

  // Errors on the console, exceptions, violations of the content security policy; a line each.
  // What a server refused is none of the page's faults.
  std::vector<std::string> complaints();  // since the last call

 private:
  class Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace shoal::tests
