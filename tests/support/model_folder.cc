// SPDX-License-Identifier: Apache-2.0
#include "tests/support/model_folder.h"

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <filesystem>
#include <map>
#include <nlohmann/json.hpp>

#include "base/check.h"
#include "tests/support/temp_dir.h"

namespace shoal::tests {
namespace {

using nlohmann::json;

bool is_weights(const std::filesystem::path& file) { return file.extension() == ".safetensors"; }

void copy_small_files(const std::string& from, const std::string& to) {
  std::filesystem::create_directories(to);
  for (const auto& entry : std::filesystem::directory_iterator(from)) {
    const std::string name = entry.path().filename().string();
    if (is_weights(entry.path()) || name[0] == '.' || name == "shoal-manifest.json") continue;
    std::filesystem::copy_file(entry.path(), std::filesystem::path(to) / name);
  }
}

// The number of the shard that a tensor goes to; the ends go to the first.
int shard_of(const std::string& tensor, int blocks_per_shard) {
  constexpr const char* kLayers = "model.layers.";
  if (!tensor.starts_with(kLayers)) return 0;
  return 1 + std::stoi(tensor.substr(std::strlen(kLayers))) / blocks_per_shard;
}

std::string safetensors(const json& header, const std::string& data) {
  std::string text = header.dump();
  text.resize((text.size() + 7) / 8 * 8, ' ');
  std::string file;
  for (int i = 0; i < 8; ++i)
    file += static_cast<char>(static_cast<std::uint64_t>(text.size()) >> (8 * i));
  return file + text + data;
}

}  // namespace

void copy_model(const std::string& from, const std::string& to) {
  copy_small_files(from, to);
  for (const auto& entry : std::filesystem::directory_iterator(from)) {
    if (!is_weights(entry.path())) continue;
    std::filesystem::create_symlink(entry.path(),
                                    std::filesystem::path(to) / entry.path().filename());
  }
}

std::vector<std::string> split_model(const std::string& from, const std::string& to,
                                     int blocks_per_shard) {
  copy_small_files(from, to);
  const std::string file = read_file(from + "/model.safetensors");
  std::uint64_t length = 0;
  CHECK(file.size() > sizeof length) << from;
  std::memcpy(&length, file.data(), sizeof length);
  const json header = json::parse(file.substr(8, length));
  struct Shard {
    json header = json::object();
    std::string data;
  };
  std::map<int, Shard> shards;
  for (const auto& [name, entry] : header.items()) {
    if (name == "__metadata__") continue;
    Shard& shard = shards[shard_of(name, blocks_per_shard)];
    const std::size_t begin = entry["data_offsets"][0], end = entry["data_offsets"][1];
    json moved = entry;
    moved["data_offsets"] = {shard.data.size(), shard.data.size() + end - begin};
    shard.header[name] = moved;
    shard.data += file.substr(8 + length + begin, end - begin);
  }
  std::vector<std::string> names;
  json map;
  for (const auto& [number, shard] : shards) {
    char name[64];
    std::snprintf(name, sizeof name, "model-%05d-of-%05d.safetensors", number + 1,
                  static_cast<int>(shards.size()));
    names.emplace_back(name);
    write_file(to + "/" + names.back(), safetensors(shard.header, shard.data));
    for (const auto& [tensor, entry] : shard.header.items()) map[tensor] = names.back();
  }
  write_file(to + "/model.safetensors.index.json", json{{"weight_map", map}}.dump());
  return names;
}

void take_parts(const std::string& from, const std::string& to,
                const std::vector<std::string>& shards) {
  copy_small_files(from, to);
  for (const std::string& shard : shards) {
    std::filesystem::create_symlink(std::filesystem::absolute(from + "/" + shard),
                                    to + "/" + shard);
  }
}

}  // namespace shoal::tests
