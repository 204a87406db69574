// SPDX-License-Identifier: Apache-2.0
// Ports of a router that speaks NAT-PMP and no PCP, as RFC 6886 has it: an emulated one, which
// listens on an address of loopback. (Of a real router's program: tests/cli/reach_test.cc.)
#include "net/gateway_mapping.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <map>
#include <thread>

#include "base/mutex.h"
#include "net/socket_address.h"

namespace shoal::net {
namespace {

using testing::HasSubstr;
using testing::UnorderedElementsAre;

constexpr std::uint16_t kInside = 7001;

class NatPmpRouter {
 public:
  struct Manner {
    std::uint16_t result = 0;  // of every request for a port
    std::uint16_t shift = 0;   // the port outside is another one than was asked for, by this much
    int copies = 1;            // of every answer: a slow router has been asked twice
  };

  explicit NatPmpRouter(const Manner& manner) : manner_(manner) {
    fd_ = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    sockaddr_storage storage;
    const socklen_t size = to_system(at(), storage);
    EXPECT_EQ(bind(fd_, reinterpret_cast<const sockaddr*>(&storage), size), 0);
    thread_ = std::thread([this] { run(); });
  }
  ~NatPmpRouter() {
    {
      const base::MutexLock lock(mutex_);
      ended_ = true;
    }
    thread_.join();
    close(fd_);
  }

  static proto::Endpoint at() { return proto::Endpoint::v4({127, 0, 0, 77}, kPcpPort); }
  static PortMapperOptions options() {
    PortMapperOptions options;
    options.port = kInside;
    options.route = {proto::Endpoint::v4({127, 0, 0, 1}, 0), 1,
                     proto::Endpoint::v4({127, 0, 0, 77}, 0)};
    return options;
  }

  // [opcode: 1 UDP, 2 TCP] the port outside.
  std::map<int, int> mapped() const {
    const base::MutexLock lock(mutex_);
    return mapped_;
  }
  void restart() {
    const base::MutexLock lock(mutex_);
    mapped_.clear();
    epoch_ = 1;
  }

 private:
  using Bytes = std::vector<std::uint8_t>;
  static void put(Bytes& bytes, std::uint32_t value, int size) {
    for (int i = size - 1; i >= 0; --i)
      bytes.push_back(static_cast<std::uint8_t>(value >> (8 * i)));
  }
  static std::uint32_t number(const Bytes& bytes, std::size_t at, std::size_t size) {
    std::uint32_t value = 0;
    for (std::size_t i = 0; i < size; ++i) value = value << 8 | bytes.at(at + i);
    return value;
  }

  Bytes answer_to(const Bytes& request) {
    const base::MutexLock lock(mutex_);
    const std::uint8_t opcode = request.size() > 1 ? request[1] : 0;
    Bytes answer = {0, static_cast<std::uint8_t>(128 + opcode)};
    if (request[0] != 0) {  // section 3.5: a version that it does not know
      put(answer, 1, 2);
      put(answer, epoch_, 4);
      return answer;
    }
    put(answer, opcode == 0 ? 0 : manner_.result, 2);
    put(answer, epoch_, 4);
    if (opcode == 0) {
      for (const std::uint8_t byte : {25, 1, 1, 5}) answer.push_back(byte);
      return answer;
    }
    EXPECT_EQ(number(request, 4, 2), kInside);
    const std::uint32_t lifetime = number(request, 8, 4);
    const std::uint32_t outside = lifetime == 0 ? 0 : number(request, 6, 2) + manner_.shift;
    if (lifetime == 0) {
      mapped_.erase(opcode);
    } else if (manner_.result == 0) {
      mapped_[opcode] = static_cast<int>(outside);
      if (opcode == 2) manner_.shift = 0;  // this one is free for UDP, too
    }
    put(answer, kInside, 2);
    put(answer, outside, 2);
    put(answer, std::min(lifetime, 600u), 4);
    return answer;
  }

