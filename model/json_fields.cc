// SPDX-License-Identifier: Apache-2.0
#include "model/json_fields.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cmath>
#include <cstring>
#include <limits>
#include <utility>

#include "absl/strings/str_cat.h"

namespace shoal::model {
namespace {

constexpr std::size_t kMaxTokenIds = 1024;  // eos lists have a handful

}  // namespace

absl::StatusOr<std::string> read_text_file(const std::string& path, std::size_t max_bytes) {
  // O_NONBLOCK: a named pipe in the place of a file must not make us wait.
  const int file = ::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK);
  if (file < 0) {
    const std::string why = std::strerror(errno);
    if (errno == ENOENT) return absl::NotFoundError(absl::StrCat(path, ": no such file"));
    return absl::FailedPreconditionError(absl::StrCat(path, ": cannot be opened: ", why));
  }
  struct stat info {};
  absl::Status status;
  std::string text;
  if (::fstat(file, &info) != 0 || !S_ISREG(info.st_mode)) {
    status = absl::FailedPreconditionError(absl::StrCat(
        path, S_ISDIR(info.st_mode) ? ": a folder, not a regular file" : ": not a regular file"));
  } else if (static_cast<std::uint64_t>(info.st_size) > max_bytes) {
    status = absl::InvalidArgumentError(
        absl::StrCat(path, ": ", info.st_size, " bytes; at most ", max_bytes, " are allowed"));
  } else {
    text.resize(static_cast<std::size_t>(info.st_size));
    std::size_t filled = 0;
    while (filled < text.size()) {
      const ssize_t count = ::read(file, text.data() + filled, text.size() - filled);
      if (count < 0 && errno == EINTR) continue;
      if (count <= 0) break;
      filled += static_cast<std::size_t>(count);
    }
    if (filled != text.size()) {
      status = absl::UnavailableError(absl::StrCat(path, ": cannot be read to its end"));
    }
  }
  ::close(file);
  if (!status.ok()) return status;
  return text;
}

bool has_bounded_shape(std::string_view json_text, int max_depth, std::size_t max_values) {
  int depth = 0;
  std::size_t values = 1;
  bool in_string = false;
  for (std::size_t i = 0; i < json_text.size(); ++i) {
    const char c = json_text[i];
    if (in_string) {
      if (c == '\\') ++i;
      if (c == '"') in_string = false;
      continue;
    }
    switch (c) {
      case '"':
        in_string = true;
        break;
      case '[':
      case '{':
        if (++depth > max_depth) return false;
        if (++values > max_values) return false;
        break;
      case ']':
      case '}':
        --depth;
        break;
      case ',':
        if (++values > max_values) return false;
        break;
      default:
        break;
    }
  }
  return true;
}

std::string json_excerpt(const nlohmann::json& value) {
  constexpr std::size_t kMaxBytes = 60;
  if (value.is_number_float() && !std::isfinite(value.get<double>())) {
    const double number = value.get<double>();
    return std::isnan(number) ? "NaN" : number > 0 ? "Infinity" : "-Infinity";
  }
  if (value.is_structured() && value.size() > 16) return value.is_array() ? "[...]" : "{...}";
  std::string text = value.dump(-1, ' ', true, nlohmann::json::error_handler_t::replace);
  if (text.size() > kMaxBytes) text = text.substr(0, kMaxBytes) + "...";
  return text;
}

JsonFields::JsonFields(const nlohmann::json& object, std::string where)
    : object_(object), where_(std::move(where)) {}

void JsonFields::fail(absl::Status status) {
  if (status_.ok()) status_ = std::move(status);
}

void JsonFields::fail_type(const char* key, const char* expected, const nlohmann::json& value) {
  fail(absl::InvalidArgumentError(
      absl::StrCat(where_, ": ", key, " must be ", expected, ", not ", json_excerpt(value))));
}

const nlohmann::json* JsonFields::find(const char* key) const {
  const auto found = object_.find(key);
  return found == object_.end() || found->is_null() ? nullptr : &*found;
}

std::optional<std::int64_t> JsonFields::as_integer(const nlohmann::json& value) const {
  if (value.is_number_unsigned()) {
    const std::uint64_t number = value.get<std::uint64_t>();
    if (number > static_cast<std::uint64_t>(std::numeric_limits<std::int64_t>::max())) return {};
    return static_cast<std::int64_t>(number);
  }
  if (value.is_number_integer()) return value.get<std::int64_t>();
  if (value.is_number_float()) {
    const double number = value.get<double>();
    if (std::abs(number) < 9e15 && number == std::trunc(number)) {
      return static_cast<std::int64_t>(number);
    }
  }
  return {};
}

std::int64_t JsonFields::integer(const char* key, std::int64_t low, std::int64_t high,
                                 std::optional<std::int64_t> fallback) {
  const nlohmann::json* value = find(key);
  if (value == nullptr) {
    if (!fallback) fail(absl::InvalidArgumentError(absl::StrCat(where_, ": ", key, " is missing")));
    return fallback.value_or(low);
  }
  const std::optional<std::int64_t> number = as_integer(*value);
  if (!number || *number < low || *number > high) {
    fail_type(key, absl::StrCat("an integer from ", low, " to ", high).c_str(), *value);
    return low;
  }
  return *number;
}

std::optional<double> JsonFields::optional_number(const char* key, double low, double high) {
  const nlohmann::json* value = find(key);
  if (value == nullptr) return std::nullopt;
  if (value->is_number()) {
    const double number = value->get<double>();
    if (number >= low && number <= high) return number;  // false for NaN
  }
  fail_type(key, absl::StrCat("a number from ", low, " to ", high).c_str(), *value);
  return low;
}

double JsonFields::number(const char* key, double low, double high,
                          std::optional<double> fallback) {
  const std::optional<double> number = optional_number(key, low, high);
  if (number) return *number;
  if (!fallback) fail(absl::InvalidArgumentError(absl::StrCat(where_, ": ", key, " is missing")));
  return fallback.value_or(low);
}

bool JsonFields::boolean(const char* key, bool fallback) {
  const nlohmann::json* value = find(key);
  if (value == nullptr) return fallback;
  if (!value->is_boolean()) {
    fail_type(key, "true or false", *value);
    return fallback;
  }
  return value->get<bool>();
}

std::string JsonFields::text(const char* key, const std::string& fallback) {
  const nlohmann::json* value = find(key);
  if (value == nullptr) return fallback;
  if (!value->is_string()) {
    fail_type(key, "a string", *value);
    return fallback;
  }
  return value->get<std::string>();
}

std::optional<std::vector<std::int32_t>> JsonFields::token_ids(const char* key) {
  const nlohmann::json* value = find(key);
  if (value == nullptr) return std::nullopt;
  std::vector<std::int32_t> ids;
  const auto add = [&](const nlohmann::json& item) {
    const std::optional<std::int64_t> id = as_integer(item);
    const bool fits = id && *id >= std::numeric_limits<std::int32_t>::min() &&
                      *id <= std::numeric_limits<std::int32_t>::max();
    // A negative id is a habit of writing "none", which the reference lets stand.
    if (fits && *id >= 0) ids.push_back(static_cast<std::int32_t>(*id));
    return fits;
  };
  bool good = true;
  if (value->is_array()) {
    good = value->size() <= kMaxTokenIds;
    for (std::size_t i = 0; good && i < value->size(); ++i) good = add((*value)[i]);
  } else {
    good = add(*value);
  }
  if (!good) fail_type(key, "a token id or a short list of token ids", *value);
  return ids;
}

}  // namespace shoal::model
