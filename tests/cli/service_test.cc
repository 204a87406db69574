// SPDX-License-Identifier: Apache-2.0
// A node as a service: what it tells the manager that started it, the files that `shoal-node
// service` writes for a user, and all that `cmake --install` brings.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <poll.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <filesystem>

#include "tests/cli/machines.h"

namespace shoal::tests {
namespace {

namespace fs = std::filesystem;

using ::testing::HasSubstr;
using ::testing::Not;

// The manager's end of the socket.
class Manager {
 public:
  explicit Manager(const std::string& path) : socket_(socket(AF_UNIX, SOCK_DGRAM, 0)) {
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    std::strncpy(address.sun_path, path.c_str(), sizeof(address.sun_path) - 1);
    EXPECT_EQ(bind(socket_, reinterpret_cast<sockaddr*>(&address), sizeof(address)), 0);
  }
  ~Manager() { close(socket_); }
  Manager(const Manager&) = delete;
  Manager& operator=(const Manager&) = delete;

  // Reads until `text` was told `times` times; false after timeout_ms.
  bool told(const std::string& text, int times, int timeout_ms) {
    return eventually(timeout_ms, [&] {
      std::array<char, 4096> buffer{};
      ssize_t n = 0;
      while ((n = recv(socket_, buffer.data(), buffer.size(), MSG_DONTWAIT)) > 0) {
        all_ += std::string(buffer.data(), static_cast<std::size_t>(n)) + "\n";
      }
      int found = 0;
      for (std::size_t at = 0; (at = all_.find(text, at)) != std::string::npos; ++at) ++found;
      return found >= times;
    });
  }
  const std::string& all() const { return all_; }

