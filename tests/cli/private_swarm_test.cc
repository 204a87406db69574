// SPDX-License-Identifier: Apache-2.0
// A private swarm: with the key, text; without it, silence. What a stranger's datagrams bring about
// is seen twice: by the stranger's own socket, and (as root) in a capture of every packet on the
// loopback interface.
#include <arpa/inet.h>
#include <gtest/gtest.h>
#include <linux/if_ether.h>
#include <linux/if_packet.h>
#include <net/if.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <atomic>
#include <chrono>
#include <cstring>
#include <set>
#include <thread>

#include "tests/cli/process_swarm.h"

namespace shoal::tests {
namespace {

using Clock = std::chrono::steady_clock;

std::uint16_t port_number(const std::string& address) {
  return static_cast<std::uint16_t>(std::stoi(address.substr(address.rfind(':') + 1)));
}

sockaddr_in loopback(std::uint16_t port) {
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  address.sin_port = htons(port);
  return address;
}

class UdpSocket {
 public:
  UdpSocket() : socket_(::socket(AF_INET, SOCK_DGRAM, 0)) {
    sockaddr_in address = loopback(0);
    EXPECT_EQ(bind(socket_, reinterpret_cast<sockaddr*>(&address), sizeof(address)), 0);
    socklen_t size = sizeof(address);
    getsockname(socket_, reinterpret_cast<sockaddr*>(&address), &size);
    port_ = ntohs(address.sin_port);
  }
  ~UdpSocket() { close(socket_); }
  std::uint16_t port() const { return port_; }
  void send(const std::string& bytes, std::uint16_t to) {
    const sockaddr_in address = loopback(to);
    sendto(socket_, bytes.data(), bytes.size(), 0, reinterpret_cast<const sockaddr*>(&address),
           sizeof(address));
  }
  // Datagrams received within `milliseconds`.
  int receive(int milliseconds) {
    int count = 0;
    const auto deadline = Clock::now() + std::chrono::milliseconds(milliseconds);
    for (;;) {
      const auto left =
          std::chrono::duration_cast<std::chrono::milliseconds>(deadline - Clock::now()).count();
      pollfd waiting{socket_, POLLIN, 0};
      if (left <= 0 || poll(&waiting, 1, static_cast<int>(left)) <= 0) return count;
      char buffer[2048];
      if (recv(socket_, buffer, sizeof(buffer), 0) >= 0) ++count;
    }
  }

 private:
  int socket_;
  std::uint16_t port_ = 0;
};

struct Packet {
  std::uint16_t from = 0;
  std::uint16_t to = 0;
  std::string payload;
};

// Every IPv4 UDP packet on the loopback interface, read by a thread until stop(). Needs root.
class Capture {
 public:
  Capture() : socket_(::socket(AF_PACKET, SOCK_DGRAM, htons(ETH_P_IP))) {
    if (socket_ < 0) return;
    sockaddr_ll address{};
    address.sll_family = AF_PACKET;
    address.sll_protocol = htons(ETH_P_IP);
    address.sll_ifindex = static_cast<int>(if_nametoindex("lo"));
    if (bind(socket_, reinterpret_cast<sockaddr*>(&address), sizeof(address)) != 0) return;
    works_ = true;
    thread_ = std::thread([this] { loop(); });
  }
  ~Capture() {
    stop();
    if (socket_ >= 0) close(socket_);
  }
  bool works() const { return works_; }
  std::vector<Packet> stop() {
    running_ = false;
    if (thread_.joinable()) thread_.join();
    return packets_;
  }

