// SPDX-License-Identifier: Apache-2.0
#include "net/io_thread.h"

#include <pthread.h>

#include <boost/asio/post.hpp>
#include <future>
#include <memory>

#include "base/check.h"

namespace shoal::net {

IoThread::IoThread(const char* name)
    : context_(1), guard_(boost::asio::make_work_guard(context_)), thread_([this, name] {
        pthread_setname_np(pthread_self(), name);
        context_.run();
      }) {}

IoThread::~IoThread() {
  context_.stop();
  thread_.join();
}

void IoThread::post(std::function<void()> work) { boost::asio::post(context_, std::move(work)); }

void IoThread::run_and_wait(std::function<void()> work) {
  CHECK(std::this_thread::get_id() != thread_.get_id()) << "the net thread would wait for itself";
  // Shared: the net thread may still be inside set_value() when we wake up and go.
  const auto done = std::make_shared<std::promise<void>>();
  std::future<void> finished = done->get_future();
  post([done, &work] {
    work();
    done->set_value();
  });
  finished.wait();
}

}  // namespace shoal::net
