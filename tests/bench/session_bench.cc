// SPDX-License-Identifier: Apache-2.0
#include "tests/bench/session_bench.h"

#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <condition_variable>
#include <deque>
#include <memory>
#include <mutex>
#include <string>
#include <utility>

#include "kernels/executor.h"
#include "model/checkpoint.h"
#include "model/config.h"
#include "model/kv_pool.h"
#include "node/device/device_thread.h"
#include "node/device/executors.h"
#include "tests/bench/latency.h"
#include "tests/bench/random_model.h"

namespace shoal::bench {
namespace {

using Clock = std::chrono::steady_clock;

constexpr std::int64_t kChunkRows = 128;  // as a client sends a prompt
constexpr int kChunksInFlight = 4;
constexpr int kWarmSteps = 4;  // of each session: not counted

double us_since(Clock::time_point start) {
  return std::chrono::duration<double, std::micro>(Clock::now() - start).count();
}

struct Told {
  std::size_t session = 0;
  double us = 0;
  absl::Status status;
};

// What the device tells, for the one thread that drives all sessions.
class Inbox {
 public:
  void put(Told told) {
    const std::lock_guard lock(mutex_);
    told_.push_back(std::move(told));
    changed_.notify_one();
  }
  Told take() {
    std::unique_lock lock(mutex_);
    if (!changed_.wait_for(lock, std::chrono::minutes(10), [&] { return !told_.empty(); })) {
      return {0, 0, absl::DeadlineExceededError("the device has said nothing for ten minutes")};
    }
    Told first = std::move(told_.front());
    told_.pop_front();
    return first;
  }

 private:
  std::mutex mutex_;
  std::condition_variable changed_;
  std::deque<Told> told_;
};

// Sessions of clients of their own on one device.
class Driver {
 public:
  Driver(node::DeviceThread& device, proto::Span span, std::int64_t hidden)
      : device_(device), span_(span), hidden_(hidden) {}

  absl::Status open(std::int64_t positions) {
    const node::SessionKey key = sessions_.size() + 1;
    proto::PeerId peer;
    peer.bytes[0] = static_cast<std::uint8_t>(key);
    peer.bytes[1] = static_cast<std::uint8_t>(key >> 8);
    if (auto no = device_.open(key, peer, span_, static_cast<std::uint32_t>(positions))) {
      return absl::ResourceExhaustedError(no->reason);
    }
    sessions_.push_back({.key = key});
    return absl::OkStatus();
  }

  // Microseconds that the session's next `rows` rows take as a prompt, alone.
  absl::StatusOr<double> read_prompt(std::size_t session, std::int64_t rows) {
    const auto start = Clock::now();
    sessions_[session].prompt_left = rows;
    feed(session);
    while (in_flight_ > 0) {
      const Told told = take();
      if (!told.status.ok()) return told.status;
      feed(told.session);
    }
    return us_since(start);
  }

  struct Decoded {
    Latency step_us;
    double seconds = 0;
    double tokens_per_s() const { return static_cast<double>(step_us.samples_us.size()) / seconds; }
    double prompt_us = 0;
  };
  // The first `count` sessions decode `tokens` steps each; with a prompt, which the session behind
  // them reads, as many as there is time for until it is read.
  absl::StatusOr<Decoded> decode(std::size_t count, int tokens, std::int64_t prompt) {
    Decoded decoded;
    std::vector<int> steps(count, 0);
    const int wanted = tokens + kWarmSteps;
    for (std::size_t i = 0; i < count; ++i) submit(i, 1);
    auto counted_from = Clock::now();
    bool warm = false;
    const std::size_t reader = count;
    auto prompt_from = counted_from;
    while (in_flight_ > 0) {
      const Told told = take();
      if (!told.status.ok()) return told.status;
      if (told.session == reader) {
        feed(reader);
        if (sessions_[reader].in_flight == 0) decoded.prompt_us = us_since(prompt_from);
        continue;
      }
      const int done = ++steps[told.session];
      if (warm) decoded.step_us.samples_us.push_back(told.us);
      if (!warm && std::all_of(steps.begin(), steps.end(), [](int n) { return n >= kWarmSteps; })) {
        warm = true;
        counted_from = Clock::now();
        if (prompt > 0) {
          prompt_from = counted_from;
          sessions_[reader].prompt_left = prompt;
          feed(reader);
        }
      }
      const bool reading = sessions_.size() > reader && sessions_[reader].in_flight > 0;
      if (prompt > 0 ? !warm || reading : done < wanted) submit(told.session, 1);
      // Those that are done first would leave the others a smaller batch.
      if (prompt == 0 && done == wanted) decoded.seconds = us_since(counted_from) * 1e-6;
    }
    if (prompt > 0) decoded.seconds = us_since(counted_from) * 1e-6;
    return decoded;
  }

