// SPDX-License-Identifier: Apache-2.0
// Which weight files a model folder should have, by model.safetensors or its index, and which of
// them it holds: a folder may hold a part of a model. Reads the index and the headers. Plain
// values, immutable after reading; owns no file. The format is told in model/checkpoint.h.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"
#include "model/mapped_file.h"
#include "model/part_record.h"
#include "model/safetensors.h"

namespace shoal::model {

inline constexpr const char* kIndexName = "model.safetensors.index.json";
inline constexpr std::size_t kMaxWeightFiles = 10'000;

// A file of the model's own folder: names from outside must not make us open others.
bool is_plain_file_name(std::string_view name);

struct WeightFile {
  std::string name;   // in the folder
  bool held = false;  // it is there, or parts of it (model/part_record.h)
  FileStamp stamp;    // of a file that is held
  // Only these parts of it are there; nullopt: all of it is, or nothing.
  std::optional<PartRecord> part;
  // As files name them. Of a file that is held: what its header says. Of another: what the manifest
  // says (WeightFiles::learn), as long as there is none, nothing.
  SafetensorsTable tensors;
  std::vector<std::string> indexed;  // the tensors that the index looks for in it

  bool is_whole() const { return held && !part; }
  bool has(const SafetensorsEntry& tensor) const;  // one of `tensors`: whether its bytes are here
  // Under canonical names; of the header, or what is known of a file that is not held.
  std::vector<std::string> tensor_names() const;
};

struct WeightFiles {
  std::string directory;
  std::string where;                  // the one file, or the index, for error messages
  std::vector<std::string> warnings;  // one line each
  std::vector<WeightFile> files;      // by name

  std::string path(const WeightFile& file) const;
  bool is_whole() const;
  // Canonical names of all tensors whose bytes are here.
  std::vector<std::string> held_tensors() const;
  // "model-00002-of-00003.safetensors", or "a and 4 other files": those that are not held as a
  // whole.
  std::string missing() const;
};

// NOT_FOUND when the folder has neither kind of weights; a file that is not there is no error, one
// that is damaged is.
absl::StatusOr<WeightFiles> read_weight_files(const std::string& directory);

// A weight file, mapped, and its header; errors say what it is instead.
struct OpenWeightFile {
  MappedFile file;
  SafetensorsTable tensors;
};
absl::StatusOr<OpenWeightFile> open_weight_file(const std::string& path);

// "a, b, c and 12 more"
std::string few_of(const std::vector<std::string>& names);

}  // namespace shoal::model
