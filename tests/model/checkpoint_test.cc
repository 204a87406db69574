// SPDX-License-Identifier: Apache-2.0
// Finding the tensors of a model folder, in one file or in shards, without copying them.
#include "model/checkpoint.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>

#include <cstring>
#include <string>

#include "tests/model/safetensors_file.h"
#include "tests/support/temp_dir.h"

namespace shoal::model {
namespace {

using testing::HasSubstr;
using tests::TempDir;
using tests::write_file;

std::string message(const absl::Status& status) { return std::string(status.message()); }

// One tensor of `count` U8-sized units, padded so that its data is aligned (or, with `shift`, is
// not).
std::string one_tensor(const std::string& name, const std::string& dtype, const std::string& shape,
                       const std::string& data, std::size_t shift = 0) {
  std::string header = "{\"" + name + "\":{\"dtype\":\"" + dtype + "\",\"shape\":" + shape +
                       ",\"data_offsets\":[0," + std::to_string(data.size()) + "]}}";
  header.resize((header.size() + 7) / 8 * 8 + shift, ' ');
  return safetensors_bytes(header, data);
}

std::string floats(std::initializer_list<float> values) {
  return {reinterpret_cast<const char*>(values.begin()), values.size() * sizeof(float)};
}

TEST(Checkpoint, GivesWeightsOfTheBundledModelInPlace) {
  const absl::StatusOr<Checkpoint> checkpoint = Checkpoint::open(SHOAL_SOURCE_DIR "/models/demo");
  ASSERT_TRUE(checkpoint.ok()) << checkpoint.status();
  EXPECT_EQ(checkpoint->tensors().size(), 74u);
  EXPECT_TRUE(checkpoint->contains("model.embed_tokens.weight"));
  EXPECT_FALSE(checkpoint->contains("lm_head.weight"));
  const std::string name = "model.layers.7.mlp.gate_proj.weight";
  const absl::StatusOr<kernels::WeightView> gate = checkpoint->weight(name, 704, 256);
  ASSERT_TRUE(gate.ok()) << gate.status();
  EXPECT_EQ(gate->dtype, kernels::DType::kBF16);
  EXPECT_EQ(gate->rows, 704);
  EXPECT_EQ(gate->cols, 256);
  EXPECT_EQ(gate->data, checkpoint->tensors().at(name).data);  // a view, not a copy
  const absl::StatusOr<kernels::WeightView> norm = checkpoint->vector("model.norm.weight", 256);
  ASSERT_TRUE(norm.ok()) << norm.status();
  EXPECT_EQ(norm->rows, 1);
  EXPECT_EQ(norm->cols, 256);
}

TEST(Checkpoint, ErrorsNameTheTensorAndTheFile) {
  const absl::StatusOr<Checkpoint> checkpoint = Checkpoint::open(SHOAL_SOURCE_DIR "/models/demo");
  ASSERT_TRUE(checkpoint.ok()) << checkpoint.status();
  const absl::Status missing = checkpoint->weight("lm_head.weight", 4096, 256).status();
  EXPECT_TRUE(absl::IsNotFound(missing));
  EXPECT_THAT(message(missing), HasSubstr("lm_head.weight"));
  EXPECT_THAT(message(missing), HasSubstr("models/demo/model.safetensors"));
  const absl::Status shape = checkpoint->vector("model.norm.weight", 255).status();
  EXPECT_TRUE(absl::IsInvalidArgument(shape));
  EXPECT_THAT(message(shape), HasSubstr("shape [256]"));
  EXPECT_THAT(message(shape), HasSubstr("[255]"));
  EXPECT_FALSE(checkpoint->weight("model.norm.weight", 1, 256).ok());
}

TEST(Checkpoint, RefusesTypesThatWeDoNotComputeWith) {
  const TempDir directory;
  write_file(directory.file("model.safetensors"), one_tensor("w", "F8_E4M3", "[4]", "abcd"));
  const absl::StatusOr<Checkpoint> checkpoint = Checkpoint::open(directory.path());
  ASSERT_TRUE(checkpoint.ok()) << checkpoint.status();
  EXPECT_THAT(message(checkpoint->vector("w", 4).status()), HasSubstr("F8_E4M3"));
}

TEST(Checkpoint, DataAtAnOddPlaceIsGivenAligned) {
  const TempDir directory;
  write_file(directory.file("model.safetensors"),
             one_tensor("w", "F32", "[3]", floats({1.5f, -2.0f, 3.25f}), 1));
  const absl::StatusOr<Checkpoint> checkpoint = Checkpoint::open(directory.path());
  ASSERT_TRUE(checkpoint.ok()) << checkpoint.status();
  const absl::StatusOr<kernels::WeightView> w = checkpoint->vector("w", 3);
  ASSERT_TRUE(w.ok()) << w.status();
  EXPECT_EQ(reinterpret_cast<std::uintptr_t>(w->data) % alignof(float), 0u);
  EXPECT_EQ(static_cast<const float*>(w->data)[2], 3.25f);
  EXPECT_EQ(checkpoint->vector("w", 3)->data, w->data);
}

TEST(Checkpoint, ShardsAreOneModel) {
  const TempDir directory;
  write_file(directory.file("m-1.safetensors"), one_tensor("a", "F32", "[1]", floats({1.0f})));
  write_file(directory.file("m-2.safetensors"),
             one_tensor("b", "F32", "[1,2]", floats({2.0f, 3.0f})));
  write_file(directory.file("model.safetensors.index.json"),
             R"({"metadata": {"total_size": 12},
                      "weight_map": {"a": "m-1.safetensors", "b": "m-2.safetensors"}})");
  const absl::StatusOr<Checkpoint> checkpoint = Checkpoint::open(directory.path());
  ASSERT_TRUE(checkpoint.ok()) << checkpoint.status();
  EXPECT_EQ(checkpoint->tensors().size(), 2u);
  EXPECT_EQ(*static_cast<const float*>(checkpoint->vector("a", 1)->data), 1.0f);
  EXPECT_EQ(*static_cast<const float*>(checkpoint->weight("b", 1, 2)->data), 2.0f);
  EXPECT_THAT(message(checkpoint->weight("b", 2, 1).status()), HasSubstr("m-2.safetensors"));
}

TEST(Checkpoint, BrokenIndexesAreRefused) {
  const TempDir directory;
  const auto refusal = [&](const std::string& index) {
    write_file(directory.file("model.safetensors.index.json"), index);
    return message(Checkpoint::open(directory.path()).status());
  };
  write_file(directory.file("m-1.safetensors"), one_tensor("a", "F32", "[1]", floats({1.0f})));
  const auto mapping = [](const std::string& tensor, const std::string& file) {
    return R"({"weight_map": {")" + tensor + R"(": )" + file + "}}";
  };
  EXPECT_THAT(refusal(mapping("a", R"("m-9.safetensors")")), HasSubstr("m-9.safetensors"));
  for (const char* file : {R"("../m-1.safetensors")", R"("/etc/passwd")", R"("x/m-1.safetensors")",
                           R"("")", R"("..")", R"("m-1\u0000")", R"("a\\b")", "5", "null"}) {
    EXPECT_THAT(refusal(mapping("a", file)), HasSubstr("same folder")) << file;
  }
  EXPECT_THAT(refusal("{}"), HasSubstr("weight_map"));
  EXPECT_THAT(refusal(R"({"weight_map": []})"), HasSubstr("weight_map"));
  EXPECT_THAT(refusal("]"), HasSubstr("not JSON"));
}

TEST(Checkpoint, FoldersWithoutWeightsSayWhatIsExpected) {
  const TempDir directory;
  write_file(directory.file("pytorch_model.bin"), "x");
  const absl::Status status = Checkpoint::open(directory.path()).status();
  EXPECT_TRUE(absl::IsNotFound(status));
  EXPECT_THAT(message(status), HasSubstr("model.safetensors"));
  EXPECT_THAT(message(status), HasSubstr(directory.path()));
}

TEST(Checkpoint, TruncatedEmptyAndUnusualFilesAreRefused) {
  const TempDir directory;
  const std::string file = one_tensor("a", "F32", "[1]", floats({1.0f}));
  write_file(directory.file("model.safetensors"), file.substr(0, file.size() - 1));
  EXPECT_THAT(message(Checkpoint::open(directory.path()).status()), HasSubstr("truncated"));
  write_file(directory.file("model.safetensors"), "");
  EXPECT_THAT(message(Checkpoint::open(directory.path()).status()), HasSubstr("too short"));

  const TempDir other;
  ASSERT_EQ(::mkfifo((other.path() + "/model.safetensors").c_str(), 0600), 0);
  EXPECT_THAT(message(Checkpoint::open(other.path()).status()), HasSubstr("not a regular file"));
}

}  // namespace
}  // namespace shoal::model