 private:
  int socket_;
  std::string all_;
};

class Service : public Machines {
 protected:
  // As somebody without root, whose home is the test's folder.
  Outcome as_user(std::vector<std::string> command) {
    std::vector<std::string> all = {
        "env", "-u", "XDG_CONFIG_HOME", "-u", "SHOAL_NODE_CONFIG", "HOME=" + folder_.path()};
    if (geteuid() == 0) {
      fs::permissions(folder_.path(), fs::perms::all);
      all.insert(all.begin(), {"setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"});
    }
    all.insert(all.end(), command.begin(), command.end());
    return run(all, 20'000);
  }
};

TEST_F(Service, TheManagerHearsWhatTheNodeDoes) {
  Manager manager(folder_.file("notify"));
  Process process(after("export NOTIFY_SOCKET=" + folder_.file("notify") + " WATCHDOG_USEC=2000000",
                        node("a", {"--new-swarm"})));
  ready("a", process);
  EXPECT_TRUE(manager.told("READY=1", 1, 5'000)) << manager.all();
  EXPECT_TRUE(manager.told("STATUS=node ", 1, 5'000)) << manager.all();
  EXPECT_TRUE(manager.told("WATCHDOG=1", 3, 10'000)) << manager.all();
  process.signal(SIGTERM);
  EXPECT_TRUE(manager.told("STOPPING=1", 1, 5'000)) << manager.all();
  EXPECT_EQ(process.wait(10'000), 0) << process.err();
  EXPECT_THAT(manager.all(), HasSubstr("EXTEND_TIMEOUT_USEC=25000000"));
  // A manager that is gone changes nothing.
  Process alone(
      after("export NOTIFY_SOCKET=" + folder_.file("nobody"), node("b", {"--new-swarm"})));
  ready("b", alone);
}

TEST_F(Service, AUserInstallsOneWithoutRootAndTakesItAway) {
  const std::string program_path = program("shoal-node");
  const std::string configuration = folder_.file(".config/shoal/shoal-node.toml");
  const std::string unit = folder_.file(".config/systemd/user/shoal-node.service");
  const std::vector<std::string> install = {program_path, "service",          "install",
                                            "--no-start", "--model",          kDemoModel,
                                            "--join",     "one.example:7000", "two.example:7000",
                                            "--listen",   "127.0.0.1:0",      "--max-sessions",
                                            "7",          "--public-name",    "Anna's"};
  const Outcome made = as_user(install);
  if (made.err.find("setpriv") != std::string::npos) GTEST_SKIP() << made.err;
  ASSERT_EQ(made.status, 0) << made.err;
  EXPECT_THAT(made.out, HasSubstr("systemctl --user enable --now shoal-node.service"));
  if (!fs::exists("/run/systemd/system")) {
    EXPECT_THAT(made.out, HasSubstr("start it with shoal-node run, which reads " + configuration));
  }
  const std::string written = read_file(configuration);
  EXPECT_THAT(written, HasSubstr("join = [\"one.example:7000\", \"two.example:7000\"]\n"));
  EXPECT_THAT(written, HasSubstr("max-sessions = 7\n"));
  EXPECT_THAT(written, Not(HasSubstr("no-start")));
  EXPECT_THAT(read_file(unit),
              HasSubstr("\nExecStart=" + fs::canonical(program_path).string() + " run "));
  EXPECT_THAT(read_file(unit), HasSubstr("\nType=notify\n"));
  // The node reads what was written, and a bootstrap node of this user does not.
  const Outcome plan = as_user({program_path, "plan"});
  EXPECT_EQ(plan.status, 0) << plan.err;
  const Outcome bootstrap = as_user({program_path, "bootstrap"});
  EXPECT_EQ(bootstrap.status, 2);
  EXPECT_THAT(bootstrap.err, HasSubstr("--listen"));
  // Again: nothing changes. Others: only when asked for.
  EXPECT_EQ(as_user(install).status, 0);
  std::vector<std::string> other = install;
  other.insert(other.end(), {"--nice", "3"});
  const Outcome refused = as_user(other);
  EXPECT_EQ(refused.status, 1);
  EXPECT_THAT(refused.err, HasSubstr("--replace"));
  other.push_back("--replace");
  EXPECT_EQ(as_user(other).status, 0);
  EXPECT_THAT(read_file(configuration), HasSubstr("nice = 3\n"));
  EXPECT_EQ(as_user({program_path, "service", "install", "--no-start"}).status, 0);
  EXPECT_EQ(as_user({program_path, "service", "status"}).status, 1);
  const Outcome removed = as_user({program_path, "service", "remove"});
  EXPECT_EQ(removed.status, 0) << removed.err;
  EXPECT_FALSE(fs::exists(unit));
  EXPECT_TRUE(fs::exists(configuration));
  EXPECT_EQ(as_user({program_path, "service", "remove"}).status, 1);
  // What the node would refuse is refused before anything is written.
  const Outcome wrong = as_user({program_path, "service", "install", "--no-start", "--replace",
                                 "--model", "x", "--join", "nowhere"});
  EXPECT_EQ(wrong.status, 2);
  EXPECT_THAT(wrong.err, HasSubstr("--join"));
  const Outcome no_model = as_user({program_path, "service", "install", "--no-start", "--replace",
                                    "--model", "/nowhere", "--join", "one.example:7000"});
  EXPECT_EQ(no_model.status, 1);
  EXPECT_THAT(no_model.err, HasSubstr("--model /nowhere: there is no such folder"));
  EXPECT_THAT(read_file(configuration), HasSubstr("nice = 3\n")) << "written over";
  EXPECT_FALSE(fs::exists(unit));
  // A folder's path that is wrong may be a name on the hub: it is written, and said.
  EXPECT_THAT(made.err, Not(HasSubstr("warning")));
  const Outcome named = as_user({program_path, "service", "install", "--no-start", "--replace",
                                 "--model", "models/dmo", "--join", "one.example:7000"});
  EXPECT_EQ(named.status, 0) << named.err;
  EXPECT_THAT(named.err, HasSubstr("warning: --model models/dmo: there is no such folder; the node "
                                   "will fetch it as a model of the hub"));
  EXPECT_THAT(read_file(configuration), HasSubstr("model = \"models/dmo\""));
}

TEST_F(Service, CMakeInstallsWhatAUserNeeds) {
  const Outcome made = run({"env", "DESTDIR=" + folder_.path(), "cmake", "--install",
                            SHOAL_BINARY_DIR, "--prefix", "/usr/local"},
                           60'000);
  ASSERT_EQ(made.status, 0) << made.err;
  const std::string root = folder_.file("usr/local/");
  for (const char* file :
       {"bin/shoal", "bin/shoal-node", "share/man/man1/shoal.1", "share/man/man1/shoal-node.1",
        "share/bash-completion/completions/shoal", "share/bash-completion/completions/shoal-node",
        "share/zsh/site-functions/_shoal-node", "share/fish/vendor_completions.d/shoal-node.fish",
        "lib/systemd/system/shoal-node.service", "lib/systemd/user/shoal-node.service",
        "share/doc/shoal/README.md", "share/doc/shoal/docs/install.md", "share/doc/shoal/LICENSE",
        "share/shoal/models/demo/config.json"}) {
    EXPECT_TRUE(fs::exists(root + file)) << file;
  }
  EXPECT_EQ(run({root + "bin/shoal-node", "--version"}, 5'000).status, 0);
  EXPECT_THAT(read_file(root + "lib/systemd/system/shoal-node.service"),
              HasSubstr("\nExecStart=/usr/local/bin/shoal-node run "));
  for (const char* name : {"shoal", "shoal-node"}) {
    const Outcome syntax =
        run({"/bin/bash", "-n", root + "share/bash-completion/completions/" + name}, 5'000);
    EXPECT_EQ(syntax.status, 0) << syntax.err;
    const std::string page = root + "share/man/man1/" + name + ".1";
    const Outcome shown = run({"/bin/bash", "-c",
                               "command -v man >/dev/null || exit 77; LC_ALL=C.UTF-8 MANWIDTH=100 "
                               "man --warnings -l '" +
                                   page + "'"},
                              20'000);
    if (shown.status == 77) continue;  // not on this machine
    EXPECT_EQ(shown.status, 0) << shown.err;
    EXPECT_EQ(shown.err, "");
    // man may be cut down to nothing on small systems.
    if (shown.out.size() > 1'000) {
      EXPECT_THAT(shown.out, HasSubstr("--join HOST:PORT"));
    }
  }
  const Outcome verified = run(
      {"/bin/bash", "-c",
       "command -v systemd-analyze >/dev/null || exit 0; for scope in system user; do sed "
       "'s|^ExecStart=[^ ]*|ExecStart=/bin/true|' '" +
           root +
           "lib/systemd/'$scope/shoal-node.service "
           ">'" +
           folder_.path() + "/shoal-node.service'; systemd-analyze verify --man=no --$scope '" +
           folder_.path() + "/shoal-node.service' 2>&1 | grep -F shoal-node.service: ; done; true"},
      30'000);
  EXPECT_EQ(verified.out, "") << verified.err;
}

}  // namespace
}  // namespace shoal::tests
