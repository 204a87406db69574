// SPDX-License-Identifier: Apache-2.0
// HOST:PORT to addresses; errors name the host.
#include "net/resolve.h"

#include <gtest/gtest.h>

#include <algorithm>

namespace shoal::net {
namespace {

TEST(Resolve, NumbersNeedNoNameServer) {
  const auto v4 = resolve("192.0.2.7:7000", proto::AddressUse::kDial);
  ASSERT_TRUE(v4.ok());
  ASSERT_EQ(v4->size(), 1u);
  EXPECT_EQ(v4->front(), proto::Endpoint::v4({192, 0, 2, 7}, 7000));
  const auto v6 = resolve("[2001:db8::1]:7000", proto::AddressUse::kDial);
  ASSERT_TRUE(v6.ok());
  EXPECT_EQ(proto::to_string(v6->front()), "[2001:db8::1]:7000");
}

TEST(Resolve, LocalhostIsLoopbackAndEachAddressComesOnce) {
  auto found = resolve("localhost:7000", proto::AddressUse::kDial);
  ASSERT_TRUE(found.ok()) << found.status();
  for (const proto::Endpoint& endpoint : *found) {
    EXPECT_TRUE(endpoint.is_loopback());
    EXPECT_EQ(endpoint.port, 7000);
  }
  std::sort(found->begin(), found->end());
  EXPECT_EQ(std::adjacent_find(found->begin(), found->end()), found->end());
}

TEST(Resolve, AnUnknownHostIsNamed) {
  // An empty label: the system's resolver knows by itself that there is no such host, and asks no
  // name server.
  const auto found = resolve("no-such-host..invalid:7000", proto::AddressUse::kDial);
  ASSERT_FALSE(found.ok());
  EXPECT_NE(std::string(found.status().message()).find("no-such-host..invalid"), std::string::npos)
      << found.status();
}

TEST(Resolve, WhatIsNoAddressIsRefusedWithTheForm) {
  for (const std::string_view text :
       {"", "localhost", "localhost:", ":7000", "a b:1", "localhost:99999"}) {
    const auto found = resolve(text, proto::AddressUse::kDial);
    ASSERT_FALSE(found.ok()) << text;
    EXPECT_EQ(found.status().code(), absl::StatusCode::kInvalidArgument) << text;
    EXPECT_NE(std::string(found.status().message()).find("HOST:PORT"), std::string::npos);
  }
}

TEST(Resolve, AnAddressThatCannotServeItsUseIsRefusedHoweverItIsWritten) {
  // "0" and "0x7f.1" are read by the system's resolver, as ping and browsers do.
  for (const char* text : {"0.0.0.0:7000", "[::]:7000", "0:7000", "224.0.0.1:7000",
                           "[fe80::1]:7000", "[fe80::1%lo]:7000", "127.0.0.1:0", "localhost:0"}) {
    for (const auto use : {proto::AddressUse::kDial, proto::AddressUse::kAnnounce}) {
      const std::string_view view(text);
      if (use == proto::AddressUse::kAnnounce && view.ends_with(":0")) continue;
      const auto found = resolve(text, use);
      EXPECT_EQ(found.status().code(), absl::StatusCode::kInvalidArgument) << text;
    }
  }
  EXPECT_TRUE(resolve("0x7f.1:7000", proto::AddressUse::kDial).ok());
  EXPECT_TRUE(resolve("[::]:0", proto::AddressUse::kListen).ok());
  EXPECT_TRUE(resolve("localhost:0", proto::AddressUse::kListen).ok());
}

}  // namespace
}  // namespace shoal::net
