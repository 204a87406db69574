// SPDX-License-Identifier: Apache-2.0
#include "model/hub/http.h"

#include <curl/curl.h>

#include <algorithm>
#include <list>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "base/awaited.h"
#include "model/hub/retry.h"
#include "model/hub/url.h"

namespace shoal::model::hub {
namespace {

constexpr int kMaxRedirects = 8;
constexpr std::size_t kMaxFields = 200;
constexpr std::size_t kMaxFieldBytes = 16 << 10;
constexpr std::size_t kMaxErrorBytes = 4 << 10;
constexpr const char* kUserAgent = "shoal";

}  // namespace

const std::string* HttpHead::find(const char* name) const {
  const auto found = fields.find(name);
  return found == fields.end() ? nullptr : &found->second;
}

const std::string* HttpHead::find_said(const char* name) const {
  const auto found = said.find(name);
  return found == said.end() ? nullptr : &found->second;
}

class Http::Impl {
 public:
  Impl(HttpOptions options, CURLM* multi) : options_(std::move(options)), multi_(multi) {
    // One connection each: that is what several are for.
    curl_multi_setopt(multi_, CURLMOPT_PIPELINING, long{CURLPIPE_NOTHING});
  }
  ~Impl() {
    drop_all();
    curl_multi_cleanup(multi_);
  }

  void drop_all() {
    for (Exchange& exchange : running_) curl_multi_remove_handle(multi_, exchange.easy.get());
    running_.clear();
  }

  void start(HttpGet get) {
    Exchange& exchange = running_.emplace_back();
    exchange.get = std::move(get);
    exchange.url = exchange.get.url;
    exchange.easy.reset(curl_easy_init());
    if (exchange.easy == nullptr || !ask(exchange)) {
      exchange.end.status = absl::ResourceExhaustedError("libcurl cannot begin a request");
    }
  }

  absl::Status step(std::chrono::milliseconds at_most) {
    int active = 0;
    if (curl_multi_perform(multi_, &active) != CURLM_OK) return broken();
    take_ended();
    if (running_.empty()) return absl::OkStatus();
    if (curl_multi_poll(multi_, nullptr, 0, static_cast<int>(at_most.count()), nullptr) !=
        CURLM_OK) {
      return broken();
    }
    if (curl_multi_perform(multi_, &active) != CURLM_OK) return broken();
    take_ended();
    return absl::OkStatus();
  }

  std::size_t running() const { return running_.size(); }
  const HttpOptions& options() const { return options_; }

 private:
  struct FreeList {
    void operator()(curl_slist* list) const { curl_slist_free_all(list); }
  };
  struct FreeEasy {
    void operator()(CURL* easy) const { curl_easy_cleanup(easy); }
  };

  // A GET with its redirects. libcurl holds its address.
  struct Exchange {
    HttpGet get;
    std::string url;
    int redirects = 0;
    bool told_head = false;
    HttpEnd end;
    absl::Status ended_by_caller;
    std::unique_ptr<curl_slist, FreeList> headers;
    std::unique_ptr<CURL, FreeEasy> easy;
    char reason[CURL_ERROR_SIZE] = {};
  };

  // libcurl's word for it, without what it says for programmers.
  static std::string reason_of(const Exchange& exchange, CURLcode code) {
    std::string text = exchange.reason[0] != '\0' ? exchange.reason : curl_easy_strerror(code);
    return absl::CHexEscape(text);
  }

  static absl::Status broken() { return absl::InternalError("libcurl failed while it waited"); }

