// SPDX-License-Identifier: Apache-2.0
#include "model/checkpoint.h"

#include <algorithm>
#include <atomic>
#include <cstdint>
#include <cstring>
#include <deque>
#include <optional>
#include <utility>

#include "absl/container/flat_hash_set.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "base/mutex.h"
#include "model/mapped_file.h"
#include "model/weight_names.h"

namespace shoal::model {
namespace {

std::optional<kernels::DType> compute_type(const std::string& dtype) {
  if (dtype == "F32") return kernels::DType::kF32;
  if (dtype == "BF16") return kernels::DType::kBF16;
  if (dtype == "F16") return kernels::DType::kF16;
  return std::nullopt;
}

// Why a file that is not there is needed: it has wanted tensors, or everything is wanted.
absl::Status missing_file(const WeightFiles& files, const WeightFile& file,
                          const std::vector<std::string>& tensors) {
  if (file.part) {
    return absl::NotFoundError(
        absl::StrCat(files.path(file), " lacks ", tensors.empty() ? "parts" : few_of(tensors),
                     tensors.size() == 1 ? ", which is" : ", which are", " needed here; fetch it"));
  }
  return absl::NotFoundError(absl::StrCat(
      files.path(file), ": no such file, though ", kIndexName, " names it for ", few_of(tensors),
      tensors.size() == 1 ? ", which is" : ", which are", " needed here; fetch it"));
}

}  // namespace

class Checkpoint::Impl {
 public:
  std::map<std::string, TensorInfo> tensors;
  std::string where;
  std::vector<std::string> warnings;

  absl::Status add_file(const WeightFiles& files, const WeightFile& file) {
    absl::StatusOr<OpenWeightFile> opened = open_weight_file(files.path(file));
    if (!opened.ok()) return opened.status();
    const std::byte* const data = opened->file.data();
    for (auto& [name, entry] : opened->tensors) {
      const bool is_here = file.has(entry);
      tensors.insert_or_assign(canonical_tensor_name(name),
                               TensorInfo{.dtype = std::move(entry.dtype),
                                          .shape = std::move(entry.shape),
                                          .data = data + entry.begin,
                                          .bytes = entry.end - entry.begin,
                                          .is_here = is_here});
    }
    files_.push_back(std::move(opened->file));
    names_.push_back(file.name);
    used_.emplace_back(false);
    return absl::OkStatus();
  }

  absl::StatusOr<kernels::WeightView> view(const std::string& name,
                                           const std::vector<std::int64_t>& shape) {
    const auto found = tensors.find(name);
    if (found == tensors.end()) {
      return absl::NotFoundError(
          absl::StrCat(where, ": tensor ", name, " is missing", hint_of(name)));
    }
    const TensorInfo& info = found->second;
    const auto refuse = [&](auto... parts) {
      return absl::InvalidArgumentError(
          absl::StrCat(path_of(info), ": tensor ", name, ": ", parts...));
    };
    if (info.shape != shape) {
      return refuse("shape [", absl::StrJoin(info.shape, ", "), "] where config.json asks for [",
                    absl::StrJoin(shape, ", "), "]");
    }
    const std::optional<kernels::DType> dtype = compute_type(info.dtype);
    if (!dtype) {
      const std::string quantization = quantization_of(name, info.dtype);
      if (!quantization.empty()) {
        return refuse("type ", info.dtype, " (", quantization,
                      "): quantized weights are not supported (supported: BF16, F16, F32)");
      }
      return refuse("type ", info.dtype, " is not supported (supported: BF16, F16, F32)");
    }
    if (!info.is_here) {
      return absl::NotFoundError(absl::StrCat(path_of(info), ": tensor ", name,
                                              " is not among the parts that are here; fetch it"));
    }
    if (const std::size_t file = file_of(info); file < files_.size()) used_[file] = true;
    const void* data = aligned(info, kernels::dtype_bytes(*dtype));
    return kernels::WeightView{.data = data,
                               .dtype = *dtype,
                               .rows = shape.size() == 1 ? 1 : shape[0],
                               .cols = shape.back()};
  }

  std::optional<TensorPlace> place(const std::string& name) const {
    const auto found = tensors.find(name);
    if (found == tensors.end()) return std::nullopt;
    const std::size_t at = file_of(found->second);
    if (at == files_.size()) return std::nullopt;
    const MappedFile& file = files_[at];
    return TensorPlace{.dtype = found->second.dtype,
                       .file = names_[at],
                       .stamp = file.stamp(),
                       .begin = static_cast<std::size_t>(found->second.data - file.data())};
  }

  absl::Status check(bool all) const {
    for (std::size_t i = 0; i < files_.size(); ++i) {
      if (!all && !used_[i]) continue;
      if (absl::Status status = files_[i].check(); !status.ok()) return status;
    }
    return absl::OkStatus();
  }
  void release() const {
    for (const MappedFile& file : files_) file.release();
  }
  std::vector<std::string> replaced() const {
    std::vector<std::string> result;
    for (const MappedFile& file : files_) {
      if (file.is_replaced()) result.push_back(file.path());
    }
    return result;
  }

 private:
  // A tensor that may be meant, under a name of another making.
  std::string hint_of(const std::string& name) const {
    if (name == "lm_head.weight" && tensors.count("model.embed_tokens.weight") > 0) {
      return ", and config.json says tie_word_embeddings false";
    }
    const std::string_view tail = std::string_view(name).substr(name.find('.'));
    for (const auto& [other, info] : tensors) {
      if (std::string_view(other).ends_with(tail) && other != name &&
          other.size() <= name.size() + 64) {
        return absl::StrCat("; there is ", other, ", a name of another kind of model or file");
      }
    }
    return "";
  }

