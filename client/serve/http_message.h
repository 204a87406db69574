// SPDX-License-Identifier: Apache-2.0
// A request and how it is answered, without sockets: what a server hands to a handler, and what
// tests hand to it instead. Plain values; an HttpReply may be used from any thread, never blocks,
// and outlives its connection, but not the server.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <vector>

namespace shoal::client {

struct HttpRequest {
  std::string method;  // "GET"
  std::string path;    // as it was sent, without the query
  std::string host, authorization, content_type;
  std::string request_id;  // the client's own, of harmless characters; empty: none
  std::string body;
  std::string origin{};  // the page that asks; programs that are no browsers send none
  std::string if_none_match = {};
};

using HttpHeaders = std::vector<std::pair<std::string, std::string>>;

struct HttpResponse {
  int status = 200;
  std::string content_type = "application/json";
  std::string body;
  HttpHeaders headers = {};
};

enum class StreamForm { kEvents, kLines };  // text/event-stream, or JSON values a line each

// One answer: a whole response, or a stream of events.
class HttpReply {
 public:
  virtual ~HttpReply() = default;
  // False where a stream has begun already: say it there.
  virtual bool respond(HttpResponse response) = 0;
  // The answer will be a stream, and begins where nothing comes for some seconds. While one of
  // events is silent, comments tell the client that somebody works; lines have no such thing.
  virtual void expect_stream(HttpHeaders headers, StreamForm form) = 0;
  // Behind expect_stream. False when the client has gone, or does not read.
  virtual bool write(std::string bytes) = 0;
  virtual void finish() = 0;
  // Called once, at once where that is so already; not after the end of the answer.
  virtual void on_gone(std::function<void()> callback) = 0;
};

using HttpHandler = std::function<void(HttpRequest request, std::shared_ptr<HttpReply> reply)>;

}  // namespace shoal::client
