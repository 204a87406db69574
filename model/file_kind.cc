// SPDX-License-Identifier: Apache-2.0
#include "model/file_kind.h"

#include <algorithm>
#include <array>
#include <cctype>
#include <filesystem>
#include <fstream>
#include <vector>

#include "absl/strings/str_cat.h"

namespace shoal::model {
namespace {

constexpr std::size_t kHeadBytes = 512;
constexpr std::size_t kMaxEntries = 10'000;  // of a folder: models have dozens

constexpr const char* kConvert =
    "; only safetensors are read: take the model's safetensors, or convert it "
    "(in Python: AutoModelForCausalLM.from_pretrained(...).save_pretrained(...))";

bool starts_with_any_case(std::string_view text, std::string_view lower) {
  return text.size() >= lower.size() &&
         std::equal(lower.begin(), lower.end(), text.begin(), [](char a, char b) {
           return a == static_cast<char>(std::tolower(static_cast<unsigned char>(b)));
         });
}

// The first name, in order, of each kind of weights that we do not read.
struct Found {
  std::string gguf, lfs, pytorch, adapter, other_safetensors, foreign;
  bool shards = false;
};

bool is_shard(const std::string& name) { return name.find("-of-") != std::string::npos; }

Found look(const std::string& directory) {
  std::vector<std::string> names;
  std::error_code error;
  for (std::filesystem::directory_iterator it(directory, error), end; !error && it != end;
       it.increment(error)) {
    names.push_back(it->path().filename().string());
    if (names.size() >= kMaxEntries) break;
  }
  std::sort(names.begin(), names.end());
  Found found;
  const auto keep = [](std::string& place, const std::string& name) {
    if (place.empty()) place = name;
  };
  for (const std::string& name : names) {
    const std::string_view view = name;
    if (view.ends_with(".gguf")) keep(found.gguf, name);
    if (view.ends_with(".bin") || view.ends_with(".bin.index.json") || view.ends_with(".pth") ||
        view.ends_with(".pt") || view.ends_with(".ckpt")) {
      keep(found.pytorch, name);
    }
    if (view.ends_with(".npz") || view.ends_with(".h5") || view.ends_with(".msgpack") ||
        view.ends_with(".onnx") || view.ends_with(".ggml")) {
      keep(found.foreign, name);
    }
    if (view.ends_with(".safetensors")) {
      keep(view.starts_with("adapter_") ? found.adapter : found.other_safetensors, name);
      found.shards = found.shards || is_shard(name);
    }
  }
  return found;
}

}  // namespace

std::string foreign_kind(std::string_view head) {
  using namespace std::string_view_literals;
  if (head.starts_with("version https://git-lfs.github.com/spec/") ||
      head.starts_with("version https://hawser.github.com/spec/")) {
    return "a Git LFS pointer, not the file itself: run \"git lfs pull\" in the model folder";
  }
  if (head.starts_with("GGUF")) return absl::StrCat("a GGUF file", kConvert);
  if (head.starts_with("ggml") || head.starts_with("lmgg") || head.starts_with("tjgg")) {
    return absl::StrCat("a GGML file", kConvert);
  }
  if (head.starts_with("PK\x03\x04")) return absl::StrCat("a PyTorch or zip archive", kConvert);
  if (head.size() > 1 && head[0] == '\x80' && head[1] >= 2 && head[1] <= 5) {
    return absl::StrCat("a Python pickle", kConvert);
  }
  if (head.starts_with("\x89HDF")) return absl::StrCat("an HDF5 file", kConvert);
  if (head.starts_with("\x1f\x8b")) return "compressed with gzip: unpack it first";
  if (head.starts_with("\x28\xb5\x2f\xfd")) return "compressed with zstd: unpack it first";
  std::string_view text = head;
  while (!text.empty() && std::isspace(static_cast<unsigned char>(text.front()))) {
    text.remove_prefix(1);
  }
  if (starts_with_any_case(text, "<!doctype") || starts_with_any_case(text, "<html") ||
      starts_with_any_case(text, "<?xml")) {
    return "a web page, not the file itself: fetch it again";
  }
  for (const std::string_view answer : {"Entry not found"sv, "Repository not found"sv,
                                        "Invalid username or password"sv, "Access to model "sv}) {
    if (text.starts_with(answer)) {
      return absl::StrCat("the answer of a web server (\"",
                          std::string(answer.substr(0, answer.find_last_not_of(' ') + 1)),
                          "\"), not the file itself: fetch it again");
    }
  }
  if (head.starts_with("\xff\xfe") || head.starts_with("\xfe\xff") ||
      (head.size() > 3 && head[0] != '\0' && head[1] == '\0' && head[2] != '\0' &&
       head[3] == '\0') ||
      (head.size() > 3 && head[0] == '\0' && head[1] != '\0' && head[2] == '\0' &&
       head[3] != '\0')) {
    return "text in UTF-16: save it as UTF-8";
  }
  return "";
}

std::string foreign_file(const std::string& path) {
  std::error_code error;
  if (!std::filesystem::is_regular_file(path, error)) return "";
  std::ifstream file(path, std::ios::binary);
  std::array<char, kHeadBytes> head{};
  file.read(head.data(), head.size());
  return foreign_kind({head.data(), static_cast<std::size_t>(file.gcount())});
}

std::string folder_hint(const std::string& directory) {
  const Found found = look(directory);
  if (!found.other_safetensors.empty()) {
    if (found.shards) {
      return absl::StrCat("; it has ", found.other_safetensors,
                          ", a part of a model: fetch the index and all other parts");
    }
    return absl::StrCat("; it has ", found.other_safetensors,
                        ": if that is the whole model, name it model.safetensors");
  }
  if (!found.adapter.empty()) {
    return absl::StrCat("; it has ", found.adapter,
                        ", an adapter: merge it into its base model first");
  }
  if (!found.gguf.empty()) return absl::StrCat("; it has ", found.gguf, ", a GGUF file", kConvert);
  if (!found.pytorch.empty()) {
    return absl::StrCat("; it has ", found.pytorch, ", weights of PyTorch", kConvert);
  }
  if (!found.foreign.empty()) {
    return absl::StrCat("; it has ", found.foreign, ", weights of another format", kConvert);
  }
  return "";
}

}  // namespace shoal::model
