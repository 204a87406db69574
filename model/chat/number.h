// SPDX-License-Identifier: Apache-2.0
// Numbers as Python writes and reads them. Integers have 64 bits here: what does not fit is
// nullopt, or fails where Python would go on. Pure.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace shoal::model::chat {

std::string float_text(double value);                     // repr(): "1.0", "1e+16", "nan"
std::optional<double> read_float(std::string_view text);  // float(text)
std::optional<std::int64_t> read_integer(std::string_view text, int base);  // int(text, base)
std::optional<std::int64_t> whole_part(double value);                       // int(value)
double round_to(double value, int digits);                                  // round(value, digits)

[[noreturn]] void fail_overflow();
std::int64_t sum(std::int64_t left, std::int64_t right);
std::int64_t difference(std::int64_t left, std::int64_t right);
std::int64_t product(std::int64_t left, std::int64_t right);
std::int64_t floor_quotient(std::int64_t left, std::int64_t right);  // right is not 0
std::int64_t floor_remainder(std::int64_t left, std::int64_t right);
double float_remainder(double left, double right);
std::int64_t power(std::int64_t base, std::int64_t exponent);  // exponent >= 0

}  // namespace shoal::model::chat
