// SPDX-License-Identifier: Apache-2.0
// A node as a service, as far as it is decided without one: the heartbeat, the files, and what a
// configuration that is read again changes.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "cli/usage.h"
#include "node/command_line.h"
#include "node/reload.h"
#include "node/service/service_manager.h"
#include "node/service/unit_file.h"

namespace shoal::node {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;

TEST(Heartbeat, ReadyWhenItServesOrHasBeenStartingForLong) {
  Heartbeat quick({}, 1'000);
  EXPECT_FALSE(quick.due(1'500).ready);
  quick.serve(2'000);
  EXPECT_TRUE(quick.due(2'000).ready);
  EXPECT_FALSE(quick.due(2'001).ready);  // once
  Heartbeat slow({}, 1'000);
  EXPECT_FALSE(slow.due(15'999).ready);
  EXPECT_TRUE(slow.due(16'000).ready);
  slow.serve(20'000);
  EXPECT_FALSE(slow.due(20'000).ready);
  EXPECT_FALSE(slow.due(20'000).alive);  // nobody watches
}

TEST(Heartbeat, AliveWhileTheNodesThreadShowsItself) {
  Heartbeat heartbeat(8'000, 0);
  EXPECT_TRUE(heartbeat.due(0).alive);
  EXPECT_FALSE(heartbeat.due(1'999).alive);
  EXPECT_TRUE(heartbeat.due(2'000).alive);
  // However long it starts.
  EXPECT_TRUE(heartbeat.due(1'000'000).alive);
  heartbeat.serve(1'000'000);
  EXPECT_TRUE(heartbeat.due(1'003'999).alive);
  EXPECT_FALSE(heartbeat.due(1'004'000 + 2'000).alive);  // stands still for half of the patience
  heartbeat.beat(1'007'000);
  EXPECT_TRUE(heartbeat.due(1'007'000).alive);
  heartbeat.drain();
  EXPECT_TRUE(heartbeat.due(2'000'000).alive);
}

TEST(UnitFile, NamesTheProgramAndIsKnownAgain) {
  for (const ServiceScope scope : {ServiceScope::kSystem, ServiceScope::kUser}) {
    const auto text = unit_text(scope, "/opt/shoal-1.0/bin/shoal-node");
    ASSERT_TRUE(text.ok()) << text.status();
    EXPECT_THAT(*text, HasSubstr("\nExecStart=/opt/shoal-1.0/bin/shoal-node run "));
    EXPECT_THAT(*text, Not(HasSubstr("@PROGRAM@")));
    for (const char* line : {"Type=notify", "WatchdogSec=", "Restart=on-failure",
                             "ExecReload=", "RestartPreventExitStatus=2", "WantedBy="}) {
      EXPECT_THAT(*text, HasSubstr(std::string("\n") + line));
    }
    EXPECT_TRUE(is_written_by_us(*text));
    EXPECT_FALSE(is_written_by_us(text->substr(1)));
  }
  for (const char* path : {"/home/me/my programs/shoal-node", "/a%b", "/a$b", "shoal-node"}) {
    EXPECT_FALSE(unit_text(ServiceScope::kUser, path).ok()) << path;
  }
}

std::string as_absolute(const std::string& type, const std::string& path) {
  return type == "FILE" ? "/abs/" + path : path;
}

TEST(UnitFile, TheConfigurationHasWhatTheServiceTakes) {
  const auto text = configuration_text({{{"swarm-key", {"k"}, false}, "FILE"},
                                        {{"join", {"a:1", "b:2"}, true}, "HOST:PORT"},
                                        {{"add-model", {}, false}, ""},
                                        {{"replace", {}, false}, ""},
                                        {{"no-start", {}, false}, ""}},
                                       as_absolute);
  ASSERT_TRUE(text.ok()) << text.status();
  EXPECT_EQ(*text, "[run]\nswarm-key = \"/abs/k\"\njoin = [\"a:1\", \"b:2\"]\nadd-model = true\n");
  const auto refused = configuration_text({{{"take-over", {}, false}, ""}}, as_absolute);
  EXPECT_TRUE(cli::is_usage_error(refused.status()));
  EXPECT_THAT(cli::one_line(refused.status()), HasSubstr("--take-over"));
  const auto bytes = configuration_text({{{"model", {"/m\xff"}, false}, "MODEL"}}, as_absolute);
  EXPECT_THAT(cli::one_line(bytes.status()), HasSubstr("--model \"/m\\xff\" is not UTF-8"));
}

TEST(Reload, TellsWhatChangesNowFromWhatWaits) {
  const std::vector<cli::Assignment> before = {
      {"model", {"m"}, false}, {"log-level", {"info"}, false}, {"threads", {"1"}, false}};
  const std::vector<cli::Assignment> after = {
      {"model", {"m"}, false}, {"log-level", {"debug"}, false}, {"nice", {"3"}, false}};
  const Reload reload = compare_options(before, after);
  EXPECT_THAT(reload.now, ElementsAre("log-level", "nice"));
  EXPECT_THAT(reload.later, ElementsAre("threads"));
  EXPECT_TRUE(reload.has("nice"));
  EXPECT_FALSE(reload.has("threads"));
  EXPECT_THAT(compare_options(after, after).now, IsEmpty());
  EXPECT_THAT(reload_text(compare_options(after, after)), HasSubstr("nothing has changed"));
}

absl::StatusOr<CommandLine> parsed(std::vector<const char*> arguments,
                                   const cli::Settings& settings = {}) {
  arguments.insert(arguments.begin(), "shoal-node");
  return parse_command_line(static_cast<int>(arguments.size()), arguments.data(), settings);
}

TEST(CommandLineSettings, VariablesStandForOptions) {
  cli::Settings settings;
  settings.prefix = "SHOAL_NODE_";
  settings.variables = {{"SHOAL_NODE_MODEL", "m"},
                        {"SHOAL_NODE_JOIN", "a.example:1 b.example:2"},
                        {"SHOAL_NODE_NICE", "5"}};
  const auto line = parsed({"run"}, settings);
  ASSERT_TRUE(line.ok()) << line.status();
  EXPECT_EQ(line->model, "m");
  EXPECT_EQ(line->join.size(), 2u);
  EXPECT_EQ(line->nice, 5);
  EXPECT_EQ(line->given.size(), 3u);
  const auto first = parsed({"run", "--new-swarm"}, settings);
  ASSERT_TRUE(first.ok()) << first.status();
  EXPECT_THAT(first->join, IsEmpty());
  settings.variables[1].second = "nowhere";
  EXPECT_THAT(cli::one_line(parsed({"run"}, settings).status()),
              HasSubstr("(--join is from SHOAL_NODE_JOIN)"));
}

TEST(CommandLineSettings, AServiceTakesTheOptionsOfRun) {
  const auto line = parsed({"service", "install", "--model", "m", "--new-swarm", "--no-start"});
  ASSERT_TRUE(line.ok()) << line.status();
  EXPECT_EQ(line->action, CommandLine::Action::kService);
  EXPECT_TRUE(line->service.no_start);
  EXPECT_EQ(line->service.options.size(), 3u);
  EXPECT_THAT(cli::one_line(parsed({"service", "install", "--model", "m"}).status()),
              HasSubstr("--join"));
  const auto removal = parsed({"service", "remove"});
  ASSERT_TRUE(removal.ok()) << removal.status();
  EXPECT_EQ(removal->service.action, ServiceRequest::Action::kRemove);
  EXPECT_FALSE(parsed({"service"}).ok());
}

}  // namespace
}  // namespace shoal::node
