// SPDX-License-Identifier: Apache-2.0
#include "model/hub/hub_model.h"

#include <algorithm>
#include <cstring>
#include <deque>
#include <filesystem>
#include <map>
#include <optional>
#include <set>
#include <span>
#include <system_error>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "model/config.h"
#include "model/folder_manifest.h"
#include "model/hub/cache.h"
#include "model/hub/cache_lock.h"
#include "model/hub/download.h"
#include "model/hub/http.h"
#include "model/hub/listing.h"
#include "model/hub/range_file.h"
#include "model/hub/refusal.h"
#include "model/hub/url.h"
#include "model/hub/verify.h"
#include "model/json_fields.h"
#include "model/manifest_file.h"
#include "model/whole_file.h"

namespace shoal::model::hub {
namespace {

namespace fs = std::filesystem;

constexpr const char* kSingle = "model.safetensors";
constexpr const char* kListingName = "files.json";
constexpr std::size_t kFilesAtOnce = 16;          // whose locks and files are open
constexpr std::uint64_t kRoomToLeave = 64 << 20;  // on the disk
constexpr std::uint64_t kLengthBytes = 8;
constexpr std::uint64_t kMaxHeaderBytes = 100'000'000;
constexpr std::uint64_t kMaxTextBytes = 512 << 20;

std::string gib_text(std::uint64_t bytes) {
  return absl::StrCat((bytes + (1 << 20) - 1) >> 20, " MiB");
}

}  // namespace

class HubModel::Impl {
 public:
  Impl(Settings settings, HubName name, Told told)
      : settings_(std::move(settings)),
        name_(std::move(name)),
        told_(std::move(told)),
        cache_(settings_.cache) {}

  const std::string& commit() const { return listing_.commit; }

  absl::Status open() {
    const std::optional<std::string> known = cache_.commit_of(name_);
    if (!settings_.offline) {
      auto http = Http::create(
          {.origin = settings_.endpoint, .token = settings_.token, .ca_file = settings_.ca_file});
      if (!http.ok()) return http.status();
      http_ = *std::move(http);
      if (is_commit(name_.revision) && read_listing(name_.revision)) return absl::OkStatus();
      absl::Status asked = ask(known.has_value());
      if (asked.ok()) return asked;
      if (!absl::IsUnavailable(asked) || !known) return asked;
      told_.note(absl::StrCat(std::string(asked.message()), " (goes on with what is here)"));
      http_.reset();
    }
    if (!known) {
      return absl::NotFoundError(absl::StrCat(
          name_.text(), ": there is no such folder, it is not in ", cache_.root(),
          ", and HF_HUB_OFFLINE says to ask nobody: unset it, or fetch the model elsewhere"));
    }
    if (!read_listing(*known)) listing_ = cache_.listing_of_snapshot(name_.repo, *known);
    return absl::OkStatus();
  }

  absl::StatusOr<std::string> fetch(const Purpose& purpose) {
    const View view(cache_, name_.repo, commit(), purpose.label);
    if (view.is_complete()) return view.folder();
    const auto lock = CacheLock::take(view.folder() + ".lock", *told_.stop, [this] {
      told_.note(absl::StrCat("waits for another program that fetches ", name_.text()));
    });
    if (!lock.ok()) return lock.status();
    if (view.is_complete()) return view.folder();
    if (absl::Status begun = view.begin(); !begun.ok()) return begun;
    if (absl::Status status = fetch_texts(view); !status.ok()) return status;
    absl::Status status = purpose.whole                ? fetch_whole(view)
                          : purpose.label == "headers" ? fetch_headers(view)
                                                       : fetch_wanted(view, purpose);
    if (!status.ok()) return status;
    if (absl::Status made = view.complete(); !made.ok()) return made;
    return view.folder();
  }

 private:
  Asked asked() const {
    return {.name = name_,
            .endpoint = settings_.endpoint,
            .file = "",
            .with_token = !settings_.token.empty()};
  }

