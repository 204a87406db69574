// SPDX-License-Identifier: Apache-2.0
// One connection of the server: reads a request, hands it on, writes its answer, and again. Lives
// on the server's thread; what it knows of others is HttpHost. Owns its socket. Its reply is what
// handlers hold, and posts to that thread.
#pragma once

#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/beast/core/flat_buffer.hpp>
#include <boost/beast/http/parser.hpp>
#include <boost/beast/http/string_body.hpp>
#include <functional>
#include <memory>
#include <optional>
#include <string>

#include "client/serve/http_limits.h"
#include "client/serve/http_message.h"

namespace shoal::client {

class HttpConnection;

// What a connection asks of its server; called on the server's thread.
class HttpHost {
 public:
  virtual ~HttpHost() = default;
  virtual const HttpLimits& limits() const = 0;
  virtual void handle(HttpRequest request, std::shared_ptr<HttpReply> reply) = 0;
  // Room for a body; false: there is none now.
  virtual bool take_body(std::size_t bytes) = 0;
  virtual void give_back_body(std::size_t bytes) = 0;
  virtual void idle(HttpConnection& connection, bool is_idle) = 0;
  virtual void closed(HttpConnection& connection) = 0;
  virtual bool stopping() const = 0;  // no further request
};

class HttpConnection : public std::enable_shared_from_this<HttpConnection> {
 public:
  HttpConnection(boost::asio::ip::tcp::socket socket, HttpHost& host);
  ~HttpConnection();

  void start();
  void close();  // at once
  bool is_idle() const { return idle_; }
  void refuse(int status, const std::string& message);  // instead of start()

 private:
  class Reply;
  using Parser = boost::beast::http::request_parser<boost::beast::http::string_body>;

  void read_head();
  void on_head();
  void read_body();
  void on_request();
  void watch();  // for a client that goes while it is answered
  void flush();
  void on_written();
  void answer(const HttpResponse& response);  // of the server's own; the connection ends
  void linger();
  void arm(boost::asio::steady_timer& timer, std::chrono::milliseconds time,
           void (HttpConnection::*then)());
  void note_silence();
  void set_idle(bool idle);
  void release_body();

  boost::asio::ip::tcp::socket socket_;
  HttpHost& host_;
  boost::asio::steady_timer read_deadline_, write_deadline_, silence_;
  boost::beast::flat_buffer buffer_;
  std::optional<Parser> parser_;
  std::shared_ptr<Reply> reply_;  // null: none is being made
  std::string writing_;
  std::size_t body_taken_ = 0;
  bool is_writing_ = false;
  bool watching_ = false;
  bool keep_alive_ = false;
  bool idle_ = false;
  bool closed_ = false;
  bool lingers_ = false;
};

}  // namespace shoal::client
