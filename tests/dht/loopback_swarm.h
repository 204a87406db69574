// SPDX-License-Identifier: Apache-2.0
// UdpServices on real loopback sockets for tests: one io thread, and blocking forms of the calls.
#pragma once

#include <gtest/gtest.h>

#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/post.hpp>
#include <chrono>
#include <future>
#include <memory>
#include <thread>

#include "dht/udp_service.h"
#include "tests/dht/example_record.h"

namespace shoal::dht {

inline const proto::Endpoint kLoopback = proto::Endpoint::v4({127, 0, 0, 1}, 0);

class LoopbackSwarm {
 public:
  struct Member {
    identity::Identity identity;
    std::unique_ptr<UdpService> service;
    proto::Endpoint endpoint;
    std::uint64_t sequence = 1;
  };

  LoopbackSwarm() : work_(io_.get_executor()), thread_([this] { io_.run(); }) {}
  ~LoopbackSwarm() {
    for (auto& member : members_) stop(*member);
    work_.reset();
    thread_.join();
  }

  // Runs f on the io thread and waits.
  template <typename F>
  auto on_io(F f) {
    std::packaged_task<decltype(f())()> task(std::move(f));
    auto result = task.get_future();
    boost::asio::post(io_, [&task] { task(); });
    return result.get();
  }

  Member& add(UdpServiceOptions options = {kLoopback, false, {}},
              identity::Identity identity = identity::Identity::generate()) {
    auto service = UdpService::open(io_, identity, options);
    EXPECT_TRUE(service.ok()) << service.status();
    members_.push_back(std::make_unique<Member>(Member{identity, *std::move(service), {}, 1}));
    members_.back()->endpoint = members_.back()->service->local_endpoint();
    return *members_.back();
  }

  void stop(Member& member) {
    on_io([&] {
      member.service.reset();
      return 0;
    });
  }

  absl::Status bootstrap(Member& member, std::vector<proto::Endpoint> peers,
                         std::uint32_t timeout_ms = 5000) {
    std::promise<absl::Status> promise;
    on_io([&] {
      member.service->bootstrap(std::move(peers), timeout_ms, [&](absl::Status s) {
        // A status of its own: Abseil's counts are not instrumented for the thread sanitizer.
        promise.set_value(absl::Status(s.code(), s.message()));
      });
      return 0;
    });
    return wait(promise.get_future());
  }
  std::vector<Record> find(Member& member, const Key& key) {
    std::promise<std::vector<Record>> promise;
    on_io([&] {
      member.service->find(
          key, [&](std::vector<Record> records) { promise.set_value(std::move(records)); });
      return 0;
    });
    return wait(promise.get_future());
  }
  int publish(Member& member, Record record) {
    std::promise<int> promise;
    const wire::SignedRecord message = sign_record(member.identity, record);
    on_io([&] {
      member.service->publish(message, keys_of(member.service->swarm_id(), record),
                              [&](int replicas) { promise.set_value(replicas); });
      return 0;
    });
    return wait(promise.get_future());
  }
  DhtStats stats(Member& member) {
    return on_io([&] { return member.service->stats(); });
  }

  std::vector<std::unique_ptr<Member>>& members() { return members_; }
  boost::asio::io_context& io() { return io_; }

 private:
  template <typename T>
  static T wait(std::future<T> future) {
    if (future.wait_for(std::chrono::seconds(20)) != std::future_status::ready) {
      ADD_FAILURE() << "no callback within 20 s";
      std::abort();  // the promise is about to go away
    }
    return future.get();
  }

  boost::asio::io_context io_;
  boost::asio::executor_work_guard<boost::asio::io_context::executor_type> work_;
  std::vector<std::unique_ptr<Member>> members_;
  std::thread thread_;
};

// Polls until `done` holds; false after `limit`.
template <typename F>
bool eventually(F done, std::chrono::milliseconds limit = std::chrono::seconds(10)) {
  const auto until = std::chrono::steady_clock::now() + limit;
  while (!done()) {
    if (std::chrono::steady_clock::now() > until) return false;
    std::this_thread::sleep_for(std::chrono::milliseconds(5));
  }
  return true;
}

}  // namespace shoal::dht
