// SPDX-License-Identifier: Apache-2.0
#include "client/serve/http_connection.h"

#include <algorithm>
#include <boost/asio/post.hpp>
#include <boost/asio/write.hpp>
#include <boost/beast/http/read.hpp>
#include <utility>

#include "base/mutex.h"
#include "client/serve/api_error.h"
#include "client/serve/http_text.h"

namespace shoal::client {

namespace asio = boost::asio;
namespace http = boost::beast::http;
using Error = boost::system::error_code;

namespace {

std::string field(const auto& message, http::field name) {
  const auto value = message[name];
  return {value.data(), value.size()};
}

constexpr std::string_view kComment = ":\n\n";

}  // namespace

// What a handler holds. Bytes go into `pending_`, and the connection is told to fetch them.
class HttpConnection::Reply : public HttpReply, public std::enable_shared_from_this<Reply> {
 public:
  Reply(std::weak_ptr<HttpConnection> connection, asio::any_io_executor executor, bool chunked,
        bool keep_alive, bool head_only, std::size_t unread_bytes)
      : connection_(std::move(connection)),
        executor_(std::move(executor)),
        chunked_(chunked),
        keep_alive_(keep_alive),
        head_only_(head_only),
        unread_bytes_(unread_bytes) {}

  bool respond(HttpResponse response) override {
    {
      base::MutexLock lock(mutex_);
      if (streams_) return false;
      if (!over()) {
        pending_ += response_text(response, keep_alive_, head_only_);
        finished_ = true;
        callback_ = nullptr;
      }
    }
    wake();
    return true;
  }
  void expect_stream(HttpHeaders headers, StreamForm form) override {
    base::MutexLock lock(mutex_);
    form_ = form;
    headers_ = std::move(headers);
    expects_stream_ = true;
  }
  bool write(std::string bytes) override {
    {
      base::MutexLock lock(mutex_);
      if (over()) return false;
      begin_stream();
      pending_ += chunk(bytes, chunked_);
    }
    wake();
    return true;
  }
  void finish() override {
    {
      base::MutexLock lock(mutex_);
      if (over()) return;
      begin_stream();
      if (chunked_) pending_ += kLastChunk;
      finished_ = true;
      callback_ = nullptr;
    }
    wake();
  }
  void on_gone(std::function<void()> callback) override {
    {
      base::MutexLock lock(mutex_);
      if (finished_) return;
      if (!gone_) {
        callback_ = std::move(callback);
        return;
      }
    }
    callback();
  }

  // The rest is the connection's.
  struct Taken {
    std::string bytes;
    bool finished = false;
    bool too_much = false;
  };
  Taken take() {
    base::MutexLock lock(mutex_);
    return {std::exchange(pending_, ""), finished_};
  }
  bool holds_too_much() const {
    base::MutexLock lock(mutex_);
    return streams_ && pending_.size() > unread_bytes_;
  }
  void gone() {
    std::function<void()> callback;
    {
      base::MutexLock lock(mutex_);
      if (over()) return;
      gone_ = true;
      pending_.clear();
      callback = std::exchange(callback_, nullptr);
    }
    if (callback) callback();
  }
  // Nothing came for a while; true when there is something to write now.
  bool fill_silence() {
    base::MutexLock lock(mutex_);
    if (over() || !expects_stream_ || !pending_.empty()) return false;
    begin_stream();
    if (form_ == StreamForm::kEvents) pending_ += chunk(kComment, chunked_);
    return !pending_.empty();
  }

 private:
  bool over() const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) { return gone_ || finished_; }
  void begin_stream() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
    if (!std::exchange(streams_, true))
      pending_ += stream_head(headers_, form_, chunked_, keep_alive_);
  }
  void wake() {
    asio::post(executor_, [connection = connection_] {
      if (const auto alive = connection.lock()) alive->flush();
    });
  }

  const std::weak_ptr<HttpConnection> connection_;
  const asio::any_io_executor executor_;
  const bool chunked_, keep_alive_, head_only_;
  const std::size_t unread_bytes_;
  mutable base::Mutex mutex_;
  HttpHeaders headers_ ABSL_GUARDED_BY(mutex_);
  StreamForm form_ ABSL_GUARDED_BY(mutex_) = StreamForm::kEvents;
  std::string pending_ ABSL_GUARDED_BY(mutex_);
  std::function<void()> callback_ ABSL_GUARDED_BY(mutex_);
  bool expects_stream_ ABSL_GUARDED_BY(mutex_) = false;
  bool streams_ ABSL_GUARDED_BY(mutex_) = false;
  bool finished_ ABSL_GUARDED_BY(mutex_) = false;
  bool gone_ ABSL_GUARDED_BY(mutex_) = false;
};

