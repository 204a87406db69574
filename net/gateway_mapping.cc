// SPDX-License-Identifier: Apache-2.0
#include "net/gateway_mapping.h"

#include <arpa/inet.h>
#include <fmt/format.h>
#include <natpmp.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cstring>
#include <utility>

#include "identity/random.h"
#include "net/socket_address.h"

namespace shoal::net {
namespace {

using Clock = std::chrono::steady_clock;
using std::chrono::milliseconds;
using Time = GatewayPorts::Time;

// A router on the same cable answers within milliseconds; its processor may be busy.
constexpr milliseconds kFirstWait{250};

class GatewaySocket {
 public:
  explicit GatewaySocket(const Route& route) {
    proto::Endpoint at = *route.gateway;
    at.port = kPcpPort;
    sockaddr_storage storage;
    const socklen_t size = to_system(at, storage);
    if (!at.is_v4()) {  // a router of IPv6 is known by an address of its link
      reinterpret_cast<sockaddr_in6&>(storage).sin6_scope_id =
          static_cast<std::uint32_t>(route.index);
    }
    fd_ = socket(at.is_v4() ? AF_INET : AF_INET6, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    sockaddr_storage source;
    const socklen_t source_size = to_system(route.source, source);
    if (fd_ < 0 || bind(fd_, reinterpret_cast<const sockaddr*>(&source), source_size) != 0 ||
        connect(fd_, reinterpret_cast<const sockaddr*>(&storage), size) != 0) {
      is_open_ = false;
    }
  }
  ~GatewaySocket() {
    if (fd_ >= 0) close(fd_);
  }
  GatewaySocket(const GatewaySocket&) = delete;
  GatewaySocket& operator=(const GatewaySocket&) = delete;

  bool is_open() const { return is_open_; }
  int descriptor() const { return fd_; }

 private:
  int fd_ = -1;
  bool is_open_ = true;
};

// Whether something can be read before `until`.
bool wait_readable(int fd, Time until, const base::StopToken& stop) {
  while (!stop.stopped()) {
    const auto left = std::chrono::ceil<milliseconds>(until - Clock::now());
    if (left <= milliseconds(0)) return false;
    pollfd entry{fd, POLLIN, 0};
    if (poll(&entry, 1, static_cast<int>(std::min(left, base::kStopPoll).count())) > 0) return true;
  }
  return false;
}

// One question by NAT-PMP. Each has a socket of its own: a slow router is asked again and then
// answers twice, and the second answer must not be taken for that to the next question.
class NatPmp {
 public:
  explicit NatPmp(const proto::Endpoint& gateway) {
    in_addr_t address = 0;
    std::memcpy(&address, gateway.address.data() + 12, sizeof(address));
    is_open_ = initnatpmp(&state_, 1, address) == 0;
  }
  ~NatPmp() {
    if (is_open_) closenatpmp(&state_);
  }
  NatPmp(const NatPmp&) = delete;
  NatPmp& operator=(const NatPmp&) = delete;

  // The library repeats its request by itself; its result, or NATPMP_TRYAGAIN at the deadline.
  int address(natpmpresp_t& reply, Time deadline, const base::StopToken& stop) {
    if (!is_open_ || sendpublicaddressrequest(&state_) < 0) return NATPMP_ERR_SENDERR;
    return read(NATPMP_RESPTYPE_PUBLICADDRESS, reply, deadline, stop);
  }
  int map(int protocol, std::uint16_t inside, std::uint16_t outside, std::uint32_t lifetime_s,
          natpmpresp_t& reply, Time deadline, const base::StopToken& stop) {
    if (!is_open_ ||
        sendnewportmappingrequest(&state_, protocol, inside, outside, lifetime_s) < 0) {
      return NATPMP_ERR_SENDERR;
    }
    const int result = read(protocol, reply, deadline, stop);
    if (result == 0 && reply.pnu.newportmapping.privateport != inside)
      return NATPMP_ERR_UNDEFINEDERROR;
    return result;
  }

 private:
  // Types of answers have the numbers of protocols.
  static_assert(NATPMP_RESPTYPE_UDPPORTMAPPING == NATPMP_PROTOCOL_UDP &&
                NATPMP_RESPTYPE_TCPPORTMAPPING == NATPMP_PROTOCOL_TCP);