  absl::Status ask(bool is_known) {
    const std::string url =
        absl::StrCat(settings_.endpoint, "/api/models/", name_.repo, "/revision/",
                     url_escaped(name_.revision, false), "?blobs=true");
    const HttpText answer = get_text(*http_, url, kMaxListingBytes, is_known ? 2 : 3, *told_.stop);
    if (!answer.end.status.ok()) {
      Asked about = asked();
      about.is_known = is_known;
      return refusal(about, answer.end);
    }
    auto listing = parse_listing(answer.body, url);
    if (!listing.ok()) {
      return absl::FailedPreconditionError(
          absl::StrCat(std::string(listing.status().message()),
                       ": HF_ENDPOINT must be the address of a Hugging Face hub"));
    }
    listing_ = *std::move(listing);
    if (is_commit(name_.revision) && listing_.commit != name_.revision) {
      return absl::DataLossError(
          absl::StrCat(url, ": answers with another commit, ", listing_.commit.substr(0, 12)));
    }
    if (auto kept = cache_.keep_commit(name_, listing_.commit); !kept.ok()) return kept;
    const std::string folder = cache_.own_folder(name_.repo, listing_.commit);
    if (auto made = make_folders(folder); !made.ok()) return made;
    const std::string text = listing_text(listing_);
    const std::span<const std::byte> bytes = std::as_bytes(std::span(text));
    return write_whole_file(absl::StrCat(folder, "/", kListingName), {&bytes, 1});
  }

  bool read_listing(const std::string& commit) {
    const std::string path = absl::StrCat(cache_.own_folder(name_.repo, commit), "/", kListingName);
    const auto text = read_text_file(path, kMaxListingBytes);
    if (!text.ok()) return false;
    auto listing = parse_listing(*text, path);
    if (!listing.ok() || listing->commit != commit) return false;
    listing_ = *std::move(listing);
    return true;
  }

  absl::Status not_here(const std::string& file) const {
    return absl::NotFoundError(absl::StrCat(
        name_.text(), ": ", file, " is not in ", cache_.root(), " and ",
        settings_.offline ? "HF_HUB_OFFLINE says to ask nobody: unset it to fetch it"
                          : absl::StrCat(settings_.endpoint, " cannot be reached: try again")));
  }

  std::string url_of(const std::string& path) const {
    return absl::StrCat(settings_.endpoint, "/", name_.repo, "/resolve/", commit(), "/",
                        url_escaped(path, true));
  }

  DownloadOptions download_options() const {
    DownloadOptions options;
    options.asked = asked();
    options.commit = commit();
    return options;
  }

  absl::Status check_room(std::uint64_t missing) const {
    if (auto made = make_folders(cache_.folder(name_.repo)); !made.ok()) return made;
    std::error_code error;
    const fs::space_info space = fs::space(cache_.folder(name_.repo), error);
    if (error || missing + kRoomToLeave <= space.available) return absl::OkStatus();
    return absl::ResourceExhaustedError(absl::StrCat(
        name_.text(), " needs ", gib_text(missing), " more, and ", cache_.root(), " has ",
        gib_text(space.available), " free: make room, or set HF_HOME to a folder on another disk"));
  }

  // All of these files, held against their hashes, then in the snapshot.
  absl::Status fetch_blobs(std::vector<RemoteFile> files) {
    std::sort(files.begin(), files.end(),
              [](const RemoteFile& a, const RemoteFile& b) { return a.etag < b.etag; });
    std::uint64_t missing = 0;
    for (const RemoteFile& file : files) {
      if (cache_.has_blob(name_.repo, file)) continue;
      if (http_ == nullptr) return not_here(file.path);
      missing += file.size;
    }
    if (absl::Status room = check_room(missing); !room.ok()) return room;
    for (std::size_t at = 0; at < files.size(); at += kFilesAtOnce) {
      const std::size_t count = std::min(kFilesAtOnce, files.size() - at);
      if (absl::Status status = fetch_some({files.data() + at, count}); !status.ok()) return status;
    }
    return absl::OkStatus();
  }

  absl::Status fetch_some(std::span<const RemoteFile> files) {
    std::deque<CacheLock> locks;
    std::deque<RangeFile> opened;
    std::vector<std::pair<const RemoteFile*, RangeFile*>> fetched;
    std::vector<Download> downloads;
    std::set<std::string> seen;  // two files of the same bytes are one blob
    for (const RemoteFile& file : files) {
      if (cache_.has_blob(name_.repo, file) || !seen.insert(file.etag).second) continue;
      auto lock = CacheLock::take(cache_.lock_file(name_.repo, file.etag), *told_.stop, [&] {
        told_.note(absl::StrCat("waits for another program that fetches ", file.path));
      });
      if (!lock.ok()) return lock.status();
      locks.push_back(*std::move(lock));
      if (cache_.has_blob(name_.repo, file)) continue;
      auto made = open_range_file(
          absl::StrCat(cache_.blob(name_.repo, file.etag), ".shoal-incomplete"), file);
      if (!made.ok()) return made.status();
      opened.push_back(*std::move(made));
      const ByteRanges all({{0, file.size}});
      if (absl::Status status = take_known(file, all, opened.back()); !status.ok()) return status;
      fetched.emplace_back(&file, &opened.back());
      downloads.push_back({&opened.back(), all, file.path, url_of(file.path)});
    }
    if (!downloads.empty()) {
      absl::Status got = download(*http_, downloads, download_options(), told_.work("downloads"));
      if (!got.ok()) return got;
    }
    for (const auto& [file, data] : fetched) {
      absl::Status good = verify_file(data->path(), *file, told_.work("verifies"));
      if (absl::IsDataLoss(good)) {
        data->remove();
        drop_parts(*file);  // some of its bytes may have come from them
        return absl::DataLossError(
            absl::StrCat(std::string(good.message()),
                         ", and was removed: nothing of it was used. Try again, "
                         "and if it stays so do not trust ",
                         settings_.endpoint));
      }
      if (!good.ok()) return good;
      const std::string blob = cache_.blob(name_.repo, file->etag);
      if (absl::Status made = data->become(blob); !made.ok()) return made;
    }
    for (const RemoteFile& file : files) {
      if (absl::Status linked = cache_.link(name_.repo, commit(), file); !linked.ok()) {
        return linked;
      }
    }
    return absl::OkStatus();
  }