  bool ask(Exchange& exchange) {
    CURL* const easy = exchange.easy.get();
    exchange.end.head.fields.clear();
    exchange.end.head.status = 0;
    exchange.end.head.url = exchange.url;
    exchange.reason[0] = '\0';
    curl_easy_reset(easy);
    std::string authorization;
    if (!options_.token.empty() && origin_of(exchange.url) == origin_of(options_.origin)) {
      authorization = absl::StrCat("Authorization: Bearer ", options_.token);
    }
    exchange.headers.reset(curl_slist_append(nullptr, "Accept-Encoding: identity"));
    if (exchange.headers != nullptr && !authorization.empty()) {
      curl_slist* const longer = curl_slist_append(exchange.headers.get(), authorization.c_str());
      if (longer == nullptr) return false;
    }
    std::string range;
    if (const auto& wanted = exchange.get.range) {
      range = absl::StrCat(wanted->begin, "-", wanted->end - 1);
    }
    const auto set = [easy](CURLoption option, auto value) {
      return curl_easy_setopt(easy, option, value) == CURLE_OK;
    };
    return exchange.headers != nullptr && set(CURLOPT_URL, exchange.url.c_str()) &&
           set(CURLOPT_HTTPHEADER, exchange.headers.get()) &&
           set(CURLOPT_PROTOCOLS_STR, "http,https") && set(CURLOPT_FOLLOWLOCATION, 0L) &&
           set(CURLOPT_HTTP_VERSION, long{CURL_HTTP_VERSION_1_1}) && set(CURLOPT_NOSIGNAL, 1L) &&
           set(CURLOPT_USERAGENT, kUserAgent) && set(CURLOPT_SSL_VERIFYPEER, 1L) &&
           set(CURLOPT_SSL_VERIFYHOST, 2L) &&
           (options_.ca_file.empty() || set(CURLOPT_CAINFO, options_.ca_file.c_str())) &&
           set(CURLOPT_CONNECTTIMEOUT, static_cast<long>(options_.connect_timeout.count())) &&
           set(CURLOPT_LOW_SPEED_LIMIT, 1L) &&
           set(CURLOPT_LOW_SPEED_TIME, static_cast<long>(options_.idle_timeout.count())) &&
           set(CURLOPT_TCP_KEEPALIVE, 1L) && set(CURLOPT_ERRORBUFFER, exchange.reason) &&
           (range.empty() || set(CURLOPT_RANGE, range.c_str())) &&
           set(CURLOPT_PRIVATE, &exchange) && set(CURLOPT_HEADERDATA, &exchange) &&
           set(CURLOPT_HEADERFUNCTION, &Impl::on_header) && set(CURLOPT_WRITEDATA, &exchange) &&
           set(CURLOPT_WRITEFUNCTION, &Impl::on_body) &&
           curl_multi_add_handle(multi_, easy) == CURLM_OK;
  }

  static std::size_t on_header(char* data, std::size_t, std::size_t size, void* to) {
    Exchange& exchange = *static_cast<Exchange*>(to);
    std::string_view line(data, size);
    std::map<std::string, std::string>& fields = exchange.end.head.fields;
    if (line.starts_with("HTTP/")) fields.clear();  // 100, a proxy's own, and then the real one
    const std::size_t colon = line.find(':');
    if (colon == std::string_view::npos) return size;
    if (fields.size() >= kMaxFields || line.size() > kMaxFieldBytes) return 0;
    fields[absl::AsciiStrToLower(std::string(line.substr(0, colon)))] =
        std::string(absl::StripAsciiWhitespace(std::string(line.substr(colon + 1))));
    return size;
  }

  static std::size_t on_body(char* data, std::size_t, std::size_t size, void* to) {
    Exchange& exchange = *static_cast<Exchange*>(to);
    HttpEnd& end = exchange.end;
    curl_easy_getinfo(exchange.easy.get(), CURLINFO_RESPONSE_CODE, &end.head.status);
    if (end.head.status >= 400) {
      end.error_text.append(data, std::min(size, kMaxErrorBytes - end.error_text.size()));
      return size;
    }
    if (end.head.status >= 300) return size;  // a redirect's text is nobody's
    if (exchange.ended_by_caller = tell_head(exchange); !exchange.ended_by_caller.ok()) return 0;
    end.body_bytes += size;
    if (exchange.get.on_bytes) {
      exchange.ended_by_caller = exchange.get.on_bytes({data, size});
    }
    return exchange.ended_by_caller.ok() ? size : 0;
  }

  static void note_said(Exchange& exchange) {
    if (origin_of(exchange.url) != origin_of(exchange.get.url)) return;
    for (const auto& [name, value] : exchange.end.head.fields) {
      if (name.starts_with("x-")) exchange.end.head.said.try_emplace(name, value);
    }
  }

  static absl::Status tell_head(Exchange& exchange) {
    if (std::exchange(exchange.told_head, true)) return absl::OkStatus();
    note_said(exchange);
    return exchange.get.on_head ? exchange.get.on_head(exchange.end.head) : absl::OkStatus();
  }

  // True when it goes on elsewhere.
  bool redirect(Exchange& exchange) {
    const long status = exchange.end.head.status;
    if (status != 301 && status != 302 && status != 303 && status != 307 && status != 308) {
      return false;
    }
    note_said(exchange);
    const char* to = nullptr;
    curl_easy_getinfo(exchange.easy.get(), CURLINFO_REDIRECT_URL, &to);
    const std::string target = to == nullptr ? "" : to;
    std::string refused;
    if (!may_redirect(exchange.url, target)) {
      refused = absl::StrCat(", which is no place to go from ", exchange.url);
    } else if (++exchange.redirects > kMaxRedirects) {
      refused = absl::StrCat(", the redirect after ", kMaxRedirects, " others");
    }
    if (refused.empty()) {
      exchange.url = target;
      if (ask(exchange)) return true;
      refused = ", and libcurl cannot go there";
    }
    exchange.end.status = absl::FailedPreconditionError(
        absl::StrCat("a redirect leads to ", absl::CHexEscape(target), refused));
    return false;
  }

