// SPDX-License-Identifier: Apache-2.0
#include "cli/settings.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cctype>
#include <cerrno>
#include <cstdlib>
#include <cstring>

#include "cli/shown.h"
#include "cli/usage.h"

// In this file alone, and compiled here: nothing has to be linked.
#define TOML_EXCEPTIONS 0
#define TOML_HEADER_ONLY 1
#include <toml++/toml.h>

extern char** environ;  // NOLINT: POSIX has it in no header of its own

namespace shoal::cli {
namespace {

std::string text_of(std::string_view view) { return std::string(view); }

std::string at_line(const std::string& path, const toml::source_region& source) {
  return fmt::format("{}, line {}", path, source.begin.line);
}

// A value as somebody would type it; nullopt: it is none of text, number, true and false.
std::optional<std::string> typed(const toml::node& node) {
  if (const auto* text = node.as_string()) return text->get();
  if (const auto* whole = node.as_integer()) return std::to_string(whole->get());
  if (const auto* real = node.as_floating_point()) return fmt::format("{}", real->get());
  return std::nullopt;
}

absl::Status no_value(const Setting& setting) {
  return usage_error(
      fmt::format("{}: {} must be a text in quotes, a number, true or false, or a list of texts",
                  setting.where, printable(setting.key)));
}

absl::StatusOr<Setting> setting_of(const std::string& table, const std::string& key,
                                   const toml::node& node, const std::string& where) {
  Setting setting{table, key, where, std::nullopt, {}, false};
  if (const auto* on = node.as_boolean()) {
    setting.on = on->get();
    return setting;
  }
  if (const auto* list = node.as_array()) {
    setting.is_list = true;
    for (const toml::node& item : *list) {
      auto text = typed(item);
      if (!text) return no_value(setting);
      setting.texts.push_back(*std::move(text));
    }
    return setting;
  }
  auto text = typed(node);
  if (!text) return no_value(setting);
  setting.texts.push_back(*std::move(text));
  return setting;
}

absl::Status take_table(const toml::table& table, const std::string& name, const std::string& path,
                        std::vector<Setting>& settings) {
  for (const auto& [key, node] : table) {
    const std::string text = text_of(key.str());
    const std::string where = at_line(path, key.source());
    if (const toml::table* inner = node.as_table(); inner != nullptr && name.empty()) {
      // An empty table says something wrong too, when nothing is called so.
      settings.push_back({text, "", where, std::nullopt, {}, false});
      if (absl::Status taken = take_table(*inner, text, path, settings); !taken.ok()) return taken;
      continue;
    }
    auto setting = setting_of(name, text, node, where);
    if (!setting.ok()) return setting.status();
    settings.push_back(*std::move(setting));
  }
  return absl::OkStatus();
}

absl::Status cannot_read(const std::string& path, int error) {
  const std::string text =
      fmt::format("cannot read the configuration {}: {}", path, std::strerror(error));
  if (error == ENOENT || error == ENOTDIR) {
    return absl::NotFoundError(text + "; check the path of --config");
  }
  return absl::PermissionDeniedError(
      text + "; make it readable, or name another with --config FILE (--config off: none)");
}

std::string user_folder() {
  if (const char* set = std::getenv("XDG_CONFIG_HOME"); set != nullptr && *set == '/') return set;
  if (const char* home = std::getenv("HOME"); home != nullptr && *home == '/') {
    return text_of(home) + "/.config";
  }
  return {};
}

std::string quoted(const std::string& text) {
  std::string result = "\"";
  for (const char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    if (c == '"' || c == '\\') {
      result += '\\';
      result += c;
    } else if (byte < 0x20 || byte == 0x7f) {
      result += fmt::format("\\u{:04x}", byte);
    } else {
      result += c;
    }
  }
  return result + "\"";
}

// Read back as the same text.
bool is_plain_number(const std::string& text) {
  return !text.empty() && text.size() <= 18 && (text == "0" || text.front() != '0') &&
         std::ranges::all_of(text, [](char c) { return c >= '0' && c <= '9'; });
}

std::string value_text(const std::string& text) {
  return is_plain_number(text) ? text : quoted(text);
}

}  // namespace

std::string user_settings_file(const std::string& program) {
  const std::string folder = user_folder();
  return folder.empty() ? "" : fmt::format("{}/shoal/{}.toml", folder, program);
}

Settings settings_of_process(const std::string& program) {
  Settings settings;
  settings.file_name = program + ".toml";
  if (std::string file = user_settings_file(program); !file.empty()) {
    settings.files.push_back(std::move(file));
  }
  settings.files.push_back(fmt::format("/etc/shoal/{}.toml", program));
  settings.prefix = variable_of("", program) + "_";
  for (char** entry = environ; entry != nullptr && *entry != nullptr; ++entry) {
    const std::string_view text = *entry;
    const std::size_t equals = text.find('=');
    if (equals == std::string_view::npos || !text.starts_with(settings.prefix)) continue;
    settings.variables.emplace_back(text.substr(0, equals), text.substr(equals + 1));
  }
  return settings;
}

std::string variable_of(const std::string& prefix, const std::string& option) {
  std::string name = prefix;
  for (const char c : option.substr(std::min(option.find_first_not_of('-'), option.size()))) {
    name += c == '-' ? '_' : static_cast<char>(std::toupper(static_cast<unsigned char>(c)));
  }
  return name;
}

absl::StatusOr<std::vector<Setting>> parse_settings(std::string_view text,
                                                    const std::string& path) {
  const toml::parse_result parsed = toml::parse(text, path);
  if (!parsed) {
    return usage_error(fmt::format("{}: {}: write NAME = \"VALUE\", one a line",
                                   at_line(path, parsed.error().source()),
                                   printable(parsed.error().description())));
  }
  std::vector<Setting> settings;
  if (absl::Status taken = take_table(parsed.table(), "", path, settings); !taken.ok()) {
    return taken;
  }
  return settings;
}

absl::StatusOr<std::vector<Setting>> read_settings_file(const std::string& path) {
  // O_NONBLOCK: opening a FIFO must not hang.
  const int file = ::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK);
  if (file < 0) return cannot_read(path, errno);
  struct stat info {};
  if (::fstat(file, &info) != 0 || !S_ISREG(info.st_mode)) {
    ::close(file);
    return usage_error(fmt::format(
        "the configuration {} is not a regular file: name another with --config", path));
  }
  std::string text(kMaxSettingsBytes + 1, '\0');
  std::size_t size = 0;
  while (size < text.size()) {
    const ssize_t n = ::read(file, text.data() + size, text.size() - size);
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) {
      const int error = errno;
      ::close(file);
      return cannot_read(path, error);
    }
    if (n == 0) break;
    size += static_cast<std::size_t>(n);
  }
  ::close(file);
  if (size > kMaxSettingsBytes) {
    return usage_error(fmt::format(
        "{} is longer than {} bytes, so it is no configuration: name another with --config", path,
        kMaxSettingsBytes));
  }
  text.resize(size);
  return parse_settings(text, path);
}

std::string settings_text(const std::vector<Assignment>& assignments) {
  std::string text;
  for (const Assignment& one : assignments) {
    std::string value;
    if (one.texts.empty()) {
      value = "true";
    } else if (!one.is_list) {
      value = value_text(one.texts.front());
    } else {
      for (const std::string& item : one.texts) {
        value += (value.empty() ? "[" : ", ") + quoted(item);
      }
      value += "]";
    }
    text += fmt::format("{} = {}\n", one.key, value);
  }
  return text;
}

}  // namespace shoal::cli
