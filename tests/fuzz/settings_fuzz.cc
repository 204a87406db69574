// SPDX-License-Identifier: Apache-2.0
// A configuration file of any bytes ends in a usage error that names it, or in settings whose
// texts, written again, are read as the same.
#include <cstdint>
#include <string>
#include <vector>

#include "base/check.h"
#include "cli/settings.h"
#include "cli/shown.h"
#include "cli/usage.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace shoal::cli;
  const std::string bytes(reinterpret_cast<const char*>(data), size);
  const auto read = parse_settings(bytes, "it");
  if (!read.ok()) {
    CHECK(is_usage_error(read.status()));
    CHECK(read.status().message().find("it, line ") == 0) << std::string(read.status().message());
    return 0;
  }
  std::vector<Assignment> written;
  for (const Setting& setting : *read) {
    CHECK(setting.where.find("it, line ") == 0) << setting.where;
    CHECK(!setting.on || setting.texts.empty());
    CHECK(setting.is_list || setting.texts.size() <= 1);
    if (setting.texts.empty()) continue;
    written.push_back({"key" + std::to_string(written.size()), setting.texts, setting.is_list});
  }
  const auto again = parse_settings(settings_text(written), "it");
  CHECK(again.ok()) << std::string(again.status().message());
  CHECK(again->size() == written.size());
  // In the order of their names: key10 stands before key2.
  for (const Setting& setting : *again) {
    const std::size_t index = std::stoul(setting.key.substr(3));
    CHECK(setting.texts == written[index].texts) << setting.key;
  }
  return 0;
}