 private:
  struct Session {
    node::SessionKey key = 0;
    std::int64_t position = 0;
    std::int64_t prompt_left = 0;
    int in_flight = 0;
  };

  Told take() {
    Told told = inbox_.take();
    --sessions_[told.session].in_flight;
    --in_flight_;
    return told;
  }
  void feed(std::size_t index) {
    Session& session = sessions_[index];
    while (session.prompt_left > 0 && session.in_flight < kChunksInFlight) {
      const std::int64_t rows = std::min(session.prompt_left, kChunkRows);
      session.prompt_left -= rows;
      submit(index, rows);
    }
  }
  void submit(std::size_t index, std::int64_t rows) {
    Session& session = sessions_[index];
    node::StepInput input;
    input.rows = static_cast<std::uint32_t>(rows);
    input.start_position = static_cast<std::uint32_t>(session.position);
    input.x.resize(static_cast<std::size_t>(rows * hidden_));
    for (std::size_t i = 0; i < input.x.size(); ++i) {
      input.x[i] = 0.01f * static_cast<float>((i + index) % 13) - 0.06f;
    }
    session.position += rows;
    ++session.in_flight;
    ++in_flight_;
    const auto start = Clock::now();
    const auto no = device_.submit(session.key, std::move(input),
                                   [this, index, start](const node::StepOutput& output) {
                                     inbox_.put({index, us_since(start), output.status});
                                   });
    if (no) inbox_.put({index, 0, absl::ResourceExhaustedError(no->reason)});
  }

