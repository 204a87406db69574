// SPDX-License-Identifier: Apache-2.0
// The tensors of a model folder: safetensors, single (model.safetensors) or sharded
// (model.safetensors.index.json), by mmap; only the headers are read until a tensor is used.
// Immutable after open(), may be shared between threads. Format: github.com/huggingface/safetensors
// README; validation as strict as its Rust reader. As in the reference: model.safetensors wins over
// an index; an index only names the files, whose own headers say what is in them, and of a tensor
// that two files hold the later file's is taken.
#pragma once

#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "kernels/tensor.h"
#include "model/mapped_file.h"
#include "model/wanted.h"
#include "model/weight_files.h"

namespace shoal::model {

struct TensorInfo {
  std::string dtype;  // as in the file: "BF16", "F32", ...
  std::vector<std::int64_t> shape;
  const std::byte* data = nullptr;
  std::size_t bytes = 0;
  bool is_here = true;  // false: of a file in parts, and not among them; `data` is a hole then
};

// Where a tensor's bytes come from.
struct TensorPlace {
  std::string dtype;
  std::string file;       // its name in the folder
  FileStamp stamp;        // of that file, when it was opened
  std::size_t begin = 0;  // in it
};

class Checkpoint {
 public:
  // The whole model: every file that the index names must be there.
  static absl::StatusOr<Checkpoint> open(const std::string& directory);
  // Only the files that hold wanted tensors; that others are missing is no error. NOT_FOUND names
  // the file that is needed and missing, or not there as far as it is needed, and what it holds.
  static absl::StatusOr<Checkpoint> open(const WeightFiles& files, const Wanted& wanted);
  // Whatever is there; of a file in parts the names and types of all its tensors, though not the
  // bytes.
  static absl::StatusOr<Checkpoint> open_held(const WeightFiles& files);
  Checkpoint(Checkpoint&&) noexcept;
  Checkpoint& operator=(Checkpoint&&) noexcept;
  ~Checkpoint();

  // Names in sorted order, as canonical_tensor_name() gives them.
  const std::map<std::string, TensorInfo>& tensors() const;
  // A weight of exactly this shape (rows 1 for a vector) in a type that we compute with; NOT_FOUND
  // or INVALID_ARGUMENT name the tensor, its file and what is wrong. The view is valid while this
  // object lives.
  absl::StatusOr<kernels::WeightView> weight(const std::string& name, std::int64_t rows,
                                             std::int64_t cols) const;
  absl::StatusOr<kernels::WeightView> vector(const std::string& name, std::int64_t size) const;
  bool contains(const std::string& name) const;
  std::optional<TensorPlace> place(const std::string& name) const;  // nullopt: there is no such
  // The file, or the index of the files, for error messages.
  const std::string& where() const;
  // One line each: what of the folder is taken otherwise than somebody may think.
  const std::vector<std::string>& warnings() const;

  // Of the files that were opened. Whether all whose tensors were asked for are still as they were
  // opened: ask after reading weights, before the result is used. FAILED_PRECONDITION names the
  // file and what became of it. A system call for each file.
  absl::Status check() const;
  // The same for all files.
  absl::Status check_all() const;
  // Lets go of the memory of all files, as MappedFile::release().
  void release() const;
  // Files whose name leads to another file by now, or to none; ours are as they were.
  std::vector<std::string> replaced() const;

 private:
  class Impl;
  explicit Checkpoint(std::unique_ptr<Impl> impl);
  static absl::StatusOr<Checkpoint> open_files(const WeightFiles& files, const Wanted& wanted);
  std::unique_ptr<Impl> impl_;
};

}  // namespace shoal::model
