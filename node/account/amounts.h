// SPDX-License-Identifier: Apache-2.0
// Amounts as people read them, in the log and in `shoal-node status`. Pure functions.
#pragma once

#include <cstdint>
#include <string>

namespace shoal::node {

std::string count_text(std::uint64_t number);                                   // "12,345"
std::string count_of(std::uint64_t number, const char* one, const char* many);  // "1 session"
std::string bytes_text(std::uint64_t bytes);  // powers of 1000: "512 B", "1.2 MB"
std::string duration_text(double seconds);    // its two largest parts: "2 h 5 min", "41 s"
std::string energy_text(double joules);       // "12.3 kJ (0.003 kWh)"
std::string date_text(std::int64_t unix_s);   // by this machine's time zone: "2026-11-29 02:35"

}  // namespace shoal::node