  node::DeviceThread& device_;
  const proto::Span span_;
  const std::int64_t hidden_;
  Inbox inbox_;
  std::vector<Session> sessions_;
  int in_flight_ = 0;
};

}  // namespace

absl::StatusOr<Report> measure_sessions(const SessionBench& bench) {
  const auto model = RandomModel::make(bench.geometry, bench.blocks, false);
  if (!model.ok()) return model.status();
  const auto config = model::load_config(model->directory());
  if (!config.ok()) return config.status();
  const auto checkpoint = model::Checkpoint::open(model->directory());
  if (!checkpoint.ok()) return checkpoint.status();

  const std::int64_t most = *std::max_element(bench.sessions.begin(), bench.sessions.end());
  // A prompt takes as many tokens of the others as it takes time; they have room for a step with
  // each 4 rows of it.
  const std::int64_t each =
      bench.context + static_cast<std::int64_t>(bench.sessions.size() + 1) *
                          (3 * (bench.tokens + kWarmSteps) + bench.prompt / 4);
  const std::int64_t rounded =
      (each + model::kPagePositions - 1) / model::kPagePositions * model::kPagePositions;
  const std::int64_t reader = (bench.prompt + model::kPagePositions) * 2;
  const proto::Span span{0, static_cast<proto::BlockIndex>(bench.blocks)};
  Report report;
  report.facts["geometry"] = bench.geometry.name;
  report.facts["blocks"] = bench.blocks;
  report.facts["weights"] = model::name_of(bench.weights);
  report.facts["compute"] = bench.weights == model::WeightChoice::kMma ? "mma" : "exact";
  report.facts["kv"] = kernels::kv_dtype_name(bench.kv);
  report.facts["threads"] = bench.threads;
  report.facts["instruction_set"] = kernels::cpu_instruction_set();
  report.facts["context"] = bench.context;
  report.facts["tokens"] = bench.tokens;
  report.x = "sessions";
  report.y = bench.prompt > 0 ? "p99_ratio" : "speedup";
  for (const std::int64_t count : bench.sessions) {
    // A fresh device for each point: its sessions begin at the same position.
    node::DeviceOptions options;
    options.span = span;
    options.kv_positions = rounded * most + reader;
    options.kv_dtype = bench.kv;
    options.weights = bench.weights;
    options.threads = bench.threads;
    auto chosen = node::open_chosen(bench.device);
    if (!chosen.ok()) return chosen.status();
    if (bench.weights == model::WeightChoice::kMma) {
      if (const auto kind = node::mma_of(*chosen); !kind.ok()) return kind.status();
    }
    options.devices = node::in_equal_shares(std::move(chosen->executors), span.size());
    auto device = node::DeviceThread::start(*config, *checkpoint, std::move(options));
    if (!device.ok()) return device.status();
    Driver driver(**device, span, bench.geometry.hidden);
    for (std::int64_t i = 0; i < count; ++i) {
      if (absl::Status opened = driver.open(rounded); !opened.ok()) return opened;
      const auto us = driver.read_prompt(static_cast<std::size_t>(i), bench.context);
      if (!us.ok()) return us.status();
    }
    const auto one = driver.decode(1, bench.tokens, 0);
    if (!one.ok()) return one.status();
    const node::DeviceStats before = (*device)->stats();
    const auto all = driver.decode(static_cast<std::size_t>(count), bench.tokens, 0);
    if (!all.ok()) return all.status();
    const node::DeviceStats after = (*device)->stats();
    nlohmann::ordered_json point;
    point["sessions"] = count;
    point["one_tokens_per_s"] = one->tokens_per_s();
    point["tokens_per_s"] = all->tokens_per_s();
    point["speedup"] = all->tokens_per_s() / one->tokens_per_s();
    point["one_step_p50_us"] = one->step_us.p50();
    point["one_step_p99_us"] = one->step_us.p99();
    point["step_p50_us"] = all->step_us.p50();
    point["step_p99_us"] = all->step_us.p99();
    point["rows_per_batch"] = static_cast<double>(after.batched_rows - before.batched_rows) /
                              static_cast<double>(after.batches - before.batches);
    point["p99_of_one_p50"] = all->step_us.p99() / one->step_us.p50();
    if (bench.prompt > 0) {
      if (absl::Status opened = driver.open(bench.prompt); !opened.ok()) return opened;
      const auto beside =
          driver.decode(static_cast<std::size_t>(count), bench.tokens, bench.prompt);
      if (!beside.ok()) return beside.status();
      // Undisturbed where the prompt has left them: their contexts have grown meanwhile.
      const auto again = driver.decode(static_cast<std::size_t>(count), bench.tokens, 0);
      if (!again.ok()) return again.status();
      point["prompt_rows"] = bench.prompt;
      point["prompt_rows_per_s"] = static_cast<double>(bench.prompt) / (beside->prompt_us * 1e-6);
      point["beside_tokens_per_s"] = beside->tokens_per_s();
      point["beside_p50_us"] = beside->step_us.p50();
      point["beside_p99_us"] = beside->step_us.p99();
      point["undisturbed_p99_us"] = again->step_us.p99();
      point["p99_ratio"] = beside->step_us.p99() / again->step_us.p99();
    }
    report.points.push_back(std::move(point));
  }
  return report;
}

}  // namespace shoal::bench
