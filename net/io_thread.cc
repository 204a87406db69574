// SPDX-License-Identifier: Apache-2.0
#include "net/io_thread.h"

#include <pthread.h>

#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/post.hpp>
#include <future>
#include <memory>
#include <thread>

#include "base/check.h"

namespace shoal::net {

struct IoThread::Impl {
  explicit Impl(const char* name)
      : guard(boost::asio::make_work_guard(context)), thread([this, name] {
          pthread_setname_np(pthread_self(), name);
          context.run();
        }) {}

  boost::asio::io_context context{1};
  boost::asio::executor_work_guard<boost::asio::io_context::executor_type> guard;
  std::thread thread;
};

IoThread::IoThread(const char* name) : impl_(std::make_unique<Impl>(name)) {}

IoThread::~IoThread() {
  impl_->context.stop();
  impl_->thread.join();
}

boost::asio::io_context& IoThread::context() { return impl_->context; }

void IoThread::post(std::function<void()> work) {
  boost::asio::post(impl_->context, std::move(work));
}

void IoThread::run_and_wait(std::function<void()> work) {
  CHECK(std::this_thread::get_id() != impl_->thread.get_id())
      << "the net thread would wait for itself";
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
