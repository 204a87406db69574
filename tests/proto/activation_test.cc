// SPDX-License-Identifier: Apache-2.0
// Activations on the wire: exact round trips, rounding as IEEE 754 asks, and nothing from outside
// is believed.
#include "proto/activation.h"

#include <gtest/gtest.h>

#include <bit>
#include <cmath>
#include <limits>
#include <random>

#include "proto/limits.h"

namespace shoal::proto {
namespace {

constexpr float kInfinity = std::numeric_limits<float>::infinity();
const auto kCodecs = {wire::CODEC_F32, wire::CODEC_BF16, wire::CODEC_F16};

std::string bytes_of(const std::vector<std::uint16_t>& values) {
  return std::string(reinterpret_cast<const char*>(values.data()), values.size() * 2);
}

wire::Activation message_of(wire::Codec codec, std::uint32_t rows, std::uint32_t hidden,
                            std::string data) {
  wire::Activation message;
  message.set_codec(codec);
  message.set_rows(rows);
  message.set_hidden(hidden);
  message.set_data(std::move(data));
  return message;
}

// The nearest value with `bits` bits of significand, ties to even, not less than the smallest step
// `least`.
double rounded(double value, int bits, double least) {
  if (value == 0) return value;
  const double step = std::max(std::ldexp(1.0, std::ilogb(value) - (bits - 1)), least);
  return std::nearbyint(value / step) * step;
}

TEST(Activation, F32IsBitwiseExact) {
  const std::vector<float> rows = {0.0f, -0.0f, 1.0f, -1.5f, 3.4028235e38f, 1e-45f};
  const auto message = encode_activation(rows, 2, 3, wire::CODEC_F32);
  ASSERT_TRUE(message.ok());
  EXPECT_EQ(message->data().size(), 24u);
  const auto back = decode_activation(*message, 3, 2);
  ASSERT_TRUE(back.ok());
  ASSERT_EQ(back->size(), rows.size());
  for (std::size_t i = 0; i < rows.size(); ++i) {
    EXPECT_EQ(std::bit_cast<std::uint32_t>((*back)[i]), std::bit_cast<std::uint32_t>(rows[i])) << i;
  }
}

TEST(Activation, TheWireIsLittleEndianAndRowMajor) {
  const auto f32 = encode_activation(std::vector<float>{1.0f, 2.0f}, 2, 1, wire::CODEC_F32);
  EXPECT_EQ(f32->data(), std::string("\x00\x00\x80\x3f\x00\x00\x00\x40", 8));
  const auto bf16 = encode_activation(std::vector<float>{1.0f, -2.0f}, 1, 2, wire::CODEC_BF16);
  EXPECT_EQ(bf16->data(), std::string("\x80\x3f\x00\xc0", 4));
  const auto f16 = encode_activation(std::vector<float>{1.0f, 65504.0f}, 1, 2, wire::CODEC_F16);
  EXPECT_EQ(f16->data(), std::string("\x00\x3c\xff\x7b", 4));
}

TEST(Activation, NarrowCodecsRoundToNearestEven) {
  std::mt19937 random(7);
  std::normal_distribution<float> normal(0, 30);
  std::vector<float> rows(4096);
  for (float& value : rows)
    value = std::ldexp(normal(random), static_cast<int>(random() % 24) - 18);
  rows[0] = 1.00390625f;    // between two bf16, tie: even is 1.0
  rows[1] = 1.01171875f;    // tie: even is 1.015625
  rows[2] = 1.00048828f;    // f16 tie
  rows[3] = 5.9604645e-8f;  // smallest f16
  rows[4] = 2.9802322e-8f;  // half of it: tie to zero
  const auto bf16 = decode_activation(*encode_activation(rows, 16, 256, wire::CODEC_BF16), 256, 16);
  const auto f16 = decode_activation(*encode_activation(rows, 16, 256, wire::CODEC_F16), 256, 16);
  ASSERT_TRUE(bf16.ok() && f16.ok());
  for (std::size_t i = 0; i < rows.size(); ++i) {
    EXPECT_EQ((*bf16)[i], rounded(rows[i], 8, std::ldexp(1.0, -133))) << rows[i];
    EXPECT_EQ((*f16)[i], rounded(rows[i], 11, std::ldexp(1.0, -24))) << rows[i];
  }
}

// The value of a binary16 by its definition.
double f16_value(int bits) {
  const double sign = (bits & 0x8000) != 0 ? -1 : 1;
  const int exponent = bits >> 10 & 31;
  const int fraction = bits & 1023;
  return sign *
         (exponent == 0 ? std::ldexp(fraction, -24) : std::ldexp(1024 + fraction, exponent - 25));
}

TEST(Activation, EveryF16MeansWhatIeee754Says) {
  for (int bits = 0; bits < 65536; ++bits) {
    if ((bits & 0x7c00) == 0x7c00) continue;
    const auto value = decode_activation(
        message_of(wire::CODEC_F16, 1, 1, bytes_of({static_cast<std::uint16_t>(bits)})), 1, 1);
    ASSERT_TRUE(value.ok());
    ASSERT_EQ(value->front(), f16_value(bits)) << bits;
    ASSERT_EQ(std::signbit(value->front()), (bits & 0x8000) != 0) << bits;
  }
}

TEST(Activation, F16RoundsToNearestEvenBetweenAnyTwoNeighbours) {
  for (std::uint16_t bits = 0; bits < 0x7bff; ++bits) {
    const auto low = static_cast<float>(f16_value(bits));
    const auto high = static_cast<float>(f16_value(bits + 1));
    const float middle = low + (high - low) / 2;  // exact: binary32 has the bits for it
    const std::vector<float> rows = {low, std::nextafter(middle, 0.0f), middle, -high,
                                     std::nextafter(middle, kInfinity)};
    const auto even = static_cast<std::uint16_t>(bits + (bits & 1));
    const auto up = static_cast<std::uint16_t>(bits + 1);
    const auto message = encode_activation(rows, 1, 5, wire::CODEC_F16);
    ASSERT_EQ(message->data(),
              bytes_of({bits, bits, even, static_cast<std::uint16_t>(up | 0x8000), up}))
        << bits;
  }
}

TEST(Activation, EveryFiniteNarrowValueSurvivesUnchanged) {
  for (const wire::Codec codec : {wire::CODEC_BF16, wire::CODEC_F16}) {
    const int exponent = codec == wire::CODEC_BF16 ? 0x7f80 : 0x7c00;
    std::vector<std::uint16_t> all;
    for (int bits = 0; bits < 65536; ++bits) {
      if ((bits & exponent) != exponent) all.push_back(static_cast<std::uint16_t>(bits));
    }
    const auto count = static_cast<std::uint32_t>(all.size());
    const auto values = decode_activation(message_of(codec, 1, count, bytes_of(all)), count, 1);
    ASSERT_TRUE(values.ok()) << values.status().message();
    EXPECT_EQ(encode_activation(*values, 1, count, codec)->data(), bytes_of(all));
  }
}

TEST(Activation, EveryNonFiniteNarrowValueIsRefused) {
  for (const wire::Codec codec : {wire::CODEC_BF16, wire::CODEC_F16}) {
    const int exponent = codec == wire::CODEC_BF16 ? 0x7f80 : 0x7c00;
    for (int bits = 0; bits < 65536; ++bits) {
      if ((bits & exponent) != exponent) continue;
      const auto message = message_of(codec, 1, 1, bytes_of({static_cast<std::uint16_t>(bits)}));
      ASSERT_EQ(decode_activation(message, 1, 1).status().code(),
                absl::StatusCode::kInvalidArgument)
          << bits;
    }
  }
}

TEST(Activation, NonFiniteValuesAreRefusedAtBothBordersAndNamed) {
  for (const float bad : {kInfinity, -kInfinity, std::nanf(""), -std::nanf("1")}) {
    std::vector<float> rows(12, 1.0f);
    rows[7] = bad;
    for (const wire::Codec codec : kCodecs) {
      const auto message = encode_activation(rows, 3, 4, codec);
      ASSERT_FALSE(message.ok());
      EXPECT_NE(std::string(message.status().message()).find("row 1, column 3"), std::string::npos)
          << message.status().message();
    }
    std::string data(reinterpret_cast<const char*>(rows.data()), 48);
    EXPECT_FALSE(decode_activation(message_of(wire::CODEC_F32, 3, 4, data), 4, 3).ok());
  }
}

TEST(Activation, ValuesThatOverflowTheCodecAreRefused) {
  EXPECT_TRUE(encode_activation(std::vector<float>{65519.0f}, 1, 1, wire::CODEC_F16).ok());
  EXPECT_FALSE(encode_activation(std::vector<float>{65520.0f}, 1, 1, wire::CODEC_F16).ok());
  EXPECT_FALSE(encode_activation(std::vector<float>{-70000.0f}, 1, 1, wire::CODEC_F16).ok());
  EXPECT_TRUE(encode_activation(std::vector<float>{3.38e38f}, 1, 1, wire::CODEC_BF16).ok());
  EXPECT_FALSE(encode_activation(std::vector<float>{3.4028235e38f}, 1, 1, wire::CODEC_BF16).ok());
}

TEST(Activation, EncodingRefusesShapesThatDoNotFitTheValues) {
  const std::vector<float> rows(6, 1.0f);
  EXPECT_TRUE(encode_activation(rows, 2, 3, wire::CODEC_F32).ok());
  EXPECT_FALSE(encode_activation(rows, 3, 3, wire::CODEC_F32).ok());
  EXPECT_FALSE(encode_activation(rows, 0, 3, wire::CODEC_F32).ok());
  EXPECT_FALSE(encode_activation({}, 0, 0, wire::CODEC_F32).ok());
  EXPECT_FALSE(encode_activation(rows, 2, 3, wire::CODEC_UNSPECIFIED).ok());
  EXPECT_FALSE(encode_activation(rows, 2, 3, static_cast<wire::Codec>(99)).ok());
  EXPECT_FALSE(encode_activation(rows, 0xffffffffu, 0xffffffffu, wire::CODEC_F32).ok());
}

TEST(Activation, DecodingBelievesNothing) {
  const std::string data(4 * 6, '\0');
  EXPECT_TRUE(decode_activation(message_of(wire::CODEC_F32, 2, 3, data), 3, 8).ok());
  const struct {
    const char* what;
    wire::Activation message;
  } cases[] = {
      {"nothing at all", wire::Activation()},
      {"no codec", message_of(wire::CODEC_UNSPECIFIED, 2, 3, data)},
      {"a codec of the future", message_of(static_cast<wire::Codec>(4), 2, 3, data)},
      {"a negative codec", message_of(static_cast<wire::Codec>(-1), 2, 3, data)},
      {"no rows", message_of(wire::CODEC_F32, 0, 3, "")},
      {"too many rows", message_of(wire::CODEC_F32, 9, 3, std::string(4 * 27, '\0'))},
      {"another width", message_of(wire::CODEC_F32, 3, 2, data)},
      {"one byte short", message_of(wire::CODEC_F32, 2, 3, data.substr(1))},
      {"one byte long", message_of(wire::CODEC_F32, 2, 3, data + "x")},
      {"no data", message_of(wire::CODEC_F32, 2, 3, "")},
      {"the size of another codec", message_of(wire::CODEC_BF16, 2, 3, data)},
      {"rows that overflow 32 bits", message_of(wire::CODEC_F32, 0x80000002u, 3, data)},
      {"a shape of 64 bits", message_of(wire::CODEC_F32, 0xffffffffu, 0xffffffffu, data)},
  };
  for (const auto& test : cases) {
    const auto decoded = decode_activation(test.message, 3, 8);
    ASSERT_FALSE(decoded.ok()) << test.what;
    EXPECT_EQ(decoded.status().code(), absl::StatusCode::kInvalidArgument) << test.what;
    EXPECT_LE(decoded.status().message().size(), kMaxReasonBytes) << test.what;
  }
}

TEST(Activation, AHugeClaimAllocatesNothing) {
  // Rows within the limit and a width that we ask for, yet 256 MiB that never came.
  const auto decoded =
      decode_activation(message_of(wire::CODEC_F32, kMaxRowsPerStep, kMaxHidden, "1234"),
                        kMaxHidden, kMaxRowsPerStep);
  EXPECT_EQ(decoded.status().code(), absl::StatusCode::kInvalidArgument);
}

TEST(Activation, ArbitraryMessagesAreDecodedOrRefused) {
  std::mt19937 random(3);
  int accepted = 0;
  for (int round = 0; round < 20'000; ++round) {
    auto message =
        encode_activation(std::vector<float>(8, 0.5f), 2, 4, *(kCodecs.begin() + random() % 3));
    std::string bytes = message->SerializeAsString();
    for (unsigned changes = random() % 4; changes > 0; --changes) {
      bytes[random() % bytes.size()] = static_cast<char>(random());
    }
    wire::Activation parsed;
    if (!parsed.ParseFromString(bytes)) continue;
    const auto decoded = decode_activation(parsed, 4, 2);
    if (!decoded.ok()) continue;
    ++accepted;
    ASSERT_EQ(decoded->size(), std::size_t{parsed.rows()} * 4);
    for (const float value : *decoded) ASSERT_TRUE(std::isfinite(value));
  }
  EXPECT_GT(accepted, 1000);
}

TEST(Activation, UnknownFieldsAreIgnored) {
  auto message = encode_activation(std::vector<float>{1.0f}, 1, 1, wire::CODEC_F32);
  std::string bytes =
      message->SerializeAsString() + std::string("\xfa\x06\x03new", 6);  // field 111
  wire::Activation parsed;
  ASSERT_TRUE(parsed.ParseFromString(bytes));
  EXPECT_TRUE(decode_activation(parsed, 1, 1).ok());
}

TEST(Codec, HasASizeAndAName) {
  EXPECT_EQ(codec_bytes(wire::CODEC_F32), 4u);
  EXPECT_EQ(codec_bytes(wire::CODEC_BF16), 2u);
  EXPECT_EQ(codec_bytes(wire::CODEC_F16), 2u);
  EXPECT_EQ(codec_bytes(wire::CODEC_UNSPECIFIED), 0u);
  EXPECT_EQ(codec_bytes(static_cast<wire::Codec>(77)), 0u);
  EXPECT_EQ(codec_name(wire::CODEC_BF16), "bf16");
  EXPECT_EQ(codec_name(static_cast<wire::Codec>(77)), "unknown");
}

}  // namespace
}  // namespace shoal::proto