 private:
  void loop() {
    while (running_) {
      pollfd waiting{socket_, POLLIN, 0};
      if (poll(&waiting, 1, 20) <= 0) continue;
      unsigned char buffer[65536];
      sockaddr_ll from{};
      socklen_t size = sizeof(from);
      const ssize_t got =
          recvfrom(socket_, buffer, sizeof(buffer), 0, reinterpret_cast<sockaddr*>(&from), &size);
      // Loopback shows each packet twice, going out and coming in: count it once.
      if (got < 28 || from.sll_pkttype == PACKET_OUTGOING || buffer[9] != IPPROTO_UDP) continue;
      const std::size_t header = (buffer[0] & 15) * 4u;
      if (static_cast<std::size_t>(got) < header + 8) continue;
      const unsigned char* udp = buffer + header;
      packets_.push_back({static_cast<std::uint16_t>(udp[0] << 8 | udp[1]),
                          static_cast<std::uint16_t>(udp[2] << 8 | udp[3]),
                          std::string(reinterpret_cast<const char*>(udp + 8),
                                      static_cast<std::size_t>(buffer + got - (udp + 8)))});
    }
  }

  int socket_;
  bool works_ = false;
  std::atomic<bool> running_ = true;
  std::thread thread_;
  std::vector<Packet> packets_;
};

TEST(PrivateSwarm, WithTheKeyThereIsText) {
  ProcessSwarm swarm({.with_key = true});
  swarm.start_node("0:4");
  swarm.start_node("4:8");
  const auto prompt = golden().at("prompts")[0];
  const Outcome outcome =
      swarm.shoal("generate", {"--greedy", "--max-tokens", "32", prompt.at("prompt")});
  EXPECT_EQ(outcome.status, 0) << outcome.err;
  EXPECT_EQ(prompt.at("prompt").get<std::string>() + outcome.out,
            prompt.at("text").get<std::string>());
  EXPECT_TRUE(swarm.stop());
}

TEST(PrivateSwarm, StrangersGetNoAnswerAtAll) {
  Capture capture;
  ProcessSwarm swarm({.with_key = true});
  swarm.start_node("0:4");
  swarm.start_node("4:8");
  const std::uint16_t node_port = port_number(swarm.address(0));

  // Real traffic of another kind of stranger: a whole client without the key, and one with another
  // key.
  const std::string other = swarm.folder().file("other.key");
  ASSERT_EQ(run({program("shoal"), "swarm", "new", other}, 10'000).status, 0);
  const std::vector<std::string> without = {program("shoal"), "status", "--join", swarm.address(0)};
  std::vector<std::string> with_other = without;
  with_other.insert(with_other.end(), {"--swarm-key", other});
  for (const Outcome& outcome : run_together({without, with_other}, 20'000)) {
    EXPECT_GT(outcome.status, 0);
  }

  // Garbage of every length, and every datagram that members sent so far, replayed from a
  // stranger's address.
  UdpSocket stranger;
  std::set<std::string> replays;
  if (capture.works()) {
    for (const Packet& packet : capture.stop()) replays.insert(packet.payload);
    EXPECT_GT(replays.size(), 4u) << "the capture saw no traffic of the swarm";
  }
  Capture second;
  std::uint64_t state = 1;
  for (int length = 0; length <= 1300; length += 13) {
    std::string bytes(static_cast<std::size_t>(length), '\0');
    for (char& byte : bytes) {
      state = state * 6364136223846793005u + 1442695040888963407u;
      byte = static_cast<char>(state >> 56);
    }
    stranger.send(bytes, node_port);
  }
  for (const std::string& bytes : replays) stranger.send(bytes, node_port);
  EXPECT_EQ(stranger.receive(1500), 0) << "a stranger got an answer";

  if (!second.works()) {
    GTEST_SKIP() << "the packet capture needs root; the stranger's own socket saw no answer";
  }
  int sent = 0;
  for (const Packet& packet : second.stop()) {
    if (packet.from == stranger.port()) ++sent;
    EXPECT_NE(packet.to, stranger.port())
        << "captured an answer of " << packet.payload.size() << " bytes from port " << packet.from;
  }
  EXPECT_GT(sent, 100) << "the capture did not see the stranger's own datagrams";
  EXPECT_TRUE(swarm.stop());
}

}  // namespace
}  // namespace shoal::tests
