// SPDX-License-Identifier: Apache-2.0
// An internet of a test's own: a backbone that sites hang on, each with one public IPv4 address, in
// a network of its own so that rules of address diversity see strangers. A site is a host in the
// open, or a router of a kind with hosts behind it. What hosts exchange is counted: so what went
// directly is known without asking the programs. Nothing leaves this machine, and nothing stays
// when the process ends. One thread.
#pragma once

#include <cstdint>
#include <deque>
#include <map>
#include <memory>
#include <string>
#include <utility>

#include "tests/nat/link_emulator.h"
#include "tests/nat/nat_kind.h"
#include "tests/nat/network.h"
#include "tests/support/temp_dir.h"

namespace shoal::tests {

// A machine of somebody: its own address, and the public one that others see it under.
struct Host {
  Network network;
  std::string address;
  std::string public_address;
};

// Bytes of TCP (IP packets) that `at` exchanged with the addresses of `with`, both ways, since it
// forgot.
std::uint64_t tcp_bytes(const Host& at, const Host& with);
void forget_bytes(const Host& at);

class Internet {
 public:
  // `access` is each site's own line: between two sites lie two of them.
  explicit Internet(LinkOptions access = {});
  ~Internet();

  // A new site with one host in it.
  Host& host(NatKind kind);
  // Another host behind the router of `neighbour`, which must have one. Isolated, the two cannot
  // talk in their local network, as in a guest WLAN.
  Host& beside(const Host& neighbour, bool isolated);
  // The site's provider gives it another public address; the old one is nobody's. The host's own
  // addresses stay when it has a router.
  void renumber(Host& host);
  // Its line is cut, or there again.
  void cut(const Host& host, bool is_cut);

 private:
  struct Router {
    Network network;
    NatKind kind;
    std::string lan_prefix;  // "192.168.7."
    int hosts = 0;
  };
  struct Site {
    int number;
    int generation = 0;  // of its address
    std::string public_address;
    std::unique_ptr<Network> carrier;  // the outer router of a double NAT
    std::unique_ptr<Router> router;
    std::unique_ptr<Process> mapping_service;
    std::deque<Host> hosts;
    const Network& edge() const;  // where the public address is
  };

  Site& site_of(const Host& host);
  const Site& site_of(const Host& host) const;
  void give_address(Site& site);
  void serve_mappings(Site& site);
  Host& add_host(Site& site, bool isolated);

  const LinkOptions access_;
  Network backbone_;
  std::deque<Site> sites_;
  TempDir folder_;
  LinkEmulator emulator_;  // last: its devices go before the networks that they lie in
};

}  // namespace shoal::tests
