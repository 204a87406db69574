// SPDX-License-Identifier: Apache-2.0
// The command line of shoal-node as a checked value. Parsing has no effect but its result;
// addresses are resolved later.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "base/memory_size.h"
#include "cli/settings.h"
#include "kernels/cuda/device_choice.h"
#include "kernels/kv_dtype.h"
#include "model/block_cache.h"
#include "model/weight_choice.h"
#include "node/control/hours.h"
#include "node/end_choice.h"
#include "node/member/ladder.h"
#include "node/owner_commands.h"
#include "node/service/service_request.h"
#include "proto/endpoint.h"
#include "proto/types.h"

namespace shoal::node {

struct CommandLine {
  enum class Action { kRun, kBootstrap, kPlan, kNetCheck, kService, kOwner, kPrint };
  Action action = Action::kPrint;
  std::string print;  // --help and --version

  std::string model;
  std::string model_name;
  std::optional<proto::Span> blocks;
  bool new_swarm = false;
  bool add_model = false;
  std::vector<std::string> join;
  std::string listen = ":0";
  std::vector<std::string> announce;
  ReachMode reach = ReachMode::kAuto;
  bool relay = true;
  std::uint32_t relay_mbit = 0;
  std::string udp = "auto";
  std::string swarm_key;
  std::string identity;
  kernels::cuda::DeviceChoice device;
  int threads = 0;
  std::optional<std::int64_t> kv_positions;
  kernels::KvDType kv_dtype = kernels::KvDType::kF32;
  // --weights, absent: auto; of stored ones --compute too.
  std::optional<model::WeightChoice> weights = model::WeightChoice::kStored;
  EndsMode ends = EndsMode::kAuto;
  model::CacheOptions cache;
  std::optional<base::MemorySize> memory;
  bool rebalance = true;
  std::uint32_t max_sessions = 0;
  std::uint32_t max_sessions_per_peer = 0;
  std::string public_name;
  std::string log_level = "info";
  std::string ready_file;
  std::string metrics;
  bool json = false;  // of a plan, of a check of the network
  double drain_timeout_s = 10;
  Hours hours;                           // in which it serves
  bool free_paused = false;              // outside of them its memory is given back
  OwnerLine owner;                       // of kOwner
  std::optional<double> join_timeout_s;  // absent: for ever
  int nice = 0;
  bool take_over = false;
  // Every option that has a value now, typed or not: what a reload compares.
  std::vector<cli::Assignment> given;
  // Which of them were not typed, and where they are from: one line, without values; may be empty.
  std::string origins;

  ServiceRequest service;  // of kService
};

// Usage errors (cli/usage.h): one line that names the option and what to write. `settings`: what
// stands for options that were not typed.
absl::StatusOr<CommandLine> parse_command_line(int argc, const char* const* argv,
                                               const cli::Settings& settings = {});

}  // namespace shoal::node
