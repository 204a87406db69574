// SPDX-License-Identifier: Apache-2.0
// The command line is a contract: names, defaults, and one clear line for every mistake.
#include "node/command_line.h"

#include <gtest/gtest.h>

namespace shoal::node {
namespace {

absl::StatusOr<CommandLine> parse(std::vector<const char*> arguments) {
  arguments.insert(arguments.begin(), "shoal-node");
  return parse_command_line(static_cast<int>(arguments.size()), arguments.data());
}

TEST(CommandLine, EveryOptionOfRun) {
  const auto line = parse({"run",
                           "--model",
                           "DIR",
                           "--blocks",
                           "2:5",
                           "--join",
                           "a:1",
                           "--join",
                           "b:2",
                           "--listen",
                           "127.0.0.1:7000",
                           "--swarm-key",
                           "K",
                           "--identity",
                           "I",
                           "--threads",
                           "3",
                           "--device",
                           "cpu",
                           "--public-name",
                           "me",
                           "--log-level",
                           "debug",
                           "--ready-file",
                           "R",
                           "--model-name",
                           "tiny",
                           "--kv-positions",
                           "4096",
                           "--kv-dtype",
                           "bf16",
                           "--weights",
                           "q4",
                           "--cache",
                           "C",
                           "--cache-limit",
                           "10GB",
                           "--max-sessions",
                           "9",
                           "--max-sessions-per-peer",
                           "4",
                           "--announce",
                           "h:9",
                           "--add-model",
                           "--drain-timeout",
                           "2.5",
                           "--memory",
                           "1.5GiB",
                           "--join-timeout",
                           "30",
                           "--relay",
                           "off",
                           "--relay-mbit",
                           "50"});
  ASSERT_TRUE(line.ok()) << line.status();
  EXPECT_EQ(line->action, CommandLine::Action::kRun);
  EXPECT_FALSE(line->relay);
  EXPECT_EQ(line->relay_mbit, 50u);
  EXPECT_EQ(line->model, "DIR");
  EXPECT_EQ(line->blocks, (proto::Span{2, 5}));
  EXPECT_EQ(line->join, (std::vector<std::string>{"a:1", "b:2"}));
  EXPECT_EQ(line->memory, (base::MemorySize{1'610'612'736, 0}));
  EXPECT_EQ(line->join_timeout_s, 30);
  EXPECT_EQ(line->listen, "127.0.0.1:7000");
  EXPECT_EQ(line->swarm_key, "K");
  EXPECT_EQ(line->identity, "I");
  EXPECT_EQ(line->threads, 3);
  EXPECT_EQ(line->public_name, "me");
  EXPECT_EQ(line->log_level, "debug");
  EXPECT_EQ(line->ready_file, "R");
  EXPECT_EQ(line->model_name, "tiny");
  EXPECT_EQ(line->weights, model::WeightChoice::kQ4);
  EXPECT_EQ(line->cache.directory, "C");
  EXPECT_EQ(line->cache.limit, (base::MemorySize{10'000'000'000, 0}));
  EXPECT_EQ(line->kv_positions, 4096);
  EXPECT_EQ(line->kv_dtype, kernels::KvDType::kBF16);
  EXPECT_EQ(line->max_sessions, 9u);
  EXPECT_EQ(line->max_sessions_per_peer, 4u);
  EXPECT_EQ(line->announce, (std::vector<std::string>{"h:9"}));
  EXPECT_TRUE(line->add_model);
  EXPECT_EQ(line->drain_timeout_s, 2.5);
}

TEST(CommandLine, Defaults) {
  const auto line = parse({"run", "--model", "DIR", "--new-swarm"});
  ASSERT_TRUE(line.ok()) << line.status();
  EXPECT_EQ(line->listen, ":0");
  EXPECT_TRUE(line->relay);
  EXPECT_EQ(line->relay_mbit, proto::kRelayMbit);
  EXPECT_EQ(line->threads, 0);
  EXPECT_FALSE(line->blocks.has_value());
  EXPECT_FALSE(line->kv_positions.has_value());
  EXPECT_EQ(line->kv_dtype, kernels::KvDType::kF32);
  EXPECT_EQ(line->weights, model::WeightChoice::kStored);
  EXPECT_EQ(line->drain_timeout_s, 10);
  EXPECT_EQ(parse({"run", "--model", "DIR", "--new-swarm", "--weights", "auto"})->weights,
            std::nullopt);
}

TEST(CommandLine, FloatTensorCoresTakeStoredWeights) {
  for (const char* action : {"run", "plan"}) {
    std::vector<const char*> words = {action, "--model", "DIR", "--compute", "mma"};
    if (action == std::string("run")) words.push_back("--new-swarm");
    const auto line = parse(words);
    ASSERT_TRUE(line.ok()) << line.status();
    EXPECT_EQ(line->weights, model::WeightChoice::kMma);
  }
  EXPECT_EQ(parse({"run", "--model", "DIR", "--new-swarm", "--compute", "exact"})->weights,
            model::WeightChoice::kStored);
  for (const char* weights : {"q8", "q4", "q4s", "auto"}) {
    const auto line =
        parse({"run", "--model", "DIR", "--new-swarm", "--compute", "mma", "--weights", weights});
    EXPECT_EQ(
        line.status().message(),
        std::string("--compute mma multiplies weights as they are stored, and --weights is ") +
            weights + ": leave one of the two out");
  }
  EXPECT_FALSE(parse({"run", "--model", "DIR", "--new-swarm", "--compute", "tensor"}).ok());
}

TEST(CommandLine, KeysAndValuesMayBeKeptInEveryType) {
  for (const kernels::KvDType dtype : kernels::kKvDTypes) {
    const auto line = parse(
        {"run", "--model", "DIR", "--new-swarm", "--kv-dtype", kernels::kv_dtype_name(dtype)});
    ASSERT_TRUE(line.ok()) << line.status();
    EXPECT_EQ(line->kv_dtype, dtype);
  }
}

TEST(CommandLine, APlanNeedsNoSwarm) {
  const auto line = parse({"plan", "--model", "DIR", "--memory", "2GiB", "--kv-dtype", "bf16",
                           "--blocks", "1:3", "--json"});
  ASSERT_TRUE(line.ok()) << line.status();
  EXPECT_EQ(line->action, CommandLine::Action::kPlan);
  EXPECT_EQ(line->model, "DIR");
  EXPECT_EQ(line->memory, (base::MemorySize{std::uint64_t{2} << 30, 0}));
  EXPECT_EQ(line->kv_dtype, kernels::KvDType::kBF16);
  EXPECT_EQ(line->blocks, (proto::Span{1, 3}));
  EXPECT_TRUE(line->json);
  EXPECT_FALSE(parse({"plan"}).ok());
  EXPECT_FALSE(parse({"plan", "--model", "DIR", "--join", "a:1"}).ok());
}

TEST(CommandLine, BootstrapNeedsAnAddressOnly) {
  const auto line = parse({"bootstrap", "--listen", "0.0.0.0:7000", "--swarm-key", "K"});
  ASSERT_TRUE(line.ok()) << line.status();
  EXPECT_EQ(line->action, CommandLine::Action::kBootstrap);
  EXPECT_EQ(line->listen, "0.0.0.0:7000");
  EXPECT_FALSE(parse({"bootstrap"}).ok());
}

TEST(CommandLine, HelpAndVersionArePrinted) {
  const auto help = parse({"run", "--help"});
  ASSERT_TRUE(help.ok()) << help.status();
  EXPECT_EQ(help->action, CommandLine::Action::kPrint);
  for (const char* option : {"--model", "--blocks", "--new-swarm", "--join", "--listen",
                             "--swarm-key", "--identity", "--threads", "--device", "--public-name",
                             "--log-level", "--ready-file", "--drain-timeout", "--announce"}) {
    EXPECT_NE(help->print.find(option), std::string::npos) << option;
  }
  for (const std::vector<const char*>& asked :
       {std::vector<const char*>{"--version"}, {"run", "--version"}}) {
    const auto version = parse(asked);
    ASSERT_TRUE(version.ok()) << version.status();
    EXPECT_EQ(version->print.rfind("shoal-node ", 0), 0u) << version->print;
  }
  EXPECT_NE(parse({"--help"})->print.find("bootstrap"), std::string::npos);
}

TEST(CommandLine, TextsAreTakenAsTheyAreWritten) {
  for (const char* text : {"[me]", "[a,b]", "{}", "\"me\"", "-me", "- me", "%%", "a:1"}) {
    const auto line = parse(
        {"run", "--model", "[D]", "--new-swarm", "--public-name", text, "--model-name", text});
    ASSERT_TRUE(line.ok()) << line.status();
    EXPECT_EQ(line->public_name, text);
    EXPECT_EQ(line->model_name, text);
    EXPECT_EQ(line->model, "[D]");
  }
  const auto several = parse({"run", "--model", "D", "--join", "a:1", "b:2", "--join", "[::1]:3"});
  ASSERT_TRUE(several.ok()) << several.status();
  EXPECT_EQ(several->join, (std::vector<std::string>{"a:1", "b:2", "[::1]:3"}));
}

TEST(CommandLine, AnAddressThatNobodyCanUseIsRefusedAtEveryOption) {
  for (const char* address :
       {"0.0.0.0:7000", "[::]:7000", "0.1.2.3:7000", "224.0.0.1:7000", "255.255.255.255:7000",
        "240.0.0.1:7000", "[ff02::1]:7000", "[fe80::1]:7000", "[::10.0.0.1]:7000"}) {
    const bool any = std::string_view(address) == "0.0.0.0:7000" ||
                     std::string_view(address) == "[::]:7000";  // to listen on, it means all
    for (const char* option : {"--join", "--announce", "--listen", "--metrics"}) {
      const bool listens =
          std::string_view(option) == "--listen" || std::string_view(option) == "--metrics";
      std::vector<const char*> run = {"run", "--model", "D", option, address};
      if (std::string_view(option) != "--join") run.push_back("--new-swarm");
      std::vector<const char*> bootstrap = {"bootstrap", option, address};
      if (std::string_view(option) != "--listen")
        bootstrap.insert(bootstrap.end(), {"--listen", "127.0.0.1:0"});
      for (const auto& arguments : {run, bootstrap}) {
        const auto line = parse(arguments);
        EXPECT_EQ(line.ok(), any && listens) << testing::PrintToString(arguments);
        if (line.ok()) continue;
        const std::string text(line.status().message());
        EXPECT_EQ(text.rfind(std::string(option) + ": " + address, 0), 0u) << text;
      }
    }
  }
}

struct Mistake {
  std::vector<const char*> arguments;
  const char* says;
};

TEST(CommandLine, EveryMistakeIsOneLineThatNamesIt) {
  const Mistake mistakes[] = {
      {{}, "subcommand"},
      {{"walk"}, "walk"},
      {{"run", "--new-swarm"}, "--model"},
      {{"run", "--model", "D"}, "--new-swarm"},
      {{"run", "--model", "D", "--join", "a:1", "--new-swarm"}, "not both"},
      {{"run", "--model", "D", "--new-swarm", "--blocks", "5:2"}, "5:2"},
      {{"run", "--model", "D", "--new-swarm", "--blocks", "x"}, "0:4"},
      {{"run", "--model", "D", "--new-swarm", "--blocks", "-1:4"}, "--blocks"},
      {{"run", "--model", "D", "--new-swarm", "--listen", "7000"}, "HOST:PORT"},
      {{"run", "--model", "D", "--new-swarm", "--listen", "h:99999"}, "h:99999"},
      {{"run", "--model", "D", "--join", "h:0"}, "--join: h:0"},
      {{"run", "--model", "D", "--join", "nowhere"}, "nowhere"},
      {{"run", "--model", "D", "--new-swarm", "--threads", "0"}, "--threads"},
      {{"run", "--model", "D", "--new-swarm", "--threads", "many"}, "--threads"},
      {{"run", "--model", "D", "--new-swarm", "--device", "abacus"}, "abacus"},
      {{"run", "--model", "D", "--new-swarm", "--log-level", "loud"}, "loud"},
      {{"run", "--model", "D", "--new-swarm", "--kv-positions", "3"}, "--kv-positions"},
      {{"run", "--model", "D", "--new-swarm", "--kv-dtype", "f64"},
       "--kv-dtype is \"f64\", but must be f32, bf16, f16 or i8"},
      {{"run", "--model", "D", "--new-swarm", "--weights", "q5"}, "--weights"},
      {{"run", "--model", "D", "--new-swarm", "--cache-limit", "lots"}, "--cache-limit: \"lots\""},
      {{"run", "--model", "D", "--new-swarm", "--max-sessions", "0"}, "--max-sessions"},
      {{"run", "--model", "D", "--new-swarm", "--drain-timeout", "-1"}, "--drain-timeout"},
      {{"run", "--model", "D", "--new-swarm", "--blokcs", "0:4"}, "--blokcs"},
      {{"bootstrap", "--listen", "0.0.0.0:1", "--model", "D"}, "--model is an option of run"},
      {{"run", "--model", "D", "--new-swarm", "--blokcs", "0:4"}, "did you mean --blocks?"},
      {{"run", "--model", "D", "--new-swarm", "--log-level", "wran"}, "did you mean warn?"},
      {{"run", "--model", "D", "--new-swarm", "--threads", "1e3"}, "from 1 to 1024"},
      {{"run", "--model", "D", "--new-swarm", "--threads", "1025"}, "--threads is 1025"},
      {{"run", "--model", "D", "--new-swarm", "--public-name", "\xff"}, "UTF-8"},
      {{"run", "--model", "D", "--new-swarm", "-m", "x"}, "unknown option -m: did you mean"},
      {{"run", "D", "--new-swarm"}, "unexpected \"D\""},
      {{"run", "--model", "D", "--new-swarm", "--listen", "h:1", "--metrics", "h:1"},
       "different ports"},
      {{"generate"}, "shoal generate"},
      {{"bootsrap"}, "did you mean bootstrap?"},
  };
  for (const Mistake& mistake : mistakes) {
    const auto line = parse(mistake.arguments);
    ASSERT_FALSE(line.ok()) << testing::PrintToString(mistake.arguments);
    const std::string text(line.status().message().data(), line.status().message().size());
    EXPECT_NE(text.find(mistake.says), std::string::npos) << text;
    EXPECT_EQ(text.find('\n'), std::string::npos) << text;
  }
  const std::string long_name(65, 'x');
  EXPECT_FALSE(
      parse({"run", "--model", "D", "--new-swarm", "--public-name", long_name.c_str()}).ok());
}

}  // namespace
}  // namespace shoal::node
