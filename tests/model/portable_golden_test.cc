// SPDX-License-Identifier: Apache-2.0
// The bits of q8, q4 and q4s, pinned for good: hashes of what weights become and of what products
// give, for shapes with whole and with short groups, tiles and segments. A change here is another
// law: other nodes would compute other bits. The plain reference gives the same hashes, so that
// they can be had anew on a machine with nothing of ours.
#include <gtest/gtest.h>

#include <array>
#include <bit>
#include <cstdint>
#include <string>
#include <vector>

#include "kernels/linear.h"
#include "model/sha256.h"
#include "tests/kernels/data.h"
#include "tests/model/engine.h"
#include "tests/reference/portable.h"

namespace shoal::model {
namespace {

using reference::Group;

struct Golden {
  kernels::WeightFormat format;
  std::int64_t rows, cols, outputs;  // x [rows, cols], weights [outputs, cols]
  const char* weights;
  const char* product;
};
constexpr std::array<Golden, 9> kGolden = {{
    {kernels::WeightFormat::kQ8, 3, 32, 16,
     "5a05ff16fc27590f80427e39898cdb5aa7712f3fc743f8f71aa56bfe55cc2224",
     "aab5683b96948415190ba11542c31b160a6410f2f58d6fd80ae1dabd01fce830"},
    {kernels::WeightFormat::kQ8, 5, 545, 33,
     "7957ed95ff60e3e07b9f440da8b317931edfaf6f07c4ad48045a446d5ac9c3ff",
     "24c8837a351fedcfadaeb2805f42e906e48162f038dcb4b1d9d47fc85d905c56"},
    {kernels::WeightFormat::kQ8, 2, 1376, 64,
     "9e8e666a7f4be2759c56804c44064912583e0411603cb47d50eecffd570567e2",
     "a4fb62df065936ad0e527e9743c6b13e45700fefda479aa2e944d1802cfc96dc"},
    {kernels::WeightFormat::kQ4, 3, 32, 16,
     "1c70d272eff20c01254207211ad8c5e2bfc4cb7162ba050ca7249fa2bc9efa7a",
     "2a4d96e4515ceab4bee134375169b8ddc638e32fb0698a7babbb779a2fff6a37"},
    {kernels::WeightFormat::kQ4, 5, 545, 33,
     "9ce6e8e7e90b789c770b72ed0a275d13b7ebd0247105de58c9ef57df774ea4cf",
     "7f8549e97a45f8b2d3d2c8913b6864c178d80f0826a05028f3f3c4d36cef82fc"},
    {kernels::WeightFormat::kQ4, 2, 1376, 64,
     "a1c2120bbd5101f1c241db258f01c424af28242ad091ef8ad810de47a9750373",
     "a768be9188b1ee5fddbc5cd8738b8cef4a63767fa27bec758448dd163ec64eec"},
    {kernels::WeightFormat::kQ4S, 3, 32, 16,
     "20dd9347d847143671dad0498d3a403cb338b9c5efe844113263a3f367a2cdb2",
     "909602ad9f825b056e2dd401551bd7247d4607631517bbae6a7e5dfcd50273cc"},
    {kernels::WeightFormat::kQ4S, 5, 545, 33,
     "d934c44c44193cbb54f4064dacf7ab8957b52889d5b7893f5ed285f42fcb578c",
     "b2f7cd3356bdfb5f8af256ec91fd413002cfae089cd5b642e3f936795aa484e6"},
    {kernels::WeightFormat::kQ4S, 2, 1376, 64,
     "f1d1ab7dd02b5f9ed1df72288b050e0ecc99644ea33ae8578f8374856ec19589",
     "48ea3763a2f70cce528af103eebacb8f9f0fc34fee6ff6af16daf9c4911e01f3"},
}};

// Multiples of 2^-12 below 1 in size, about as many small as large: exact in f32, whatever makes
// them (Knuth's MMIX generator; the high bits).
std::vector<float> values(std::uint64_t seed, std::int64_t count) {
  std::vector<float> result;
  for (std::int64_t i = 0; i < count; ++i) {
    seed = seed * 6364136223846793005u + 1442695040888963407u;
    const auto mantissa = static_cast<std::int32_t>(seed >> 51) - 4096;
    const int shift = static_cast<int>(seed >> 33 & 3);
    result.push_back(static_cast<float>(mantissa >> shift) * 0x1p-12f);
  }
  return result;
}

void put(std::string& to, std::uint64_t value, int bytes) {
  for (int i = 0; i < bytes; ++i) to.push_back(static_cast<char>(value >> 8 * i & 0xff));
}
void put(std::string& to, float value) { put(to, std::bit_cast<std::uint32_t>(value), 4); }

std::string hash(const std::string& bytes) { return to_hex(sha256(bytes).value()); }

// Output after output, group after group: scale and minimum as f32, and each q in a byte.
std::string canonical(const std::vector<Group>& groups) {
  std::string bytes;
  for (const Group& group : groups) {
    put(bytes, group.scale);
    put(bytes, group.least);
    for (const int q : group.q) put(bytes, static_cast<std::uint8_t>(q), 1);
  }
  return bytes;
}

reference::Portable in_reference(kernels::WeightFormat format) {
  return format == kernels::WeightFormat::kQ8   ? reference::Portable::kQ8
         : format == kernels::WeightFormat::kQ4 ? reference::Portable::kQ4
                                                : reference::Portable::kQ4S;
}

std::vector<float> products(kernels::Executor& executor, const std::vector<float>& x,
                            std::int64_t rows, const kernels::LinearWeight& weight) {
  kernels::Input in(x, rows, weight.cols);
  kernels::Guarded out(rows, weight.rows);
  kernels::linear(executor, in.view(executor), weight, out.view(executor));
  EXPECT_TRUE(out.intact());
  return out.content();
}

// The products with unit vectors, which say every weight.
std::string weight_products(kernels::Executor& executor, const kernels::LinearWeight& weight) {
  std::string bytes;
  std::vector<float> x(static_cast<std::size_t>(weight.cols));
  for (std::int64_t k = 0; k < weight.cols; ++k) {
    std::fill(x.begin(), x.end(), 0.0f);
    x[static_cast<std::size_t>(k)] = 1.0f;
    for (const float value : products(executor, x, 1, weight)) put(bytes, value);
  }
  return bytes;
}

TEST(PortableGolden, BitsAreThoseOfAllVersions) {
  for (const Golden& golden : kGolden) {
    const std::vector<float> w = values(1, golden.outputs * golden.cols);
    const std::vector<float> x = values(2, golden.rows * golden.cols);
    const reference::Portable format = in_reference(golden.format);
    std::vector<std::vector<Group>> outputs;
    std::string packed, product;
    for (std::int64_t n = 0; n < golden.outputs; ++n) {
      outputs.push_back(
          reference::quantize_output(format, w.data() + n * golden.cols, golden.cols));
      packed += canonical(outputs.back());
    }
    for (std::int64_t r = 0; r < golden.rows; ++r) {
      for (const std::vector<Group>& groups : outputs) {
        put(product, reference::product(format, x.data() + r * golden.cols, groups, golden.cols));
      }
    }
    EXPECT_EQ(hash(packed), golden.weights);
    EXPECT_EQ(hash(product), golden.product);

    const auto executor = make_engine(2);
    const auto layer = kernels::pack_linear(
        *executor, {w.data(), kernels::DType::kF32, golden.outputs, golden.cols}, {},
        golden.format);
    ASSERT_TRUE(layer.has_value());
    std::string ours;
    for (const float value : products(*executor, x, golden.rows, layer->weight())) put(ours, value);
    EXPECT_EQ(hash(ours), golden.product);
    if (golden.outputs * golden.cols > 20'000) continue;  // the next is slow
    std::string units;
    for (std::int64_t k = 0; k < golden.cols; ++k) {
      std::vector<float> unit(static_cast<std::size_t>(golden.cols));
      unit[static_cast<std::size_t>(k)] = 1.0f;
      for (const std::vector<Group>& groups : outputs) {
        put(units, reference::product(format, unit.data(), groups, golden.cols));
      }
    }
    EXPECT_EQ(weight_products(*executor, layer->weight()), units);
  }
}

}  // namespace
}  // namespace shoal::model