HttpConnection::HttpConnection(asio::ip::tcp::socket socket, HttpHost& host)
    : socket_(std::move(socket)),
      host_(host),
      read_deadline_(socket_.get_executor()),
      write_deadline_(socket_.get_executor()),
      silence_(socket_.get_executor()) {}

HttpConnection::~HttpConnection() = default;

void HttpConnection::start() {
  arm(read_deadline_, host_.limits().head_time, &HttpConnection::close);
  read_head();
}

void HttpConnection::refuse(int status, const std::string& message) {
  answer(error_response({status, message, "rate_limit_error", std::nullopt, "too_many"}));
}

void HttpConnection::close() {
  if (std::exchange(closed_, true)) return;
  Error ignored;
  socket_.close(ignored);
  read_deadline_.cancel();
  write_deadline_.cancel();
  silence_.cancel();
  release_body();
  set_idle(false);
  if (reply_) reply_->gone();
  reply_.reset();
  host_.closed(*this);
}

void HttpConnection::arm(asio::steady_timer& timer, std::chrono::milliseconds time,
                         void (HttpConnection::*then)()) {
  timer.expires_after(time);
  timer.async_wait([weak = weak_from_this(), then](Error error) {
    if (error) return;
    if (const auto self = weak.lock(); self && !self->closed_) (self.get()->*then)();
  });
}

void HttpConnection::set_idle(bool idle) {
  if (std::exchange(idle_, idle) != idle) host_.idle(*this, idle);
}

void HttpConnection::release_body() { host_.give_back_body(std::exchange(body_taken_, 0)); }

void HttpConnection::read_head() {
  set_idle(true);
  parser_.emplace();
  parser_->header_limit(static_cast<std::uint32_t>(host_.limits().head_bytes));
  parser_->body_limit(host_.limits().body_bytes);
  http::async_read_header(
      socket_, buffer_, *parser_, [self = shared_from_this()](Error error, std::size_t) {
        if (self->closed_) return;
        self->set_idle(false);
        if (!error) return self->on_head();
        if (error == http::error::header_limit) {
          return self->answer(
              error_response(invalid_request(431, "the request's head is too long")));
        }
        const bool is_http =
            error.category() == http::make_error_code(http::error::bad_method).category();
        if (is_http && error != http::error::end_of_stream &&
            error != http::error::partial_message) {
          return self->answer(
              error_response(invalid_request(error == http::error::body_limit ? 413 : 400,
                                             "this is no HTTP request: " + error.message())));
        }
        self->close();
      });
}

void HttpConnection::on_head() {
  const auto& message = parser_->get();
  const HttpLimits& limits = host_.limits();
  const auto length = parser_->content_length();
  if (length && *length > limits.body_bytes) {
    return answer(error_response(body_too_large(limits.body_bytes)));
  }
  const std::size_t wanted = length               ? static_cast<std::size_t>(*length)
                             : parser_->chunked() ? limits.body_bytes
                                                  : 0;
  if (!host_.take_body(wanted)) {
    HttpResponse busy =
        error_response({503, "the server holds as many requests as it has memory for: try again",
                        "server_error", std::nullopt, "overloaded"});
    busy.headers.emplace_back("Retry-After", "5");
    return answer(busy);
  }
  body_taken_ = wanted;
  arm(read_deadline_, limits.body_time, &HttpConnection::close);
  if (message.version() >= 11 && message[http::field::expect] == "100-continue") {
    writing_ = "HTTP/1.1 100 Continue\r\n\r\n";
    asio::async_write(socket_, asio::buffer(writing_),
                      [self = shared_from_this()](Error error, std::size_t) {
                        if (self->closed_) return;
                        error ? self->close() : self->read_body();
                      });
    return;
  }
  read_body();
}

void HttpConnection::read_body() {
  http::async_read(
      socket_, buffer_, *parser_, [self = shared_from_this()](Error error, std::size_t) {
        if (self->closed_) return;
        if (!error) return self->on_request();
        if (error == http::error::body_limit) {
          return self->answer(error_response(body_too_large(self->host_.limits().body_bytes)));
        }
        if (error.category() == http::make_error_code(http::error::bad_method).category() &&
            error != http::error::partial_message) {
          return self->answer(error_response(
              invalid_request(400, "the request's body is broken: " + error.message())));
        }
        self->close();
      });
}

