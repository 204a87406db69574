// SPDX-License-Identifier: Apache-2.0
// A Hugging Face hub on loopback that serves one model from a folder: the list of its files, and
// their bytes, those of large files by a redirect to another host, as the real one does. A test's
// rule may change every answer: the hub then drops, truncates, redirects, throttles or lies. A
// thread for each connection; the rule is called by all of them, one at a time.
#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <map>
#include <mutex>
#include <optional>
#include <string>
#include <thread>
#include <vector>

namespace shoal::tests {

struct HubRequest {
  std::string method, path;                    // "/api/models/...", with what is behind "?"
  std::map<std::string, std::string> headers;  // by names in small letters
  bool at_cdn = false;                         // the other host, 127.0.0.2
  std::string file;                            // whose bytes are asked for; empty: none

  std::string header(const std::string& name) const;
  bool operator<(const HubRequest& other) const { return path < other.path; }
};

struct HubAnswer {
  int status = 200;
  std::map<std::string, std::string> headers = {};
  std::string body = {};
  std::optional<std::size_t> cut_after =
      std::nullopt;             // the connection ends behind so many bytes of the body
  bool stays_silent = false;    // it does not end there, but says nothing any more
  std::size_t bytes_per_s = 0;  // 0: as fast as can be
};

class HubServer {
 public:
  // `large`: files of at least so many bytes are LFS files, as all safetensors are.
  HubServer(std::string repo, const std::string& folder, std::size_t large = 1 << 20);
  ~HubServer();
  HubServer(const HubServer&) = delete;

  std::string endpoint() const;  // http://127.0.0.1:PORT
  const std::string& repo() const { return repo_; }
  const std::string& commit() const { return commit_; }
  std::string sha256(const std::string& file) const { return files_.at(file).sha256; }

  using Rule = std::function<void(const HubRequest& request, HubAnswer& answer)>;
  void set_rule(Rule rule);
  // So far: of bodies of `file`, or of all files' bodies.
  std::uint64_t bytes_sent(const std::string& file = "") const;
  std::vector<HubRequest> requests() const;
  void forget_requests();

 private:
  struct File {
    std::string path, sha256, sha1;
    std::size_t size = 0;
    bool is_large = false;
  };

  void listen_at(const char* address, int& listener, int& port);
  void accept_all(int listener, bool at_cdn);
  void serve(int socket, bool at_cdn);
  bool answer_one(int socket, HubRequest request);
  HubAnswer answer_to(HubRequest& request);
  HubAnswer file_answer(const HubRequest& request, const File& file, bool at_cdn) const;
  std::string listing() const;
  bool send_all(int socket, const std::string& bytes);

  const std::string repo_, folder_;
  std::string commit_;
  std::map<std::string, File> files_;
  int hub_ = -1, cdn_ = -1, hub_port_ = 0, cdn_port_ = 0;
  std::atomic<bool> stopping_{false};
  mutable std::mutex mutex_;
  Rule rule_;
  std::map<std::string, std::uint64_t> sent_;
  std::vector<HubRequest> requests_;
  std::vector<int> sockets_;
  std::vector<std::thread> threads_;
};

}  // namespace shoal::tests
