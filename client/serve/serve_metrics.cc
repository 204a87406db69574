// SPDX-License-Identifier: Apache-2.0
#include "client/serve/serve_metrics.h"

#include <prometheus/counter.h>
#include <prometheus/histogram.h>
#include <prometheus/registry.h>
#include <prometheus/text_serializer.h>

#include <vector>

namespace shoal::client {
namespace {

using prometheus::Counter;
using prometheus::Histogram;
using prometheus::MetricFamily;
using prometheus::MetricType;
using Bounds = Histogram::BucketBoundaries;
using Labels = std::map<std::string, std::string>;

// vLLM's, so that figures compare.
const Bounds kFirstToken = {.001, .005, .01, .02, .04, .06, .08, .1, .25, .5,  .75,
                            1,    2.5,  5,   7.5, 10,  20,  40,  80, 160, 640, 2560};
const Bounds kNextToken = {.01, .025, .05, .075, .1,  .15, .2, .3, .4, .5,
                           .75, 1,    2.5, 5,    7.5, 10,  20, 40, 80};
const Bounds kWhole = {.3, .5, .8, 1,  1.5, 2,   2.5, 5,   10,   15,  20,
                       30, 40, 50, 60, 120, 240, 480, 960, 1920, 7680};
const Bounds kTokens = {1,   2,    5,    10,   20,    50,    100,   200,
                        500, 1000, 2000, 5000, 10000, 20000, 50000, 100000};
const Bounds kHop = {.0002, .0005, .001, .002, .005, .01, .02, .05, .1, .2, .5, 1, 2, 5};
const Bounds kHops = {0, 1, 2, 3, 4, 6, 8, 12, 16, 24, 32};

MetricFamily gauge(const char* name, const char* help, std::size_t value) {
  MetricFamily family{name, help, MetricType::Gauge, {}};
  family.metric.emplace_back().gauge.value = static_cast<double>(value);
  return family;
}

}  // namespace

class ServeMetrics::Impl {
 public:
  Counter& counter(const char* name, const char* help, const Labels& labels = {}) {
    return prometheus::BuildCounter().Name(name).Help(help).Register(registry).Add(labels);
  }
  Histogram& histogram(const char* name, const char* help, const Bounds& bounds,
                       const Labels& labels = {}) {
    return prometheus::BuildHistogram().Name(name).Help(help).Register(registry).Add(labels,
                                                                                     bounds);
  }
  Counter& success(const std::string& reason) {
    return counter("shoal_serve_request_success_total",
                   "Choices that came to their end, or to another, by how it was told",
                   {{"finished_reason", reason}});
  }
  Histogram& hop(const char* part) {
    return histogram("shoal_serve_hop_seconds",
                     "Time that one step spent at one hop: on the way there, waiting, computing",
                     kHop, {{"part", part}});
  }

  // Of several with one name the registry keeps one family.
  prometheus::Registry registry{prometheus::Registry::InsertBehavior::Merge};
  Counter& prompt_tokens =
      counter("shoal_serve_prompt_tokens_total", "Tokens of prompts that were answered");
  Counter& generated_tokens =
      counter("shoal_serve_generation_tokens_total", "Tokens that were generated");
  Counter& queries = counter("shoal_serve_prefix_cache_queries_total",
                             "Tokens of prompts that nodes were asked for from earlier sessions");
  Counter& hits = counter("shoal_serve_prefix_cache_hits_total",
                          "Tokens of prompts that nodes still had from earlier sessions");
  Counter& reroutes = counter("shoal_serve_reroutes_total",
                              "Times a session went on over other hops, a lost or slow one first");
  Histogram& hops =
      histogram("shoal_serve_route_hops", "Hops of a session as it began; 0: this process", kHops);
  Histogram& network = hop("network");
  Histogram& queue = hop("queue");
  Histogram& compute = hop("compute");
  Histogram& way_back = hop("return");
  Histogram& first = histogram("shoal_serve_time_to_first_token_seconds",
                               "From a request to its first token", kFirstToken);
  Histogram& next = histogram("shoal_serve_inter_token_latency_seconds",
                              "From one token of a choice to the next", kNextToken);
  Histogram& whole = histogram("shoal_serve_e2e_request_latency_seconds",
                               "From a request to the end of its answer", kWhole);
  Histogram& queued = histogram("shoal_serve_request_queue_time_seconds",
                                "From a request to the moment it is worked at", kWhole);
  Histogram& prompt_lengths =
      histogram("shoal_serve_request_prompt_tokens", "Tokens of a prompt", kTokens);
  Histogram& answer_lengths =
      histogram("shoal_serve_request_generation_tokens", "Tokens of an answer", kTokens);
  // Those that dashboards add up are there from the start.
  Counter& stopped = success("stop");
  Counter& cut = success("length");
  Counter& aborted = success("abort");
  Counter& failed = success("error");
};

ServeMetrics::ServeMetrics() : impl_(std::make_unique<Impl>()) {}
ServeMetrics::~ServeMetrics() = default;

void ServeMetrics::started(double queued_seconds) { impl_->queued.Observe(queued_seconds); }

void ServeMetrics::opened(std::size_t hops, std::int64_t prompt_tokens,
                          std::int64_t cached_tokens) {
  impl_->hops.Observe(static_cast<double>(hops));
  impl_->queries.Increment(static_cast<double>(prompt_tokens));
  impl_->hits.Increment(static_cast<double>(cached_tokens));
}

void ServeMetrics::step(const StepTiming& timing) {
  constexpr double kSecond = 1e6;
  for (const HopTiming& hop : timing.hops) {
    // What a hop said of a step may come after the rows, and has no figures then.
    if (hop.compute_us == 0 && hop.network_us == 0) continue;
    impl_->network.Observe(hop.network_us / kSecond);
    impl_->queue.Observe(hop.queue_us / kSecond);
    impl_->compute.Observe(hop.compute_us / kSecond);
  }
  impl_->way_back.Observe(timing.return_us / kSecond);
}

void ServeMetrics::first_token(double seconds) { impl_->first.Observe(seconds); }
void ServeMetrics::next_token(double seconds) { impl_->next.Observe(seconds); }
void ServeMetrics::rerouted(int times) { impl_->reroutes.Increment(times); }

void ServeMetrics::ended(const ChoiceCount& count) {
  impl_->success(count.reason).Increment();
  impl_->prompt_tokens.Increment(static_cast<double>(count.prompt_tokens));
  impl_->generated_tokens.Increment(static_cast<double>(count.generated_tokens));
  if (count.reason == "abort" || count.reason == "error") return;
  impl_->whole.Observe(count.seconds);
  impl_->prompt_lengths.Observe(static_cast<double>(count.prompt_tokens));
  impl_->answer_lengths.Observe(static_cast<double>(count.generated_tokens));
}

std::string ServeMetrics::text(const std::string& model_name, std::size_t running,
                               std::size_t waiting) const {
  std::vector<MetricFamily> families = impl_->registry.Collect();
  families.push_back(
      gauge("shoal_serve_num_requests_running", "Choices that are being made", running));
  families.push_back(gauge("shoal_serve_num_requests_waiting",
                           "Choices that wait for one of these to end", waiting));
  for (MetricFamily& family : families) {
    for (auto& metric : family.metric) metric.label.push_back({"model_name", model_name});
  }
  return prometheus::TextSerializer().Serialize(families);
}

}  // namespace shoal::client
