// SPDX-License-Identifier: Apache-2.0
#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <unistd.h>

#include <chrono>
#include <string>
#include <thread>

#include "tests/bench/echo.h"

namespace shoal::bench {
namespace {

bool transfer(int socket, char* data, std::size_t bytes, bool sending) {
  while (bytes > 0) {
    const ssize_t done =
        sending ? send(socket, data, bytes, MSG_NOSIGNAL) : recv(socket, data, bytes, 0);
    if (done <= 0) return false;
    data += done;
    bytes -= static_cast<std::size_t>(done);
  }
  return true;
}

void no_delay(int socket) {
  const int on = 1;
  setsockopt(socket, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
}

}  // namespace

absl::StatusOr<Latency> tcp_echo(std::size_t bytes, int round_trips) {
  const int listener = socket(AF_INET, SOCK_STREAM, 0);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t size = sizeof(address);
  if (bind(listener, reinterpret_cast<sockaddr*>(&address), size) != 0 ||
      listen(listener, 1) != 0 ||
      getsockname(listener, reinterpret_cast<sockaddr*>(&address), &size) != 0) {
    close(listener);
    return absl::UnavailableError("no loopback socket for the TCP echo");
  }
  std::thread server([listener, bytes] {
    const int peer = accept(listener, nullptr, nullptr);
    no_delay(peer);
    std::string buffer(bytes, '\0');
    while (transfer(peer, buffer.data(), bytes, false) &&
           transfer(peer, buffer.data(), bytes, true)) {
    }
    close(peer);
  });
  const int client = socket(AF_INET, SOCK_STREAM, 0);
  bool works = connect(client, reinterpret_cast<sockaddr*>(&address), sizeof(address)) == 0;
  no_delay(client);
  Latency latency;
  std::string buffer(bytes, 'x');
  for (int i = 0; works && i < round_trips; ++i) {
    const auto started = std::chrono::steady_clock::now();
    works = transfer(client, buffer.data(), bytes, true) &&
            transfer(client, buffer.data(), bytes, false);
    latency.samples_us.push_back(
        std::chrono::duration<double, std::micro>(std::chrono::steady_clock::now() - started)
            .count());
  }
  close(client);
  shutdown(listener, SHUT_RDWR);  // wakes an accept() that nobody answered
  server.join();
  close(listener);
  if (!works) return absl::UnavailableError("the TCP echo broke off");
  return latency;
}

}  // namespace shoal::bench