  void finish(Exchange& exchange, CURLcode code) {
    HttpEnd& end = exchange.end;
    curl_easy_getinfo(exchange.easy.get(), CURLINFO_RESPONSE_CODE, &end.head.status);
    if (!exchange.ended_by_caller.ok()) {
      end.status = exchange.ended_by_caller;
    } else if (code == CURLE_PEER_FAILED_VERIFICATION || code == CURLE_SSL_CACERT_BADFILE) {
      end.status = absl::FailedPreconditionError(reason_of(exchange, code));
    } else if (code != CURLE_OK) {
      end.status = absl::UnavailableError(reason_of(exchange, code));
    } else if (redirect(exchange)) {
      return;
    } else if (end.status.ok() && end.head.status >= 300) {
      note_said(exchange);
      end.status = absl::FailedPreconditionError(absl::StrCat("HTTP ", end.head.status));
    } else if (end.status.ok()) {
      end.status = tell_head(exchange);  // of an answer without a body
    }
    curl_off_t wait = 0;
    if (curl_easy_getinfo(exchange.easy.get(), CURLINFO_RETRY_AFTER, &wait) == CURLE_OK) {
      end.retry_after_s = static_cast<double>(wait);
    }
    ended_.push_back(&exchange);
  }

  void take_ended() {
    int left = 0;
    while (const CURLMsg* message = curl_multi_info_read(multi_, &left)) {
      if (message->msg != CURLMSG_DONE) continue;
      const CURLcode code = message->data.result;
      Exchange* exchange = nullptr;
      curl_easy_getinfo(message->easy_handle, CURLINFO_PRIVATE, &exchange);
      curl_multi_remove_handle(multi_, message->easy_handle);
      finish(*exchange, code);
    }
    // Those that never began too. Whoever is told may start others.
    std::vector<std::pair<std::function<void(HttpEnd)>, HttpEnd>> calls;
    for (auto at = running_.begin(); at != running_.end();) {
      const bool ended = std::find(ended_.begin(), ended_.end(), &*at) != ended_.end() ||
                         absl::IsResourceExhausted(at->end.status);
      if (!ended) {
        ++at;
        continue;
      }
      calls.emplace_back(std::move(at->get.on_end), std::move(at->end));
      at = running_.erase(at);
    }
    ended_.clear();
    for (auto& [call, end] : calls) {
      if (call) call(std::move(end));
    }
  }

  const HttpOptions options_;
  CURLM* const multi_;
  std::list<Exchange> running_;
  std::vector<Exchange*> ended_;
};

Http::Http(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
Http::~Http() = default;

absl::StatusOr<std::unique_ptr<Http>> Http::create(HttpOptions options) {
  static const CURLcode begun = curl_global_init(CURL_GLOBAL_DEFAULT);
  CURLM* const multi = begun == CURLE_OK ? curl_multi_init() : nullptr;
  if (multi == nullptr) return absl::ResourceExhaustedError("libcurl cannot begin");
  return std::unique_ptr<Http>(new Http(std::make_unique<Impl>(std::move(options), multi)));
}

void Http::drop_all() { impl_->drop_all(); }
void Http::start(HttpGet get) { impl_->start(std::move(get)); }
std::size_t Http::running() const { return impl_->running(); }
absl::Status Http::step(std::chrono::milliseconds at_most) { return impl_->step(at_most); }
bool Http::has_token() const { return !impl_->options().token.empty(); }

HttpText get_text(Http& http, const std::string& url, std::size_t most_bytes, int most_tries,
                  const base::StopToken& stop) {
  for (int tries = 1;; ++tries) {
    HttpText result;
    const auto end_with = [&](absl::Status status) {
      http.drop_all();
      result.end.status = std::move(status);
      return result;
    };
    bool ended = false;
    http.start({.url = url,
                .on_bytes = [&](std::string_view bytes) -> absl::Status {
                  if (result.body.size() + bytes.size() > most_bytes) {
                    return absl::FailedPreconditionError(
                        absl::StrCat("the answer has more than ", most_bytes, " bytes"));
                  }
                  result.body.append(bytes);
                  return absl::OkStatus();
                },
                .on_end =
                    [&](HttpEnd end) {
                      result.end = std::move(end);
                      ended = true;
                    }});
    while (!ended) {
      if (stop.stopped()) return end_with(stop.status());
      if (absl::Status status = http.step(base::kStopPoll); !status.ok()) return end_with(status);
    }
    const auto wait = wait_before_retry(result.end, tries, most_tries);
    if (!wait) return result;
    if (!base::sleep_for(*wait, stop)) return end_with(stop.status());
  }
}

}  // namespace shoal::model::hub
