// SPDX-License-Identifier: Apache-2.0
#include "tests/attack/raw_client.h"

#include <netinet/in.h>
#include <openssl/pem.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <cstring>
#include <optional>

#include "identity/certificate.h"

namespace shoal::attack {
namespace {

constexpr std::size_t kKept = 16 << 10;

sockaddr_in system_address(const proto::Endpoint& endpoint) {
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(endpoint.port);
  std::memcpy(&address.sin_addr, endpoint.address.data() + 12, 4);
  return address;
}

}  // namespace

RawClient::RawClient(const proto::Endpoint& from, const proto::Endpoint& to) {
  const int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  if (fd < 0) return;
  proto::Endpoint any_port = from;
  any_port.port = 0;
  const sockaddr_in local = system_address(any_port);
  const sockaddr_in remote = system_address(to);
  const timeval timeout{2, 0};
  setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &timeout, sizeof(timeout));
  setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &timeout, sizeof(timeout));
  if (bind(fd, reinterpret_cast<const sockaddr*>(&local), sizeof(local)) != 0 ||
      connect(fd, reinterpret_cast<const sockaddr*>(&remote), sizeof(remote)) != 0) {
    close(fd);
    return;
  }
  fd_ = fd;
}

RawClient::~RawClient() {
  SSL_free(ssl_);
  SSL_CTX_free(context_);
  if (fd_ >= 0) close(fd_);
}

bool RawClient::handshake(const identity::Identity& identity, const std::string& protocol) {
  if (fd_ < 0) return false;
  const identity::Certificate own = identity::make_certificate(identity, std::nullopt);
  context_ = SSL_CTX_new(TLS_client_method());
  SSL_CTX_set_min_proto_version(context_, TLS1_3_VERSION);
  BIO* bio = BIO_new_mem_buf(own.certificate_pem.data(), -1);
  X509* certificate = PEM_read_bio_X509(bio, nullptr, nullptr, nullptr);
  BIO_free(bio);
  bio = BIO_new_mem_buf(own.private_key_pem.data(), -1);
  EVP_PKEY* key = PEM_read_bio_PrivateKey(bio, nullptr, nullptr, nullptr);
  BIO_free(bio);
  SSL_CTX_use_certificate(context_, certificate);
  SSL_CTX_use_PrivateKey(context_, key);
  X509_free(certificate);
  EVP_PKEY_free(key);
  ssl_ = SSL_new(context_);
  SSL_set_fd(ssl_, fd_);
  const std::string offered = static_cast<char>(protocol.size()) + protocol;
  SSL_set_alpn_protos(ssl_, reinterpret_cast<const unsigned char*>(offered.data()),
                      static_cast<unsigned int>(offered.size()));
  return SSL_connect(ssl_) == 1;
}

bool RawClient::send(std::string_view bytes) {
  if (ssl_ == nullptr) return false;
  while (!bytes.empty()) {
    std::size_t size = 0;
    if (SSL_write_ex(ssl_, bytes.data(), bytes.size(), &size) != 1) return false;
    bytes.remove_prefix(size);
    sent_ += size;
  }
  return true;
}

bool RawClient::send_raw(std::string_view bytes) {
  if (fd_ < 0) return false;
  return ::send(fd_, bytes.data(), bytes.size(), MSG_NOSIGNAL) ==
         static_cast<ssize_t>(bytes.size());
}

bool RawClient::update_keys() {
  sent_ += 27;
  return SSL_key_update(ssl_, SSL_KEY_UPDATE_REQUESTED) == 1 && SSL_do_handshake(ssl_) == 1;
}

bool RawClient::drain() {
  if (fd_ < 0) return false;
  char buffer[16 << 10];
  while (true) {
    pollfd wait{fd_, POLLIN, 0};
    if ((ssl_ == nullptr || SSL_pending(ssl_) == 0) && poll(&wait, 1, 0) <= 0) return true;
    int got = 0;
    if (ssl_ != nullptr) {
      got = SSL_read(ssl_, buffer, sizeof(buffer));
      if (got <= 0 && SSL_get_error(ssl_, got) == SSL_ERROR_WANT_READ) return true;
    } else {
      got = static_cast<int>(recv(fd_, buffer, sizeof(buffer), MSG_DONTWAIT));
      if (got < 0 && (errno == EAGAIN || errno == EINTR)) return true;
    }
    if (got <= 0) return false;
    received_.append(buffer, static_cast<std::size_t>(got));
    if (received_.size() > 2 * kKept) received_.erase(0, received_.size() - kKept);
  }
}

bool RawClient::closed_within(int timeout_ms) {
  if (fd_ < 0) return true;
  const auto end = std::chrono::steady_clock::now() + std::chrono::milliseconds(timeout_ms);
  while (true) {
    if (!drain()) return true;
    const auto left = std::chrono::duration_cast<std::chrono::milliseconds>(
        end - std::chrono::steady_clock::now());
    if (left.count() <= 0) return false;
    pollfd wait{fd_, POLLIN, 0};
    poll(&wait, 1, static_cast<int>(std::min<std::int64_t>(left.count(), 100)));
  }
}

}  // namespace shoal::attack
