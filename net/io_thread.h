// SPDX-License-Identifier: Apache-2.0
// One io_context and the thread that runs it, until destruction, as the `net` thread does. Owns
// both.
#pragma once

#include <functional>
#include <memory>

namespace boost::asio {
class io_context;
}

namespace shoal::net {

class IoThread {
 public:
  explicit IoThread(const char* name = "net");
  ~IoThread();  // stops the context and joins
  IoThread(const IoThread&) = delete;
  IoThread& operator=(const IoThread&) = delete;

  boost::asio::io_context& context();
  void post(std::function<void()> work);
  // Runs `work` on the net thread and waits for it; must not be called from that thread.
  void run_and_wait(std::function<void()> work);

 private:
  struct Impl;
  const std::unique_ptr<Impl> impl_;
};

}  // namespace shoal::net
