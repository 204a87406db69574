// SPDX-License-Identifier: Apache-2.0
#include "tests/bench/random_model.h"

#include <fmt/format.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>
#include <vector>

#include "base/random.h"
#include "tests/cli/process_swarm.h"

namespace shoal::bench {
namespace {

constexpr std::int64_t kVocabulary = 4096;  // the bundled tokenizer's

struct Tensor {
  std::string name;
  std::vector<std::int64_t> shape;
  std::int64_t values() const {
    std::int64_t product = 1;
    for (const std::int64_t length : shape) product *= length;
    return product;
  }
};

std::vector<Tensor> tensors_of(const Geometry& g, std::int64_t blocks, bool with_ends) {
  std::vector<Tensor> tensors;
  if (with_ends) {
    tensors.push_back({"model.embed_tokens.weight", {kVocabulary, g.hidden}});
    tensors.push_back({"model.norm.weight", {g.hidden}});
  }
  const std::int64_t query = g.heads * g.head_dim, key = g.kv_heads * g.head_dim;
  for (std::int64_t i = 0; i < blocks; ++i) {
    const std::string block = fmt::format("model.layers.{}.", i);
    tensors.push_back({block + "input_layernorm.weight", {g.hidden}});
    tensors.push_back({block + "post_attention_layernorm.weight", {g.hidden}});
    tensors.push_back({block + "self_attn.q_proj.weight", {query, g.hidden}});
    tensors.push_back({block + "self_attn.k_proj.weight", {key, g.hidden}});
    tensors.push_back({block + "self_attn.v_proj.weight", {key, g.hidden}});
    tensors.push_back({block + "self_attn.o_proj.weight", {g.hidden, query}});
    tensors.push_back({block + "mlp.gate_proj.weight", {g.mlp, g.hidden}});
    tensors.push_back({block + "mlp.up_proj.weight", {g.mlp, g.hidden}});
    tensors.push_back({block + "mlp.down_proj.weight", {g.hidden, g.mlp}});
  }
  return tensors;
}

// bf16 of random sign and mantissa, 2^-7 to 2^-5 large: as wide as trained weights are. Of a norm:
// ones.
void fill(std::vector<std::uint64_t>& words, bool norm, base::Random& random) {
  for (std::uint64_t& word : words) {
    word = norm ? 0x3f803f803f803f80u : (random.next() & 0x80ff80ff80ff80ffu) | 0x3c003c003c003c00u;
  }
}

absl::Status write_weights(const std::string& path, const std::vector<Tensor>& tensors) {
  nlohmann::json header;
  std::int64_t bytes = 0;
  for (const Tensor& tensor : tensors) {
    const std::int64_t end = bytes + 2 * tensor.values();
    header[tensor.name] = {
        {"dtype", "BF16"}, {"shape", tensor.shape}, {"data_offsets", {bytes, end}}};
    bytes = end;
  }
  std::string text = header.dump();
  text.resize((text.size() + 7) / 8 * 8, ' ');
  const std::uint64_t length = text.size();
  std::ofstream out(path, std::ios::binary);
  out.write(reinterpret_cast<const char*>(&length), sizeof(length));
  out.write(text.data(), static_cast<std::streamsize>(text.size()));
  base::Random random(1);
  std::vector<std::uint64_t> words;
  for (const Tensor& tensor : tensors) {
    constexpr std::int64_t kWords = 1 << 17;
    for (std::int64_t left = tensor.values() / 4; left > 0; left -= kWords) {
      words.resize(static_cast<std::size_t>(std::min(left, kWords)));
      fill(words, tensor.shape.size() == 1, random);
      out.write(reinterpret_cast<const char*>(words.data()),
                static_cast<std::streamsize>(words.size() * sizeof(words.front())));
    }
  }
  out.close();
  if (!out) return absl::ResourceExhaustedError("cannot write " + path);
  return absl::OkStatus();
}

std::string config_of(const Geometry& g, std::int64_t blocks) {
  const nlohmann::json config = {{"architectures", {"LlamaForCausalLM"}},
                                 {"model_type", "llama"},
                                 {"hidden_act", "silu"},
                                 {"hidden_size", g.hidden},
                                 {"head_dim", g.head_dim},
                                 {"num_attention_heads", g.heads},
                                 {"num_key_value_heads", g.kv_heads},
                                 {"intermediate_size", g.mlp},
                                 {"num_hidden_layers", blocks},
                                 {"max_position_embeddings", 131072},
                                 {"rms_norm_eps", 1e-5},
                                 {"rope_theta", 500000.0},
                                 {"tie_word_embeddings", true},
                                 {"torch_dtype", "bfloat16"},
                                 {"vocab_size", kVocabulary},
                                 {"bos_token_id", 0},
                                 {"eos_token_id", 1}};
  return config.dump(2);
}

// In memory, unless there is little of it: containers often have 64 MiB there.
std::string roomiest_folder() {
  constexpr const char* kInMemory = "/dev/shm";
  constexpr std::uintmax_t kEnough = std::uintmax_t{8} << 30;
  const std::string other = std::filesystem::temp_directory_path().string();
  if (::access(kInMemory, W_OK | X_OK) != 0) return other;
  std::error_code ignored;
  const auto in_memory = std::filesystem::space(kInMemory, ignored).available;
  const bool roomier =
      in_memory >= kEnough || in_memory >= std::filesystem::space(other, ignored).available;
  return roomier ? kInMemory : other;
}

}  // namespace

absl::Status write_random_model(const std::string& directory, const Geometry& geometry,
                                std::int64_t blocks, bool with_ends) {
  const std::vector<Tensor> tensors = tensors_of(geometry, blocks, with_ends);
  std::uint64_t bytes = 0;
  for (const Tensor& tensor : tensors) bytes += 2 * static_cast<std::uint64_t>(tensor.values());
  std::error_code ignored;
  const auto room = std::filesystem::space(directory, ignored).available;
  if (room < bytes) {
    return absl::ResourceExhaustedError(
        fmt::format("{} blocks of {} take {} MiB, {} has {} MiB: measure fewer --blocks", blocks,
                    geometry.name, bytes >> 20, directory, room >> 20));
  }
  const auto file = [&](const char* name) { return directory + "/" + name; };
  tests::write_file(file("config.json"), config_of(geometry, blocks));
  if (with_ends) {
    for (const char* name : {"tokenizer.json", "tokenizer_config.json", "generation_config.json"}) {
      std::filesystem::copy_file(tests::kDemoModel + "/" + name, file(name),
                                 std::filesystem::copy_options::overwrite_existing);
    }
  }
  return write_weights(file("model.safetensors"), tensors);
}

absl::StatusOr<RandomModel> RandomModel::make(const Geometry& geometry, std::int64_t blocks,
                                              bool with_ends) {
  RandomModel model(std::make_unique<tests::TempDir>(roomiest_folder()));
  if (absl::Status written = write_random_model(model.directory(), geometry, blocks, with_ends);
      !written.ok()) {
    return written;
  }
  return model;
}

}  // namespace shoal::bench