  absl::StatusOr<RangeFile> open_range_file(const std::string& path, const RemoteFile& file) {
    if (auto made = make_folders(fs::path(path).parent_path().string()); !made.ok()) return made;
    return RangeFile::open(path, file.size, file.etag);
  }

  // Files in parts, of any purpose.
  std::vector<std::string> parts_of(const RemoteFile& file) const {
    std::vector<std::string> paths;
    std::error_code error;
    const std::string own = cache_.own_folder(name_.repo, commit());
    for (fs::directory_iterator at(own, error), end; !error && at != end; at.increment(error)) {
      if (!at->is_directory()) continue;
      const View other(cache_, name_.repo, commit(), at->path().filename().string());
      paths.push_back(other.part_path(file.path));
    }
    return paths;
  }

  // What other purposes have of it needs no network.
  absl::Status take_known(const RemoteFile& file, const ByteRanges& wanted, RangeFile& to) {
    for (const std::string& path : parts_of(file)) {
      if (path == to.path() || wanted.without(to.record().present).empty()) continue;
      const auto record = read_part_record(absl::StrCat(path, std::string(kRangesSuffix)));
      std::error_code error;
      const bool same = record.ok() && *record && (*record)->etag == file.etag &&
                        (*record)->size == file.size && fs::file_size(path, error) == file.size;
      if (!same) continue;
      const auto other = RangeFile::open(path, file.size, file.etag);
      if (!other.ok()) return other.status();
      const auto taken = to.take_from(*other, wanted);
      if (!taken.ok()) return taken.status();
    }
    return absl::OkStatus();
  }

  void drop_parts(const RemoteFile& file) {
    for (const std::string& path : parts_of(file)) {
      std::error_code ignored;
      fs::remove(absl::StrCat(path, std::string(kRangesSuffix)), ignored);
      fs::remove(path, ignored);
    }
  }

  absl::Status fetch_texts(const View& view) {
    std::vector<RemoteFile> files;
    for (const std::string& name : text_files(listing_)) {
      const RemoteFile* const file = listing_.find(name);
      if (file == nullptr) continue;
      if (file->size > kMaxTextBytes) {
        return absl::FailedPreconditionError(
            absl::StrCat(name_.text(), ": ", name, " has ", file->size, " bytes: too many"));
      }
      files.push_back(*file);
    }
    if (listing_.find("config.json") == nullptr) {
      if (http_ == nullptr) return not_here("config.json");
      return absl::FailedPreconditionError(
          absl::StrCat(name_.text(), " has no config.json at ", settings_.endpoint,
                       ": a model in safetensors, as transformers loads it, is expected"));
    }
    if (absl::Status status = fetch_blobs(files); !status.ok()) return status;
    for (const RemoteFile& file : files) {
      if (absl::Status linked = view.link(file); !linked.ok()) return linked;
    }
    // What nobody can run is refused before its weights are fetched.
    return load_config(view.folder()).status();
  }

