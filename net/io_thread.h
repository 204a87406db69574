// SPDX-License-Identifier: Apache-2.0
// One io_context and the thread that runs it, until destruction, as the `net` thread does. Owns
// both.
#pragma once

#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/io_context.hpp>
#include <functional>
#include <thread>

namespace shoal::net {

class IoThread {
 public:
  explicit IoThread(const char* name = "net");
  ~IoThread();  // stops the context and joins
  IoThread(const IoThread&) = delete;
  IoThread& operator=(const IoThread&) = delete;

  boost::asio::io_context& context() { return context_; }
  void post(std::function<void()> work);
  // Runs `work` on the net thread and waits for it; must not be called from that thread.
  void run_and_wait(std::function<void()> work);

 private:
  boost::asio::io_context context_;
  boost::asio::executor_work_guard<boost::asio::io_context::executor_type> guard_;
  std::thread thread_;
};

}  // namespace shoal::net
