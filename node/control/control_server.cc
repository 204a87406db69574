// SPDX-License-Identifier: Apache-2.0
#include "node/control/control_server.h"

#include <fmt/format.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <atomic>
#include <chrono>
#include <nlohmann/json.hpp>
#include <optional>
#include <thread>
#include <utility>

#include "node/control/local_socket.h"

namespace shoal::node {
namespace {

constexpr std::chrono::seconds kOwnerPatience{2};
constexpr std::chrono::seconds kNodePatience{5};
constexpr int kControlPollMs = 100;  // also how long the destructor may take
// Where accepting fails because the process has no descriptor left.
constexpr std::chrono::milliseconds kControlPause{100};

}  // namespace

std::string error_json(const std::string& text) {
  const nlohmann::ordered_json json = {{"ok", false}, {"error", text}};
  return json.dump(-1, ' ', false, nlohmann::ordered_json::error_handler_t::replace);
}

class ControlServer::Impl {
 public:
  Impl(std::string path, Descriptor socket, Answer answer)
      : path_(std::move(path)),
        file_(identity_of(path_)),
        socket_(std::move(socket)),
        answer_(std::move(answer)) {
    thread_ = std::thread([this] { loop(); });
  }
  ~Impl() {
    done_ = true;
    thread_.join();
    // A successor that took over has put its own there.
    if (identity_of(path_) == file_) ::unlink(path_.c_str());
  }
  Impl(const Impl&) = delete;
  Impl& operator=(const Impl&) = delete;

  const std::string& path() const { return path_; }

 private:
  void loop() {
    while (!done_) {
      pollfd wanted{socket_.get(), POLLIN, 0};
      if (poll(&wanted, 1, kControlPollMs) <= 0) continue;
      const Descriptor owner(accept4(socket_.get(), nullptr, nullptr, SOCK_CLOEXEC));
      if (owner.open()) {
        serve(owner.get());
      } else {
        std::this_thread::sleep_for(kControlPause);
      }
    }
  }

  void serve(int owner) const {
    if (!is_own_user(owner)) return;
    const auto line =
        read_line(owner, kMaxRequestBytes, std::chrono::steady_clock::now() + kOwnerPatience);
    if (!line) return;
    const auto request = parse_request(*line);
    const std::string reply =
        request.ok() ? answer_(*request) : error_json(std::string(request.status().message()));
    send_all(owner, reply + "\n", std::chrono::steady_clock::now() + kOwnerPatience);
  }

  const std::string path_;
  const std::optional<FileIdentity> file_;
  const Descriptor socket_;
  const Answer answer_;
  std::atomic<bool> done_ = false;
  std::thread thread_;
};

ControlServer::ControlServer(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
ControlServer::~ControlServer() = default;
const std::string& ControlServer::path() const { return impl_->path(); }

absl::StatusOr<std::unique_ptr<ControlServer>> ControlServer::start(
    const std::vector<std::string>& paths, Answer answer) {
  absl::Status why = absl::NotFoundError("there is no folder for a socket: set XDG_RUNTIME_DIR");
  for (const std::string& path : paths) {
    auto socket = listen_on(path);
    if (socket.ok()) {
      return std::unique_ptr<ControlServer>(
          new ControlServer(std::make_unique<Impl>(path, *std::move(socket), std::move(answer))));
    }
    why = socket.status();
  }
  return why;
}

absl::StatusOr<std::string> ask_node(const std::string& path, const ControlRequest& request) {
  const auto socket = connect_to(path);
  if (!socket.ok()) return socket.status();
  const auto deadline = std::chrono::steady_clock::now() + kNodePatience;
  const bool sent = send_all(socket->get(), line_of(request), deadline);
  const auto line = sent ? read_line(socket->get(), kMaxReplyBytes, deadline) : std::nullopt;
  if (!line) {
    return absl::UnavailableError(
        fmt::format("the node at {} does not answer: is it stopped, or of another user?", path));
  }
  const auto json = nlohmann::json::parse(*line, nullptr, false);
  if (!json.is_object() || !json.contains("ok") || !json["ok"].is_boolean()) {
    return absl::UnavailableError(fmt::format("the program at {} is no shoal-node", path));
  }
  if (!json["ok"].get<bool>()) {
    const auto error = json.find("error");
    const bool says = error != json.end() && error->is_string();
    return absl::FailedPreconditionError(
        "the node says: " + (says ? error->get<std::string>() : std::string("no, and not why")));
  }
  return *line;
}

}  // namespace shoal::node