  int read(int type, natpmpresp_t& reply, Time deadline, const base::StopToken& stop) {
    while (Clock::now() < deadline && !stop.stopped()) {
      timeval left{};
      if (getnatpmprequesttimeout(&state_, &left) != 0) return NATPMP_ERR_NOPENDINGREQ;
      const auto again =
          std::max(milliseconds(left.tv_sec * 1000 + left.tv_usec / 1000 + 1), milliseconds(1));
      wait_readable(state_.s, std::min(deadline, Clock::now() + again), stop);
      const int result = readnatpmpresponseorretry(&state_, &reply);
      if (result == 0 && reply.type != type) return NATPMP_ERR_UNDEFINEDERROR;
      if (result != NATPMP_TRYAGAIN) return result;
    }
    return NATPMP_TRYAGAIN;
  }

  natpmp_t state_{};
  bool is_open_ = false;
};

// What a result of a request means, for people.
std::string nat_pmp_words(int result) {
  switch (result) {
    case NATPMP_ERR_NOTAUTHORIZED:
      return "the router does not allow it";
    case NATPMP_ERR_NETWORKFAILURE:
      return "the router has no connection";
    case NATPMP_ERR_OUTOFRESOURCES:
      return "the router has no room for another mapping";
    default:
      return fmt::format("the router refuses (error {})", result);
  }
}

absl::Status silent_router(const char* protocol) {
  return absl::DeadlineExceededError(fmt::format("the router did not answer by {}", protocol));
}

}  // namespace

GatewayPorts::GatewayPorts(const PortMapperOptions& options) : options_(options) {
  identity::Random::from_system().fill(nonce_);
}

std::optional<PcpReply> GatewayPorts::ask_pcp(std::uint8_t protocol, std::uint16_t wanted_port,
                                              std::uint32_t lifetime_s, Time deadline,
                                              const base::StopToken& stop) {
  PcpMapRequest request;
  request.client = options_.route.source;
  request.client.port = options_.port;
  request.nonce = nonce_;
  request.protocol = protocol;
  if (options_.route.source.is_v4()) request.wanted = proto::Endpoint::v4({0, 0, 0, 0}, 0);
  request.wanted.port = wanted_port;
  request.lifetime_s = lifetime_s;
  const auto bytes = pcp_map_request(request);
  const GatewaySocket gateway(options_.route);
  if (!gateway.is_open()) return std::nullopt;
  milliseconds wait = kFirstWait;
  while (Clock::now() < deadline && !stop.stopped()) {
    const ssize_t sent = send(gateway.descriptor(), bytes.data(), bytes.size(), 0);
    const Time again = std::min(deadline, Clock::now() + wait);
    wait *= 2;
    while (wait_readable(gateway.descriptor(), again, stop)) {
      char buffer[1'200];
      const ssize_t size = recv(gateway.descriptor(), buffer, sizeof(buffer), 0);
      if (size < 0 && sent >= 0 && errno == ECONNREFUSED) return std::nullopt;  // nobody there
      if (size <= 0) continue;
      const auto reply = parse_pcp_reply({buffer, static_cast<std::size_t>(size)});
      if (!reply) continue;
      if (reply->version == 0) return reply;
      const bool ours = reply->nonce == nonce_ && reply->protocol == protocol &&
                        reply->internal_port == options_.port;
      if (!ours) continue;
      if (epoch_.lost(reply->epoch_s, Clock::now())) forgotten_ = true;
      return reply;
    }
  }
  return std::nullopt;
}

RouterOffers GatewayPorts::probe(Time deadline, const base::StopToken& stop) {
  offers_ = {};
  // To give back what we do not have is harmless, and answered like any other request.
  const auto pcp = ask_pcp(kPcpTcp, 0, 0, std::min(deadline, Clock::now() + 3 * kFirstWait), stop);
  offers_.pcp = pcp && pcp->version == 2 && pcp->result != 1;
  if (options_.route.source.is_v4()) {
    natpmpresp_t reply{};
    const Time end = std::min(deadline, Clock::now() + 3 * kFirstWait);
    offers_.nat_pmp = NatPmp(*options_.route.gateway).address(reply, end, stop) == 0;
  }
  return offers_;
}

absl::StatusOr<PortMapping> GatewayPorts::map_by_pcp(std::uint16_t wanted_port, Time deadline,
                                                     const base::StopToken& stop) {
  const auto lease = static_cast<std::uint32_t>(options_.lease.count());
  const auto tcp = ask_pcp(kPcpTcp, wanted_port, lease, deadline, stop);
  if (!tcp) return silent_router("PCP");
  if (tcp->result != 0) {
    return absl::UnavailableError(fmt::format("PCP: {}", pcp_result_words(tcp->result)));
  }
  PortMapping mapping{MappingProtocol::kPcp, tcp->external, 0,
                      std::chrono::seconds(tcp->lifetime_s)};
  const auto udp = ask_pcp(kPcpUdp, tcp->external.port, lease, deadline, stop);
  if (udp && udp->result == 0) mapping.udp_port = udp->external.port;
  return mapping;
}

absl::StatusOr<PortMapping> GatewayPorts::map_by_nat_pmp(std::uint16_t wanted_port, Time deadline,
                                                         const base::StopToken& stop) {
  const auto lease = static_cast<std::uint32_t>(options_.lease.count());
  const proto::Endpoint& gateway = *options_.route.gateway;
  natpmpresp_t reply{};
  const int told = NatPmp(gateway).address(reply, deadline, stop);
  if (told != 0) return silent_router("NAT-PMP");
  if (epoch_.lost(reply.epoch, Clock::now())) forgotten_ = true;
  PortMapping mapping{MappingProtocol::kNatPmp, {}, 0, {}};
  std::array<std::uint8_t, 4> address{};
  std::memcpy(address.data(), &reply.pnu.publicaddress.addr, address.size());
  const int tcp = NatPmp(gateway).map(NATPMP_PROTOCOL_TCP, options_.port, wanted_port, lease, reply,
                                      deadline, stop);
  if (tcp == NATPMP_TRYAGAIN) return silent_router("NAT-PMP");
  if (tcp != 0) return absl::UnavailableError("NAT-PMP: " + nat_pmp_words(tcp));
  mapping.external = proto::Endpoint::v4(address, reply.pnu.newportmapping.mappedpublicport);
  mapping.lease = std::chrono::seconds(reply.pnu.newportmapping.lifetime);
  const int udp = NatPmp(gateway).map(NATPMP_PROTOCOL_UDP, options_.port, mapping.external.port,
                                      lease, reply, deadline, stop);
  if (udp == 0) mapping.udp_port = reply.pnu.newportmapping.mappedpublicport;
  return mapping;
}

absl::StatusOr<PortMapping> GatewayPorts::map(const std::optional<PortMapping>& wanted,
                                              Time deadline, const base::StopToken& stop) {
  const std::uint16_t port = wanted ? wanted->external.port : options_.port;
  absl::Status why = absl::NotFoundError("the router does not speak PCP");
  forgotten_ = false;
  if (offers_.pcp) {
    auto mapping = map_by_pcp(port, deadline, stop);
    if (mapping.ok()) return mapping;
    why = mapping.status();
  }
  if (offers_.nat_pmp) {
    auto mapping = map_by_nat_pmp(port, deadline, stop);
    if (mapping.ok()) return mapping;
    why = mapping.status();
  }
  return why;
}

void GatewayPorts::remove(const PortMapping& mapping, Time deadline) {
  const base::StopToken never;
  if (mapping.protocol == MappingProtocol::kPcp) {
    for (const std::uint8_t protocol : {kPcpTcp, kPcpUdp}) {
      ask_pcp(protocol, 0, 0, std::min(deadline, Clock::now() + 2 * kFirstWait), never);
    }
    return;
  }
  for (const int protocol : {NATPMP_PROTOCOL_TCP, NATPMP_PROTOCOL_UDP}) {
    natpmpresp_t reply{};
    NatPmp(*options_.route.gateway)
        .map(protocol, options_.port, 0, 0, reply,
             std::min(deadline, Clock::now() + 2 * kFirstWait), never);
  }
}

bool GatewayPorts::has_forgotten(Time deadline, const base::StopToken& stop) {
  if (offers_.nat_pmp) {  // its question for the address changes nothing
    natpmpresp_t reply{};
    if (NatPmp(*options_.route.gateway).address(reply, deadline, stop) == 0 &&
        epoch_.lost(reply.epoch, Clock::now())) {
      forgotten_ = true;
    }
  }
  return std::exchange(forgotten_, false);
}

}  // namespace shoal::net
