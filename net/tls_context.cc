// SPDX-License-Identifier: Apache-2.0
#include "net/tls_context.h"

#include <openssl/bio.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <openssl/x509_vfy.h>
#include <sys/socket.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "absl/strings/str_cat.h"
#include "base/check.h"
#include "proto/limits.h"

namespace shoal::net {

// OpenSSL's own socket BIO would raise SIGPIPE, and knows no allowance.
struct TlsStreamBio {
  static const BIO_METHOD* method() {
    static BIO_METHOD* const made = [] {
      BIO_METHOD* m = BIO_meth_new(BIO_get_new_index() | BIO_TYPE_SOURCE_SINK, "shoal stream");
      CHECK(m != nullptr);
      BIO_meth_set_read_ex(m, &TlsStream::bio_read);
      BIO_meth_set_write_ex(m, &TlsStream::bio_write);
      BIO_meth_set_ctrl(m, &TlsStream::bio_control);
      return m;
    }();
    return made;
  }
};

namespace {

// Until large records come: what OpenSSL has been given, it works through.
constexpr std::size_t kSmallChunk = 4 << 10;

// Not a table of OpenSSL's: it hands out an index per program.
int stream_index() {
  static const int index = SSL_get_ex_new_index(0, nullptr, nullptr, nullptr, nullptr);
  return index;
}

std::string_view as_text(const unsigned char* bytes, std::size_t size) {
  return {reinterpret_cast<const char*>(bytes), size};
}

SSL_CTX* make_context(const SSL_METHOD* method, const identity::Certificate& own) {
  SSL_CTX* context = SSL_CTX_new(method);
  CHECK(context != nullptr);
  CHECK(SSL_CTX_set_min_proto_version(context, TLS1_3_VERSION) == 1);
  CHECK(SSL_CTX_set_max_proto_version(context, TLS1_3_VERSION) == 1);
  SSL_CTX_set_options(context, SSL_OP_NO_TICKET | SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_COMPRESSION);
  SSL_CTX_set_session_cache_mode(context, SSL_SESS_CACHE_OFF);
  CHECK(SSL_CTX_set_num_tickets(context, 0) == 1);
  CHECK(SSL_CTX_set_max_early_data(context, 0) == 1);
  // Large finite-field groups would let a stranger buy much of our time with little of its own.
  CHECK(SSL_CTX_set1_groups_list(context, "X25519:P-256") == 1);
  SSL_CTX_set_max_cert_list(context, static_cast<long>(identity::kMaxCertificatePemBytes));
  SSL_CTX_set_mode(context, SSL_MODE_RELEASE_BUFFERS | SSL_MODE_ENABLE_PARTIAL_WRITE |
                                SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
  SSL_CTX_set_read_ahead(context, 1);

  BIO* bio = BIO_new_mem_buf(own.certificate_pem.data(), -1);
  X509* certificate = PEM_read_bio_X509(bio, nullptr, nullptr, nullptr);
  BIO_free(bio);
  bio = BIO_new_mem_buf(own.private_key_pem.data(), -1);
  EVP_PKEY* key = PEM_read_bio_PrivateKey(bio, nullptr, nullptr, nullptr);
  BIO_free(bio);
  CHECK(SSL_CTX_use_certificate(context, certificate) == 1);
  CHECK(SSL_CTX_use_PrivateKey(context, key) == 1);
  X509_free(certificate);
  EVP_PKEY_free(key);
  return context;
}

absl::Status unexpected(const proto::PeerId& peer, const proto::PeerId& expected) {
  return absl::UnauthenticatedError(absl::StrCat(
      "peer ", proto::short_name(peer), " answers there, not ", proto::short_name(expected),
      ": the node was restarted with another identity, or its address is out of date"));
}

constexpr char kNoTls[] =
    "something listens there that is no node of this protocol. Check the port";
constexpr char kEndedByPeer[] =
    "it closed the connection. The node stopped, or it refuses us: check that it runs, and look "
    "into its log";

}  // namespace

TlsContext::TlsContext(const identity::Certificate& own,
                       const std::optional<identity::SwarmKey>& swarm_key)
    : swarm_key_(swarm_key) {
  server_ = make_context(TLS_server_method(), own);
  client_ = make_context(TLS_client_method(), own);
  for (SSL_CTX* context : {server_, client_}) {
    SSL_CTX_set_verify(context, SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT, nullptr);
    SSL_CTX_set_cert_verify_callback(context, &TlsContext::verify, this);
    SSL_CTX_set_msg_callback(context, &TlsStream::on_message);
  }
  SSL_CTX_set_alpn_select_cb(server_, &TlsContext::select_protocol, this);
}

TlsContext::~TlsContext() {
  SSL_CTX_free(server_);
  SSL_CTX_free(client_);
}

std::unique_ptr<TlsStream> TlsContext::accept(int fd, bool all_protocols) const {
  const auto role = all_protocols ? TlsStream::Role::kAcceptsAll : TlsStream::Role::kAccepts;
  return std::unique_ptr<TlsStream>(new TlsStream(server_, fd, role, std::nullopt, {}));
}

std::unique_ptr<TlsStream> TlsContext::dial(int fd, const std::optional<proto::PeerId>& expected,
                                            const std::string& protocol) const {
  return std::unique_ptr<TlsStream>(
      new TlsStream(client_, fd, TlsStream::Role::kDials, expected, protocol));
}

void TlsContext::allow(const std::string& protocol) {
  const base::MutexLock lock(mutex_);
  protocols_.push_back(protocol);
}

void TlsContext::refuse(const std::string& protocol) {
  const base::MutexLock lock(mutex_);
  std::erase(protocols_, protocol);
}

bool TlsContext::allows(std::string_view protocol) const {
  const base::MutexLock lock(mutex_);
  return std::ranges::find(protocols_, protocol) != protocols_.end();
}

// The first that both ends know. A client that knows none of them is no peer of ours.
int TlsContext::select_protocol(SSL* ssl, const unsigned char** out, unsigned char* out_size,
                                const unsigned char* in, unsigned int in_size, void* self) {
  const auto& context = *static_cast<const TlsContext*>(self);
  const auto* stream = static_cast<const TlsStream*>(SSL_get_ex_data(ssl, stream_index()));
  const bool all = stream->role_ == TlsStream::Role::kAcceptsAll;
  for (unsigned int at = 0; at < in_size && at + in[at] < in_size; at += in[at] + 1u) {
    const std::string_view protocol = as_text(in + at + 1, in[at]);
    const bool http2 = protocol == kHttp2;
    if (!http2 && !(all && context.allows(protocol))) continue;
    if (!http2) SSL_set_read_ahead(ssl, 0);
    *out = in + at + 1;
    *out_size = in[at];
    return SSL_TLSEXT_ERR_OK;
  }
  return SSL_TLSEXT_ERR_ALERT_FATAL;
}

// Before the peer has proven that it holds the certificate's key: TLS does that next, and the
// handshake is not done without it.
int TlsContext::verify(X509_STORE_CTX* store, void* self) {
  const auto& context = *static_cast<const TlsContext*>(self);
  auto* ssl =
      static_cast<SSL*>(X509_STORE_CTX_get_ex_data(store, SSL_get_ex_data_X509_STORE_CTX_idx()));
  auto* stream = static_cast<TlsStream*>(SSL_get_ex_data(ssl, stream_index()));
  const auto peer =
      identity::verify_certificate(X509_STORE_CTX_get0_cert(store), context.swarm_key_);
  if (peer.ok() && (!stream->expected_ || *peer == *stream->expected_)) {
    stream->peer_ = *peer;
    X509_STORE_CTX_set_error(store, X509_V_OK);
    return 1;
  }
  stream->error_ = peer.ok() ? unexpected(*peer, *stream->expected_) : peer.status();
  X509_STORE_CTX_set_error(store, X509_V_ERR_CERT_REJECTED);
  return 0;
}

TlsStream::TlsStream(ssl_ctx_st* ssl_context, int fd, Role role,
                     std::optional<proto::PeerId> expected, std::string protocol)
    : role_(role),
      expected_(expected),
      protocol_(std::move(protocol)),
      fd_(fd),
      ssl_(SSL_new(ssl_context)),
      raw_chunk_(kSmallChunk) {
  CHECK(ssl_ != nullptr && SSL_set_ex_data(ssl_, stream_index(), this) == 1);
  BIO* bio = BIO_new(TlsStreamBio::method());
  CHECK(bio != nullptr);
  BIO_set_data(bio, this);
  BIO_set_init(bio, 1);
  SSL_set_bio(ssl_, bio, bio);
  if (role_ == Role::kDials) {
    SSL_set_connect_state(ssl_);
    CHECK(SSL_set_tlsext_host_name(ssl_, identity::kTlsName) == 1);
    const std::string offered = static_cast<char>(protocol_.size()) + protocol_;
    CHECK(SSL_set_alpn_protos(ssl_, reinterpret_cast<const unsigned char*>(offered.data()),
                              static_cast<unsigned int>(offered.size())) == 0);
    if (protocol_ != kHttp2) SSL_set_read_ahead(ssl_, 0);
  } else {
    SSL_set_accept_state(ssl_);
  }
}

TlsStream::~TlsStream() { SSL_free(ssl_); }

void TlsStream::on_message(int is_write, int /*version*/, int content_type, const void* data,
                           std::size_t size, SSL* ssl, void* /*unused*/) {
  if (is_write || content_type != SSL3_RT_HANDSHAKE || size == 0) return;
  if (*static_cast<const unsigned char*>(data) != SSL3_MT_KEY_UPDATE) return;
  auto* stream = static_cast<TlsStream*>(SSL_get_ex_data(ssl, stream_index()));
  stream->raw_read_ += proto::kKeyUpdateBytes;
  // OpenSSL would go on for as long as there is more; first our owner judges.
  if (stream->raw_allowance_ != SIZE_MAX) stream->raw_allowance_ = 0;
}

int TlsStream::bio_read(BIO* bio, char* data, std::size_t size, std::size_t* bytes) {
  auto* stream = static_cast<TlsStream*>(BIO_get_data(bio));
  BIO_clear_retry_flags(bio);
  *bytes = 0;
  size = std::min({size, stream->raw_allowance_, stream->raw_chunk_});
  if (size == 0) {
    BIO_set_retry_read(bio);
    return 0;
  }
  const ssize_t got = recv(stream->fd_, data, size, MSG_DONTWAIT);
  if (got > 0) {
    *bytes = static_cast<std::size_t>(got);
    stream->raw_read_ += *bytes;
    if (stream->raw_allowance_ != SIZE_MAX) stream->raw_allowance_ -= *bytes;
    return 1;
  }
  if (got < 0 && (errno == EAGAIN || errno == EWOULDBLOCK || errno == EINTR)) {
    BIO_set_retry_read(bio);
    return 0;
  }
  if (got == 0) {
    stream->socket_ended_ = true;
    BIO_set_flags(bio, BIO_FLAGS_IN_EOF);
  } else {
    stream->socket_error_ = errno;
  }
  return 0;
}

int TlsStream::bio_write(BIO* bio, const char* data, std::size_t size, std::size_t* bytes) {
  auto* stream = static_cast<TlsStream*>(BIO_get_data(bio));
  BIO_clear_retry_flags(bio);
  *bytes = 0;
  const ssize_t sent = send(stream->fd_, data, size, MSG_DONTWAIT | MSG_NOSIGNAL);
  if (sent > 0) {
    *bytes = static_cast<std::size_t>(sent);
    return 1;
  }
  if (sent < 0 && (errno == EAGAIN || errno == EWOULDBLOCK || errno == EINTR)) {
    BIO_set_retry_write(bio);
    return 0;
  }
  stream->socket_error_ = errno;
  return 0;
}

long TlsStream::bio_control(BIO* bio, int command, long /*number*/, void* /*pointer*/) {
  switch (command) {
    case BIO_CTRL_FLUSH:
      return 1;
    case BIO_CTRL_EOF:
      return BIO_test_flags(bio, BIO_FLAGS_IN_EOF) != 0 ? 1 : 0;
    default:
      return 0;
  }
}

void TlsStream::fail(const std::string& what) {
  // The verifier's words are better than what TLS makes of them.
  if (error_.ok()) error_ = absl::UnavailableError(what);
}

// Why it failed, in the words of who dialled; the accepting end counts, and logs them at most.
TlsStream::Io TlsStream::outcome(int result, const char* doing) {
  switch (SSL_get_error(ssl_, result)) {
    case SSL_ERROR_WANT_READ:
      return Io::kWantRead;
    case SSL_ERROR_WANT_WRITE:
      return Io::kWantWrite;
    case SSL_ERROR_ZERO_RETURN:
      return Io::kClosed;
    default:
      break;
  }
  const unsigned long code = ERR_peek_error();
  const int reason = ERR_GET_LIB(code) == ERR_LIB_SSL ? ERR_GET_REASON(code) : 0;
  // Of the other end, which refuses us.
  const bool alert = is_done_ && reason >= SSL_AD_REASON_OFFSET;
  if (!alert && is_done_ && (socket_ended_ || socket_error_ != 0)) {
    // The end of a connection without a farewell is none of TLS's business here: HTTP/2 has its
    // own, and knows where a message ends.
    fail(kEndedByPeer);
    ERR_clear_error();
    return Io::kClosed;
  } else if (reason == SSL_R_WRONG_VERSION_NUMBER || reason == SSL_R_HTTP_REQUEST ||
             reason == SSL_R_UNSUPPORTED_PROTOCOL || reason == SSL_R_UNEXPECTED_MESSAGE) {
    fail(kNoTls);
  } else if (reason == SSL_R_TLSV1_ALERT_NO_APPLICATION_PROTOCOL) {
    fail(absl::StrCat("it does not speak ", protocol_,
                      ": it is of another version, or was told not to"));
  } else if (!alert && socket_error_ != 0 && socket_error_ != ECONNRESET &&
             socket_error_ != EPIPE) {
    fail(absl::StrCat("the connection broke: ", std::strerror(socket_error_)));
  } else if (alert || socket_ended_ || socket_error_ != 0) {
    fail(kEndedByPeer);
  } else {
    const char* words = ERR_reason_error_string(code);
    fail(absl::StrCat("no secure connection came up (", doing, ": ",
                      words != nullptr ? words : "no reason given",
                      "). Check that a node of this swarm listens there"));
  }
  ERR_clear_error();
  return Io::kFailed;
}

TlsStream::Io TlsStream::handshake() {
  if (!error_.ok()) return Io::kFailed;
  ERR_clear_error();
  const int result = SSL_do_handshake(ssl_);
  if (result != 1) return outcome(result, "handshake");
  const unsigned char* protocol = nullptr;
  unsigned int size = 0;
  SSL_get0_alpn_selected(ssl_, &protocol, &size);
  if (size == 0 || (role_ == Role::kDials && as_text(protocol, size) != protocol_)) {
    fail(kNoTls);
    return Io::kFailed;
  }
  protocol_ = as_text(protocol, size);
  is_done_ = true;
  return Io::kDone;
}

TlsStream::Io TlsStream::read(char* buffer, std::size_t size, std::size_t& bytes) {
  bytes = 0;
  if (!error_.ok()) return Io::kFailed;
  ERR_clear_error();
  const int result = SSL_read_ex(ssl_, buffer, size, &bytes);
  if (result != 1) return outcome(0, "read");
  raw_chunk_ = bytes < kSmallChunk ? kSmallChunk : SIZE_MAX;
  return Io::kDone;
}

TlsStream::Io TlsStream::write(const char* data, std::size_t size, std::size_t& bytes) {
  bytes = 0;
  if (!error_.ok()) return Io::kFailed;
  ERR_clear_error();
  const int result = SSL_write_ex(ssl_, data, size, &bytes);
  return result == 1 ? Io::kDone : outcome(0, "write");
}

void TlsStream::close_notify() {
  if (!is_done_ || !error_.ok()) return;
  ERR_clear_error();
  SSL_shutdown(ssl_);
  ERR_clear_error();
}

}  // namespace shoal::net
