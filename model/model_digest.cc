// SPDX-License-Identifier: Apache-2.0
#include "model/model_digest.h"

#include <openssl/evp.h>

#include <algorithm>
#include <cstring>
#include <memory>
#include <string_view>
#include <type_traits>

namespace shoal::model {
namespace {

constexpr std::size_t kEdgeBytes = 4096;
constexpr std::size_t kSpots = 64;
constexpr std::size_t kSpotBytes = 64;

// Fields go in with fixed widths and texts with their length, so no two inputs look the same.
class Sha256 {
 public:
  Sha256() : context_(EVP_MD_CTX_new(), EVP_MD_CTX_free) {
    good_ = context_ != nullptr && EVP_DigestInit_ex(context_.get(), EVP_sha256(), nullptr) == 1;
  }

  void bytes(const void* data, std::size_t size) {
    good_ = good_ && EVP_DigestUpdate(context_.get(), data, size) == 1;
  }
  void number(std::uint64_t value) {
    unsigned char little[8];
    for (int i = 0; i < 8; ++i) little[i] = static_cast<unsigned char>(value >> (8 * i));
    bytes(little, sizeof little);
  }
  void integer(std::int64_t value) { number(static_cast<std::uint64_t>(value)); }
  void real(double value) {
    std::uint64_t bits = 0;
    std::memcpy(&bits, &value, sizeof bits);
    number(bits);
  }
  void text(std::string_view text) {
    number(text.size());
    bytes(text.data(), text.size());
  }
  absl::StatusOr<std::array<std::uint8_t, 32>> finish() {
    std::array<std::uint8_t, 32> digest{};
    good_ = good_ && EVP_DigestFinal_ex(context_.get(), digest.data(), nullptr) == 1;
    if (!good_) return absl::InternalError("SHA-256 of the crypto library failed");
    return digest;
  }

 private:
  std::unique_ptr<EVP_MD_CTX, decltype(&EVP_MD_CTX_free)> context_;
  bool good_ = false;
};

// Only what the type of scaling reads, so that a spelled-out default makes no difference.
void add_rope(Sha256& hash, const RopeConfig& rope) {
  using Type = RopeConfig::Type;
  hash.integer(static_cast<std::int64_t>(rope.type));
  hash.real(rope.theta);
  if (rope.type == Type::kDefault) return;
  hash.real(rope.factor);
  if (rope.type == Type::kLinear) return;
  hash.integer(rope.original_max_positions);
  if (rope.type == Type::kLlama3) {
    hash.real(rope.low_freq_factor);
    hash.real(rope.high_freq_factor);
    return;
  }
  hash.real(rope.beta_fast);
  hash.real(rope.beta_slow);
  for (const std::optional<double>& value :
       {rope.attention_factor, rope.mscale, rope.mscale_all_dim}) {
    hash.integer(value ? 1 : 0);
    hash.real(value.value_or(0.0));
  }
  hash.integer(rope.truncate ? 1 : 0);
}

void add_kind(Sha256& hash, const BlockSpec& kind) {
  hash.real(static_cast<double>(kind.norm_eps));
  const AttentionSpec& attention = kind.attention;
  for (const std::int64_t size :
       {attention.heads, attention.kv_heads, attention.head_dim, attention.window}) {
    hash.integer(size);
  }
  hash.number(kind.mlp.index());
  hash.integer(std::get<DenseMlp>(kind.mlp).intermediate);
  hash.number(kind.weights.size());
  for (const WeightSpec& weight : kind.weights) {
    hash.integer(static_cast<std::int64_t>(weight.role));
    hash.text(weight.name);
    for (const std::int64_t size : {weight.rows, weight.cols}) hash.integer(size);
    hash.integer(weight.bias ? 1 : 0);
  }
}

void add_config(Sha256& hash, const ModelConfig& config) {
  for (const std::int64_t size : {config.hidden, config.block_count, config.vocabulary}) {
    hash.integer(size);
  }
  hash.real(static_cast<double>(config.rms_norm_eps));
  hash.integer(config.tied_embeddings ? 1 : 0);
  hash.number(config.kinds.size());
  for (const BlockSpec& kind : config.kinds) add_kind(hash, kind);
  for (const std::int32_t kind : config.block_kinds) hash.integer(kind);
  add_rope(hash, config.rope);
}

void add_tensor(Sha256& hash, std::string_view name, const TensorInfo& info) {
  hash.text(name);
  hash.text(info.dtype);
  hash.number(info.shape.size());
  for (const std::int64_t dimension : info.shape) hash.integer(dimension);
  hash.number(info.bytes);
  if (info.bytes <= 2 * kEdgeBytes + kSpots * kSpotBytes) {
    hash.bytes(info.data, info.bytes);
    return;
  }
  hash.bytes(info.data, kEdgeBytes);
  const std::size_t step = (info.bytes - 2 * kEdgeBytes - kSpotBytes) / (kSpots - 1);
  for (std::size_t i = 0; i < kSpots; ++i) {
    hash.bytes(info.data + kEdgeBytes + i * step, kSpotBytes);
  }
  hash.bytes(info.data + info.bytes - kEdgeBytes, kEdgeBytes);
}

}  // namespace

absl::StatusOr<std::array<std::uint8_t, 32>> model_digest(const ModelConfig& config,
                                                          const Checkpoint& checkpoint) {
  Sha256 hash;
  hash.text("shoal model digest 1");
  add_config(hash, config);
  hash.number(checkpoint.tensors().size());
  for (const auto& [name, info] : checkpoint.tensors()) add_tensor(hash, name, info);
  return hash.finish();
}

}  // namespace shoal::model
