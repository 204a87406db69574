// SPDX-License-Identifier: Apache-2.0
#include "tests/page/browser.h"

#include <unistd.h>

#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/beast/core/flat_buffer.hpp>
#include <boost/beast/websocket/stream.hpp>
#include <sstream>
#include <stdexcept>
#include <thread>
#include <utility>

#include "absl/strings/escaping.h"
#include "tests/support/process.h"
#include "tests/support/temp_dir.h"

namespace shoal::tests {

namespace asio = boost::asio;
namespace websocket = boost::beast::websocket;
using Json = Browser::Json;
using Clock = std::chrono::steady_clock;

namespace {

constexpr std::chrono::milliseconds kStartTime{30'000}, kCommandTime{30'000};

// Nothing of it leaves this machine, and nothing of it stays.
std::vector<std::string> command_line(const std::string& program, const std::string& folder) {
  return {
      program,
      "--headless=new",
      "--no-sandbox",  // root has none
      "--remote-debugging-port=0",
      "--user-data-dir=" + folder,
      "--disable-dev-shm-usage",
      "--disable-gpu",
      "--disable-background-networking",
      "--disable-breakpad",
      "--disable-component-update",
      "--disable-default-apps",
      "--disable-domain-reliability",
      "--disable-extensions",
      "--disable-features=OptimizationHints,MediaRouter,Translate,InterestFeedContentSuggestions,"
      "AutofillServerCommunication,CertificateTransparencyComponentUpdater",
      "--disable-sync",
      "--metrics-recording-only",
      "--no-default-browser-check",
      "--no-first-run",
      "--no-pings",
      "--no-proxy-server",
      "--password-store=basic",
      "--use-mock-keychain",
      "--hide-scrollbars",
      "--host-resolver-rules=MAP * ~NOTFOUND , EXCLUDE 127.0.0.1",
      "about:blank"};
}

int key_code(const std::string& key) {
  static const std::vector<std::pair<std::string, int>> codes = {
      {"Enter", 13},      {"Escape", 27},    {"Tab", 9},  {"ArrowDown", 40}, {"ArrowUp", 38},
      {"ArrowRight", 39}, {"ArrowLeft", 37}, {"End", 35}, {"Home", 36}};
  for (const auto& [name, code] : codes) {
    if (name == key) return code;
  }
  throw std::runtime_error("no key " + key);
}

}  // namespace

std::optional<std::string> Browser::program() {
  for (const char* path : {"/usr/bin/chromium", "/usr/bin/chromium-browser"}) {
    if (::access(path, X_OK) == 0) return path;
  }
  return std::nullopt;
}

class Browser::Impl {
 public:
  Impl() : process_(command_line(Browser::program().value(), folder_.file("profile"))) {
    const std::string file = folder_.file("profile/DevToolsActivePort");
    if (!wait_for_file(file, process_, static_cast<int>(kStartTime.count()))) {
      throw std::runtime_error("Chromium does not start: " + process_.err());
    }
    std::istringstream lines(read_file(file));
    std::string port, path;
    std::getline(lines, port);
    std::getline(lines, path);
    socket_.next_layer().connect(
        {asio::ip::address_v4::loopback(), static_cast<std::uint16_t>(std::stoi(port))});
    socket_.read_message_max(64u << 20);
    socket_.handshake("127.0.0.1:" + port, path);
    read();
    const Json target = command("Target.createTarget", {{"url", "about:blank"}});
    session_ =
        command("Target.attachToTarget", {{"targetId", target.at("targetId")}, {"flatten", true}})
            .at("sessionId");
  }
  ~Impl() {
    try {
      session_.clear();
      command("Browser.close", Json::object());
      process_.wait(5'000);
    } catch (const std::exception&) {  // then it is killed
    }
  }

  Json command(const std::string& method, const Json& parameters) {
    const int id = ++last_id_;
    Json message = {{"id", id}, {"method", method}, {"params", parameters}};
    if (!session_.empty()) message["sessionId"] = session_;
    socket_.write(asio::buffer(message.dump()));
    const auto until = Clock::now() + kCommandTime;
    for (;;) {
      const std::optional<Json> answer = take(until);
      if (!answer) throw std::runtime_error(method + ": no answer");
      if (answer->value("id", 0) != id) continue;
      if (answer->contains("error")) throw std::runtime_error(method + ": " + answer->dump());
      return answer->at("result");
    }
  }
  // Hears what came meanwhile.
  void listen(std::chrono::milliseconds time) {
    const auto until = Clock::now() + time;
    while (take(until)) {
    }
  }

  std::vector<std::string> complaints;

 private:
  void read() {
    socket_.async_read(buffer_, [this](boost::system::error_code error, std::size_t) {
      if (error) failed_ = error.message();
      arrived_ = true;
    });
  }
  // The next message; nothing at the deadline.
  std::optional<Json> take(Clock::time_point until) {
    while (!arrived_) {
      const auto left = until - Clock::now();
      if (left <= Clock::duration::zero()) return std::nullopt;
      io_.restart();
      io_.run_one_for(left);
    }
    if (!failed_.empty()) throw std::runtime_error("Chromium has gone: " + failed_);
    const std::string text(static_cast<const char*>(buffer_.data().data()), buffer_.data().size());
    buffer_.consume(text.size());
    arrived_ = false;
    read();
    Json message = Json::parse(text);
    if (message.contains("method")) hear(message.at("method"), message.at("params"));
    return message;
  }
  void hear(const std::string& event, const Json& what) {
    if (event == "Runtime.exceptionThrown") {
      complaints.push_back("exception: " + what.dump());
    } else if (event == "Runtime.consoleAPICalled") {
      if (what.at("type") == "error" || what.at("type") == "assert") {
        complaints.push_back("console: " + what.dump());
      }
    } else if (event == "Log.entryAdded") {
      const Json& entry = what.at("entry");
      const bool refused = entry.at("source") == "network";
      if (entry.at("level") == "error" && !refused) complaints.push_back("log: " + entry.dump());
    } else if (event == "Runtime.bindingCalled") {
      complaints.push_back("security policy: " + what.at("payload").get<std::string>());
    }
  }

  TempDir folder_;
  Process process_;
  asio::io_context io_;
  websocket::stream<asio::ip::tcp::socket> socket_{io_};
  boost::beast::flat_buffer buffer_;
  bool arrived_ = false;
  std::string failed_;
  std::string session_;
  int last_id_ = 0;
};

Browser::Browser() : impl_(std::make_unique<Impl>()) {
  for (const char* domain : {"Page", "Runtime", "Log"}) command(std::string(domain) + ".enable");
  command("Runtime.addBinding", {{"name", "tell_violation"}});
  command("Page.addScriptToEvaluateOnNewDocument",
          {{"source",
            "document.addEventListener('securitypolicyviolation', (event) => "
            "tell_violation(`${event.violatedDirective} ${event.blockedURI} ${event.sample}`));"}});
  show_as({});
}

Browser::~Browser() = default;

Json Browser::command(const std::string& method, const Json& parameters) {
  return impl_->command(method, parameters);
}

Json Browser::evaluate(const std::string& expression) {
  const Json answer = command("Runtime.evaluate", {{"expression", expression},
                                                   {"awaitPromise", true},
                                                   {"returnByValue", true},
                                                   {"userGesture", true}});
  if (answer.contains("exceptionDetails")) {
    throw std::runtime_error(expression.substr(0, 200) + ": " +
                             answer.at("exceptionDetails").dump());
  }
  return answer.at("result").value("value", Json());
}

bool Browser::becomes_true(const std::string& expression, std::chrono::milliseconds time) {
  const auto until = Clock::now() + time;
  while (Clock::now() < until) {
    if (evaluate("Boolean(" + expression + ")").get<bool>()) return true;
    impl_->listen(std::chrono::milliseconds(20));
  }
  return false;
}

void Browser::open(const std::string& url) {
  // Its first seconds are spoilt by a page before that is still there.
  command("Page.navigate", {{"url", url}});
  if (!becomes_true("location.href.startsWith('" + url +
                    "') && document.readyState === 'complete'")) {
    throw std::runtime_error(url + " does not load");
  }
}

void Browser::show_as(const Viewport& viewport) {
  command("Emulation.setDeviceMetricsOverride", {{"width", viewport.width},
                                                 {"height", viewport.height},
                                                 {"deviceScaleFactor", viewport.scale},
                                                 {"mobile", viewport.phone}});
  command("Emulation.setTouchEmulationEnabled", {{"enabled", viewport.phone}});
  command("Emulation.setEmulatedMedia",
          {{"features", Json::array({{{"name", "prefers-color-scheme"},
                                      {"value", viewport.dark ? "dark" : "light"}},
                                     {{"name", "prefers-reduced-motion"},
                                      {"value", viewport.still ? "reduce" : "no-preference"}}})}});
}

void Browser::type(const std::string& text) { command("Input.insertText", {{"text", text}}); }

void Browser::press(const std::string& key, int modifiers) {
  const int code = key_code(key);
  Json event = {{"type", "keyDown"},
                {"key", key},
                {"code", key},
                {"windowsVirtualKeyCode", code},
                {"modifiers", modifiers}};
  if (key == "Enter") event["text"] = "\r";
  command("Input.dispatchKeyEvent", event);
  event.erase("text");
  event["type"] = "keyUp";
  command("Input.dispatchKeyEvent", event);
}

std::string Browser::screenshot() {
  std::string bytes;
  absl::Base64Unescape(
      command("Page.captureScreenshot", {{"format", "png"}}).at("data").get<std::string>(), &bytes);
  return bytes;
}

std::vector<std::string> Browser::complaints() {
  impl_->listen(std::chrono::milliseconds(30));
  return std::exchange(impl_->complaints, {});
}

}  // namespace shoal::tests
