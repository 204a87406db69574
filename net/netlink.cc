// SPDX-License-Identifier: Apache-2.0
#include "net/netlink.h"

#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstring>
#include <string>

namespace shoal::net {
namespace {

// The kernel answers dumps in pieces of at most this size.
constexpr std::size_t kBufferBytes = 32 << 10;
// It answers before the call returns; should it not, nobody waits for it for ever.
constexpr timeval kTimeout{.tv_sec = 1, .tv_usec = 0};
// More pieces than any machine's interfaces fill.
constexpr int kMaxPieces = 4'096;

}  // namespace

Netlink::Netlink(unsigned groups) {
  const int type = SOCK_RAW | SOCK_CLOEXEC | (groups == 0 ? 0 : SOCK_NONBLOCK);
  fd_ = ::socket(AF_NETLINK, type, NETLINK_ROUTE);
  if (fd_ < 0) return;
  ::setsockopt(fd_, SOL_SOCKET, SO_RCVTIMEO, &kTimeout, sizeof(kTimeout));
  sockaddr_nl address{};
  address.nl_family = AF_NETLINK;
  address.nl_groups = groups;
  if (::bind(fd_, reinterpret_cast<const sockaddr*>(&address), sizeof(address)) != 0) {
    ::close(fd_);
    fd_ = -1;
  }
}

Netlink::~Netlink() {
  if (fd_ >= 0) ::close(fd_);
}

bool Netlink::ask(int type, int flags, std::string_view body, const Each& each) {
  if (fd_ < 0) return false;
  nlmsghdr head{};
  head.nlmsg_len = static_cast<std::uint32_t>(NLMSG_LENGTH(body.size()));
  head.nlmsg_type = static_cast<std::uint16_t>(type);
  head.nlmsg_flags = static_cast<std::uint16_t>(NLM_F_REQUEST | flags);
  head.nlmsg_seq = ++sequence_;
  std::string request(reinterpret_cast<const char*>(&head), sizeof(head));
  request.append(body);
  if (::send(fd_, request.data(), request.size(), 0) < 0) return false;
  const bool dump = (flags & NLM_F_DUMP) == NLM_F_DUMP;
  alignas(nlmsghdr) std::array<char, kBufferBytes> buffer;
  for (int piece = 0; piece < kMaxPieces; ++piece) {
    const ssize_t got = ::recv(fd_, buffer.data(), buffer.size(), 0);
    if (got < 0 && errno == EINTR) continue;
    if (got <= 0) return false;
    auto left = static_cast<std::size_t>(got);
    const auto* message = reinterpret_cast<const nlmsghdr*>(buffer.data());
    for (; NLMSG_OK(message, left); message = NLMSG_NEXT(message, left)) {
      if (message->nlmsg_seq != sequence_) continue;
      if (message->nlmsg_type == NLMSG_DONE) return true;
      if (message->nlmsg_type == NLMSG_ERROR) return false;
      each(*message);
      if (!dump) return true;
    }
  }
  return false;
}

bool Netlink::drain() {
  std::array<char, kBufferBytes> buffer;
  bool any = false;
  // ENOBUFS: more came than there was room for. That is news, too.
  while (true) {
    const ssize_t got = ::recv(fd_, buffer.data(), buffer.size(), MSG_DONTWAIT);
    if (got > 0 || (got < 0 && errno == ENOBUFS)) {
      any = true;
    } else if (got == 0 || errno != EINTR) {
      return any;
    }
  }
}

void each_attribute(const rtattr* first, std::size_t bytes,
                    const std::function<void(const rtattr&)>& each) {
  auto left = bytes;
  for (const rtattr* attribute = first; RTA_OK(attribute, left);
       attribute = RTA_NEXT(attribute, left)) {
    each(*attribute);
  }
}

}  // namespace shoal::net
