// SPDX-License-Identifier: Apache-2.0
#include "tests/nat/link_emulator.h"

#include <fcntl.h>
#include <linux/if.h>
#include <linux/if_tun.h>
#include <pthread.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <stdexcept>

#include "base/check.h"

namespace shoal::tests {
namespace {

using Nanoseconds = LinkQueue::Nanoseconds;

constexpr int kBurst = 64;            // packets read from one end before others have their turn
constexpr std::size_t kMtu = 1500;    // bytes of an IP packet, the device's default
constexpr int kDeviceQueue = 10'000;  // packets that the kernel keeps until we read them

Nanoseconds now() {
  return std::chrono::duration_cast<Nanoseconds>(
      std::chrono::steady_clock::now().time_since_epoch());
}

int open_tun(const Network& network, const std::string& name) {
  const int device = network.within([&] {
    const int file = open("/dev/net/tun", O_RDWR | O_NONBLOCK | O_CLOEXEC);
    ifreq request{};
    request.ifr_flags = IFF_TUN | IFF_NO_PI;
    std::strncpy(request.ifr_name, name.c_str(), IFNAMSIZ - 1);
    if (file < 0 || ioctl(file, TUNSETIFF, &request) != 0) {
      throw std::runtime_error("no TUN device " + name);
    }
    return file;
  });
  network.ip("link set " + name + " txqueuelen " + std::to_string(kDeviceQueue) + " up");
  return device;
}

}  // namespace

LinkEmulator::LinkEmulator()
    : epoll_(epoll_create1(EPOLL_CLOEXEC)),
      timer_(timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK | TFD_CLOEXEC)),
      bell_(eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC)) {
  CHECK(epoll_ >= 0 && timer_ >= 0 && bell_ >= 0) << "no epoll, timer or eventfd";
  for (const int file : {timer_, bell_}) {
    epoll_event event{.events = EPOLLIN, .data = {.ptr = nullptr}};
    CHECK(epoll_ctl(epoll_, EPOLL_CTL_ADD, file, &event) == 0);
  }
  thread_ = std::thread([this] { carry(); });
  // What it adds to a delay is noise in what is measured: it goes before other programs if it may.
  const sched_param priority{.sched_priority = 1};
  pthread_setschedparam(thread_.native_handle(), SCHED_RR, &priority);
}

LinkEmulator::~LinkEmulator() {
  over_ = true;
  wake();
  thread_.join();
  for (const int file : {epoll_, timer_, bell_}) close(file);
}

void LinkEmulator::wake() const {
  const std::uint64_t one = 1;
  CHECK(write(bell_, &one, sizeof one) == sizeof one);
}

void LinkEmulator::join(const Network& here, const std::string& name, const Network& there,
                        const std::string& other_name, const LinkOptions& options) {
  const int a = open_tun(here, name);
  const int b = open_tun(there, other_name);
  {
    const base::MutexLock lock(mutex_);
    fresh_.push_back(std::make_unique<End>(End{a, b, LinkQueue(options, 1)}));
    fresh_.push_back(std::make_unique<End>(End{b, a, LinkQueue(options, 2)}));
  }
  wake();
}

void LinkEmulator::carry() {
  std::vector<std::unique_ptr<End>> ends;
  std::array<epoll_event, 64> events;
  LinkQueue::Packet buffer(kMtu);
  while (!over_) {
    const int ready = epoll_wait(epoll_, events.data(), static_cast<int>(events.size()), -1);
    for (int i = 0; i < ready; ++i) {
      auto* end = static_cast<End*>(events[static_cast<std::size_t>(i)].data.ptr);
      for (int k = 0; end != nullptr && k < kBurst; ++k) {
        const ssize_t size = read(end->from, buffer.data(), buffer.size());
        if (size <= 0) break;
        end->queue.push({buffer.begin(), buffer.begin() + size}, now());
      }
    }
    std::uint64_t ignored = 0;
    if (read(timer_, &ignored, sizeof ignored) < 0) ignored = 0;  // it may not have rung
    if (read(bell_, &ignored, sizeof ignored) > 0) {
      const base::MutexLock lock(mutex_);
      for (auto& end : fresh_) {
        epoll_event event{.events = EPOLLIN, .data = {.ptr = end.get()}};
        CHECK(epoll_ctl(epoll_, EPOLL_CTL_ADD, end->from, &event) == 0);
        ends.push_back(std::move(end));
      }
      fresh_.clear();
    }
    std::optional<Nanoseconds> next;
    for (const auto& end : ends) {
      while (const auto packet = end->queue.pop(now())) {
        // A device that is down takes none: then the packet is lost, as on a cable that is cut.
        if (write(end->to, packet->data(), packet->size()) < 0) continue;
      }
      if (const auto at = end->queue.next()) next = std::min(next.value_or(*at), *at);
    }
    if (!next) continue;
    const auto seconds = std::chrono::duration_cast<std::chrono::seconds>(*next);
    itimerspec alarm{};
    alarm.it_value.tv_sec = seconds.count();
    alarm.it_value.tv_nsec = (*next - seconds).count();
    CHECK(timerfd_settime(timer_, TFD_TIMER_ABSTIME, &alarm, nullptr) == 0);
  }
  for (const auto& end : ends) close(end->from);
}

}  // namespace shoal::tests
