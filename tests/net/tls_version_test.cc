// SPDX-License-Identifier: Apache-2.0
// TLS 1.3 or nothing, seen by a plain OpenSSL client.
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "tests/identity/examples.h"
#include "tests/net/echo_node.h"

namespace shoal::net {
namespace {

struct Handshake {
  bool done = false;
  std::string version;
  std::string cipher;
};

Handshake shake_hands(std::uint16_t port, int version) {
  const identity::Certificate own = identity::make_certificate(identity::identity_of(2), {});
  SSL_CTX* context = SSL_CTX_new(TLS_client_method());
  SSL_CTX_set_min_proto_version(context, version);
  SSL_CTX_set_max_proto_version(context, version);
  SSL_CTX_set_cipher_list(context, "ALL:@SECLEVEL=0");
  BIO* bio = BIO_new_mem_buf(own.certificate_pem.data(), -1);
  X509* certificate = PEM_read_bio_X509(bio, nullptr, nullptr, nullptr);
  BIO_free(bio);
  bio = BIO_new_mem_buf(own.private_key_pem.data(), -1);
  EVP_PKEY* key = PEM_read_bio_PrivateKey(bio, nullptr, nullptr, nullptr);
  BIO_free(bio);
  EXPECT_EQ(SSL_CTX_use_certificate(context, certificate), 1);
  EXPECT_EQ(SSL_CTX_use_PrivateKey(context, key), 1);

  const int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  address.sin_port = htons(port);
  EXPECT_EQ(connect(fd, reinterpret_cast<sockaddr*>(&address), sizeof(address)), 0);
  SSL* ssl = SSL_new(context);
  SSL_set_fd(ssl, fd);
  static constexpr unsigned char kAlpn[] = {2, 'h', '2'};
  SSL_set_alpn_protos(ssl, kAlpn, sizeof(kAlpn));
  Handshake result;
  result.done = SSL_connect(ssl) == 1;
  if (result.done) {
    result.version = SSL_get_version(ssl);
    result.cipher = SSL_get_cipher_name(ssl);
  }
  SSL_free(ssl);
  close(fd);
  EVP_PKEY_free(key);
  X509_free(certificate);
  SSL_CTX_free(context);
  return result;
}

TEST(TlsVersion, OnlyTls13ComesUp) {
  EchoNode node(identity::identity_of(1));
  const std::uint16_t port = node.running.endpoint.port;
  const Handshake modern = shake_hands(port, TLS1_3_VERSION);
  EXPECT_TRUE(modern.done);
  EXPECT_EQ(modern.version, "TLSv1.3");
  EXPECT_FALSE(shake_hands(port, TLS1_2_VERSION).done);
  EXPECT_FALSE(shake_hands(port, TLS1_1_VERSION).done);
  EXPECT_FALSE(shake_hands(port, TLS1_VERSION).done);
}

}  // namespace
}  // namespace shoal::net
