// SPDX-License-Identifier: Apache-2.0
// What the page asks of the gateway beside chat: its own files, the swarm, where the time of an
// answer went, and what one more GPU would bring. Knows no sockets. Thread-safe; the model must
// outlive it.
#pragma once

#include <memory>
#include <optional>
#include <string>

#include "client/serve/answer_trace.h"
#include "client/serve/http_message.h"
#include "client/serve/swarm_watch.h"
#include "client/text/user_model.h"

namespace shoal::client {

class SwarmPage {
 public:
  // Without a `look` the model runs in this process.
  SwarmPage(const UserModel& user_model, std::string model_name, SwarmWatch::Look look);

  AnswerLog& answers() { return answers_; }
  // GET of "/swarm" and below; other headers of the reply come with it.
  void swarm(const HttpRequest& request, const std::shared_ptr<HttpReply>& reply,
             HttpHeaders headers);
  // Answers all that wait; before the server ends.
  void stop();

 private:
  void tell(const SwarmSight& sight, const std::string& path, HttpReply& reply,
            HttpHeaders headers) const;
  nlohmann::ordered_json facts() const;  // of the model, and of answers

  const UserModel& user_model_;
  const std::string model_name_;
  AnswerLog answers_;
  std::optional<SwarmWatch> watch_;  // the last: its thread uses the others
};

// A file of the page: OK, or not changed since `if_none_match`, or nothing where there is none.
std::optional<HttpResponse> page_file(const std::string& path, const std::string& if_none_match);

}  // namespace shoal::client
