// SPDX-License-Identifier: Apache-2.0
#include "model/model_ends.h"

#include <algorithm>
#include <cstddef>
#include <cstring>
#include <utility>

#include "absl/strings/str_cat.h"
#include "base/check.h"
#include "kernels/elementwise.h"
#include "kernels/linear.h"
#include "kernels/portable.h"
#include "kernels/rms_norm.h"

namespace shoal::model {
namespace {

bool same_values(kernels::Executor& executor, const kernels::WeightView& a,
                 const kernels::WeightView& b) {
  if (a.dtype == b.dtype) return std::memcmp(a.data, b.data, a.bytes()) == 0;
  // Of two types: row by row, in f32.
  std::vector<float> left(static_cast<std::size_t>(a.cols)), right(left.size());
  for (std::int32_t row = 0; row < a.rows; ++row) {
    kernels::embedding(executor, a, {&row, 1}, {left.data(), 1, a.cols, a.cols});
    kernels::embedding(executor, b, {&row, 1}, {right.data(), 1, b.cols, b.cols});
    if (left != right) return false;
  }
  return true;
}

}  // namespace

absl::StatusOr<ModelEnds> ModelEnds::load(const ModelConfig& config, const Checkpoint& checkpoint,
                                          kernels::Executor& executor) {
  ModelEnds ends;
  ends.executor_ = &executor;
  ends.hidden_ = config.hidden;
  ends.vocabulary_ = config.vocabulary;
  ends.eps_ = config.rms_norm_eps;
  const absl::StatusOr<kernels::WeightView> norm =
      checkpoint.vector(config.names.final_norm, config.hidden);
  if (!norm.ok()) return norm.status();
  // Tied: either end may be the one that is stored. Two that differ are not tied, as in the
  // reference, whatever config.json says.
  const bool has_embedding = checkpoint.contains(config.names.embedding);
  const bool has_head = checkpoint.contains(config.names.head);
  const auto stored = [&](const std::string& name) {
    return checkpoint.weight(name, config.vocabulary, config.hidden);
  };
  const bool head_for_both = config.tied_embeddings && has_head && !has_embedding;
  const absl::StatusOr<kernels::WeightView> embedding =
      stored(head_for_both ? config.names.head : config.names.embedding);
  if (!embedding.ok()) return embedding.status();
  absl::StatusOr<kernels::WeightView> head = embedding;
  if (!config.tied_embeddings || (has_head && has_embedding)) {
    head = stored(config.names.head);
    if (!head.ok()) return head.status();
  }
  if (config.tied_embeddings && has_head && has_embedding) {
    if (same_values(executor, *embedding, *head)) {
      head = embedding;
    } else {
      ends.warnings_.push_back(absl::StrCat(
          checkpoint.where(), ": ", config.names.head, " differs from ", config.names.embedding,
          ", though config.json says tie_word_embeddings true; it is used as it is stored, as in ",
          "the reference"));
    }
  }
  ends.embedding_ = *embedding;
  ends.norm_ = *norm;
  ends.stored_head_ = *head;
  ends.head_.emplace_back(kernels::Buffer(), kernels::LinearWeight(*head));
  return ends;
}

absl::StatusOr<std::vector<float>> ModelEnds::embed(std::span<const std::int32_t> ids) const {
  for (const std::int32_t id : ids) {
    if (id < 0 || id >= vocabulary_) {
      return absl::InvalidArgumentError(
          absl::StrCat("token id ", id, " is outside of the model's vocabulary of ", vocabulary_,
                       ": its tokenizer files name tokens that its weights do not have"));
    }
  }
  std::vector<float> rows(ids.size() * static_cast<std::size_t>(hidden_));
  if (ids.empty()) return rows;
  kernels::embedding(*executor_, embedding_, ids,
                     {rows.data(), static_cast<std::int64_t>(ids.size()), hidden_, hidden_});
  return rows;
}

void ModelEnds::final_norm(std::span<const float> rows, std::span<float> normed) const {
  CHECK(rows.size() % static_cast<std::size_t>(hidden_) == 0 && normed.size() == rows.size());
  const std::int64_t count = static_cast<std::int64_t>(rows.size()) / hidden_;
  if (count == 0) return;
  kernels::rms_norm(*executor_, {rows.data(), count, hidden_, hidden_}, norm_, eps_,
                    {normed.data(), count, hidden_, hidden_});
}

void ModelEnds::logits(std::span<const float> rows, std::span<float> logits) const {
  const std::size_t hidden = static_cast<std::size_t>(hidden_);
  CHECK(rows.size() % hidden == 0) << rows.size() << " values for rows of " << hidden_;
  const std::int64_t count = static_cast<std::int64_t>(rows.size() / hidden);
  CHECK(logits.size() == static_cast<std::size_t>(count * vocabulary_))
      << logits.size() << " logits for " << count << " rows of " << vocabulary_;
  if (count == 0) return;
  std::vector<float> normed(rows.size());
  final_norm(rows, normed);
  const kernels::MatrixView x{normed.data(), count, hidden_, hidden_};
  std::vector<kernels::Projection> parts;
  parts.reserve(head_.size());
  float* out = logits.data();
  for (const kernels::PackedLinear& part : head_) {
    const std::int64_t outputs = part.weight().rows;
    parts.push_back({&part.weight(), {out, count, outputs, vocabulary_}});
    out += outputs;
  }
  kernels::project(*executor_, x, parts);
}

absl::Status ModelEnds::pack_head(const Checkpoint& checkpoint, WeightChoice choice,
                                  const FileWork& work, std::int64_t part_bytes) {
  const kernels::WeightView& stored = stored_head_;
  const std::size_t row_bytes = stored.bytes() / static_cast<std::size_t>(stored.rows);
  // Each begins where a tile does: the bytes are those of one piece.
  const std::int64_t rows_at_once =
      std::max<std::int64_t>(
          part_bytes / static_cast<std::int64_t>(row_bytes) / kernels::kTileOutputs, 1) *
      kernels::kTileOutputs;
  std::vector<kernels::PackedLinear> parts;
  for (std::int64_t row = 0; row < stored.rows; row += rows_at_once) {
    const std::size_t begin = static_cast<std::size_t>(row) * row_bytes;
    if (work.stop != nullptr && work.stop->stopped()) return work.stop->status();
    if (work.progress) work.progress(begin, stored.bytes());
    kernels::WeightView part = stored;
    part.data = static_cast<const std::byte*>(stored.data) + begin;
    part.rows = std::min(rows_at_once, stored.rows - row);
    auto packed = kernels::pack_linear(*executor_, part, {}, format_of(choice, stored.dtype));
    if (!packed) {
      return absl::ResourceExhaustedError(absl::StrCat("there is not enough memory for a head in ",
                                                       name_of(choice), ": give --head stored"));
    }
    parts.push_back(*std::move(packed));
    checkpoint.release();
  }
  if (work.progress) work.progress(stored.bytes(), stored.bytes());
  head_ = std::move(parts);
  head_choice_ = choice;
  return absl::OkStatus();
}

}  // namespace shoal::model
