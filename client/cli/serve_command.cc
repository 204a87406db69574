// SPDX-License-Identifier: Apache-2.0
// shoal serve
#include <fmt/format.h>
#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <filesystem>
#include <optional>
#include <thread>

#include "base/mutex.h"
#include "cli/shown.h"
#include "client/cli/chat_options.h"
#include "client/cli/commands.h"
#include "client/serve/engine.h"
#include "client/serve/gateway.h"
#include "client/serve/http_server.h"
#include "client/serve/kept_pipeline.h"
#include "client/serve/swarm_page.h"
#include "client/serve/swarm_sessions.h"
#include "model/pooling.h"
#include "proto/endpoint.h"

namespace shoal::client {
namespace {

// What runs when somebody ends the server has so long to get done; a second signal ends it at once.
constexpr std::chrono::seconds kDrainTime{30};
// Beside those of connections: of libraries, links to nodes and files.
constexpr std::size_t kOwnDescriptors = 512;
constexpr std::size_t kMostConnections = 8192;
// With --local, before a request needs more.
constexpr std::int64_t kLocalPositions = 4096;

// As many connections as this process may open.
std::size_t connections_allowed() {
  rlimit limit{};
  if (getrlimit(RLIMIT_NOFILE, &limit) != 0) return HttpLimits{}.connections;
  const rlim_t wanted = kMostConnections + kOwnDescriptors;
  if (limit.rlim_cur < wanted) {
    limit.rlim_cur = std::min(wanted, limit.rlim_max);
    setrlimit(RLIMIT_NOFILE, &limit);
    getrlimit(RLIMIT_NOFILE, &limit);
  }
  const auto open = static_cast<std::size_t>(std::min<rlim_t>(limit.rlim_cur, wanted));
  return std::max<std::size_t>(open > kOwnDescriptors ? open - kOwnDescriptors : open / 2, 16);
}

std::string model_name_of(const ServeFlags& flags, const OpenedModel& opened) {
  if (!flags.served_name.empty()) return flags.served_name;
  if (opened.files != nullptr) return opened.name;  // the swarm's own
  std::error_code ignored;
  const auto path = std::filesystem::weakly_canonical(flags.model, ignored);
  const std::string name = path.filename().string();
  return name.empty() ? flags.model : name;
}

// As people would type it to reach the server from here.
std::string shown_address(const std::string& listen, std::uint16_t port) {
  const auto parsed =
      proto::parse_host_port(proto::spelled_out(listen, proto::AddressUse::kListen));
  std::string host = parsed.ok() ? parsed->host : listen;
  if (host == "0.0.0.0") host = "127.0.0.1";
  if (host == "::") host = "::1";
  return host.find(':') == std::string::npos ? fmt::format("{}:{}", host, port)
                                             : fmt::format("[{}]:{}", host, port);
}

// Lines of several threads.
class EventLog {
 public:
  explicit EventLog(cli::ProgressLine& line) : line_(line) {}
  void tell(const std::string& text) {
    base::MutexLock lock(mutex_);
    line_.note("shoal: " + cli::printable(text));
  }

 private:
  base::Mutex mutex_;
  cli::ProgressLine& line_;
};

}  // namespace

absl::Status run_serve(const ServeFlags& flags, const base::StopToken& interrupt) {
  cli::ProgressLine line;
  auto opened = open_model(flags.model, flags.swarm, flags.threads, interrupt, line);
  if (!opened.ok()) return opened.status();
  UserModel& user_model = *opened->user_model;
  std::optional<model::chat::ChatTemplate> chat_template;
  auto found = open_template(flags.chat_template, user_model);
  if (found.ok()) {
    chat_template = *std::move(found);
  } else if (!absl::IsNotFound(found.status()) || !flags.chat_template.file.empty()) {
    return found.status();
  }
  auto source = PipelineSource::open(flags.swarm, *opened, interrupt, line);
  if (!source.ok()) return source.status();
  // The model is whole, and what its head is made of is known by the first route.
  base::StopToken end;  // of what goes on when nobody may ask any more
  KeptPipeline kept(
      [&](std::int64_t positions) {
        return (*source)->pipeline({.positions = positions, .interrupt = &end});
      },
      std::min(kLocalPositions, user_model.config.max_positions));
  if ((*source)->swarm() == nullptr) {
    if (auto first = kept.lend(1); !first.ok()) return first.status();
  } else if (auto first = (*source)->pipeline({.positions = 1}); !first.ok()) {
    return first.status();
  }

  EventLog log(line);
  OpenSession open;
  CheckChain check_chain = [] { return absl::OkStatus(); };
  std::optional<SwarmSessions> sessions;
  Engine::Options limits{static_cast<std::size_t>(flags.max_concurrent),
                         static_cast<std::size_t>(flags.max_queue)};
  if (SwarmConnection* swarm = (*source)->swarm()) {
    if (user_model.has_ends()) user_model.share_ends();
    sessions.emplace(user_model, *swarm,
                     SwarmSessionOptions{wait_of(flags.swarm),
                                         [&log](const std::string& text) { log.tell(text); }});
    open = [&sessions](SessionNeeds needs, const base::StopToken& stop) {
      return sessions->open(std::move(needs), stop);
    };
    check_chain = [&] { return sessions->check_chain(end); };
  } else {
    limits.running = 1;  // one executor computes all of the model
    open = [&](const SessionNeeds& needs, const base::StopToken&) {
      return kept.lend(needs.positions);
    };
  }
  Engine engine(user_model, open, limits);
  const std::string name = model_name_of(flags, *opened);
  SwarmWatch::Look look;
  if (sessions) look = [&sessions](const base::StopToken& stop) { return sessions->view(stop); };
  SwarmPage page(user_model, name, look);
  Gateway gateway(user_model, std::move(chat_template), engine, check_chain,
                  {.model_name = name,
                   .api_keys = flags.api_keys,
                   .version = SHOAL_VERSION,
                   .page = &page,
                   .pooling = model::load_pooling(user_model.directory),
                   .tool_family = tool_family_named(flags.tool_parser)});
  HttpLimits http;
  http.connections = connections_allowed();
  auto server = HttpServer::start(
      flags.listen, http, [&gateway](HttpRequest request, const std::shared_ptr<HttpReply>& reply) {
        gateway.handle(std::move(request), reply);
      });
  if (!server.ok()) return server.status();
  line.clear();
  const std::string address = shown_address(flags.listen, (*server)->port());
  fmt::print("serving {} at http://{}/v1\na page with the swarm: http://{}/\n",
             cli::printable(name), address, address);
  std::fflush(stdout);

  while (!interrupt.stopped()) std::this_thread::sleep_for(base::kStopPoll);
  (*server)->stop_accepting();
  const auto deadline = std::chrono::steady_clock::now() + kDrainTime;
  if (const std::size_t left = engine.unfinished(); left > 0) {
    log.tell(fmt::format("finishes {} answers (again to end at once)", left));
  }
  const auto more = [&] {
    return engine.unfinished() > 0 && std::chrono::steady_clock::now() < deadline;
  };
  while (more()) std::this_thread::sleep_for(base::kStopPoll);
  end.stop(interrupt.signal());
  engine.stop();
  page.stop();
  // What was written last is on its way.
  for (int i = 0; i < 20 && (*server)->connections() > 0; ++i) {
    std::this_thread::sleep_for(base::kStopPoll);
  }
  return interrupt.status();
}

}  // namespace shoal::client
