// SPDX-License-Identifier: Apache-2.0
// Certificates that make_certificate would never write, for what must be refused.
#pragma once

#include <openssl/x509.h>

#include <functional>
#include <string>

#include "identity/certificate.h"

namespace shoal::identity {

enum class KeyKind { kEd25519, kP256, kEd448 };

// A good certificate of `identity`, changed by `change` and then signed again with the key (or not,
// when !sign).
std::string changed_certificate(const Identity& identity, const std::optional<SwarmKey>& swarm_key,
                                const std::function<void(X509*)>& change, bool sign = true);
// Self-signed with a new key of that kind, with the common name asked for.
Certificate certificate_of_kind(KeyKind kind, const std::string& common_name);

void set_common_name(X509* certificate, const std::string& name);
void set_dates(X509* certificate, const char* not_before, const char* not_after);
// An extension by its number, with these bytes as its value.
void add_raw_extension(X509* certificate, const char* oid, const std::string& value, bool critical);

}  // namespace shoal::identity
