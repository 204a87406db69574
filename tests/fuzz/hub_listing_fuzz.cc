// SPDX-License-Identifier: Apache-2.0
// What a hub says a model's files are, and what a record says is there of one: any bytes end in a
// Status, or in names that stay in their folder and ranges that stay in their file.
#include <cstdint>
#include <string>

#include "base/check.h"
#include "model/hub/listing.h"
#include "model/hub/name.h"
#include "model/hub/url.h"
#include "model/part_record.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace shoal::model;
  const std::string bytes(reinterpret_cast<const char*>(data), size);
  if (const auto listing = hub::parse_listing(bytes, "it"); listing.ok()) {
    CHECK(hub::is_commit(listing->commit));
    for (const hub::RemoteFile& file : listing->files) {
      CHECK(hub::is_safe_path(file.path) && hub::is_etag(file.etag)) << file.path;
      CHECK(file.path.find("..") != 0 && file.path[0] != '/') << file.path;
      CHECK(listing->find(file.path) == &file);
    }
    CHECK(hub::parse_listing(hub::listing_text(*listing), "it").value() == *listing);
  }
  for (const char* boot : {"boot", "other"}) {
    const auto record = parse_part_record(bytes, boot, "it");
    if (!record.ok()) continue;
    for (const ByteRange& range : record->present.list()) {
      CHECK(range.begin < range.end && range.end <= record->size);
    }
    CHECK(parse_part_record(part_record_text(*record, boot), boot, "it").value() == *record);
  }
  if (const auto name = hub::parse_hub_name(bytes)) {
    CHECK(name->repo.find("..") == std::string::npos && name->revision.find("..") != 0);
    CHECK(hub::parse_hub_name(name->text()) == name);
  }
  if (const auto origin = hub::origin_of(bytes)) CHECK(!origin->host.empty());
  return 0;
}