void HttpConnection::on_request() {
  read_deadline_.cancel();
  auto message = parser_->release();
  parser_.reset();
  HttpRequest request;
  request.method = std::string(message.method_string().data(), message.method_string().size());
  request.path = std::string(message.target().data(), message.target().size());
  request.path.resize(std::min(request.path.find('?'), request.path.size()));
  request.host = field(message, http::field::host);
  request.authorization = field(message, http::field::authorization);
  request.content_type = field(message, http::field::content_type);
  request.origin = field(message, http::field::origin);
  request.if_none_match = field(message, http::field::if_none_match);
  const auto id = message["X-Request-Id"];
  request.request_id = harmless_id({id.data(), id.size()});
  request.body = std::move(message.body());
  keep_alive_ = message.keep_alive() && message.version() >= 11 && !host_.stopping();
  const bool chunked = message.version() >= 11;
  reply_ = std::make_shared<Reply>(weak_from_this(), socket_.get_executor(), chunked, keep_alive_,
                                   request.method == "HEAD", host_.limits().unread_bytes);
  arm(silence_, host_.limits().silence_time, &HttpConnection::note_silence);
  if (!watching_) watch();
  host_.handle(std::move(request), reply_);
}

void HttpConnection::note_silence() {
  if (reply_ == nullptr) return;
  if (reply_->fill_silence()) flush();
  arm(silence_, host_.limits().silence_time, &HttpConnection::note_silence);
}

void HttpConnection::watch() {
  if (buffer_.size() >= host_.limits().ahead_bytes) return;
  watching_ = true;
  socket_.async_read_some(
      buffer_.prepare(4096), [self = shared_from_this()](Error error, std::size_t bytes) {
        self->watching_ = false;
        if (self->closed_) return;
        const bool next = error == asio::error::operation_aborted && self->reply_ == nullptr;
        if (error && !next) return self->close();
        if (self->lingers_) return self->linger();
        self->buffer_.commit(bytes);
        if (self->reply_ != nullptr) return self->watch();
        self->set_idle(false);
        self->arm(self->read_deadline_, self->host_.limits().head_time, &HttpConnection::close);
        self->read_head();
      });
}

void HttpConnection::flush() {
  if (closed_ || reply_ == nullptr) return;
  if (is_writing_) {
    if (reply_->holds_too_much()) close();
    return;
  }
  Reply::Taken taken = reply_->take();
  if (taken.bytes.empty()) {
    if (taken.finished) on_written();
    return;
  }
  writing_ = std::move(taken.bytes);
  is_writing_ = true;
  arm(write_deadline_, host_.limits().write_time, &HttpConnection::close);
  arm(silence_, host_.limits().silence_time, &HttpConnection::note_silence);
  asio::async_write(socket_, asio::buffer(writing_),
                    [self = shared_from_this()](Error error, std::size_t) {
                      self->is_writing_ = false;
                      if (self->closed_) return;
                      if (error) return self->close();
                      self->write_deadline_.cancel();
                      self->flush();
                    });
}

// The whole answer is out.
void HttpConnection::on_written() {
  silence_.cancel();
  reply_.reset();
  writing_ = {};
  release_body();
  if (!keep_alive_ || host_.stopping()) return linger();
  arm(read_deadline_, host_.limits().idle_time, &HttpConnection::close);
  if (!watching_) return read_head();
  set_idle(true);  // the watch goes on with what comes
  if (buffer_.size() == 0) return;
  Error ignored;  // the next request has come already
  socket_.cancel(ignored);
}

void HttpConnection::answer(const HttpResponse& response) {
  writing_ = response_text(response, /*keep_alive=*/false, /*head_only=*/false);
  arm(write_deadline_, host_.limits().write_time, &HttpConnection::close);
  asio::async_write(socket_, asio::buffer(writing_),
                    [self = shared_from_this()](Error error, std::size_t) {
                      if (self->closed_) return;
                      error ? self->close() : self->linger();
                    });
}

// Closing while the client still sends would take our answer from it.
void HttpConnection::linger() {
  if (!std::exchange(lingers_, true)) {
    Error ignored;
    socket_.shutdown(asio::ip::tcp::socket::shutdown_send, ignored);
    write_deadline_.cancel();
    arm(read_deadline_, host_.limits().linger_time, &HttpConnection::close);
    buffer_.clear();
    if (watching_) return;  // ends with its next read
  }
  socket_.async_read_some(buffer_.prepare(4096),
                          [self = shared_from_this()](Error error, std::size_t) {
                            if (self->closed_) return;
                            error ? self->close() : self->linger();
                          });
}

}  // namespace shoal::client
