// SPDX-License-Identifier: Apache-2.0
#include "dht/table_file.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstring>

#include "absl/strings/str_cat.h"
#include "identity/sodium.h"

namespace shoal::dht {
namespace {

constexpr std::string_view kTableMagic("shoal-table-v1\n\0", 16);
constexpr std::size_t kChecksumBytes = 32;
constexpr std::size_t kTableHeadBytes = 16 + 32 + 4;
constexpr std::size_t kContactBytes = 32 + 16 + 2 + 8;
constexpr std::size_t kMaxFileBytes =
    kTableHeadBytes + kMaxTableContacts * kContactBytes + kChecksumBytes;

void put(std::string& out, std::uint64_t value, int bytes) {
  for (int shift = 8 * (bytes - 1); shift >= 0; shift -= 8)
    out += static_cast<char>(value >> shift & 0xff);
}

// Takes fields off the front; the caller has checked that they are there.
struct TableReader {
  std::string_view rest;
  std::string_view take(std::size_t bytes) {
    const std::string_view field = rest.substr(0, bytes);
    rest.remove_prefix(bytes);
    return field;
  }
  std::uint64_t number(std::size_t bytes) {
    std::uint64_t value = 0;
    for (const char byte : take(bytes)) value = value << 8 | static_cast<std::uint8_t>(byte);
    return value;
  }
};

std::string checksum_of(std::string_view bytes) {
  const auto hash = identity::sha256(bytes);
  return std::string(hash.begin(), hash.end());
}

absl::Status damaged(const char* why) {
  return absl::InvalidArgumentError(absl::StrCat("not a table of contacts: ", why));
}

class OpenFile {
 public:
  OpenFile(const std::string& path, int flags) : fd_(::open(path.c_str(), flags, 0600)) {}
  ~OpenFile() {
    if (fd_ >= 0) ::close(fd_);
  }
  OpenFile(const OpenFile&) = delete;
  OpenFile& operator=(const OpenFile&) = delete;
  int fd() const { return fd_; }

