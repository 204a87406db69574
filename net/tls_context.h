// SPDX-License-Identifier: Apache-2.0
// Mutual TLS 1.3 over a non-blocking socket, with our certificate and our verifier, for both ends:
// no session is resumed, nothing is renegotiated, no early data. A context may be used from any
// thread and must outlive its streams; a stream belongs to one thread at a time and borrows its
// socket. What is spoken inside is agreed on by ALPN: gRPC's HTTP/2, or a protocol of ours, whose
// streams take no byte from the socket beyond the record that is being read, so that both ends may
// leave TLS between two of them. docs/protocol.md, "Identity".
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "base/mutex.h"
#include "identity/certificate.h"
#include "identity/swarm_key.h"
#include "proto/types.h"

struct ssl_st;
struct ssl_ctx_st;
struct bio_st;
struct x509_store_ctx_st;

namespace shoal::net {

class TlsStream;

// ALPN's name of what gRPC speaks.
inline constexpr char kHttp2[] = "h2";

class TlsContext {
 public:
  // With a certificate of identity::make_certificate() for the same swarm key.
  TlsContext(const identity::Certificate& own, const std::optional<identity::SwarmKey>& swarm_key);
  ~TlsContext();
  TlsContext(const TlsContext&) = delete;
  TlsContext& operator=(const TlsContext&) = delete;

  // The accepting end: lets in every peer that is who it says, and of our swarm. kHttp2; or, where
  // `all_protocols`, what allow() named.
  std::unique_ptr<TlsStream> accept(int fd, bool all_protocols = false) const;
  // The dialling end: lets in exactly `expected`; without, whoever proves who it is, of our swarm.
  std::unique_ptr<TlsStream> dial(int fd, const std::optional<proto::PeerId>& expected,
                                  const std::string& protocol = kHttp2) const;
  // Protocols besides kHttp2, for whom accept() lets in from now on.
  void allow(const std::string& protocol);
  void refuse(const std::string& protocol);

 private:
  friend class TlsStream;
  static int verify(x509_store_ctx_st* store, void* self);
  static int select_protocol(ssl_st* ssl, const unsigned char** out, unsigned char* out_size,
                             const unsigned char* in, unsigned int in_size, void* self);
  bool allows(std::string_view protocol) const;

  const std::optional<identity::SwarmKey> swarm_key_;
  mutable base::Mutex mutex_;
  std::vector<std::string> protocols_ ABSL_GUARDED_BY(mutex_);  // besides kHttp2
  ssl_ctx_st* server_ = nullptr;
  ssl_ctx_st* client_ = nullptr;
};

class TlsStream {
 public:
  enum class Io {
    kDone,
    kWantRead,   // when the socket has something to read
    kWantWrite,  // when the socket takes something
    kClosed,     // the other end closed; nothing more comes
    kFailed,     // error() says why
  };

  ~TlsStream();
  TlsStream(const TlsStream&) = delete;
  TlsStream& operator=(const TlsStream&) = delete;

  // Until kDone; then peer() is proven.
  Io handshake();
  // At least one byte when kDone.
  Io read(char* buffer, std::size_t size, std::size_t& bytes);
  // Perhaps less than all. After kWant… it must be called again with the same bytes, if anything.
  Io write(const char* data, std::size_t size, std::size_t& bytes);
  // Tells the other end that nothing more comes. At most once, after a handshake that succeeded.
  void close_notify();

  const proto::PeerId& peer() const { return peer_; }
  const std::string& protocol() const { return protocol_; }  // after the handshake
  // One line for the user who dialled. UNAUTHENTICATED: the peer is not who was expected, or of
  // another swarm; UNAVAILABLE otherwise.
  const absl::Status& error() const { return error_; }
  // Bytes taken from the socket so far, a change of keys counted as kKeyUpdateBytes: with what
  // read() gave, says how much was mere wrapping.
  std::uint64_t raw_bytes_read() const { return raw_read_; }
  // read() takes at most so many bytes from the socket before it says kWantRead, though more be
  // there, or none after a change of keys: a peer that sends mere wrapping must not keep the
  // thread.
  void allow_raw_bytes(std::size_t bytes) { raw_allowance_ = bytes; }
  bool out_of_allowance() const { return raw_allowance_ == 0; }

 private:
  friend class TlsContext;
  enum class Role { kAccepts, kAcceptsAll, kDials };
  TlsStream(ssl_ctx_st* ssl_context, int fd, Role role, std::optional<proto::PeerId> expected,
            std::string protocol);
  Io outcome(int result, const char* doing);
  void fail(const std::string& what);

  static void on_message(int is_write, int version, int content_type, const void* data,
                         std::size_t size, ssl_st* ssl, void* unused);
  static int bio_read(bio_st* bio, char* data, std::size_t size, std::size_t* bytes);
  static int bio_write(bio_st* bio, const char* data, std::size_t size, std::size_t* bytes);
  static long bio_control(bio_st* bio, int command, long number, void* pointer);
  friend struct TlsStreamBio;

  const Role role_;
  const std::optional<proto::PeerId> expected_;
  std::string protocol_;  // wanted, then agreed on
  const int fd_;
  ssl_st* ssl_ = nullptr;
  bool is_done_ = false;
  proto::PeerId peer_;
  absl::Status error_;
  int socket_error_ = 0;
  bool socket_ended_ = false;
  std::uint64_t raw_read_ = 0;
  std::size_t raw_allowance_ = SIZE_MAX;
  std::size_t raw_chunk_;  // that OpenSSL gets at once
};

}  // namespace shoal::net
