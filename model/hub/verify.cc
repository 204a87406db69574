// SPDX-License-Identifier: Apache-2.0
#include "model/hub/verify.h"

#include <openssl/evp.h>

#include <array>
#include <fstream>
#include <memory>
#include <vector>

#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "model/sha256.h"

namespace shoal::model::hub {
namespace {

constexpr std::size_t kReadBytes = 1 << 20;

struct FreeContext {
  void operator()(EVP_MD_CTX* context) const { EVP_MD_CTX_free(context); }
};

// Of "blob SIZE", a zero byte, and the content.
absl::StatusOr<std::string> git_blob_sha1(const std::string& path, std::uint64_t size) {
  const std::unique_ptr<EVP_MD_CTX, FreeContext> context(EVP_MD_CTX_new());
  const std::string head = absl::StrCat("blob ", size, std::string(1, '\0'));
  bool ok = context != nullptr && EVP_DigestInit_ex(context.get(), EVP_sha1(), nullptr) == 1 &&
            EVP_DigestUpdate(context.get(), head.data(), head.size()) == 1;
  std::ifstream file(path, std::ios::binary);
  std::vector<char> buffer(kReadBytes);
  while (ok && file) {
    file.read(buffer.data(), static_cast<std::streamsize>(buffer.size()));
    ok = EVP_DigestUpdate(context.get(), buffer.data(), static_cast<std::size_t>(file.gcount())) ==
         1;
  }
  std::array<unsigned char, EVP_MAX_MD_SIZE> digest{};
  unsigned int length = 0;
  ok = ok && file.eof() && EVP_DigestFinal_ex(context.get(), digest.data(), &length) == 1;
  if (!ok) return absl::FailedPreconditionError(absl::StrCat(path, ": cannot be read through"));
  return absl::BytesToHexString({reinterpret_cast<const char*>(digest.data()), length});
}

}  // namespace

absl::Status verify_file(const std::string& path, const RemoteFile& meant, const FileWork& work) {
  std::string found;
  if (meant.has_sha256()) {
    const absl::StatusOr<std::vector<HashedFile>> hashed = hash_files({path}, work);
    if (!hashed.ok()) return hashed.status();
    found = to_hex(hashed->front().sha256);
    if (hashed->front().stamp.size != meant.size) found = "of another size";
  } else {
    const absl::StatusOr<std::string> sha1 = git_blob_sha1(path, meant.size);
    if (!sha1.ok()) return sha1.status();
    found = *sha1;
  }
  if (found == meant.etag) return absl::OkStatus();
  return absl::DataLossError(absl::StrCat(meant.path, " came with other bytes than the hub lists (",
                                          meant.has_sha256() ? "SHA-256 " : "SHA-1 ",
                                          found.substr(0, 12), " instead of ",
                                          meant.etag.substr(0, 12), ")"));
}

}  // namespace shoal::model::hub
