// SPDX-License-Identifier: Apache-2.0
// Model files that change under a running program: never a wrong token, never a death without a
// word.
#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <algorithm>
#include <filesystem>
#include <utility>

#include "tests/cli/machines.h"

namespace shoal::tests {
namespace {

using ::testing::HasSubstr;

class ModelFiles : public Machines {
 protected:
  ModelFiles() {
    model_ = folder_.file("model");
    copy_model(kDemoModel, model_);
    weights_ = model_ + "/model.safetensors";
    // A file of its own: copies of models may share theirs.
    const std::string whole = read_file(weights_);
    std::filesystem::remove(weights_);
    write_file(weights_, whole);
  }
  Outcome generate(const std::string& address, int tokens = 8) {
    return run({program("shoal"), "generate", "--model", kDemoModel, "--join", address, "--greedy",
                "--max-tokens", std::to_string(tokens), "Once"},
               40'000);
  }
  std::string expected(int tokens) {
    return run({program("shoal"), "generate", "--local", "--model", kDemoModel, "--greedy",
                "--max-tokens", std::to_string(tokens), "Once"},
               40'000)
        .out;
  }
  // Bytes in the middle of the last blocks' weights, in place.
  void overwrite() {
    const int file = open(weights_.c_str(), O_WRONLY | O_CLOEXEC);
    ASSERT_GE(file, 0);
    const std::string noise(1 << 16, '\x3d');
    const auto size = static_cast<off_t>(std::filesystem::file_size(weights_));
    EXPECT_EQ(pwrite(file, noise.data(), noise.size(), size / 2),
              static_cast<ssize_t>(noise.size()));
    close(file);
  }

  std::string weights_;
};

TEST_F(ModelFiles, ANodeWhoseFileIsTruncatedOrRewrittenSaysSoAndLeaves) {
  const std::vector<std::pair<const char*, std::function<void()>>> changes = {
      {"truncated", [&] { std::filesystem::resize_file(weights_, 4096); }},
      {"changed", [&] { overwrite(); }},
  };
  const std::string text = expected(8);
  const std::string changing = std::exchange(model_, kDemoModel);
  Process other(node("other", {"--new-swarm"}));
  model_ = changing;
  const std::string address = ready("other", other)["address"];
  for (const auto& [word, change] : changes) {
    std::filesystem::remove(weights_);
    write_file(weights_, read_file(kDemoModel + "/model.safetensors"));
    Process process(node("a", {"--join", address}));
    ready("a", process);
    EXPECT_EQ(generate(address).out, text);
    change();
    // Whoever asks now gets the same text, from the node that is whole.
    const Outcome after_change = generate(address);
    EXPECT_EQ(after_change.out, text) << word << ": " << after_change.err;
    EXPECT_EQ(process.wait(10'000), 1) << process.err();
    EXPECT_THAT(process.err(), HasSubstr("shoal-node: " + weights_ + " was "));
    EXPECT_THAT(process.err(), HasSubstr(word));
    EXPECT_FALSE(online("a"));
  }
}

TEST_F(ModelFiles, TruncatedInTheMiddleOfAGenerationNoTokenIsWrong) {
  Process process(node("a", {"--new-swarm"}));
  const std::string address = ready("a", process)["address"];
  Process client({program("shoal"), "generate", "--model", kDemoModel, "--join", address,
                  "--greedy", "--max-tokens", "400", "--ignore-eos", "Once"});
  ASSERT_TRUE(eventually(20'000, [&] { return client.out().size() > 40; })) << client.err();
  std::filesystem::resize_file(weights_, 100'000);
  EXPECT_EQ(process.wait(10'000), 1) << process.err();
  EXPECT_THAT(process.err(), HasSubstr(weights_));
  client.signal(SIGINT);
  client.wait(20'000);
  const std::string whole = run({program("shoal"), "generate", "--local", "--model", kDemoModel,
                                 "--greedy", "--max-tokens", "400", "--ignore-eos", "Once"},
                                60'000)
                                .out;
  EXPECT_EQ(whole.compare(0, client.out().size(), client.out()), 0)
      << "a token after the change: " << client.out();
}

TEST_F(ModelFiles, AFileThatIsReplacedChangesNothing) {
  Process process(node("a", {"--new-swarm"}));
  const std::string address = ready("a", process)["address"];
  write_file(weights_ + ".new", "something else");
  std::filesystem::rename(weights_ + ".new", weights_);
  EXPECT_TRUE(eventually(10'000, [&] {
    return process.err().find("was replaced or removed") != std::string::npos;
  })) << process.err();
  EXPECT_THAT(process.err(), HasSubstr(weights_));
  EXPECT_EQ(generate(address).out, expected(8));
  process.signal(SIGTERM);
  EXPECT_EQ(process.wait(10'000), 0) << process.err();
}

TEST_F(ModelFiles, AClientWhoseFileIsTruncatedSaysSo) {
  for (const bool truncate : {true, false}) {
    std::filesystem::remove(weights_);
    write_file(weights_, read_file(kDemoModel + "/model.safetensors"));
    Process client({program("shoal"), "generate", "--local", "--model", model_, "--greedy",
                    "--max-tokens", "1000", "--ignore-eos", "Once"});
    ASSERT_TRUE(eventually(20'000, [&] { return client.out().size() > 10; })) << client.err();
    if (truncate) {
      std::filesystem::resize_file(weights_, 4096);
    } else {
      overwrite();
    }
    EXPECT_EQ(client.wait(10'000), 1) << client.err();
    EXPECT_THAT(client.err(), HasSubstr("shoal: " + weights_ + " was "));
    const std::string err = client.err();
    EXPECT_EQ(std::count(err.begin(), err.end(), '\n'), 1) << err;
  }
}

}  // namespace
}  // namespace shoal::tests
