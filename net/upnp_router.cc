// SPDX-License-Identifier: Apache-2.0
#include "net/upnp_router.h"

#include <arpa/inet.h>
#include <fmt/format.h>
#include <miniupnpc/miniupnpc.h>
#include <miniupnpc/upnpcommands.h>
#include <miniupnpc/upnperrors.h>

#include <array>
#include <cstring>
#include <utility>

namespace shoal::net {
namespace {

// What a router takes to answer a search; the library waits so long for more answers, too.
constexpr int kSearchMs = 800;
constexpr const char* kDescription = "shoal-node";
constexpr int kConflict = 718, kOnlyPermanent = 725;
constexpr int kPortsTried = 4;

std::string text_of_v4(const proto::Endpoint& address) {
  return fmt::format("{}.{}.{}.{}", address.address[12], address.address[13], address.address[14],
                     address.address[15]);
}

}  // namespace

struct UpnpRouter::Impl {
  UPNPUrls urls{};
  IGDdatas data{};
  std::array<char, 64> own{};  // our address, as the router will send to

  ~Impl() { FreeUPNPUrls(&urls); }

  // 0, or an error of UPnP. A router that knows no leases maps for ever.
  int add(std::uint16_t inside, std::uint16_t outside, const char* protocol,
          std::chrono::seconds& lease) {
    const std::string in = std::to_string(inside), out = std::to_string(outside);
    const auto ask = [&](const std::string& seconds) {
      return UPNP_AddPortMapping(urls.controlURL, data.first.servicetype, out.c_str(), in.c_str(),
                                 own.data(), kDescription, protocol, nullptr, seconds.c_str());
    };
    const int result = ask(std::to_string(lease.count()));
    if (result != kOnlyPermanent) return result;
    lease = std::chrono::seconds(0);
    return ask("0");
  }

  void remove(std::uint16_t outside, const char* protocol) {
    UPNP_DeletePortMapping(urls.controlURL, data.first.servicetype, std::to_string(outside).c_str(),
                           protocol, nullptr);
  }
};

std::unique_ptr<UpnpRouter> UpnpRouter::find(const proto::Endpoint& source) {
  // Routers of version 2 answer to the first name, too; some to the second only.
  const char* const kinds[] = {"urn:schemas-upnp-org:device:InternetGatewayDevice:1",
                               "urn:schemas-upnp-org:device:InternetGatewayDevice:2", nullptr};
  int error = 0;
  UPNPDev* const found = upnpDiscoverDevices(kinds, kSearchMs, text_of_v4(source).c_str(), nullptr,
                                             UPNP_LOCAL_PORT_ANY, 0, 2, &error, 0);
  if (found == nullptr) return nullptr;
  auto impl = std::make_unique<Impl>();
  const int valid = UPNP_GetValidIGD(found, &impl->urls, &impl->data, impl->own.data(),
                                     static_cast<int>(impl->own.size()));
  freeUPNPDevlist(found);
  // 2: it says that it has no connection, as one behind another router does.
  if (valid != 1 && valid != 2) return nullptr;
  return std::unique_ptr<UpnpRouter>(new UpnpRouter(std::move(impl)));
}

UpnpRouter::UpnpRouter(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
UpnpRouter::~UpnpRouter() = default;

absl::StatusOr<PortMapping> UpnpRouter::map(std::uint16_t port, std::uint16_t wanted,
                                            std::chrono::seconds lease) {
  PortMapping mapping{MappingProtocol::kUpnp, {}, 0, lease};
  int error = kConflict;
  std::uint16_t outside = wanted;
  for (int tried = 0; tried < kPortsTried && error == kConflict; ++tried) {
    // The next ones are as good as any; below 1024 many routers give none.
    if (tried > 0) outside = static_cast<std::uint16_t>(outside < 65'000 ? outside + 101 : 20'011);
    error = impl_->add(port, outside, "TCP", mapping.lease);
  }
  if (error != 0) {
    const char* words = strupnperror(error);
    return absl::UnavailableError(
        fmt::format("UPnP: the router refuses ({})", words != nullptr ? words : "no reason"));
  }
  if (impl_->add(port, outside, "UDP", mapping.lease) == 0) mapping.udp_port = outside;
  std::array<char, 64> external{};
  mapping.external = proto::Endpoint::v4({0, 0, 0, 0}, outside);
  if (UPNP_GetExternalIPAddress(impl_->urls.controlURL, impl_->data.first.servicetype,
                                external.data()) == 0) {
    std::array<std::uint8_t, 4> bytes{};
    if (inet_pton(AF_INET, external.data(), bytes.data()) == 1)
      mapping.external = proto::Endpoint::v4(bytes, outside);
  }
  return mapping;
}

void UpnpRouter::remove(const PortMapping& mapping) {
  impl_->remove(mapping.external.port, "TCP");
  if (mapping.udp_port != 0) impl_->remove(mapping.udp_port, "UDP");
}

}  // namespace shoal::net
