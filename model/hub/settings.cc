// SPDX-License-Identifier: Apache-2.0
#include "model/hub/settings.h"

#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <fstream>
#include <string_view>

#include "absl/strings/ascii.h"
#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "model/hub/url.h"

namespace shoal::model::hub {
namespace {

constexpr std::size_t kMaxTokenBytes = 4096;

// Unset and empty are one, as in `os.environ.get(...) or default`.
std::string value_of(const Environment& environment, const char* name) {
  return environment(name).value_or("");
}

bool is_true(std::string text) {
  absl::AsciiStrToUpper(&text);
  return text == "1" || text == "ON" || text == "YES" || text == "TRUE";
}

std::string expanded(const std::string& path, const std::string& home) {
  if (path == "~" || path.starts_with("~/")) return home + path.substr(1);
  return path;
}

std::string first_line_of(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  std::string text(kMaxTokenBytes, '\0');
  file.read(text.data(), static_cast<std::streamsize>(text.size()));
  text.resize(static_cast<std::size_t>(std::max<std::streamsize>(file.gcount(), 0)));
  return text;
}

// As huggingface_hub cleans it.
std::string clean_token(std::string token) {
  std::erase(token, '\r');
  std::erase(token, '\n');
  return std::string(absl::StripAsciiWhitespace(token));
}

// Where distributions keep them; libcurl knows only the one that it was built on.
std::string find_ca_file(const Environment& environment) {
  for (const char* name : {"REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "SSL_CERT_FILE"}) {
    if (std::string path = value_of(environment, name); !path.empty()) return path;
  }
  for (const char* path : {"/etc/ssl/certs/ca-certificates.crt", "/etc/pki/tls/certs/ca-bundle.crt",
                           "/etc/ssl/ca-bundle.pem", "/etc/ssl/cert.pem"}) {
    if (::access(path, R_OK) == 0) return path;
  }
  return "";
}

}  // namespace

absl::StatusOr<Settings> read_settings(const Environment& environment) {
  Settings settings;
  const std::string user = value_of(environment, "HOME");
  std::string home = expanded(value_of(environment, "HF_HOME"), user);
  if (home.empty()) {
    std::string cache = expanded(value_of(environment, "XDG_CACHE_HOME"), user);
    if (cache.empty() && !user.empty()) cache = user + "/.cache";
    if (!cache.empty()) home = cache + "/huggingface";
  }
  for (const char* name : {"HF_HUB_CACHE", "HUGGINGFACE_HUB_CACHE"}) {
    if (settings.cache.empty()) settings.cache = expanded(value_of(environment, name), user);
  }
  if (settings.cache.empty() && !home.empty()) settings.cache = home + "/hub";
  if (settings.cache.empty()) {
    return absl::InvalidArgumentError(
        "a model by its name is kept in the user's cache folder, and there is no home folder: set "
        "HF_HOME");
  }
  if (std::string endpoint = value_of(environment, "HF_ENDPOINT"); !endpoint.empty()) {
    while (endpoint.ends_with('/')) endpoint.pop_back();
    settings.endpoint = std::move(endpoint);
  }
  if (!origin_of(settings.endpoint)) {
    return absl::InvalidArgumentError(
        absl::StrCat("HF_ENDPOINT is ", absl::CHexEscape(settings.endpoint),
                     ": give an address that begins with https:// or http://"));
  }
  for (const char* name : {"HF_TOKEN", "HUGGING_FACE_HUB_TOKEN"}) {
    if (settings.token.empty()) settings.token = clean_token(value_of(environment, name));
  }
  if (settings.token.empty()) {
    std::string path = expanded(value_of(environment, "HF_TOKEN_PATH"), user);
    if (path.empty() && !home.empty()) path = home + "/token";
    if (!path.empty()) settings.token = clean_token(first_line_of(path));
  }
  if (is_true(value_of(environment, "HF_HUB_DISABLE_IMPLICIT_TOKEN"))) settings.token.clear();
  const auto is_odd = [](char c) { return c <= ' ' || c > '~'; };
  if (std::any_of(settings.token.begin(), settings.token.end(), is_odd)) {
    return absl::InvalidArgumentError(
        "the token of HF_TOKEN, or of its file, has characters that none has: set HF_TOKEN to one "
        "from the settings page of your account");
  }
  settings.offline = is_true(value_of(environment, "HF_HUB_OFFLINE")) ||
                     is_true(value_of(environment, "TRANSFORMERS_OFFLINE"));
  settings.ca_file = find_ca_file(environment);
  return settings;
}

std::optional<std::string> process_environment(const char* name) {
  const char* const value = std::getenv(name);
  return value == nullptr ? std::nullopt : std::optional<std::string>(value);
}

}  // namespace shoal::model::hub
