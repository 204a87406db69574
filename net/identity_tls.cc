// SPDX-License-Identifier: Apache-2.0
#include "net/identity_tls.h"

#include <grpcpp/security/tls_certificate_provider.h>
#include <grpcpp/security/tls_certificate_verifier.h>
#include <grpcpp/security/tls_credentials_options.h>
#include <spdlog/spdlog.h>

#include <functional>
#include <vector>

#include "absl/strings/str_cat.h"

namespace shoal::net {
namespace {

namespace tls = grpc::experimental;

// Runs after the TLS handshake, which has proven that the peer holds the key of its certificate.
class Verifier : public tls::ExternalCertificateVerifier {
 public:
  Verifier(std::optional<identity::SwarmKey> swarm_key, std::optional<proto::PeerId> expected)
      : swarm_key_(swarm_key), expected_(expected) {}
  ~Verifier() override = default;

  bool Verify(tls::TlsCustomVerificationCheckRequest* request,
              std::function<void(grpc::Status)> /*callback*/, grpc::Status* sync_status) override {
    const absl::Status status = check(request->peer_cert());
    *sync_status =
        grpc::Status(static_cast<grpc::StatusCode>(status.code()), std::string(status.message()));
    if (!status.ok() && !expected_)
      spdlog::debug("connection refused: {}", std::string(status.message()));
    return true;
  }
  void Cancel(tls::TlsCustomVerificationCheckRequest* request) override {}

 private:
  absl::Status check(const grpc::string_ref& pem) const {
    const auto peer =
        identity::verify_certificate(std::string_view(pem.data(), pem.size()), swarm_key_);
    if (!peer.ok()) return peer.status();
    if (expected_ && *peer != *expected_) {
      return absl::UnauthenticatedError(absl::StrCat(
          "peer ", proto::short_name(*peer), " answers there, not ", proto::short_name(*expected_),
          ": the node was restarted with another identity, or its address is out of date"));
    }
    return absl::OkStatus();
  }

  const std::optional<identity::SwarmKey> swarm_key_;
  const std::optional<proto::PeerId> expected_;  // nullopt: any peer that is who it says
};

// gRPC wants roots even where none are consulted, and fails without the system's: our own
// certificate serves.
std::shared_ptr<tls::CertificateProviderInterface> provider_of(
    const identity::Certificate& certificate, bool with_root) {
  const std::vector<tls::IdentityKeyCertPair> pairs = {
      {certificate.private_key_pem, certificate.certificate_pem}};
  if (!with_root) return std::make_shared<tls::StaticDataCertificateProvider>(pairs);
  return std::make_shared<tls::StaticDataCertificateProvider>(certificate.certificate_pem, pairs);
}

}  // namespace

std::shared_ptr<grpc::ServerCredentials> server_credentials(
    const identity::Identity& identity, const std::optional<identity::SwarmKey>& swarm_key) {
  init_transport();
  tls::TlsServerCredentialsOptions options(
      provider_of(identity::make_certificate(identity, swarm_key), false));
  options.watch_identity_key_cert_pairs();
  options.set_cert_request_type(
      GRPC_SSL_REQUEST_AND_REQUIRE_CLIENT_CERTIFICATE_BUT_DONT_VERIFY);  // the verifier does
  options.set_check_call_host(false);
  options.set_certificate_verifier(
      tls::ExternalCertificateVerifier::Create<Verifier>(swarm_key, std::nullopt));
  return tls::TlsServerCredentials(options);
}

std::shared_ptr<grpc::ChannelCredentials> channel_credentials(
    const identity::Certificate& certificate, const std::optional<identity::SwarmKey>& swarm_key,
    const proto::PeerId& expected) {
  init_transport();
  tls::TlsChannelCredentialsOptions options;
  options.set_certificate_provider(provider_of(certificate, true));
  options.watch_root_certs();
  options.watch_identity_key_cert_pairs();
  options.set_verify_server_certs(
      false);  // no authority signs peers; the verifier checks all there is
  options.set_check_call_host(false);
  options.set_certificate_verifier(
      tls::ExternalCertificateVerifier::Create<Verifier>(swarm_key, expected));
  return tls::TlsCredentials(options);
}

std::shared_ptr<grpc::ChannelCredentials> channel_credentials(
    const identity::Identity& identity, const std::optional<identity::SwarmKey>& swarm_key,
    const proto::PeerId& expected) {
  return channel_credentials(identity::make_certificate(identity, swarm_key), swarm_key, expected);
}

}  // namespace shoal::net