  void run() {
    while (true) {
      {
        const base::MutexLock lock(mutex_);
        if (ended_) return;
      }
      pollfd entry{fd_, POLLIN, 0};
      if (poll(&entry, 1, 20) <= 0) continue;
      Bytes request(1'200);
      sockaddr_storage from;
      socklen_t from_size = sizeof(from);
      const ssize_t size = recvfrom(fd_, request.data(), request.size(), 0,
                                    reinterpret_cast<sockaddr*>(&from), &from_size);
      if (size < 2) continue;
      request.resize(static_cast<std::size_t>(size));
      const Bytes answer = answer_to(request);
      for (int i = 0; i < manner_.copies; ++i) {
        sendto(fd_, answer.data(), answer.size(), 0, reinterpret_cast<const sockaddr*>(&from),
               from_size);
      }
    }
  }

  int fd_ = -1;
  mutable base::Mutex mutex_;
  Manner manner_;
  bool ended_ ABSL_GUARDED_BY(mutex_) = false;
  std::uint32_t epoch_ ABSL_GUARDED_BY(mutex_) = 100'000;
  std::map<int, int> mapped_ ABSL_GUARDED_BY(mutex_);
  std::thread thread_;
};

class NatPmpTest : public testing::Test {
 protected:
  GatewayPorts::Time soon() const {
    return std::chrono::steady_clock::now() + std::chrono::seconds(3);
  }
  absl::StatusOr<PortMapping> map(GatewayPorts& ports) {
    const RouterOffers offers = ports.probe(soon(), never_);
    EXPECT_FALSE(offers.pcp);
    EXPECT_TRUE(offers.nat_pmp);
    return ports.map(std::nullopt, soon(), never_);
  }
  base::StopToken never_;
};

TEST_F(NatPmpTest, ARouterThatRefusesPcpMapsByNatPmpAndHasItBack) {
  NatPmpRouter router({});
  GatewayPorts ports(NatPmpRouter::options());
  const auto mapping = map(ports);
  ASSERT_TRUE(mapping.ok()) << mapping.status();
  EXPECT_EQ(mapping->protocol, MappingProtocol::kNatPmp);
  EXPECT_EQ(proto::to_string(mapping->external), "25.1.1.5:7001");
  EXPECT_EQ(mapping->udp_port, kInside);
  EXPECT_EQ(mapping->lease, std::chrono::seconds(600));  // the router's word
  EXPECT_THAT(router.mapped(), UnorderedElementsAre(std::pair(1, 7001), std::pair(2, 7001)));
  EXPECT_FALSE(ports.has_forgotten(soon(), never_));
  router.restart();
  EXPECT_TRUE(ports.has_forgotten(soon(), never_));
  ASSERT_TRUE(ports.map(*mapping, soon(), never_).ok());
  EXPECT_EQ(router.mapped().size(), 2u);
  ports.remove(*mapping, soon());
  EXPECT_THAT(router.mapped(), UnorderedElementsAre());
}

// Answers that are late find another question asked: each must be taken for what it is.
TEST_F(NatPmpTest, AnswersThatComeTwiceAreNotTakenForOthers) {
  NatPmpRouter router({.shift = 100, .copies = 3});
  GatewayPorts ports(NatPmpRouter::options());
  const auto mapping = map(ports);
  ASSERT_TRUE(mapping.ok()) << mapping.status();
  EXPECT_EQ(proto::to_string(mapping->external), "25.1.1.5:7101");
  EXPECT_EQ(mapping->udp_port, 7101);
  EXPECT_THAT(router.mapped(), UnorderedElementsAre(std::pair(1, 7101), std::pair(2, 7101)));
}

TEST_F(NatPmpTest, ARefusalIsToldInWords) {
  NatPmpRouter router({.result = 2});
  GatewayPorts ports(NatPmpRouter::options());
  const auto mapping = map(ports);
  EXPECT_EQ(std::string(mapping.status().message()), "NAT-PMP: the router does not allow it");
  EXPECT_THAT(router.mapped(), UnorderedElementsAre());
}

TEST_F(NatPmpTest, ARouterThatFallsSilentIsToldToBeSilent) {
  GatewayPorts ports(NatPmpRouter::options());
  {
    NatPmpRouter router({});
    ASSERT_TRUE(map(ports).ok());
  }
  const auto mapping = ports.map(
      std::nullopt, std::chrono::steady_clock::now() + std::chrono::milliseconds(300), never_);
  EXPECT_THAT(std::string(mapping.status().message()), HasSubstr("did not answer by NAT-PMP"));
}

}  // namespace
}  // namespace shoal::net
