// SPDX-License-Identifier: Apache-2.0
#include "net/interfaces.h"

#include <linux/if_addr.h>
#include <linux/if_link.h>
#include <net/if.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <map>

#include "net/netlink.h"

namespace shoal::net {
namespace {

struct Link {
  std::string name, kind;
  unsigned flags = 0;
};

std::string text_of(const rtattr& attribute) {
  const std::size_t size = RTA_PAYLOAD(&attribute);
  const auto* text = static_cast<const char*>(RTA_DATA(&attribute));
  return std::string(text, strnlen(text, size));
}

std::optional<proto::Endpoint> address_of(const rtattr& attribute, int family) {
  const auto* bytes = static_cast<const std::uint8_t*>(RTA_DATA(&attribute));
  const std::size_t size = RTA_PAYLOAD(&attribute);
  if (family == AF_INET && size == 4)
    return proto::Endpoint::v4({bytes[0], bytes[1], bytes[2], bytes[3]}, 0);
  if (family != AF_INET6 || size != 16) return std::nullopt;
  proto::Endpoint result;
  std::copy_n(bytes, 16, result.address.begin());
  return result;
}

template <typename Body>
std::string_view bytes_of(const Body& body) {
  return {reinterpret_cast<const char*>(&body), sizeof(body)};
}

// The message's fixed part, and its attributes one by one; nullptr when it is too short.
template <typename Body>
const Body* open_message(const nlmsghdr& message,
                         const std::function<void(const rtattr&)>& attribute) {
  if (message.nlmsg_len < NLMSG_LENGTH(sizeof(Body))) return nullptr;
  const auto* body = static_cast<const Body*>(NLMSG_DATA(&message));
  const auto* first = reinterpret_cast<const rtattr*>(reinterpret_cast<const char*>(body) +
                                                      NLMSG_ALIGN(sizeof(Body)));
  each_attribute(first, message.nlmsg_len - NLMSG_LENGTH(sizeof(Body)), attribute);
  return body;
}

std::map<int, Link> links(Netlink& netlink) {
  std::map<int, Link> result;
  ifinfomsg all{};
  netlink.ask(RTM_GETLINK, NLM_F_DUMP, bytes_of(all), [&](const nlmsghdr& message) {
    Link link;
    const auto* info = open_message<ifinfomsg>(message, [&](const rtattr& attribute) {
      if (attribute.rta_type == IFLA_IFNAME) link.name = text_of(attribute);
      if ((attribute.rta_type & NLA_TYPE_MASK) != IFLA_LINKINFO) return;
      each_attribute(static_cast<const rtattr*>(RTA_DATA(&attribute)), RTA_PAYLOAD(&attribute),
                     [&](const rtattr& inner) {
                       if (inner.rta_type == IFLA_INFO_KIND) link.kind = text_of(inner);
                     });
    });
    if (info == nullptr || message.nlmsg_type != RTM_NEWLINK) return;
    link.flags = info->ifi_flags;
    result[info->ifi_index] = std::move(link);
  });
  return result;
}

bool begins(const std::string& text, std::string_view with) { return text.rfind(with, 0) == 0; }

}  // namespace

bool is_virtual_interface(const std::string& kind, const std::string& name, bool point_to_point) {
  // Kinds that stand for a wire to others: hardware has none; a VLAN or bond is a part of it, and
  // the end of a virtual cable that has an address is a container's only one.
  constexpr std::array kReal = {"",       "vlan", "bond",  "team", "macvlan",
                                "ipvlan", "veth", "dummy", "wwan"};
  if (std::find(kReal.begin(), kReal.end(), kind) == kReal.end()) return true;
  if (point_to_point) return true;
  // Drivers that state no kind, and what containers and hypervisors call theirs.
  constexpr std::array<std::string_view, 22> kNames = {
      "docker",  "br-",    "virbr", "veth",    "tun",   "tap",  "wg", "cni",
      "flannel", "cali",   "lxc",   "lxd",     "vmnet", "vbox", "zt", "tailscale",
      "utun",    "podman", "kube",  "nerdctl", "vnet",  "ppp"};
  return std::any_of(kNames.begin(), kNames.end(),
                     [&](std::string_view prefix) { return begins(name, prefix); });
}

std::vector<InterfaceAddress> interface_addresses() {
  std::vector<InterfaceAddress> result;
  Netlink netlink;
  const std::map<int, Link> known = links(netlink);
  ifaddrmsg all{};
  netlink.ask(RTM_GETADDR, NLM_F_DUMP, bytes_of(all), [&](const nlmsghdr& message) {
    const rtattr* address = nullptr;
    const rtattr* local = nullptr;
    std::uint32_t more_flags = 0;
    const auto* info = open_message<ifaddrmsg>(message, [&](const rtattr& attribute) {
      if (attribute.rta_type == IFA_ADDRESS) address = &attribute;
      if (attribute.rta_type == IFA_LOCAL) local = &attribute;
      if (attribute.rta_type == IFA_FLAGS && RTA_PAYLOAD(&attribute) == sizeof(more_flags))
        std::memcpy(&more_flags, RTA_DATA(&attribute), sizeof(more_flags));
    });
    if (info == nullptr || message.nlmsg_type != RTM_NEWADDR) return;
    // IFA_ADDRESS of a point-to-point link is the other end.
    if (local != nullptr) address = local;
    const auto link = known.find(static_cast<int>(info->ifa_index));
    if (address == nullptr || link == known.end() || (link->second.flags & IFF_UP) == 0) return;
    const std::uint32_t flags = info->ifa_flags | more_flags;
    if ((flags & (IFA_F_TENTATIVE | IFA_F_DADFAILED)) != 0 && (flags & IFA_F_OPTIMISTIC) == 0)
      return;
    const auto endpoint = address_of(*address, info->ifa_family);
    if (!endpoint) return;
    InterfaceAddress entry;
    entry.address = *endpoint;
    entry.index = link->first;
    entry.interface = link->second.name;
    entry.loopback = (link->second.flags & IFF_LOOPBACK) != 0;
    entry.running = (link->second.flags & IFF_RUNNING) != 0;
    entry.is_virtual = is_virtual_interface(link->second.kind, link->second.name,
                                            (link->second.flags & IFF_POINTOPOINT) != 0);
    // Of IPv4 the same bit says "secondary".
    entry.temporary = info->ifa_family == AF_INET6 && (flags & IFA_F_TEMPORARY) != 0;
    entry.deprecated = (flags & IFA_F_DEPRECATED) != 0;
    result.push_back(std::move(entry));
  });
  return result;
}

std::optional<Route> route_to(const proto::Endpoint& destination) {
  const bool v4 = destination.is_v4();
  const int family = v4 ? AF_INET : AF_INET6;
  const std::size_t size = v4 ? 4 : 16;
  rtmsg route{};
  route.rtm_family = static_cast<unsigned char>(family);
  route.rtm_dst_len = static_cast<unsigned char>(8 * size);
  rtattr to{};
  to.rta_type = RTA_DST;
  to.rta_len = static_cast<unsigned short>(RTA_LENGTH(size));
  std::string body(bytes_of(route));
  body.append(bytes_of(to));
  body.append(reinterpret_cast<const char*>(destination.address.data() + (v4 ? 12 : 0)), size);
  std::optional<Route> result;
  Netlink netlink;
  netlink.ask(RTM_GETROUTE, 0, body, [&](const nlmsghdr& message) {
    Route found;
    bool has_source = false;
    const auto* info = open_message<rtmsg>(message, [&](const rtattr& attribute) {
      if (attribute.rta_type == RTA_OIF && RTA_PAYLOAD(&attribute) == sizeof(found.index))
        std::memcpy(&found.index, RTA_DATA(&attribute), sizeof(found.index));
      if (attribute.rta_type == RTA_GATEWAY) found.gateway = address_of(attribute, family);
      if (attribute.rta_type != RTA_PREFSRC) return;
      if (const auto source = address_of(attribute, family)) {
        found.source = *source;
        has_source = true;
      }
    });
    const bool leads = info != nullptr && message.nlmsg_type == RTM_NEWROUTE &&
                       (info->rtm_type == RTN_UNICAST || info->rtm_type == RTN_LOCAL);
    if (leads && has_source) result = found;
  });
  return result;
}

std::optional<Route> default_route(bool v4) {
  // Any address that is nobody's neighbour: the kernel is only asked where it would send.
  return route_to(v4 ? proto::Endpoint::v4({1, 1, 1, 1}, 1)
                     : *proto::parse_endpoint("[2606:4700:4700::1111]:1"));
}

}  // namespace shoal::net
