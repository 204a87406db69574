// SPDX-License-Identifier: Apache-2.0
// A reply that remembers what it was told, and whose client may go. Thread-safe.
#pragma once

#include <string>
#include <utility>

#include "base/mutex.h"
#include "client/serve/http_message.h"

namespace shoal::tests {

class FakeReply : public client::HttpReply {
 public:
  bool respond(client::HttpResponse response) override {
    base::MutexLock lock(mutex_);
    if (!bytes_.empty()) return false;
    if (!finished_) response_ = std::move(response);
    end();
    return true;
  }
  void expect_stream(client::HttpHeaders, client::StreamForm) override {}
  bool write(std::string bytes) override {
    base::MutexLock lock(mutex_);
    if (gone_ || finished_) return false;
    bytes_ += bytes;
    changed_.notify_all();
    return true;
  }
  void finish() override {
    base::MutexLock lock(mutex_);
    end();
  }
  void on_gone(std::function<void()> callback) override {
    base::MutexLock lock(mutex_);
    callback_ = std::move(callback);
  }

  void leave() {
    std::function<void()> callback;
    {
      base::MutexLock lock(mutex_);
      gone_ = true;
      callback = std::exchange(callback_, nullptr);
    }
    if (callback) callback();
  }
  std::string bytes() const {
    base::MutexLock lock(mutex_);
    return bytes_;
  }
  client::HttpResponse response() const {
    base::MutexLock lock(mutex_);
    return response_;
  }
  bool finished() const {
    base::MutexLock lock(mutex_);
    return finished_;
  }
  bool finishes_within(int ms) {
    const auto until = std::chrono::steady_clock::now() + std::chrono::milliseconds(ms);
    base::MutexLock lock(mutex_);
    while (!finished_ && changed_.wait_until(mutex_, until)) {
    }
    return finished_;
  }
  bool writes_within(int ms) {
    const auto until = std::chrono::steady_clock::now() + std::chrono::milliseconds(ms);
    base::MutexLock lock(mutex_);
    while (bytes_.empty() && changed_.wait_until(mutex_, until)) {
    }
    return !bytes_.empty();
  }

 private:
  void end() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
    finished_ = true;
    callback_ = nullptr;
    changed_.notify_all();
  }

  mutable base::Mutex mutex_;
  base::CondVar changed_;
  client::HttpResponse response_ ABSL_GUARDED_BY(mutex_);
  std::string bytes_ ABSL_GUARDED_BY(mutex_);
  std::function<void()> callback_ ABSL_GUARDED_BY(mutex_);
  bool gone_ ABSL_GUARDED_BY(mutex_) = false;
  bool finished_ ABSL_GUARDED_BY(mutex_) = false;
};

}  // namespace shoal::tests
