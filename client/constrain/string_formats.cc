// SPDX-License-Identifier: Apache-2.0
#include "client/constrain/string_formats.h"

#include <map>

namespace shoal::client::constrain {
namespace {

const std::map<std::string_view, std::string>& patterns() {
  // Years 1000 to 2999; months have the days that they have, and no second is a leap second.
  static const std::string date =
      R"((?:[12]\d{3}-(?:(?:0[1-9]|1[0-2])-(?:0[1-9]|1\d|2[0-8])|(?:0[13-9]|1[0-2])-(?:29|30)|)"
      R"((?:0[13578]|1[02])-31)|(?:[12]\d(?:0[48]|[2468][048]|[13579][26])|(?:1[26]|2[048])00)-02-29))";
  static const std::string time =
      R"((?:[01]\d|2[0-3]):[0-5]\d:[0-5]\d(?:\.\d{1,9})?(?:Z|[+-](?:[01]\d|2[0-3]):[0-5]\d))";
  static const std::string byte = R"((?:\d|[1-9]\d|1\d\d|2[0-4]\d|25[0-5]))";
  static const std::string label = R"([A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?)";
  static const std::string host = label + R"((?:\.)" + label + "){0,3}";
  static const std::map<std::string_view, std::string> all = {
      {"date", date},
      {"time", time},
      {"date-time", date + "T" + time},
      {"duration",
       R"(P(?:\d{1,9}W|(?:\d{1,9}Y(?:\d{1,9}M(?:\d{1,9}D)?)?|\d{1,9}M(?:\d{1,9}D)?|\d{1,9}D)(?:T\d{1,9}H)?|)"
       R"(T(?:\d{1,9}H(?:\d{1,9}M(?:\d{1,9}S)?)?|\d{1,9}M(?:\d{1,9}S)?|\d{1,9}S)))"},
      {"uuid", R"([0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12})"},
      {"email", R"([A-Za-z0-9_+-]{1,32}(?:\.[A-Za-z0-9_+-]{1,32}){0,3}@)" + label + R"((?:\.)" +
                    label + "){1,3}"},
      {"hostname", host},
      {"ipv4", byte + R"((?:\.)" + byte + "){3}"},
      {"ipv6", R"((?:[0-9a-fA-F]{1,4}:){7}[0-9a-fA-F]{1,4})"},
      {"uri", "[a-z][a-z0-9+.-]{0,15}://" + host +
                  R"((?::\d{1,4})?(?:/[A-Za-z0-9._~!$&'()*+,;=:@-]{0,64}){0,16})"
                  R"((?:\?[A-Za-z0-9._~!$&'()*+,;=:@/?-]{0,128})?)"},
  };
  return all;
}

}  // namespace

std::string format_pattern(std::string_view format) {
  const auto found = patterns().find(format);
  return found == patterns().end() ? "" : found->second;
}

std::string known_formats() {
  std::string names;
  for (const auto& entry : patterns()) {
    if (!names.empty()) names += ", ";
    names += entry.first;
  }
  return names;
}

}  // namespace shoal::client::constrain
