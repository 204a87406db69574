// SPDX-License-Identifier: Apache-2.0
#include "model/checkpoint.h"

#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cstdint>
#include <cstring>
#include <deque>
#include <mutex>
#include <nlohmann/json.hpp>
#include <optional>
#include <set>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "model/file_kind.h"
#include "model/json_fields.h"
#include "model/json_text.h"
#include "model/mapped_file.h"
#include "model/safetensors.h"
#include "model/weight_names.h"

namespace shoal::model {
namespace {

constexpr const char* kSingleName = "model.safetensors";
constexpr const char* kIndexName = "model.safetensors.index.json";
constexpr std::size_t kMaxIndexBytes = 32u << 20;
constexpr std::size_t kMaxShards = 10'000;

std::optional<kernels::DType> compute_type(const std::string& dtype) {
  if (dtype == "F32") return kernels::DType::kF32;
  if (dtype == "BF16") return kernels::DType::kBF16;
  if (dtype == "F16") return kernels::DType::kF16;
  return std::nullopt;
}

// A shard is a file of the model's own folder: an index from outside must not make us open others.
bool is_plain_file_name(const std::string& name) {
  return !name.empty() && name.size() <= 255 && name[0] != '.' &&
         name.find_first_of(std::string("/\\\0", 3)) == std::string::npos;
}

}  // namespace

class Checkpoint::Impl {
 public:
  std::map<std::string, TensorInfo> tensors;
  std::string where;
  std::vector<std::string> warnings;

  absl::Status add_single(const std::string& path) {
    where = path;
    return add_file(path);
  }

  absl::Status add_sharded(const std::string& directory, const std::string& text) {
    where = absl::StrCat(directory, "/", kIndexName);
    const absl::StatusOr<nlohmann::json> index = parse_json_object(text, where);
    if (!index.ok()) return index.status();
    const auto map = index->find("weight_map");
    if (map == index->end() || !map->is_object() || map->empty()) {
      return absl::InvalidArgumentError(absl::StrCat(
          where, ": weight_map must be an object that names the file of every tensor"));
    }
    std::set<std::string> shards;
    for (const auto& [name, shard] : map->items()) {
      if (!shard.is_string() || !is_plain_file_name(shard.get_ref<const std::string&>())) {
        return absl::InvalidArgumentError(
            absl::StrCat(where, ": the file of tensor ", json_excerpt(name), " is ",
                         json_excerpt(shard), "; a file name in the same folder is expected"));
      }
      shards.insert(shard.get<std::string>());
    }
    if (shards.size() > kMaxShards) {
      return absl::InvalidArgumentError(absl::StrCat(where, ": more than ", kMaxShards, " files"));
    }
    for (const std::string& shard : shards) {
      absl::Status added = add_file(absl::StrCat(directory, "/", shard));
      if (absl::IsNotFound(added)) {
        return absl::NotFoundError(
            absl::StrCat(added.message(), ", though ", kIndexName, " names it; fetch it"));
      }
      if (!added.ok()) return added;
    }
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
    if (const std::size_t file = file_of(info); file < files_.size()) used_[file] = true;
    const void* data = aligned(info, kernels::dtype_bytes(*dtype));
    return kernels::WeightView{.data = data,
                               .dtype = *dtype,
                               .rows = shape.size() == 1 ? 1 : shape[0],
                               .cols = shape.back()};
  }

  absl::Status check(bool all) const {
    for (std::size_t i = 0; i < files_.size(); ++i) {
      if (!all && !used_[i]) continue;
      if (absl::Status status = files_[i].check(); !status.ok()) return status;
    }
    return absl::OkStatus();
  }
  std::vector<std::string> replaced() const {
    std::vector<std::string> result;
    for (const MappedFile& file : files_) {
      if (file.is_replaced()) result.push_back(file.path());
    }
    return result;
  }

 private:
  absl::Status add_file(const std::string& path) {
    absl::StatusOr<MappedFile> file = MappedFile::open(path);
    if (!file.ok()) return file.status();
    const std::byte* const data = file->data();
    absl::StatusOr<std::map<std::string, SafetensorsEntry>> entries =
        parse_safetensors({data, file->size()}, path);
    if (!entries.ok()) {
      const std::string kind = foreign_kind(
          {reinterpret_cast<const char*>(data), std::min(file->size(), std::size_t{512})});
      if (kind.empty()) return entries.status();
      return absl::InvalidArgumentError(absl::StrCat(path, ": is ", kind));
    }
    for (auto& [name, entry] : *entries) {
      tensors.insert_or_assign(canonical_tensor_name(name),
                               TensorInfo{.dtype = std::move(entry.dtype),
                                          .shape = std::move(entry.shape),
                                          .data = data + entry.begin,
                                          .bytes = entry.end - entry.begin});
    }
    files_.push_back(*std::move(file));
    used_.emplace_back(false);
    return absl::OkStatus();
  }

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
    const std::lock_guard lock(mutex_);
    std::unique_ptr<std::byte[]>& copy = copies_[info.data];
    if (copy == nullptr) {
      copy.reset(new std::byte[std::max<std::size_t>(info.bytes, 1)]);
      std::memcpy(copy.get(), info.data, info.bytes);
    }
    return copy.get();
  }

  std::vector<MappedFile> files_;
  std::deque<std::atomic<bool>> used_;  // of each file: a tensor of it was asked for
  std::mutex mutex_;
  std::map<const std::byte*, std::unique_ptr<std::byte[]>> copies_;
};

Checkpoint::Checkpoint(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
Checkpoint::Checkpoint(Checkpoint&&) noexcept = default;
Checkpoint& Checkpoint::operator=(Checkpoint&&) noexcept = default;
Checkpoint::~Checkpoint() = default;

absl::StatusOr<Checkpoint> Checkpoint::open(const std::string& directory) {
  auto impl = std::make_unique<Impl>();
  absl::Status status = impl->add_single(absl::StrCat(directory, "/", kSingleName));
  if (absl::IsNotFound(status)) {
    const absl::StatusOr<std::string> index =
        read_text_file(absl::StrCat(directory, "/", kIndexName), kMaxIndexBytes);
    if (absl::IsNotFound(index.status())) {
      const std::string hint = folder_hint(directory);
      return absl::NotFoundError(
          absl::StrCat("model folder ", directory, " has neither ", kSingleName, " nor ",
                       kIndexName, hint.empty() ? "; weights are expected as safetensors" : hint));
    }
    if (!index.ok()) return index.status();
    status = impl->add_sharded(directory, *index);
  } else if (status.ok() && ::access(absl::StrCat(directory, "/", kIndexName).c_str(), F_OK) == 0) {
    impl->warnings.push_back(absl::StrCat(directory, " has both ", kSingleName, " and ", kIndexName,
                                          ": the weights are read from ", kSingleName,
                                          ", as in the reference"));
  }
  if (!status.ok()) return status;
  return Checkpoint(std::move(impl));
}

const std::map<std::string, TensorInfo>& Checkpoint::tensors() const { return impl_->tensors; }

const std::string& Checkpoint::where() const { return impl_->where; }

const std::vector<std::string>& Checkpoint::warnings() const { return impl_->warnings; }

bool Checkpoint::contains(const std::string& name) const { return impl_->tensors.count(name) > 0; }

absl::Status Checkpoint::check() const { return impl_->check(false); }

absl::Status Checkpoint::check_all() const { return impl_->check(true); }

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
