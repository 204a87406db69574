// SPDX-License-Identifier: Apache-2.0
// A manifest from a peer or a file: what is accepted is within its bounds and is written again as
// it was; JSON of any spelling ends in a Status or in a manifest that can be written.
#include <nlohmann/json.hpp>
#include <string>

#include "base/check.h"
#include "model/manifest.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace shoal::model;
  const std::string bytes(reinterpret_cast<const char*>(data), size);
  const auto manifest = parse_manifest(bytes, "fuzzed manifest");
  if (manifest.ok()) {
    CHECK(encode_manifest(*manifest).value() == bytes) << "another encoding of the same manifest";
    for (const ManifestFile& file : manifest->files) {
      CHECK(manifest->find(file.name) == &file);
      for (const auto& [name, entry] : file.tensors) {
        CHECK(entry.begin <= entry.end && entry.end <= file.size) << name;
      }
    }
  } else {
    CHECK(manifest.status().message().substr(0, 15) == "fuzzed manifest");
  }
  if (!check_manifest_text(bytes, kMaxManifestBytes, "it").ok()) return 0;
  const auto json = nlohmann::json::parse(bytes, nullptr, /*allow_exceptions=*/false);
  const auto loose = manifest_of_json(json, "it");
  if (!loose.ok()) return 0;
  const auto again = encode_manifest(*loose);
  CHECK(again.ok() && parse_manifest(*again, "it").value() == *loose);
  return 0;
}
