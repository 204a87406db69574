// SPDX-License-Identifier: Apache-2.0
// GETs over http and https, several at a time, by libcurl on the caller's thread: what it is given
// is called from step() only. Certificates are checked; redirects are followed as far as bounded,
// never from https to http, and the token goes to the origin that it is for and to no other.
// A connection in 10 s, and a byte in every 30 s, or the GET has failed; nothing is tried again
// here.
#pragma once

#include <chrono>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "base/stop_token.h"
#include "model/byte_ranges.h"

namespace shoal::model::hub {

struct HttpOptions {
  std::string origin;  // any address of the one that may see the token
  std::string token;
  std::string ca_file;
  std::chrono::seconds connect_timeout{10};
  std::chrono::seconds idle_timeout{30};
};

struct HttpHead {
  long status = 0;                            // of the last answer; 0: there was none
  std::string url;                            // that it came from
  std::map<std::string, std::string> fields;  // of it, by names in small letters
  // The x-... fields of answers of the first origin, the redirect's too: what the hub itself says.
  std::map<std::string, std::string> said;

  const std::string* find(const char* name) const;
  const std::string* find_said(const char* name) const;
};

struct HttpEnd {
  HttpHead head;
  // OK: an answer below 400 arrived whole. UNAVAILABLE: none did. What `on_head` or `on_bytes`
  // said, if they ended it. FAILED_PRECONDITION: an answer of 400 and above, or a redirect that
  // nobody may follow.
  absl::Status status;
  std::string error_text;        // the first bytes of an answer of 400 and above
  double retry_after_s = 0;      // as it says
  std::uint64_t body_bytes = 0;  // that on_bytes got
};

struct HttpGet {
  std::string url;
  std::optional<ByteRange> range = std::nullopt;
  // Of an answer below 400, before its bytes.
  std::function<absl::Status(const HttpHead&)> on_head = {};
  std::function<absl::Status(std::string_view)> on_bytes = {};
  std::function<void(HttpEnd)> on_end = {};  // always, once
};

class Http {
 public:
  static absl::StatusOr<std::unique_ptr<Http>> create(HttpOptions options);
  ~Http();  // drops what runs, without a word
  Http(const Http&) = delete;

  void start(HttpGet get);
  std::size_t running() const;
  // Moves bytes for at most so long, or until something happens.
  absl::Status step(std::chrono::milliseconds at_most);
  void drop_all();  // whatever runs, without a word
  bool has_token() const;

 private:
  class Impl;
  explicit Http(std::unique_ptr<Impl> impl);
  const std::unique_ptr<Impl> impl_;
};

// One GET of a short text, tried again as retry.h says. The end of the last try.
struct HttpText {
  HttpEnd end;
  std::string body;
};
HttpText get_text(Http& http, const std::string& url, std::size_t most_bytes, int most_tries,
                  const base::StopToken& stop);

}  // namespace shoal::model::hub
