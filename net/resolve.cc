// SPDX-License-Identifier: Apache-2.0
#include "net/resolve.h"

#include <netdb.h>
#include <sys/socket.h>

#include <algorithm>
#include <chrono>
#include <future>
#include <system_error>
#include <thread>

#include "absl/strings/str_cat.h"
#include "net/socket_address.h"

namespace shoal::net {
namespace {

// The system's resolver may try several dead servers for 5 s each; a person waits for this.
constexpr std::chrono::seconds kDeadline{8};

struct Answer {
  int error = 0;
  std::vector<proto::Endpoint> endpoints;
};

Answer ask_system(const proto::HostPort& asked) {
  addrinfo hints{};
  hints.ai_family = AF_UNSPEC;
  hints.ai_socktype = SOCK_STREAM;
  addrinfo* list = nullptr;
  Answer answer;
  answer.error = getaddrinfo(asked.host.c_str(), nullptr, &hints, &list);
  for (const addrinfo* item = list; answer.error == 0 && item != nullptr; item = item->ai_next) {
    proto::Endpoint endpoint = endpoint_of(*item->ai_addr);
    endpoint.port = asked.port;
    if (std::find(answer.endpoints.begin(), answer.endpoints.end(), endpoint) ==
        answer.endpoints.end()) {
      answer.endpoints.push_back(endpoint);
    }
  }
  if (list != nullptr) freeaddrinfo(list);
  // Always loopback (RFC 6761, 6.3), also on a minimal system without /etc/hosts.
  if (answer.endpoints.empty() && asked.host == "localhost") {
    return {0, {proto::Endpoint::v4({127, 0, 0, 1}, asked.port)}};
  }
  return answer;
}

}  // namespace

absl::StatusOr<std::vector<proto::Endpoint>> resolve(std::string_view written,
                                                     proto::AddressUse use) {
  const std::string host_port = proto::spelled_out(written, use);
  if (absl::Status status = proto::check_address(host_port, use); !status.ok()) return status;
  if (auto numeric = proto::parse_endpoint(host_port); numeric.ok()) return std::vector{*numeric};
  const auto asked = proto::parse_host_port(host_port);
  if (!asked.ok()) return asked.status();

  // getaddrinfo cannot be interrupted: past the deadline its thread is left to end by itself, with
  // what it owns.
  std::promise<Answer> promise;
  std::future<Answer> future = promise.get_future();
  try {
    std::thread([promise = std::move(promise), asked = *asked]() mutable {
      promise.set_value(ask_system(asked));
    }).detach();
  } catch (const std::system_error& error) {
    return absl::ResourceExhaustedError(
        absl::StrCat("cannot look up the host \"", asked->host, "\": no thread to do it (",
                     error.what(), "): raise the limit on processes (ulimit -u)"));
  }
  if (future.wait_for(kDeadline) != std::future_status::ready) {
    return absl::DeadlineExceededError(
        absl::StrCat("no name server answered for \"", asked->host,
                     "\": check the network of this machine, or give a numeric address"));
  }
  Answer answer = future.get();
  if (answer.error != 0 || answer.endpoints.empty()) {
    const char* why = answer.error != 0 ? gai_strerror(answer.error) : "it has no IP address";
    return absl::NotFoundError(absl::StrCat("cannot find the host \"", asked->host, "\" (", why,
                                            "): check its spelling, or give a numeric address"));
  }
  absl::Status unusable;
  std::erase_if(answer.endpoints, [&](const proto::Endpoint& endpoint) {
    absl::Status status = proto::check_address(endpoint, use);
    if (status.ok()) return false;
    unusable = std::move(status);
    return true;
  });
  if (answer.endpoints.empty()) {
    return absl::InvalidArgumentError(
        absl::StrCat("the host \"", asked->host,
                     "\" has no other address than this: ", std::string(unusable.message())));
  }
  return std::move(answer.endpoints);
}

}  // namespace shoal::net
