// SPDX-License-Identifier: Apache-2.0
// The include graph of docs/design.md, section 1: arrows only point up the table of rooms, heavy
// libraries stay in the rooms that need them, decision code takes time and randomness by argument,
// and files stay small.
#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <map>
#include <set>
#include <string>
#include <vector>

namespace {

namespace fs = std::filesystem;

const std::map<std::string, std::set<std::string>> kMayInclude = {
    {"cli", {}},
    {"kernels", {}},
    {"model", {"kernels"}},
    {"proto", {}},
    {"dht", {"proto"}},
    {"net", {"proto", "dht"}},
    {"node", {"cli", "kernels", "model", "proto", "dht", "net"}},
    {"client", {"cli", "kernels", "model", "proto", "dht", "net"}},
};
const std::string kForAll = "kernels/check.h";

// Library header prefix -> rooms that may use it.
const std::map<std::string, std::set<std::string>> kLibraries = {
    {"grpc", {"net", "node", "client"}},
    {"boost/asio", {"dht", "net", "node", "client"}},
    {"google/protobuf", {"proto", "dht", "net", "node", "client"}},
    {"openssl", {"net", "model"}},
    {"spdlog", {"net", "node", "client"}},
    {"nlohmann", {"model", "node", "client"}},
    {"CLI", {}},  // it has a syntax of its own inside values; cli/ has none
};

struct Source {
  std::string room;
  std::string path;  // from the root
  std::vector<std::string> lines;
};

std::vector<Source> sources() {
  std::vector<Source> result;
  const fs::path root(SHOAL_SOURCE_DIR);
  for (const auto& [room, ignored] : kMayInclude) {
    for (const auto& entry : fs::recursive_directory_iterator(root / room)) {
      const std::string extension = entry.path().extension();
      if (extension != ".h" && extension != ".cc" && extension != ".cu" && extension != ".cuh")
        continue;
      Source source{room, fs::relative(entry.path(), root).string(), {}};
      std::ifstream in(entry.path());
      for (std::string line; std::getline(in, line);) source.lines.push_back(line);
      result.push_back(std::move(source));
    }
  }
  return result;
}

// "" unless the line is an #include; then the path between the quotes or brackets.
std::string included(const std::string& line) {
  if (line.rfind("#include", 0) != 0) return "";
  const std::size_t open = line.find_first_of("\"<");
  const std::size_t close = line.find_first_of("\">", open + 1);
  if (open == std::string::npos || close == std::string::npos) return "";
  return line.substr(open + 1, close - open - 1);
}

TEST(IncludeGraph, ArrowsOnlyPointUpTheTable) {
  int includes = 0;
  for (const Source& source : sources()) {
    for (std::size_t i = 0; i < source.lines.size(); ++i) {
      const std::string path = included(source.lines[i]);
      const std::string room = path.substr(0, path.find('/'));
      if (path.find('/') == std::string::npos || !kMayInclude.contains(room)) continue;
      ++includes;
      EXPECT_TRUE(room == source.room || path == kForAll ||
                  kMayInclude.at(source.room).contains(room))
          << source.path << ":" << i + 1 << ": " << source.room << "/ may not include " << path;
    }
  }
  EXPECT_GT(includes, 100) << "the check no longer sees the sources";
}

TEST(IncludeGraph, HeavyLibrariesStayInTheirRooms) {
  for (const Source& source : sources()) {
    for (std::size_t i = 0; i < source.lines.size(); ++i) {
      const std::string path = included(source.lines[i]);
      for (const auto& [prefix, rooms] : kLibraries) {
        if (path.rfind(prefix, 0) != 0) continue;
        EXPECT_TRUE(rooms.contains(source.room))
            << source.path << ":" << i + 1 << ": " << source.room << "/ may not include " << path;
      }
      if (source.room == "dht" && path.rfind("boost/asio", 0) == 0) {
        EXPECT_NE(source.path.find("dht/udp_"), std::string::npos)
            << source.path << ": only the shell of dht/ (udp_*) knows Asio";
      }
    }
  }
}

TEST(IncludeGraph, DecisionCodeTakesTimeAndRandomnessByArgument) {
  const std::vector<std::string> pure = {"dht/",
                                         "node/placement",
                                         "node/scheduler",
                                         "node/sizing",
                                         "node/next_hop_book",
                                         "node/outbox_budget",
                                         "node/prefill_pace",
                                         "node/shares",
                                         "client/sampler",
                                         "client/route",
                                         "client/peer_memory",
                                         "client/patience",
                                         "client/session_pace",
                                         "model/",
                                         "kernels/"};
  const std::vector<std::string> banned = {"_clock::now(", "std::random_device", "std::mt19937",
                                           "rand()"};
  for (const Source& source : sources()) {
    const bool is_pure = std::any_of(pure.begin(), pure.end(), [&](const std::string& prefix) {
      return source.path.rfind(prefix, 0) == 0;
    });
    // The shell has the real clock; the bandwidth probe is a stop-watch.
    if (!is_pure || source.path.find("dht/udp_") != std::string::npos ||
        source.path.find("kernels/bandwidth") != std::string::npos) {
      continue;
    }
    for (std::size_t i = 0; i < source.lines.size(); ++i) {
      for (const std::string& name : banned) {
        EXPECT_EQ(source.lines[i].find(name), std::string::npos)
            << source.path << ":" << i + 1 << ": " << name << " in decision code";
      }
    }
  }
}

TEST(IncludeGraph, FilesStaySmall) {
  for (const Source& source : sources()) {
    EXPECT_LE(source.lines.size(), 600u)
        << source.path << " has " << source.lines.size() << " lines: is it one thing?";
  }
}

}  // namespace
