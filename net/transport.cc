// SPDX-License-Identifier: Apache-2.0
#include <grpc/support/log.h>
#include <openssl/crypto.h>
#include <spdlog/spdlog.h>

#include <cstdlib>
#include <mutex>

#include "net/identity_tls.h"

namespace shoal::net {
namespace {

// gRPC logs every failed handshake as an error. To us that is a peer's business: it belongs into
// the status of the call.
void log_of_grpc(gpr_log_func_args* args) {
  spdlog::debug("gRPC {} {}:{}: {}", gpr_log_severity_string(args->severity), args->file,
                args->line, args->message);
}

}  // namespace

void init_transport() {
  static std::once_flag once;
  std::call_once(once, [] {
    // gRPC 1.51 has no setter for the lowest TLS version. This is the only list of TLS 1.2 ciphers
    // it may use, and it needs an RSA key, which no peer has: what is left is TLS 1.3, whose
    // ciphers have a list of their own.
    setenv("GRPC_SSL_CIPHER_SUITES", "ECDHE-RSA-AES256-GCM-SHA384", 1);
    gpr_set_log_function(&log_of_grpc);
    // A thread of gRPC may still take a connection down while the process ends. OpenSSL must not
    // free what that needs under its hands; the system does it a moment later.
    OPENSSL_init_crypto(OPENSSL_INIT_NO_ATEXIT, nullptr);
  });
}

}  // namespace shoal::net
