// SPDX-License-Identifier: Apache-2.0
// The certificate by which a peer shows its identity, and in a private swarm its membership: made,
// and checked. Pure functions, any thread. Format and reasons: docs/protocol.md, "Identity".
// Checking is total: any bytes may come.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "absl/status/statusor.h"
#include "identity/identity.h"
#include "identity/swarm_key.h"

struct x509_st;

namespace shoal::identity {

// Object identifier of the membership proof: 2.25 (random, needs no registry) and a UUID.
inline constexpr char kMembershipOid[] = "2.25.57512249429204959815459411831836758797";
// Name that TLS asks for and every certificate carries; it identifies nobody.
inline constexpr char kTlsName[] = "peer.shoal";
// Ours have about 600 bytes as PEM.
inline constexpr std::size_t kMaxCertificatePemBytes = 4096;
// A clock that runs ahead by less than this refuses nobody.
inline constexpr std::int64_t kClockToleranceS = 2 * 24 * 3600;

// Certificate and private key as PEM.
struct Certificate {
  std::string certificate_pem;
  std::string private_key_pem;
};
// The same for the same identity and key, always: never expires, so wrong clocks do no harm.
Certificate make_certificate(const Identity& identity, const std::optional<SwarmKey>& swarm_key);

// Total check of a peer's certificate: exactly Ed25519, CN == hex(SHA-256(key)), self-signature,
// dates, swarm proof. Returns who it is; UNAUTHENTICATED says what is wrong and what to do.
absl::StatusOr<proto::PeerId> verify_certificate(std::string_view pem,
                                                 const std::optional<SwarmKey>& swarm_key);
// The same of a certificate that TLS has read; null is refused.
absl::StatusOr<proto::PeerId> verify_certificate(x509_st* certificate,
                                                 const std::optional<SwarmKey>& swarm_key);
// The same at a given time, in seconds since 1970.
absl::StatusOr<proto::PeerId> verify_certificate_at(std::string_view pem,
                                                    const std::optional<SwarmKey>& swarm_key,
                                                    std::int64_t unix_s);

}  // namespace shoal::identity
