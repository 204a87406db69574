// SPDX-License-Identifier: Apache-2.0
// A router that maps ports by UPnP (libminiupnpc). Thread rule: one thread at a time; every call
// blocks, the search for about two seconds where nobody answers, the others up to some seconds
// with a router that hangs. The search is a multicast to the local network.
#pragma once

#include <chrono>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>

#include "absl/status/statusor.h"
#include "net/port_mapping.h"
#include "proto/endpoint.h"

namespace shoal::net {

class UpnpRouter {
 public:
  // The one that answers at the network of `source`, an IPv4 address of ours; null: none.
  static std::unique_ptr<UpnpRouter> find(const proto::Endpoint& source);
  ~UpnpRouter();
  UpnpRouter(const UpnpRouter&) = delete;
  UpnpRouter& operator=(const UpnpRouter&) = delete;

  // Both TCP and UDP, under the wanted number outside if it is free, else another.
  absl::StatusOr<PortMapping> map(std::uint16_t port, std::uint16_t wanted,
                                  std::chrono::seconds lease);
  void remove(const PortMapping& mapping);

 private:
  struct Impl;
  explicit UpnpRouter(std::unique_ptr<Impl> impl);
  const std::unique_ptr<Impl> impl_;
};

}  // namespace shoal::net