  // In the order of their names; by the index, or the single one.
  absl::StatusOr<std::vector<RemoteFile>> weight_files(const View& view) const {
    if (const RemoteFile* const single = listing_.find(kSingle)) {
      return std::vector<RemoteFile>{*single};
    }
    if (listing_.find(kIndexName) == nullptr) {
      if (http_ == nullptr) return not_here(kSingle);
      return absl::FailedPreconditionError(
          absl::StrCat(name_.text(), " has neither ", kSingle, " nor ", kIndexName, " at ",
                       settings_.endpoint, ": weights are expected as safetensors"));
    }
    const absl::StatusOr<WeightFiles> indexed = read_weight_files(view.folder());
    if (!indexed.ok()) return indexed.status();
    std::vector<RemoteFile> files;
    for (const WeightFile& file : indexed->files) {
      const RemoteFile* const remote = listing_.find(file.name);
      if (remote == nullptr && http_ == nullptr) continue;  // whoever needs it will miss it
      if (remote == nullptr) {
        return absl::FailedPreconditionError(absl::StrCat(name_.text(), ": ", kIndexName, " names ",
                                                          file.name, ", which ", settings_.endpoint,
                                                          " does not list"));
      }
      files.push_back(*remote);
    }
    return files;
  }

  absl::Status fetch_and_link(const View& view, const std::vector<RemoteFile>& files) {
    if (absl::Status status = fetch_blobs(files); !status.ok()) return status;
    for (const RemoteFile& file : files) {
      if (absl::Status linked = view.link(file); !linked.ok()) return linked;
    }
    return absl::OkStatus();
  }

  absl::Status fetch_whole(const View& view) {
    const auto files = weight_files(view);
    if (!files.ok()) return files.status();
    return fetch_and_link(view, *files);
  }

  // Of every weight file that is not here as a whole its header; what all of it is follows.
  absl::Status fetch_headers(const View& view) {
    const auto files = weight_files(view);
    if (!files.ok()) return files.status();
    std::vector<RemoteFile> whole;
    std::vector<const RemoteFile*> parts;
    for (const RemoteFile& file : *files) {
      // Without a SHA-256 nothing could ever be said of parts.
      const bool all =
          cache_.has_blob(name_.repo, file) || !file.has_sha256() || file.size < kLengthBytes;
      if (all) {
        whole.push_back(file);
      } else {
        parts.push_back(&file);
      }
    }
    if (absl::Status status = fetch_and_link(view, whole); !status.ok()) return status;
    for (std::size_t at = 0; at < parts.size(); at += kFilesAtOnce) {
      const std::size_t count = std::min(kFilesAtOnce, parts.size() - at);
      if (absl::Status status = fetch_some_headers(view, {parts.data() + at, count});
          !status.ok()) {
        return status;
      }
    }
    const auto config = load_config(view.folder());
    if (!config.ok()) return config.status();
    const auto read = read_weight_files(view.folder());
    if (!read.ok()) return read.status();
    return keep_whole_manifest(view, *config, *read, *files);
  }

  absl::Status fetch_some_headers(const View& view, std::span<const RemoteFile* const> files) {
    if (files.empty()) return absl::OkStatus();
    std::deque<RangeFile> opened;
    std::vector<Download> lengths, headers;
    for (const RemoteFile* const file : files) {
      auto made = open_range_file(view.part_path(file->path), *file);
      if (!made.ok()) return made.status();
      opened.push_back(*std::move(made));
      lengths.push_back(
          {&opened.back(), ByteRanges({{0, kLengthBytes}}), file->path, url_of(file->path)});
      if (http_ == nullptr && !opened.back().record().present.contains({0, kLengthBytes})) {
        opened.back().remove();
        return not_here(file->path);
      }
    }
    const auto get = [&](const std::vector<Download>& downloads) {
      if (http_ == nullptr) return absl::OkStatus();
      return download(*http_, downloads, download_options(), told_.work("downloads"));
    };
    if (absl::Status status = get(lengths); !status.ok()) return status;
    for (Download& download : lengths) {
      const auto bytes = download.file->read({0, kLengthBytes});
      if (!bytes.ok()) return bytes.status();
      std::uint64_t length = 0;
      for (std::size_t i = kLengthBytes; i > 0; --i) {
        length = length << 8 | static_cast<unsigned char>((*bytes)[i - 1]);
      }
      const std::uint64_t size = download.file->record().size;
      if (length > kMaxHeaderBytes || length > size - kLengthBytes) {
        download.file->remove();
        return absl::DataLossError(absl::StrCat(download.path, " of ", name_.text(), " at ",
                                                settings_.endpoint, ": is no safetensors file"));
      }
      download.wanted = ByteRanges({{0, kLengthBytes + length}});
    }
    if (absl::Status status = get(lengths); !status.ok()) return status;
    for (RangeFile& file : opened) {
      if (absl::Status stored = file.store(); !stored.ok()) return stored;
    }
    return absl::OkStatus();
  }

