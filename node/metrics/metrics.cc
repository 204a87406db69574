// SPDX-License-Identifier: Apache-2.0
#include "node/metrics/metrics.h"

#include <CivetServer.h>
#include <fmt/format.h>
#include <prometheus/collectable.h>
#include <prometheus/exposer.h>

#include "node/metrics/metric_families.h"

namespace shoal::node {
namespace {

class Source final : public prometheus::Collectable {
 public:
  explicit Source(MetricsServer::Take take) : take_(std::move(take)) {}
  std::vector<prometheus::MetricFamily> Collect() const override {
    const std::optional<MetricsSnapshot> snapshot = take_();
    return snapshot ? metric_families(*snapshot) : std::vector<prometheus::MetricFamily>();
  }

 private:
  const MetricsServer::Take take_;
};

// What it would say on stderr we say in one line of our own.
int silent(const mg_connection*, const char*) { return 1; }

CivetCallbacks callbacks() {
  CivetCallbacks result;
  result.log_message = silent;
  return result;
}

}  // namespace

class MetricsServer::Impl {
 public:
  // A reader that is slow keeps one of two threads for five seconds at most.
  explicit Impl(const std::string& at)
      : exposer_({"listening_ports", at, "num_threads", "2", "request_timeout_ms", "5000"},
                 &callbacks_) {}

  int port() const { return exposer_.GetListeningPorts().front(); }
  void serve(Take take) {
    source_ = std::make_shared<Source>(std::move(take));
    exposer_.RegisterCollectable(source_);
  }

 private:
  const CivetCallbacks callbacks_ = callbacks();
  std::shared_ptr<prometheus::Collectable> source_;
  prometheus::Exposer exposer_;  // ends first: then nobody uses the source
};

MetricsServer::MetricsServer() = default;
MetricsServer::~MetricsServer() = default;

absl::StatusOr<std::unique_ptr<MetricsServer>> MetricsServer::start(const proto::Endpoint& at) {
  std::unique_ptr<MetricsServer> server(new MetricsServer());
  const std::string where = proto::to_string(at);
  try {
    server->impl_ = std::make_unique<Impl>(where);
    server->endpoint_ = at;
    server->endpoint_.port = static_cast<std::uint16_t>(server->impl_->port());
  } catch (const std::exception&) {  // it does not say why
    return absl::AlreadyExistsError(
        fmt::format("cannot serve metrics at {}: it is taken by another program, or not an address "
                    "of this machine; choose another with --metrics HOST:PORT",
                    where));
  }
  return server;
}

void MetricsServer::serve(Take take) { impl_->serve(std::move(take)); }

}  // namespace shoal::node