 private:
  const int fd_;
};

absl::Status failed(const char* action, const std::string& path, int error) {
  const std::string text =
      absl::StrCat("cannot ", action, " the contact file ", path, ": ", std::strerror(error));
  return error == ENOENT ? absl::NotFoundError(text) : absl::UnavailableError(text);
}

}  // namespace

std::string encode_table(const SavedTable& table) {
  std::string contacts;
  std::size_t count = 0;
  for (const SavedContact& saved : table.contacts) {
    const Contact& contact = saved.contact;
    if (count == kMaxTableContacts) break;
    if (contact.key == identity::PublicKey{} || !contact.endpoint.is_usable()) continue;
    ++count;
    contacts += contact.key.to_bytes();
    contacts.append(contact.endpoint.address.begin(), contact.endpoint.address.end());
    put(contacts, contact.endpoint.port, 2);
    put(contacts, saved.seen_s, 8);
  }
  std::string bytes(kTableMagic);
  bytes += table.swarm.to_bytes();
  put(bytes, count, 4);
  bytes += contacts;
  bytes.append(kChecksumBytes, '\0');
  return with_checksum(std::move(bytes));
}

std::string with_checksum(std::string bytes) {
  if (bytes.size() < kChecksumBytes) return bytes;
  bytes.resize(bytes.size() - kChecksumBytes);
  bytes += checksum_of(bytes);
  return bytes;
}

absl::StatusOr<SavedTable> parse_table_file(std::string_view bytes) {
  if (bytes.size() < kTableHeadBytes + kChecksumBytes) return damaged("it is too short");
  if (bytes.size() > kMaxFileBytes) return damaged("it is too long");
  if (bytes.substr(0, kTableMagic.size()) != kTableMagic) return damaged("it begins otherwise");
  const std::string_view body = bytes.substr(0, bytes.size() - kChecksumBytes);
  if (checksum_of(body) != bytes.substr(body.size())) return damaged("its checksum is wrong");
  TableReader reader{body.substr(kTableMagic.size())};
  SavedTable table;
  table.swarm = *identity::SwarmId::from_bytes(reader.take(32));
  const std::uint64_t count = reader.number(4);
  if (count > kMaxTableContacts || reader.rest.size() != count * kContactBytes)
    return damaged("its length is not what it says");
  table.contacts.reserve(count);
  for (std::uint64_t i = 0; i < count; ++i) {
    SavedContact saved;
    saved.contact.key = *identity::PublicKey::from_bytes(reader.take(32));
    saved.contact.peer = identity::peer_id_of(saved.contact.key);
    const std::string_view address = reader.take(16);
    std::copy(address.begin(), address.end(), saved.contact.endpoint.address.begin());
    saved.contact.endpoint.port = static_cast<std::uint16_t>(reader.number(2));
    saved.seen_s = reader.number(8);
    if (saved.contact.key == identity::PublicKey{} || !saved.contact.endpoint.is_usable())
      return damaged("a contact in it cannot be reached");
    table.contacts.push_back(saved);
  }
  return table;
}

absl::StatusOr<std::vector<SavedContact>> read_table_file(const std::string& path,
                                                          const identity::SwarmId& swarm,
                                                          std::uint64_t now_s) {
  // O_NONBLOCK: opening a FIFO must not hang.
  const OpenFile file(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
  if (file.fd() < 0) return failed("open", path, errno);
  struct stat info {};
  if (::fstat(file.fd(), &info) != 0) return failed("examine", path, errno);
  if (!S_ISREG(info.st_mode))
    return absl::InvalidArgumentError(absl::StrCat(path, " is not a regular file"));
  std::string bytes(kMaxFileBytes + 1, '\0');
  std::size_t size = 0;
  while (size < bytes.size()) {
    const ssize_t n = ::read(file.fd(), bytes.data() + size, bytes.size() - size);
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return failed("read", path, errno);
    if (n == 0) break;
    size += static_cast<std::size_t>(n);
  }
  bytes.resize(size);
  absl::StatusOr<SavedTable> table = parse_table_file(bytes);
  if (!table.ok()) {
    return absl::InvalidArgumentError(absl::StrCat(
        "the contact file ", path, " is damaged and not used: ", table.status().message()));
  }
  if (table->swarm != swarm)
    return absl::FailedPreconditionError(
        absl::StrCat("the contact file ", path, " is of another swarm and not used"));
  std::erase_if(table->contacts, [&](const SavedContact& saved) {
    return saved.seen_s < now_s && now_s - saved.seen_s > kMaxTableAgeS;
  });
  // A clock that went back: no contact may stay young for ever.
  for (SavedContact& saved : table->contacts) saved.seen_s = std::min(saved.seen_s, now_s);
  return std::move(table->contacts);
}

absl::Status write_table_file(const std::string& path, const SavedTable& table) {
  const std::string bytes = encode_table(table);
  const std::string temporary = path + ".tmp";
  {
    const OpenFile file(temporary, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW);
    if (file.fd() < 0) return failed("write", temporary, errno);
    // Not synced: it is written on the network thread, and after a power cut the checksum tells.
    std::size_t done = 0;
    while (done < bytes.size()) {
      const ssize_t n = ::write(file.fd(), bytes.data() + done, bytes.size() - done);
      if (n < 0 && errno == EINTR) continue;
      if (n <= 0) {
        const int error = n < 0 ? errno : EIO;
        ::unlink(temporary.c_str());
        return failed("write", temporary, error);
      }
      done += static_cast<std::size_t>(n);
    }
  }
  if (std::rename(temporary.c_str(), path.c_str()) != 0) {
    const int error = errno;
    ::unlink(temporary.c_str());
    return failed("replace", path, error);
  }
  return absl::OkStatus();
}

}  // namespace shoal::dht
