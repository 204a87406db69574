// SPDX-License-Identifier: Apache-2.0
// The persisted table, as found on disk and with the checksum put right. What is accepted must
// survive being written and read again.
#include "base/check.h"
#include "dht/table_file.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace shoal::dht;
  const std::string raw(reinterpret_cast<const char*>(data), size);
  for (const std::string& bytes : {raw, with_checksum(raw)}) {
    const auto table = parse_table_file(bytes);
    if (!table.ok()) continue;
    CHECK(table->contacts.size() <= kMaxTableContacts);
    CHECK(encode_table(*table) == bytes) << "another encoding of the same table";
  }
  return 0;
}
