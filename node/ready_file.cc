// SPDX-License-Identifier: Apache-2.0
#include "node/ready_file.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstring>
#include <nlohmann/json.hpp>

namespace shoal::node {
namespace {

absl::Status cannot(const std::string& path) {
  return absl::PermissionDeniedError(
      fmt::format("cannot write the ready file {}: {}; choose another with --ready-file", path,
                  std::strerror(errno)));
}

}  // namespace

std::string ready_json(const Node& node) {
  nlohmann::ordered_json json;
  json["address"] = proto::to_string(node.endpoint());
  json["peer_id"] = to_string(node.peer_id());
  json["blocks"] = nullptr;
  json["model"] = nullptr;
  json["model_digest"] = nullptr;
  if (!node.span().empty()) {
    json["blocks"] = proto::to_string(node.span());
    json["model"] = node.model_name();
    json["model_digest"] = to_string(node.model_digest());
  }
  json["metrics"] = nullptr;
  if (const auto metrics = node.metrics()) json["metrics"] = proto::to_string(*metrics);
  json["pid"] = getpid();
  return json.dump(-1, ' ', false, nlohmann::ordered_json::error_handler_t::replace) + "\n";
}

std::string ReadyFile::temporary() const { return fmt::format("{}.{}.tmp", path_, getpid()); }

absl::Status ReadyFile::prepare() {
  if (path_.empty()) return absl::OkStatus();
  std::remove(path_.c_str());
  const int file = open(temporary().c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
  if (file < 0) return cannot(path_);
  close(file);
  std::remove(temporary().c_str());
  return absl::OkStatus();
}

absl::Status ReadyFile::write(const std::string& text) {
  if (path_.empty()) return absl::OkStatus();
  std::FILE* file = std::fopen(temporary().c_str(), "we");
  if (file == nullptr) return cannot(path_);
  const bool written = std::fwrite(text.data(), 1, text.size(), file) == text.size();
  const bool closed = std::fclose(file) == 0;
  if (!written || !closed || std::rename(temporary().c_str(), path_.c_str()) != 0) {
    absl::Status status = cannot(path_);
    std::remove(temporary().c_str());
    return status;
  }
  written_ = true;
  return absl::OkStatus();
}

void ReadyFile::remove() {
  if (std::exchange(written_, false)) std::remove(path_.c_str());
}

}  // namespace shoal::node