  // The hub lists sizes and hashes of all files, and their headers are here: so what the whole
  // model is can be said without its weights.
  static absl::Status keep_whole_manifest(const View& view, const ModelConfig& config,
                                          const WeightFiles& read,
                                          const std::vector<RemoteFile>& listed) {
    Manifest manifest{.configuration = configuration_of(config), .files = {}};
    std::map<std::string, const RemoteFile*> by_name;
    for (const RemoteFile& file : listed) by_name[file.path] = &file;
    for (const WeightFile& file : read.files) {
      const auto found = by_name.find(file.name);
      if (!file.held || found == by_name.end()) return absl::OkStatus();
      const auto sha256 = sha256_from_hex(found->second->etag);
      if (!sha256) return absl::OkStatus();
      manifest.files.push_back({file.name, found->second->size, *sha256, file.tensors});
    }
    return keep_manifest(view.folder(), {std::move(manifest), {}, ""}).status();
  }

  absl::Status fetch_wanted(const View& view, const Purpose& purpose) {
    const auto headers = fetch(model_headers());
    if (!headers.ok()) {
      if (http_ != nullptr || !absl::IsNotFound(headers.status())) return headers.status();
      return use_what_is_here(view, purpose);
    }
    auto read = read_weight_files(*headers);
    if (!read.ok()) return read.status();
    std::vector<RemoteFile> whole;
    struct Part {
      RemoteFile file;
      ByteRanges wanted;
    };
    std::vector<Part> parts;
    std::uint64_t missing = 0;
    for (const WeightFile& file : read->files) {
      const RemoteFile* const remote = listing_.find(file.name);
      ByteRanges wanted = ranges_of(file, purpose.wanted);
      if (remote == nullptr || wanted.empty()) continue;
      if (file.is_whole() || is_worth_all(wanted, remote->size)) {
        whole.push_back(*remote);
      } else {
        missing += wanted.bytes();
        parts.push_back({*remote, std::move(wanted)});
      }
    }
    if (absl::Status room = check_room(missing); !room.ok()) return room;
    if (absl::Status status = fetch_and_link(view, whole); !status.ok()) return status;
    std::deque<RangeFile> opened;
    std::vector<Download> downloads;
    for (const Part& part : parts) {
      auto made = open_range_file(view.part_path(part.file.path), part.file);
      if (!made.ok()) return made.status();
      opened.push_back(*std::move(made));
      if (absl::Status status = take_known(part.file, part.wanted, opened.back()); !status.ok()) {
        return status;
      }
      const bool lacks = !part.wanted.without(opened.back().record().present).empty();
      if (lacks && http_ == nullptr) return not_here(part.file.path);
      downloads.push_back({&opened.back(), part.wanted, part.file.path, url_of(part.file.path)});
    }
    if (http_ != nullptr && !downloads.empty()) {
      absl::Status got = download(*http_, downloads, download_options(), told_.work("downloads"));
      if (!got.ok()) return got;
    }
    for (RangeFile& file : opened) {
      if (absl::Status stored = file.store_with_hashes(told_.work("hashes")); !stored.ok()) {
        return stored;
      }
    }
    return view.link_manifest("headers");
  }

  // Offline, with files that another tool fetched: the index says where the tensors are.
  absl::Status use_what_is_here(const View& view, const Purpose& purpose) {
    const auto files = weight_files(view);
    if (!files.ok()) return files.status();
    for (const RemoteFile& file : *files) {
      if (!cache_.has_blob(name_.repo, file)) continue;
      if (absl::Status linked = view.link(file); !linked.ok()) return linked;
    }
    const auto read = read_weight_files(view.folder());
    if (!read.ok()) return read.status();
    for (const WeightFile& file : read->files) {
      const bool needed = std::any_of(file.indexed.begin(), file.indexed.end(), purpose.wanted);
      if (!file.held && needed) return not_here(file.name);
    }
    return absl::OkStatus();
  }

  const Settings settings_;
  const HubName name_;
  const Told told_;
  const Cache cache_;
  std::unique_ptr<Http> http_;  // null: nobody is asked
  Listing listing_;
};

HubModel::HubModel(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
HubModel::HubModel(HubModel&&) noexcept = default;
HubModel& HubModel::operator=(HubModel&&) noexcept = default;
HubModel::~HubModel() = default;

absl::StatusOr<HubModel> HubModel::open(const Settings& settings, const HubName& name, Told told) {
  auto impl = std::make_unique<Impl>(settings, name, std::move(told));
  if (absl::Status opened = impl->open(); !opened.ok()) return opened;
  return HubModel(std::move(impl));
}

const std::string& HubModel::commit() const { return impl_->commit(); }

absl::StatusOr<std::string> HubModel::fetch(const Purpose& purpose) {
  return impl_->fetch(purpose);
}

}  // namespace shoal::model::hub
