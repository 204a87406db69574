// SPDX-License-Identifier: Apache-2.0
#include "client/serve/swarm_page.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <chrono>
#include <utility>

#include "client/page/page_files.h"
#include "client/serve/api_error.h"
#include "client/serve/api_response.h"
#include "client/serve/swarm_json.h"

namespace shoal::client {
namespace {

using Json = nlohmann::ordered_json;

constexpr std::string_view kAnswers = "/swarm/answers/";
constexpr std::string_view kGrowth = "/swarm/growth/";

// Scripts and styles are files of ours, what is asked is asked of us, nothing is framed, and no
// text becomes a script.
constexpr const char* kContentSecurityPolicy =
    "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; "
    "img-src 'self' data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'; "
    "require-trusted-types-for 'script'; trusted-types 'none'";

std::uint64_t now_us() {
  return static_cast<std::uint64_t>(std::chrono::duration_cast<std::chrono::microseconds>(
                                        std::chrono::system_clock::now().time_since_epoch())
                                        .count());
}

HttpResponse json_response(const Json& json, HttpHeaders headers) {
  headers.emplace_back("Cache-Control", "no-store");
  return {200, "application/json", to_text(json), std::move(headers)};
}

HttpResponse refusal(const ApiError& error, const HttpHeaders& headers) {
  HttpResponse response = error_response(error);
  response.headers.insert(response.headers.end(), headers.begin(), headers.end());
  return response;
}

HttpResponse not_found(const std::string& message, const HttpHeaders& headers) {
  return refusal({404, message, "invalid_request_error", std::nullopt, "not_found"}, headers);
}

// 0: it is none that we compute with.
std::uint32_t gib_of(std::string_view text) {
  std::uint32_t gib = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), gib);
  const bool whole = error == std::errc() && end == text.data() + text.size();
  return whole && gib <= kMostCardGib ? gib : 0;
}

double step_us_or_guess(const SwarmView& view) {
  const double median = median_block_step_us(view);
  return median > 0 ? median : kUnknownBlockStepUs;
}

}  // namespace

SwarmPage::SwarmPage(const UserModel& user_model, std::string model_name, SwarmWatch::Look look)
    : user_model_(user_model), model_name_(std::move(model_name)) {
  if (look) watch_.emplace(std::move(look));
}

void SwarmPage::stop() {
  if (watch_) watch_->stop();
}

Json SwarmPage::facts() const {
  std::vector<Route> routes;
  Json running = Json::array();
  for (const auto& trace : answers_.running()) {
    running.push_back(trace->id());
    if (Route route = trace->route(); !route.empty()) routes.push_back(std::move(route));
  }
  const auto last = answers_.last();
  return {{"object", "swarm"},
          {"model", model_name_},
          {"local", !watch_.has_value()},
          {"context", user_model_.config.max_positions},
          {"answering", std::move(running)},
          {"routes", routes_json(routes)},
          {"last_answer", last ? last->json() : Json()}};
}

void SwarmPage::swarm(const HttpRequest& request, const std::shared_ptr<HttpReply>& reply,
                      HttpHeaders headers) {
  const std::string& path = request.path;
  if (path.starts_with(kAnswers)) {
    const std::string id = path.substr(kAnswers.size());
    const auto trace = answers_.find(id);
    reply->respond(trace ? json_response(trace->json(), std::move(headers))
                         : not_found("no answer of that id is known any more", headers));
    return;
  }
  const bool grows = path.starts_with(kGrowth);
  if (grows && gib_of(std::string_view(path).substr(kGrowth.size())) == 0) {
    reply->respond(refusal(invalid_request(400, fmt::format("{}GIB: a whole number from 1 to {}",
                                                            kGrowth, kMostCardGib)),
                           headers));
    return;
  }
  if (!grows && path != "/swarm") {
    reply->respond(not_found("there is no such thing below /swarm", headers));
    return;
  }
  if (!watch_) {
    reply->respond(grows ? not_found("this server runs the model by itself (--local): it has no "
                                     "swarm that could grow",
                                     headers)
                         : json_response(facts(), std::move(headers)));
    return;
  }
  watch_->ask([this, path, reply, headers = std::move(headers)](const SwarmSight& sight) {
    tell(sight, path, *reply, headers);
  });
}

void SwarmPage::tell(const SwarmSight& sight, const std::string& path, HttpReply& reply,
                     HttpHeaders headers) const {
  if (path.starts_with(kGrowth)) {
    if (!sight.view.ok()) {
      reply.respond(refusal(api_error(sight.view.status()), headers));
      return;
    }
    const std::uint32_t gib = gib_of(std::string_view(path).substr(kGrowth.size()));
    reply.respond(json_response(
        growth_json(growth_of(user_model_.config, *sight.view, gib, step_us_or_guess(*sight.view))),
        std::move(headers)));
    return;
  }
  Json json = facts();
  json["age_ms"] = std::chrono::duration_cast<std::chrono::milliseconds>(
                       std::chrono::steady_clock::now() - sight.at)
                       .count();
  json["error"] = sight.view.ok() ? Json() : Json(std::string(sight.view.status().message()));
  // Where nobody serves the model all of its blocks are missing.
  SwarmView none;
  none.block_count = user_model_.block_count();
  none.model_digest = user_model_.digest;
  const SwarmView& view = sight.view.ok() ? *sight.view : none;
  json.update(view_json(view, now_us()));
  Json growth = Json::array();
  const double step_us = step_us_or_guess(view);
  for (const std::uint32_t gib : kCardSizes) {
    growth.push_back(growth_json(growth_of(user_model_.config, view, gib, step_us)));
  }
  json["growth"] = {{"block_step_us", step_us}, {"cards", std::move(growth)}};
  reply.respond(json_response(json, std::move(headers)));
}

std::optional<HttpResponse> page_file(const std::string& path, const std::string& if_none_match) {
  const auto files = page_files();
  const auto file = std::ranges::find(files, path, &PageFile::path);
  if (file == files.end()) return std::nullopt;
  HttpHeaders headers = {{"Cache-Control", "no-cache"},
                         {"ETag", std::string(file->etag)},
                         {"Content-Security-Policy", kContentSecurityPolicy},
                         {"Referrer-Policy", "no-referrer"},
                         {"Cross-Origin-Opener-Policy", "same-origin"},
                         {"Cross-Origin-Resource-Policy", "same-origin"}};
  if (!if_none_match.empty() && if_none_match.find(file->etag) != std::string::npos) {
    return HttpResponse{304, std::string(file->type), "", std::move(headers)};
  }
  return HttpResponse{200, std::string(file->type), std::string(file->bytes), std::move(headers)};
}

}  // namespace shoal::client
