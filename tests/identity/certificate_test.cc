// SPDX-License-Identifier: Apache-2.0
// What a certificate must be. Whatever else arrives is refused with a reason, never with a crash.
#include "identity/certificate.h"

#include <gtest/gtest.h>
#include <openssl/err.h>

#include <random>

#include "tests/identity/examples.h"
#include "tests/identity/other_certificates.h"

namespace shoal::identity {
namespace {

const Identity kPeer = identity_of(1);
constexpr std::int64_t kDay = 24 * 3600;
constexpr std::int64_t k2030 = 1'893'456'000;  // 2030-01-01T00:00:00Z

void expect_refused(const std::string& pem, const std::string& why,
                    const std::optional<SwarmKey>& swarm_key = {}, std::int64_t now = k2030) {
  const auto peer = verify_certificate_at(pem, swarm_key, now);
  ASSERT_FALSE(peer.ok()) << why;
  EXPECT_EQ(peer.status().code(), absl::StatusCode::kUnauthenticated);
  EXPECT_NE(std::string(peer.status().message()).find(why), std::string::npos) << peer.status();
}

std::string changed(const std::function<void(X509*)>& change, bool sign = true) {
  return changed_certificate(kPeer, {}, change, sign);
}

TEST(Certificate, SaysWhoThePeerIs) {
  const auto peer = verify_certificate(make_certificate(kPeer, {}).certificate_pem, {});
  ASSERT_TRUE(peer.ok()) << peer.status();
  EXPECT_EQ(*peer, kPeer.peer_id());
}

TEST(Certificate, IsTheSameEachTimeAndSmall) {
  const Certificate first = make_certificate(kPeer, swarm_key_of(1));
  EXPECT_EQ(first.certificate_pem, make_certificate(kPeer, swarm_key_of(1)).certificate_pem);
  EXPECT_LT(first.certificate_pem.size(), kMaxCertificatePemBytes / 4);
  EXPECT_NE(first.certificate_pem, make_certificate(kPeer, {}).certificate_pem);
}

TEST(Certificate, HoldsAtEveryTimeThatAClockMayShow) {
  const std::string pem = make_certificate(kPeer, swarm_key_of(1)).certificate_pem;
  for (const std::int64_t now : {std::int64_t{0}, k2030, k2030 * 2, k2030 * 100}) {
    EXPECT_TRUE(verify_certificate_at(pem, swarm_key_of(1), now).ok()) << now;
  }
}

TEST(Certificate, OfAnotherKindOfKeyIsRefused) {
  const std::string name = proto::to_string(kPeer.peer_id());
  expect_refused(certificate_of_kind(KeyKind::kP256, name).certificate_pem, "not Ed25519");
  expect_refused(certificate_of_kind(KeyKind::kEd448, name).certificate_pem, "not Ed25519");
}

TEST(Certificate, WithAnyOtherNameIsRefused) {
  const std::string name = proto::to_string(kPeer.peer_id());
  std::string upper = name;
  for (char& c : upper) c = static_cast<char>(std::toupper(c));
  for (const std::string& other : {proto::to_string(identity_of(2).peer_id()), name.substr(1),
                                   upper, std::string("peer.shoal")}) {
    expect_refused(changed([&](X509* x) { set_common_name(x, other); }), "hash of its key");
  }
}

TEST(Certificate, WithASecondNameIsRefused) {
  expect_refused(changed([&](X509* x) {
                   X509_NAME_add_entry_by_NID(
                       X509_get_subject_name(x), NID_commonName, MBSTRING_ASC,
                       reinterpret_cast<const unsigned char*>("another"), -1, 0, 0);
                 }),
                 "hash of its key");
}

TEST(Certificate, NotSignedByItsOwnKeyIsRefused) {
  expect_refused(changed([](X509* x) { ASN1_INTEGER_set(X509_get_serialNumber(x), 2); }, false),
                 "not signed by its own key");
}

TEST(Certificate, OfAnOlderVersionIsRefused) {
  expect_refused(changed([](X509* x) { X509_set_version(x, 0); }), "version 3");
}

TEST(Certificate, ExpiredIsRefusedWithTwoDaysOfToleranceForOurClock) {
  const std::string pem =
      changed([](X509* x) { set_dates(x, "20200101000000Z", "20300101000000Z"); });
  EXPECT_TRUE(verify_certificate_at(pem, {}, k2030 - 1).ok());
  EXPECT_TRUE(verify_certificate_at(pem, {}, k2030 + 2 * kDay - 1).ok());
  expect_refused(pem, "expired", {}, k2030 + 2 * kDay + 1);
  expect_refused(pem, "clock", {}, k2030 + 2 * kDay + 1);
}

TEST(Certificate, NotYetValidIsAcceptedBecauseClocksRunBehind) {
  const std::string pem =
      changed([](X509* x) { set_dates(x, "20290101000000Z", "20310101000000Z"); });
  EXPECT_TRUE(verify_certificate_at(pem, {}, 0).ok());
}

TEST(Certificate, ThatEndsBeforeItBeginsIsRefused) {
  expect_refused(changed([](X509* x) { set_dates(x, "20400101000000Z", "20390101000000Z"); }),
                 "dates");
}

TEST(Certificate, MayCarryUnknownExtensionsUnlessTheyAreCritical) {
  EXPECT_TRUE(verify_certificate(
                  changed([](X509* x) { add_raw_extension(x, "1.2.3.4", "future", false); }), {})
                  .ok());
  expect_refused(changed([](X509* x) { add_raw_extension(x, "1.2.3.4", "future", true); }),
                 "does not know");
}

TEST(Membership, IsProvenByTheSameKeyOnly) {
  const std::string member = make_certificate(kPeer, swarm_key_of(1)).certificate_pem;
  EXPECT_TRUE(verify_certificate(member, swarm_key_of(1)).ok());
  expect_refused(member, "another swarm key", swarm_key_of(2));
  expect_refused(member, "belongs to a private swarm");
  expect_refused(make_certificate(kPeer, {}).certificate_pem, "no membership", swarm_key_of(1));
}

TEST(Membership, CannotBeProlongedOrPassedOn) {
  const auto longer = [](X509* x) { set_dates(x, "20200101000000Z", "20500101000000Z"); };
  expect_refused(changed_certificate(kPeer, swarm_key_of(1), longer), "another swarm key",
                 swarm_key_of(1));
}

TEST(Membership, ProofsOfWrongShapeAreRefused) {
  const std::string zeros(32, '\0');
  for (const std::string& value :
       {std::string(), std::string("\x04\x20", 2), zeros, "\x04\x1f" + zeros.substr(1),
        "\x04\x20" + zeros, "\x04\x20" + zeros + "x", std::string(3000, 'x')}) {
    const auto add = [&](X509* x) { add_raw_extension(x, kMembershipOid, value, false); };
    EXPECT_FALSE(verify_certificate(changed(add), swarm_key_of(1)).ok());
  }
  const auto second = [&](X509* x) {
    add_raw_extension(x, kMembershipOid, "\x04\x20" + zeros, false);
  };
  expect_refused(changed_certificate(kPeer, swarm_key_of(1), second), "two proofs",
                 swarm_key_of(1));
}

TEST(Certificate, NothingElseIsACertificate) {
  const Certificate good = make_certificate(kPeer, {});
  const std::string& pem = good.certificate_pem;
  expect_refused("", "not one X.509 certificate");
  expect_refused("-----BEGIN CERTIFICATE-----\n-----END CERTIFICATE-----\n", "not one");
  expect_refused(good.private_key_pem, "not one");
  expect_refused(pem + pem, "not one");
  expect_refused(pem + "x", "not one");
  expect_refused(pem.substr(0, pem.size() / 2), "not one");
  expect_refused(std::string(kMaxCertificatePemBytes + 1, 'x'), "too large");
  expect_refused(std::string(100, '\0'), "not one");
}

// Base64 text of a PEM block, changed byte by byte: an honest way to reach every parser behind it.
TEST(Certificate, NoSingleChangeIsAccepted) {
  const std::string pem = make_certificate(kPeer, swarm_key_of(1)).certificate_pem;
  std::mt19937 random(11);
  const std::string digits = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/=-\n";
  const std::size_t begin = pem.find('\n') + 1;
  const std::size_t end = pem.find("\n-----END");
  for (std::size_t at = begin; at < end; ++at) {
    for (int round = 0; round < 4; ++round) {
      std::string mutated = pem;
      mutated[at] = digits[random() % digits.size()];
      if (mutated[at] == pem[at] || (mutated[at] == '\n') || pem[at] == '\n') continue;
      const auto peer = verify_certificate_at(mutated, swarm_key_of(1), k2030);
      ASSERT_FALSE(peer.ok()) << "byte " << at << " changed to " << mutated[at];
    }
  }
}

TEST(Certificate, ManyChangesNeverMakeItSomebodyElse) {
  const std::string pem = make_certificate(kPeer, swarm_key_of(1)).certificate_pem;
  std::mt19937 random(12);
  for (int round = 0; round < 20'000; ++round) {
    std::string mutated = pem;
    for (unsigned changes = 1 + random() % 8; changes > 0; --changes) {
      const std::size_t at = random() % mutated.size();
      switch (random() % 4) {
        case 0:
          mutated[at] = static_cast<char>(random());
          break;
        case 1:
          mutated.erase(at, random() % 40);
          break;
        case 2:
          mutated.insert(at, mutated.substr(random() % mutated.size(), random() % 80));
          break;
        default:
          mutated[at] = mutated[random() % mutated.size()];
      }
      if (mutated.empty()) break;
    }
    const auto peer = verify_certificate_at(mutated, swarm_key_of(1), k2030);
    if (peer.ok()) {
      ASSERT_EQ(*peer, kPeer.peer_id());
    }
  }
}

TEST(Certificate, CheckingLeavesNothingInTheErrorQueueOfOpenssl) {
  ERR_clear_error();
  EXPECT_FALSE(
      verify_certificate("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n", {})
          .ok());
  EXPECT_FALSE(verify_certificate("", {}).ok());
  EXPECT_EQ(ERR_peek_error(), 0u);
}

}  // namespace
}  // namespace shoal::identity
