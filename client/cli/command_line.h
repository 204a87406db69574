// SPDX-License-Identifier: Apache-2.0
// The command line of `shoal` as plain values. Parsing has no effect but its result.
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "absl/status/statusor.h"
#include "cli/settings.h"
#include "proto/types.h"

namespace shoal::client {

// How to get at a model's blocks.
struct SwarmFlags {
  std::vector<std::string> join;  // HOST:PORT
  bool local = false;
  std::string kv_dtype;      // with local; empty: f32
  std::string weights;       // with local; empty: stored; may be auto
  std::string head;          // stored or q8; empty: q8 where all blocks are quantized
  std::string ends;          // local or remote: who computes the first and last layer; empty: auto
  std::string cache;         // with local; empty: the user's cache folder; or off
  std::string cache_limit;   // with local; empty: the default; or off
  std::string udp = "auto";  // or off
  std::string swarm_key_file;
  std::string identity_file;  // empty: a new identity for this run
  double wait_s = 60;         // for what is lost; generate and score
  std::string config;         // the reader of command lines takes it
};

inline std::chrono::milliseconds wait_of(const SwarmFlags& flags) {
  return std::chrono::milliseconds(static_cast<std::int64_t>(flags.wait_s * 1e3));
}

// What is not given comes from the model.
struct SamplingFlags {
  std::optional<std::int64_t> max_tokens;
  bool greedy = false;
  std::optional<double> temperature, top_p, min_p, repetition_penalty;
  std::optional<std::int64_t> top_k;
  std::optional<std::uint64_t> seed;
};

// How messages become a text.
struct TemplateFlags {
  std::string file;    // empty: the model's
  std::string system;  // empty: none
};

struct GenerateFlags : SamplingFlags {
  std::string model;  // here as in the others: empty: the one that the swarm serves
  SwarmFlags swarm;
  int threads = 0;
  bool chat = false;  // the prompt is a message
  TemplateFlags chat_template;
  std::vector<std::string> stops;
  bool ignore_eos = false;
  std::string json_schema, regex;  // the form of the text: a file, an expression; empty: none
  bool json = false;
  bool logits = false;
  bool trace = false;
  std::string share_prefix;  // empty: what nodes keep is this client's alone
  bool no_prefix_reuse = false;
  std::string prompt;  // "-": standard input
};

struct ChatFlags : SamplingFlags {
  std::string model;
  SwarmFlags swarm;
  int threads = 0;
  TemplateFlags chat_template;
  std::string load;  // a file of /save; empty: none
  bool no_history = false;
};

struct ServeFlags {
  std::string model;
  SwarmFlags swarm;
  int threads = 0;
  TemplateFlags chat_template;
  std::string listen = "127.0.0.1:8000";
  std::vector<std::string> api_keys;
  std::string served_name;  // empty: the folder's
  std::string tool_parser;  // empty: by the chat template
  int max_concurrent = 64;
  int max_queue = 64;
};

struct ScoreFlags {
  std::string model;
  SwarmFlags swarm;
  int threads = 0;
  std::int64_t window = 512;
  bool json = false;
  std::string file;  // "-": standard input
};

struct StatusFlags {
  std::string model;  // empty: every model of the swarm
  SwarmFlags swarm;
  bool check = false;
  bool json = false;
};

struct SwarmNewFlags {
  std::string file;
};

struct PullFlags {
  std::string model;
  std::optional<proto::Span> blocks;
  bool ends = false;
};

struct ModelsFlags {
  std::string remove;  // empty: lists what is here
  SwarmFlags swarm;    // without --join: of this machine alone
  bool json = false;
};

// Text for standard output and nothing else to do: --help, --version.
struct Notice {
  std::string text;
};

using CommandLine = std::variant<GenerateFlags, ChatFlags, ServeFlags, ScoreFlags, StatusFlags,
                                 SwarmNewFlags, PullFlags, ModelsFlags, Notice>;

// Usage errors (cli/usage.h): one line that names the argument and what is expected. A prompt or
// file that is not given means standard input, unless that is a terminal or closed. `settings`:
// what stands for options that were not typed.
absl::StatusOr<CommandLine> parse_command_line(const std::vector<std::string>& arguments,
                                               bool input_is_useless = true,
                                               const cli::Settings& settings = {});

}  // namespace shoal::client
