// SPDX-License-Identifier: Apache-2.0
#include "tests/support/hub_server.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <openssl/evp.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cctype>
#include <chrono>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>
#include <stdexcept>

#include "tests/support/temp_dir.h"

namespace shoal::tests {
namespace {

namespace fs = std::filesystem;

std::string hex_digest(const EVP_MD* kind, const std::string& bytes) {
  unsigned char digest[EVP_MAX_MD_SIZE];
  unsigned int length = 0;
  EVP_Digest(bytes.data(), bytes.size(), digest, &length, kind, nullptr);
  std::string text;
  for (unsigned int i = 0; i < length; ++i) {
    text += "0123456789abcdef"[digest[i] >> 4];
    text += "0123456789abcdef"[digest[i] & 15];
  }
  return text;
}

std::string small(std::string text) {
  std::transform(text.begin(), text.end(), text.begin(),
                 [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
  return text;
}

HubAnswer refused(int status, const std::string& code) {
  HubAnswer answer;
  answer.status = status;
  answer.headers["X-Error-Code"] = code;
  answer.headers["X-Error-Message"] = code;
  answer.body = "{\"error\":\"" + code + "\"}";
  return answer;
}

}  // namespace

std::string HubRequest::header(const std::string& name) const {
  const auto found = headers.find(name);
  return found == headers.end() ? "" : found->second;
}

HubServer::HubServer(std::string repo, const std::string& folder, std::size_t large)
    : repo_(std::move(repo)), folder_(folder) {
  std::string all;
  for (const auto& entry : fs::recursive_directory_iterator(folder)) {
    if (!entry.is_regular_file()) continue;
    File file;
    file.path = entry.path().lexically_relative(folder).string();
    if (file.path == "shoal-manifest.json") continue;
    const std::string bytes = read_file(entry.path().string());
    file.size = bytes.size();
    file.sha256 = hex_digest(EVP_sha256(), bytes);
    file.sha1 = hex_digest(EVP_sha1(),
                           "blob " + std::to_string(bytes.size()) + std::string(1, '\0') + bytes);
    file.is_large = file.size >= large || file.path.ends_with(".safetensors");
    all += file.path + file.sha256;
    files_[file.path] = file;
  }
  commit_ = hex_digest(EVP_sha1(), all);
  listen_at("127.0.0.1", hub_, hub_port_);
  listen_at("127.0.0.2", cdn_, cdn_port_);
  const std::lock_guard<std::mutex> lock(mutex_);
  threads_.emplace_back([this] { accept_all(hub_, false); });
  threads_.emplace_back([this] { accept_all(cdn_, true); });
}

HubServer::~HubServer() {
  stopping_ = true;
  ::shutdown(hub_, SHUT_RDWR);
  ::shutdown(cdn_, SHUT_RDWR);
  std::vector<std::thread> threads;
  {
    const std::lock_guard<std::mutex> lock(mutex_);
    for (const int socket : sockets_) ::shutdown(socket, SHUT_RDWR);
    threads.swap(threads_);
  }
  for (std::thread& thread : threads) thread.join();
  {
    const std::lock_guard<std::mutex> lock(mutex_);
    threads.clear();
    threads.swap(threads_);
  }
  for (std::thread& thread : threads) thread.join();
  ::close(hub_);
  ::close(cdn_);
}

std::string HubServer::endpoint() const { return "http://127.0.0.1:" + std::to_string(hub_port_); }

void HubServer::set_rule(Rule rule) {
  const std::lock_guard<std::mutex> lock(mutex_);
  rule_ = std::move(rule);
}

std::uint64_t HubServer::bytes_sent(const std::string& file) const {
  const std::lock_guard<std::mutex> lock(mutex_);
  std::uint64_t all = 0;
  for (const auto& [name, bytes] : sent_) {
    if (file.empty() || name == file) all += bytes;
  }
  return all;
}

std::vector<HubRequest> HubServer::requests() const {
  const std::lock_guard<std::mutex> lock(mutex_);
  return requests_;
}

void HubServer::forget_requests() {
  const std::lock_guard<std::mutex> lock(mutex_);
  requests_.clear();
  sent_.clear();
}

void HubServer::listen_at(const char* address, int& listener, int& port) {
  listener = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  sockaddr_in where{};
  where.sin_family = AF_INET;
  ::inet_pton(AF_INET, address, &where.sin_addr);
  socklen_t size = sizeof where;
  if (::bind(listener, reinterpret_cast<sockaddr*>(&where), size) != 0 ||
      ::listen(listener, 64) != 0 ||
      ::getsockname(listener, reinterpret_cast<sockaddr*>(&where), &size) != 0) {
    throw std::runtime_error(std::string("cannot listen at ") + address);
  }
  port = ntohs(where.sin_port);
}

void HubServer::accept_all(int listener, bool at_cdn) {
  while (!stopping_) {
    const int socket = ::accept4(listener, nullptr, nullptr, SOCK_CLOEXEC);
    if (socket < 0) continue;
    // What is sent is what somebody takes: a test counts it.
    const int little = 64 << 10;
    ::setsockopt(socket, SOL_SOCKET, SO_SNDBUF, &little, sizeof little);
    const std::lock_guard<std::mutex> lock(mutex_);
    if (stopping_) {
      ::close(socket);
      return;
    }
    sockets_.push_back(socket);
    threads_.emplace_back([this, socket, at_cdn] { serve(socket, at_cdn); });
  }
}

void HubServer::serve(int socket, bool at_cdn) {
  std::string input;
  while (!stopping_) {
    const std::size_t end = input.find("\r\n\r\n");
    if (end == std::string::npos) {
      char bytes[4096];
      const ssize_t count = ::recv(socket, bytes, sizeof bytes, 0);
      if (count <= 0) break;
      input.append(bytes, static_cast<std::size_t>(count));
      continue;
    }
    HubRequest request;
    request.at_cdn = at_cdn;
    std::size_t line_end = input.find("\r\n");
    const std::string first = input.substr(0, line_end);
    request.method = first.substr(0, first.find(' '));
    request.path = first.substr(first.find(' ') + 1, first.rfind(' ') - first.find(' ') - 1);
    while (line_end < end) {
      const std::size_t begin = line_end + 2;
      line_end = input.find("\r\n", begin);
      const std::string line = input.substr(begin, line_end - begin);
      const std::size_t colon = line.find(": ");
      if (colon != std::string::npos) {
        request.headers[small(line.substr(0, colon))] = line.substr(colon + 2);
      }
    }
    input.erase(0, end + 4);
    if (!answer_one(socket, std::move(request))) break;
  }
  const std::lock_guard<std::mutex> lock(mutex_);
  std::erase(sockets_, socket);
  ::close(socket);
}

bool HubServer::answer_one(int socket, HubRequest request) {
  HubAnswer answer = answer_to(request);
  {
    const std::lock_guard<std::mutex> lock(mutex_);
    if (rule_) rule_(request, answer);
    requests_.push_back(request);
  }
  answer.headers.try_emplace("Content-Length", std::to_string(answer.body.size()));
  std::string head = "HTTP/1.1 " + std::to_string(answer.status) + " it\r\n";
  for (const auto& [name, value] : answer.headers) head += name + ": " + value + "\r\n";
  if (!send_all(socket, head + "\r\n")) return false;
  if (request.method == "HEAD") return true;
  const std::size_t most =
      std::min(answer.cut_after.value_or(answer.body.size()), answer.body.size());
  const std::size_t piece = answer.bytes_per_s == 0 ? 64 << 10 : answer.bytes_per_s / 50 + 1;
  for (std::size_t at = 0; at < most; at += piece) {
    const std::string bytes = answer.body.substr(at, std::min(piece, most - at));
    if (!send_all(socket, bytes)) return false;
    {
      const std::lock_guard<std::mutex> lock(mutex_);
      sent_[request.file] += bytes.size();
    }
    if (answer.bytes_per_s > 0) std::this_thread::sleep_for(std::chrono::milliseconds(20));
  }
  if (answer.stays_silent) {
    char byte = 0;
    while (::recv(socket, &byte, 1, 0) > 0) {
    }
    return false;
  }
  if (!answer.cut_after &&
      answer.headers.at("Content-Length") == std::to_string(answer.body.size())) {
    return true;
  }
  ::shutdown(socket, SHUT_RDWR);
  return false;
}

HubAnswer HubServer::answer_to(HubRequest& request) {
  if (request.at_cdn) {
    const std::string sha = request.path.substr(request.path.rfind('/') + 1);
    for (const auto& [name, file] : files_) {
      if (file.sha256 != sha) continue;
      request.file = name;
      return file_answer(request, file, true);
    }
    return refused(404, "EntryNotFound");
  }
  const std::string api = "/api/models/" + repo_ + "/revision/";
  const std::string resolve = "/" + repo_ + "/resolve/";
  const auto known = [this](const std::string& revision) {
    return revision == "main" || revision == commit_;
  };
  if (request.path.starts_with(api)) {
    const std::string revision =
        request.path.substr(api.size(), request.path.find('?') - api.size());
    if (!known(revision)) return refused(404, "RevisionNotFound");
    HubAnswer answer;
    answer.headers["Content-Type"] = "application/json";
    answer.body = listing();
    return answer;
  }
  if (!request.path.starts_with(resolve)) return refused(401, "RepoNotFound");
  const std::string rest = request.path.substr(resolve.size());
  const std::size_t slash = rest.find('/');
  if (!known(rest.substr(0, slash))) return refused(404, "RevisionNotFound");
  const auto found = files_.find(rest.substr(slash + 1));
  if (found == files_.end()) return refused(404, "EntryNotFound");
  if (!found->second.is_large) request.file = found->first;
  return file_answer(request, found->second, false);
}

HubAnswer HubServer::file_answer(const HubRequest& request, const File& file, bool at_cdn) const {
  HubAnswer answer;
  if (!at_cdn) {
    answer.headers["X-Repo-Commit"] = commit_;
    answer.headers["ETag"] = "\"" + (file.is_large ? file.sha256 : file.sha1) + "\"";
    if (file.is_large) {
      answer.headers["X-Linked-Etag"] = answer.headers["ETag"];
      answer.headers["X-Linked-Size"] = std::to_string(file.size);
      answer.status = 302;
      answer.headers["Location"] =
          "http://127.0.0.2:" + std::to_string(cdn_port_) + "/cdn/" + file.sha256;
      return answer;
    }
  }
  answer.body = read_file(folder_ + "/" + file.path);
  answer.headers["Accept-Ranges"] = "bytes";
  const std::string range = request.header("range");
  if (range.starts_with("bytes=")) {
    const std::size_t begin = std::strtoull(range.c_str() + 6, nullptr, 10);
    const std::size_t dash = range.find('-');
    const std::size_t last = dash + 1 < range.size()
                                 ? std::strtoull(range.c_str() + dash + 1, nullptr, 10)
                                 : file.size - 1;
    answer.status = 206;
    answer.body = answer.body.substr(begin, last - begin + 1);
    answer.headers["Content-Range"] = "bytes " + std::to_string(begin) + "-" +
                                      std::to_string(last) + "/" + std::to_string(file.size);
  }
  return answer;
}

std::string HubServer::listing() const {
  nlohmann::json siblings = nlohmann::json::array();
  for (const auto& [name, file] : files_) {
    nlohmann::json entry = {{"rfilename", name}, {"size", file.size}, {"blobId", file.sha1}};
    if (file.is_large) {
      entry["lfs"] = {{"sha256", file.sha256}, {"size", file.size}, {"pointerSize", 134}};
    }
    siblings.push_back(std::move(entry));
  }
  return nlohmann::json{{"id", repo_}, {"sha", commit_}, {"siblings", siblings}}.dump();
}

bool HubServer::send_all(int socket, const std::string& bytes) {
  std::size_t done = 0;
  while (done < bytes.size()) {
    const ssize_t count = ::send(socket, bytes.data() + done, bytes.size() - done, MSG_NOSIGNAL);
    if (count <= 0) return false;
    done += static_cast<std::size_t>(count);
  }
  return true;
}

}  // namespace shoal::tests