  std::size_t file_of(const TensorInfo& info) const {
    for (std::size_t i = 0; i < files_.size(); ++i) {
      const MappedFile& file = files_[i];
      if (info.data >= file.data() && info.data <= file.data() + file.size() &&
          info.data + info.bytes <= file.data() + file.size()) {
        return i;
      }
    }
    return files_.size();
  }
  const std::string& path_of(const TensorInfo& info) const {
    const std::size_t file = file_of(info);
    return file < files_.size() ? files_[file].path() : first_path();
  }
  const std::string& first_path() const { return files_.front().path(); }

  // The format does not align data, only its writers do: a tensor at an odd place is copied once.
  const void* aligned(const TensorInfo& info, std::size_t alignment) {
    if (reinterpret_cast<std::uintptr_t>(info.data) % alignment == 0) return info.data;
    const base::MutexLock lock(mutex_);
    std::unique_ptr<std::byte[]>& copy = copies_[info.data];
    if (copy == nullptr) {
      copy.reset(new std::byte[std::max<std::size_t>(info.bytes, 1)]);
      std::memcpy(copy.get(), info.data, info.bytes);
    }
    return copy.get();
  }

  std::vector<MappedFile> files_;
  std::vector<std::string> names_;      // of each file, in the folder
  std::deque<std::atomic<bool>> used_;  // of each file: a tensor of it was asked for
  base::Mutex mutex_;
  std::map<const std::byte*, std::unique_ptr<std::byte[]>> copies_ ABSL_GUARDED_BY(mutex_);
};

Checkpoint::Checkpoint(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
Checkpoint::Checkpoint(Checkpoint&&) noexcept = default;
Checkpoint& Checkpoint::operator=(Checkpoint&&) noexcept = default;
Checkpoint::~Checkpoint() = default;

absl::StatusOr<Checkpoint> Checkpoint::open(const std::string& directory) {
  absl::StatusOr<WeightFiles> files = read_weight_files(directory);
  if (!files.ok()) return files.status();
  for (const WeightFile& file : files->files) {
    if (!file.is_whole()) return missing_file(*files, file, file.indexed);
  }
  return open(*files, wants_all());
}

absl::StatusOr<Checkpoint> Checkpoint::open(const WeightFiles& files, const Wanted& wanted) {
  for (const WeightFile& file : files.files) {
    if (!file.part) continue;
    std::vector<std::string> lacks;
    for (const auto& [name, entry] : file.tensors) {
      std::string canonical = canonical_tensor_name(name);
      if (!file.has(entry) && wanted(canonical)) lacks.push_back(std::move(canonical));
    }
    if (!lacks.empty()) return missing_file(files, file, lacks);
  }
  return open_files(files, wanted);
}

absl::StatusOr<Checkpoint> Checkpoint::open_files(const WeightFiles& files, const Wanted& wanted) {
  auto impl = std::make_unique<Impl>();
  impl->where = files.where;
  impl->warnings = files.warnings;
  const std::vector<std::string> held_tensors = files.held_tensors();
  const absl::flat_hash_set<std::string> held(held_tensors.begin(), held_tensors.end());
  for (const WeightFile& file : files.files) {
    std::vector<std::string> of_it;
    for (std::string& name : file.tensor_names()) {
      // An index may err: a tensor that another file turned out to have is not looked for here.
      const bool elsewhere = !file.held && file.tensors.empty() && held.contains(name);
      if (!elsewhere && wanted(name)) of_it.push_back(std::move(name));
    }
    if (of_it.empty()) continue;
    absl::Status added = file.held ? impl->add_file(files, file) : missing_file(files, file, of_it);
    if (absl::IsNotFound(added) && file.held) added = missing_file(files, file, of_it);
    if (!added.ok()) return added;
  }
  return Checkpoint(std::move(impl));
}

absl::StatusOr<Checkpoint> Checkpoint::open_held(const WeightFiles& files) {
  WeightFiles held = files;
  std::erase_if(held.files, [](const WeightFile& file) { return !file.held; });
  return open_files(held, wants_all());
}

const std::map<std::string, TensorInfo>& Checkpoint::tensors() const { return impl_->tensors; }

const std::string& Checkpoint::where() const { return impl_->where; }

const std::vector<std::string>& Checkpoint::warnings() const { return impl_->warnings; }

bool Checkpoint::contains(const std::string& name) const { return impl_->tensors.count(name) > 0; }

std::optional<TensorPlace> Checkpoint::place(const std::string& name) const {
  return impl_->place(name);
}

absl::Status Checkpoint::check() const { return impl_->check(false); }

absl::Status Checkpoint::check_all() const { return impl_->check(true); }

void Checkpoint::release() const { impl_->release(); }

std::vector<std::string> Checkpoint::replaced() const { return impl_->replaced(); }

absl::StatusOr<kernels::WeightView> Checkpoint::weight(const std::string& name, std::int64_t rows,
                                                       std::int64_t cols) const {
  return impl_->view(name, {rows, cols});
}

absl::StatusOr<kernels::WeightView> Checkpoint::vector(const std::string& name,
                                                       std::int64_t size) const {
  return impl_->view(name, {size});
}

}  // namespace shoal::model
