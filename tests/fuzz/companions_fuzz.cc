// SPDX-License-Identifier: Apache-2.0
// A node's list of a model's small files: within all limits and as it was sent, or refused.
#include "base/check.h"
#include "proto/companion.h"
#include "proto/limits.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace shoal;
  wire::CompanionsReply message;
  if (!message.ParseFromArray(data, static_cast<int>(size))) return 0;
  const auto list = proto::from_wire(message);
  if (!list.ok()) return 0;
  CHECK(list->size() <= proto::kMaxCompanionFiles);
  CHECK(proto::has_what_clients_need(*list));
  std::uint64_t bytes = 0;
  for (const proto::Companion& file : *list) {
    CHECK(file.size <= proto::max_companion_bytes(file.name)) << file.name;
    CHECK(file.name.find("..") == std::string::npos && file.name.front() != '/') << file.name;
    bytes += file.size;
  }
  CHECK(bytes <= proto::kMaxCompanionsBytes);
  const auto again = proto::from_wire(proto::to_wire(*list));
  CHECK(again.ok() && *again == *list) << "a list changed on its way";
  return 0;
}
