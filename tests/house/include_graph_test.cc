// SPDX-License-Identifier: Apache-2.0
// The include graph of docs/design.md, section 1: arrows only point up the table of rooms, heavy
// libraries stay in the rooms that need them, decision code takes time and randomness by argument,
// and files stay small.
#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <functional>
#include <map>
#include <set>
#include <string>
#include <vector>

namespace {

namespace fs = std::filesystem;

// A room's own headers, those of its folder above, and these. Rooms have no circles: each may
// include only rooms that stand above it here.
struct Room {
  std::string path;
  std::set<std::string> may_include;
};
const std::vector<Room> kRooms = {
    {"base", {}},
    {"cli", {}},
    {"kernels", {"base"}},
    {"kernels/cuda", {"base", "kernels"}},
    {"model", {"base", "kernels"}},
    {"model/hub", {"base", "model"}},
    {"proto", {"base"}},
    {"identity", {"base", "proto"}},
    {"dht", {"base", "proto", "identity"}},
    {"net", {"base", "proto", "identity", "dht"}},
    {"node/device", {"base", "kernels", "kernels/cuda", "model", "proto"}},
    {"node/account", {"base"}},
    {"node/control", {"base", "proto", "node/account"}},
    {"node/serve", {"base", "proto", "identity", "dht", "net", "node/account", "node/device"}},
    {"node/member", {"base", "cli", "proto", "identity", "dht", "net"}},
    {"node/metrics", {"base", "proto", "dht", "net", "node/account", "node/device", "node/serve"}},
    {"node/service", {"base", "cli"}},
    {"node",
     {"base", "cli", "kernels", "kernels/cuda", "model", "model/hub", "proto", "identity", "dht",
      "net", "node/account", "node/control", "node/device", "node/serve", "node/member",
      "node/metrics", "node/service"}},
    {"client/page", {}},
    {"client/swarm", {"base", "proto", "identity", "dht", "net"}},
    {"client/constrain", {"base", "model"}},
    {"client/text",
     {"base", "cli", "kernels", "model", "proto", "client/constrain", "client/swarm"}},
    {"client/ring", {"base", "proto", "identity", "net", "client/swarm", "client/text"}},
    {"client/chat", {"base", "cli", "model", "client/text"}},
    {"client/serve",
     {"base", "model", "proto", "net", "client/constrain", "client/page", "client/swarm",
      "client/text", "client/ring", "client/chat"}},
    {"client/cli",
     {"base", "cli", "model", "model/hub", "proto", "identity", "dht", "net", "client/constrain",
      "client/swarm", "client/text", "client/ring", "client/chat", "client/serve"}},
};

// The room of a file or header: the longest of the paths above that it lies under; null for none.
const Room* room_of(const std::string& path) {
  const Room* found = nullptr;
  for (const Room& room : kRooms) {
    if (path.rfind(room.path + "/", 0) != 0) continue;
    if (found == nullptr || room.path.size() > found->path.size()) found = &room;
  }
  return found;
}

// Library header prefix -> rooms that may use it.
const std::map<std::string, std::set<std::string>> kLibraries = {
    {"grpc", {"net", "node", "client"}},
    {"boost/asio", {"dht", "net", "node", "client"}},
    {"boost/beast", {"client"}},
    {"google/protobuf", {"proto", "dht", "net", "node", "client"}},
    {"openssl", {"identity", "net", "model"}},
    {"sodium", {"identity", "dht", "node"}},
    {"spdlog", {"net", "node", "client"}},
    {"nlohmann", {"model", "node", "client"}},
    {"xxhash", {"model"}},
    {"miniupnpc", {"net"}},
    {"natpmp", {"net"}},
    {"curl", {"model"}},
    {"toml++", {"cli"}},
    {"CLI", {}},  // it has a syntax of its own inside values; cli/ has none
};

struct Source {
  const Room* room;
  std::string path;  // from the root
  std::vector<std::string> lines;
};

std::string top(const std::string& path) { return path.substr(0, path.find('/')); }

std::vector<Source> sources() {
  std::vector<Source> result;
  const fs::path root(SHOAL_SOURCE_DIR);
  std::set<std::string> folders;
  for (const Room& room : kRooms) folders.insert(top(room.path));
  for (const std::string& folder : folders) {
    for (const auto& entry : fs::recursive_directory_iterator(root / folder)) {
      const std::string extension = entry.path().extension();
      if (extension != ".h" && extension != ".cc" && extension != ".cu" && extension != ".cuh")
        continue;
      const std::string path = fs::relative(entry.path(), root).string();
      Source source{room_of(path), path, {}};
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

TEST(IncludeGraph, EveryFileHasItsRoom) {
  for (const Source& source : sources()) {
    ASSERT_NE(source.room, nullptr) << source.path;
    // Files of a room with sub-rooms stand in one of them, or are what joins them.
    if (top(source.path) == "client") {
      EXPECT_NE(source.room->path, "client") << source.path << ": which sub-room is it of?";
    }
  }
}

TEST(IncludeGraph, TheTableOfRoomsHasNoCircles) {
  std::set<std::string> above;
  for (const Room& room : kRooms) {
    for (const std::string& other : room.may_include) {
      EXPECT_TRUE(above.contains(other)) << room.path << "/ may include " << other
                                         << "/, which does not stand above it in the table";
    }
    above.insert(room.path);
  }
}

TEST(IncludeGraph, ArrowsOnlyPointUpTheTable) {
  int includes = 0;
  for (const Source& source : sources()) {
    for (std::size_t i = 0; i < source.lines.size(); ++i) {
      const std::string path = included(source.lines[i]);
      const Room* room = room_of(path);
      if (room == nullptr || room == source.room) continue;
      ++includes;
      EXPECT_TRUE(source.room->may_include.contains(room->path))
          << source.path << ":" << i + 1 << ": " << source.room->path << "/ may not include "
          << path;
    }
  }
  EXPECT_GT(includes, 100) << "the check no longer sees the sources";
}

// Two headers that include each other compile only by luck; so do longer circles.
TEST(IncludeGraph, FilesHaveNoCircles) {
  std::map<std::string, std::vector<std::string>> includes;
  for (const Source& source : sources()) {
    for (const std::string& line : source.lines) {
      const std::string path = included(line);
      if (room_of(path) != nullptr && source.path.ends_with(".h"))
        includes[source.path].push_back(path);
    }
  }
  std::map<std::string, int> state;  // 1: on the way, 2: done
  std::function<void(const std::string&)> visit = [&](const std::string& path) {
    state[path] = 1;
    for (const std::string& next : includes[path]) {
      EXPECT_NE(state[next], 1) << path << " and " << next << " include each other";
      if (state[next] == 0) visit(next);
    }
    state[path] = 2;
  };
  for (const Source& source : sources()) {
    if (state[source.path] == 0) visit(source.path);
  }
}

TEST(IncludeGraph, HeavyLibrariesStayInTheirRooms) {
  for (const Source& source : sources()) {
    for (std::size_t i = 0; i < source.lines.size(); ++i) {
      const std::string path = included(source.lines[i]);
      for (const auto& [prefix, rooms] : kLibraries) {
        if (path.rfind(prefix, 0) != 0) continue;
        EXPECT_TRUE(rooms.contains(top(source.path)))
            << source.path << ":" << i + 1 << ": " << source.room->path << "/ may not include "
            << path;
      }
      if (source.room->path == "net" && path.rfind("dht/", 0) == 0) {
        EXPECT_EQ(source.path.rfind("net/directory", 0), 0u)
            << source.path << ": only the directory of net/ knows the DHT";
      }
      if (source.room->path == "dht" && path.rfind("boost/asio", 0) == 0) {
        EXPECT_NE(source.path.find("dht/udp_"), std::string::npos)
            << source.path << ": only the shell of dht/ (udp_*) knows Asio";
      }
    }
  }
}

// Precompiled headers would hide that a file does not say what it uses: a header that a name needs
// is included by the file, or by what it includes of ours.
TEST(IncludeGraph, FilesSayWhichHeadersTheyNeed) {
  const std::map<std::string, std::vector<std::string>> names = {
      {"array", {"std::array<"}},
      {"atomic", {"std::atomic"}},
      {"chrono", {"std::chrono::"}},
      {"condition_variable", {"std::condition_variable"}},
      {"deque", {"std::deque<"}},
      {"filesystem", {"std::filesystem"}},
      {"fstream", {"std::ifstream", "std::ofstream"}},
      {"functional", {"std::function<"}},
      {"future", {"std::async(", "std::future<", "std::promise<"}},
      {"map", {"std::map<"}},
      {"memory", {"std::unique_ptr<", "std::shared_ptr<", "std::make_unique<"}},
      {"mutex", {"std::mutex"}},
      {"optional", {"std::optional<", "std::nullopt"}},
      {"random", {"std::random_device"}},
      {"set", {"std::set<"}},
      {"span", {"std::span<"}},
      {"string", {"std::string ", "std::string&"}},
      {"thread", {"std::thread", "std::this_thread"}},
      {"vector", {"std::vector<"}},
      {"absl/container/flat_hash_map.h", {"absl::flat_hash_map<"}},
      {"absl/container/flat_hash_set.h", {"absl::flat_hash_set<"}},
      {"absl/status/statusor.h", {"absl::StatusOr<"}},
      {"boost/asio/io_context.hpp", {"asio::io_context "}},
      {"boost/asio/post.hpp", {"asio::post("}},
      {"boost/asio/steady_timer.hpp", {"asio::steady_timer"}},
      {"fmt/format.h", {"fmt::format("}},
      {"google/protobuf/message.h", {"google::protobuf::Message&", "google::protobuf::Message*"}},
      {"nlohmann/json.hpp", {"nlohmann::json ", "nlohmann::ordered_json "}},
      {"spdlog/spdlog.h", {"spdlog::debug(", "spdlog::info(", "spdlog::warn("}},
  };
  std::map<std::string, const Source*> by_path;
  const std::vector<Source> all = sources();
  for (const Source& source : all) by_path[source.path] = &source;
  std::map<std::string, std::set<std::string>> reached;  // by a file, of all that is included
  std::function<const std::set<std::string>&(const Source&)> reach =
      [&](const Source& source) -> const std::set<std::string>& {
    const auto [entry, is_new] = reached.try_emplace(source.path);
    if (!is_new) return entry->second;
    std::set<std::string> found;
    for (const std::string& line : source.lines) {
      const std::string path = included(line);
      if (path.empty()) continue;
      found.insert(path);
      if (const auto own = by_path.find(path); own != by_path.end()) {
        const std::set<std::string>& more = reach(*own->second);
        found.insert(more.begin(), more.end());
      }
    }
    return reached[source.path] = std::move(found);
  };
  int uses = 0;
  for (const Source& source : all) {
    for (std::size_t i = 0; i < source.lines.size(); ++i) {
      const std::string code = source.lines[i].substr(0, source.lines[i].find("//"));
      for (const auto& [header, spellings] : names) {
        for (const std::string& name : spellings) {
          if (code.find(name) == std::string::npos) continue;
          ++uses;
          EXPECT_TRUE(reach(source).contains(header))
              << source.path << ":" << i + 1 << ": " << name << " without <" << header << ">";
        }
      }
    }
  }
  EXPECT_GT(uses, 1'000) << "the check no longer sees the sources";
}

TEST(IncludeGraph, DecisionCodeTakesTimeAndRandomnessByArgument) {
  const std::vector<std::string> pure = {"dht/",
                                         "node/account/session_log",
                                         "node/account/tally",
                                         "node/control/hours",
                                         "node/control/owner_wish",
                                         "node/control/pausing",
                                         "net/fair_rate",
                                         "net/relay_book",
                                         "net/relayed_shares",
                                         "node/member/placement",
                                         "node/member/relay_choice",
                                         "node/member/rebalance",
                                         "node/device/scheduler",
                                         "node/device/page_keeper",
                                         "node/device/prefix_index",
                                         "node/serve/next_hop_book",
                                         "node/serve/outbox_budget",
                                         "node/device/prefill_pace",
                                         "node/serve/shares",
                                         "client/constrain/",
                                         "client/text/sampler",
                                         "client/text/token_score",
                                         "client/serve/api_",
                                         "client/serve/gpu_growth",
                                         "client/serve/swarm_json",
                                         "client/swarm/coverage",
                                         "client/swarm/route",
                                         "client/swarm/block_kinds",
                                         "client/swarm/companion_agreement",
                                         "client/swarm/piece_plan",
                                         "client/swarm/peer_memory",
                                         "client/ring/patience",
                                         "client/ring/repeated_loss",
                                         "client/ring/prefix_chain",
                                         "client/ring/session_pace",
                                         "model/",
                                         "kernels/"};
  const std::vector<std::string> banned = {"_clock::now(", "std::random_device", "std::mt19937",
                                           "rand()"};
  std::map<std::string, int> files;
  for (const Source& source : sources()) {
    const bool is_pure = std::any_of(pure.begin(), pure.end(), [&](const std::string& prefix) {
      const bool match = source.path.rfind(prefix, 0) == 0;
      files[prefix] += match ? 1 : 0;
      return match;
    });
    // The shell has the real clock; the bandwidth probe is a stop-watch; who waits for a GPU has
    // one.
    if (!is_pure || source.path.find("dht/udp_") != std::string::npos ||
        source.path.find("kernels/bandwidth") != std::string::npos ||
        source.path.find("kernels/cuda/gpu/wait") != std::string::npos) {
      continue;
    }
    for (std::size_t i = 0; i < source.lines.size(); ++i) {
      for (const std::string& name : banned) {
        EXPECT_EQ(source.lines[i].find(name), std::string::npos)
            << source.path << ":" << i + 1 << ": " << name << " in decision code";
      }
    }
  }
  for (const std::string& prefix : pure) EXPECT_GT(files[prefix], 0) << prefix << " has moved";
}

TEST(IncludeGraph, FilesStaySmall) {
  for (const Source& source : sources()) {
    EXPECT_LE(source.lines.size(), 600u)
        << source.path << " has " << source.lines.size() << " lines: is it one thing?";
  }
}

TEST(IncludeGraph, MostFilesAreShort) {
  std::vector<std::size_t> lengths;
  for (const Source& source : sources()) lengths.push_back(source.lines.size());
  std::sort(lengths.begin(), lengths.end());
  ASSERT_FALSE(lengths.empty());
  EXPECT_LT(lengths[lengths.size() / 2], 110u);
}

}  // namespace
