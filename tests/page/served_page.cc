// SPDX-License-Identifier: Apache-2.0
#include "tests/page/served_page.h"

#include <chrono>
#include <stdexcept>
#include <thread>

namespace shoal::tests {

ServedPage::ServedPage(const std::vector<std::pair<std::string, std::string>>& nodes,
                       const std::vector<std::string>& arguments) {
  for (const auto& [span, name] : nodes) swarm_.start_node(span, {"--public-name", name});
  std::vector<std::string> rest = {"--listen", "127.0.0.1:0", "--threads", "1"};
  rest.insert(rest.end(), arguments.begin(), arguments.end());
  std::vector<std::string> command = {program("shoal"), "serve", "--model", kDemoModel, "--local"};
  if (nodes.empty()) {
    command.insert(command.end(), rest.begin(), rest.end());
  } else {
    command = swarm_.shoal_command("serve", rest);
  }
  server_ = std::make_unique<Process>(command);
  const std::string before = "http://127.0.0.1:";
  for (int i = 0; i < 400; ++i) {
    const std::string out = server_->out();
    const std::size_t at = out.find(before);
    if (at != std::string::npos && out.find('\n', at) != std::string::npos) {
      port_ = static_cast<std::uint16_t>(std::stoi(out.substr(at + before.size())));
      return;
    }
    if (!server_->running()) break;
    std::this_thread::sleep_for(std::chrono::milliseconds(50));
  }
  throw std::runtime_error("shoal serve does not start: " + server_->err());
}

std::string ServedPage::url() const { return "http://127.0.0.1:" + std::to_string(port_) + "/"; }

}  // namespace shoal::tests
