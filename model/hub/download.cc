// SPDX-License-Identifier: Apache-2.0
#include "model/hub/download.h"

#include <algorithm>
#include <deque>
#include <list>
#include <memory>
#include <optional>
#include <utility>

#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "base/awaited.h"
#include "model/hub/retry.h"

namespace shoal::model::hub {
namespace {

using Time = std::chrono::steady_clock::time_point;

constexpr std::uint64_t kSmallestPiece = 1 << 20;
constexpr const char* kNoRanges = "knows no ranges";

// `"abc"` or `W/"abc"`.
std::string etag_of(std::string field) {
  if (field.starts_with("W/")) field.erase(0, 2);
  std::erase(field, '"');
  return field;
}

class Downloads {
 public:
  Downloads(Http& http, const std::vector<Download>& downloads, const DownloadOptions& options,
            const FileWork& work)
      : http_(http), options_(options), work_(work) {
    for (const Download& download : downloads) {
      State& state = states_.emplace_back(State{.download = download});
      const ByteRanges missing = download.wanted.without(download.file->record().present);
      all_ += missing.bytes();
      for (const ByteRange& range : pieces_of(missing, options)) {
        queue_.push_back({.state = &state, .range = range});
      }
    }
  }
  ~Downloads() { http_.drop_all(); }

  absl::Status run() {
    if (work_.progress && all_ > 0) work_.progress(0, all_);
    while (failure_.ok() && (!queue_.empty() || http_.running() > 0)) {
      if (work_.stop != nullptr && work_.stop->stopped()) return work_.stop->status();
      begin_pieces();
      if (absl::Status status = http_.step(base::kStopPoll); !status.ok()) return status;
      // With nothing on its way step() does not wait.
      if (http_.running() == 0 && !queue_.empty()) rest();
      if (work_.progress && all_ > 0) work_.progress(std::min(done_, all_), all_);
    }
    return failure_;
  }

 private:
  struct State {
    const Download& download;
    bool knows_ranges = true;

    const PartRecord& record() const { return download.file->record(); }
  };
  struct Piece {
    State* state = nullptr;
    ByteRange range;
    int tries = 0;  // in a row that brought nothing
    Time not_before = {};
    std::uint64_t at = 0;  // of the next byte
  };

  void begin_pieces() {
    const Time now = options_.now();
    for (auto at = queue_.begin(); at != queue_.end();) {
      if (http_.running() >= options_.connections) return;
      if (at->not_before > now) {
        ++at;
        continue;
      }
      begin(std::make_shared<Piece>(*at));
      at = queue_.erase(at);
    }
  }

  void rest() {
    Time first = queue_.front().not_before;
    for (const Piece& piece : queue_) first = std::min(first, piece.not_before);
    const auto wait = std::chrono::duration_cast<std::chrono::milliseconds>(first - options_.now());
    static const base::StopToken never;
    if (wait.count() > 0) {
      base::sleep_for(std::min(wait + std::chrono::milliseconds(1), std::chrono::milliseconds(50)),
                      work_.stop != nullptr ? *work_.stop : never);
    }
  }

  void begin(const std::shared_ptr<Piece>& piece) {
    piece->at = piece->range.begin;
    const bool all = piece->range == ByteRange{0, piece->state->record().size};
    HttpGet get{.url = piece->state->download.url};
    if (!all) get.range = piece->range;
    get.on_head = [this, piece, all](const HttpHead& head) { return check(*piece, head, all); };
    get.on_bytes = [this, piece](std::string_view bytes) { return take(*piece, bytes); };
    get.on_end = [this, piece](HttpEnd end) { finish(*piece, end); };
    http_.start(std::move(get));
  }

  absl::Status lie(const Piece& piece, const std::string& what) const {
    return absl::DataLossError(
        absl::StrCat(piece.state->download.path, " of ", options_.asked.name.text(), ": ", what,
                     "; nothing of it is used. Try again, and if it stays so "
                     "do not trust ",
                     options_.asked.endpoint));
  }

  absl::Status check(const Piece& piece, const HttpHead& head, bool all) const {
    const PartRecord& record = piece.state->record();
    if (const std::string* etag = head.find_said("x-linked-etag");
        etag != nullptr && etag_of(*etag) != record.etag) {
      return lie(piece, absl::StrCat("the hub lists the hash ", record.etag.substr(0, 12),
                                     " and sends a file of hash ",
                                     absl::CHexEscape(etag_of(*etag).substr(0, 12))));
    }
    if (const std::string* size = head.find_said("x-linked-size");
        size != nullptr && *size != absl::StrCat(record.size)) {
      return lie(piece, absl::StrCat("the hub lists ", record.size, " bytes and sends a file of ",
                                     absl::CHexEscape(*size)));
    }
    if (const std::string* commit = head.find_said("x-repo-commit");
        commit != nullptr && *commit != options_.commit) {
      return lie(piece, absl::StrCat("commit ", options_.commit.substr(0, 12),
                                     " was asked for, and the hub sends one of ",
                                     absl::CHexEscape(commit->substr(0, 12))));
    }
    if (head.status == 200) {
      if (!all) return absl::OutOfRangeError(kNoRanges);
      const std::string* const length = head.find("content-length");
      if (length == nullptr || *length == absl::StrCat(record.size)) return absl::OkStatus();
      return lie(piece, absl::StrCat("the hub lists ", record.size, " bytes and sends ",
                                     absl::CHexEscape(*length)));
    }
    const std::string meant =
        absl::StrCat("bytes ", piece.range.begin, "-", piece.range.end - 1, "/", record.size);
    const std::string* const range = head.find("content-range");
    if (head.status == 206 && range != nullptr && *range == meant) return absl::OkStatus();
    return lie(piece,
               absl::StrCat("asked for ", meant, ", the server answers HTTP ", head.status,
                            " with ", range == nullptr ? "no range" : absl::CHexEscape(*range)));
  }

  absl::Status take(Piece& piece, std::string_view bytes) {
    if (bytes.size() > piece.range.end - piece.at) {
      return lie(piece, "the server sends more bytes than it was asked for");
    }
    const ByteRange range{piece.at, piece.at + bytes.size()};
    piece.at = range.end;
    RangeFile& file = *piece.state->download.file;
    // What is there already, or nobody wants, passes by where a server knows no ranges.
    const ByteRanges lacks = ByteRanges({range}).without(file.record().present);
    const ByteRanges useful = lacks.without(lacks.without(piece.state->download.wanted));
    for (const ByteRange& part : useful.list()) {
      done_ += part.size();
      absl::Status written =
          file.write(part.begin, bytes.substr(static_cast<std::size_t>(part.begin - range.begin),
                                              static_cast<std::size_t>(part.size())));
      if (!written.ok()) return written;
    }
    return absl::OkStatus();
  }

  void finish(Piece& piece, HttpEnd& end) {
    State& state = *piece.state;
    if (absl::IsOutOfRange(end.status)) {
      if (std::exchange(state.knows_ranges, false)) {
        std::erase_if(queue_, [&](const Piece& other) { return other.state == &state; });
        queue_.push_back({.state = &state, .range = {0, state.record().size}});
      }
      return;
    }
    const bool from_start = piece.range == ByteRange{0, state.record().size};
    if (end.status.ok() && piece.at < piece.range.end) {
      end.status = absl::UnavailableError(
          absl::StrCat("the answer ended at byte ", piece.at, " of ", piece.range.end));
    }
    if (end.status.ok()) return;
    const int tries = piece.at > piece.range.begin && state.knows_ranges ? 1 : piece.tries + 1;
    if (const auto wait = wait_before_retry(end, tries)) {
      // Of a server without ranges other pieces have ended in favour of the one from the start.
      if (!state.knows_ranges && !from_start) return;
      Piece again{.state = &state,
                  .range = piece.range,
                  .tries = tries,
                  .not_before = options_.now() + *wait};
      if (state.knows_ranges) again.range.begin = piece.at;
      queue_.push_front(again);
      return;
    }
    if (!failure_.ok()) return;
    if (absl::IsDataLoss(end.status) || absl::IsResourceExhausted(end.status)) {
      failure_ = end.status;
      return;
    }
    Asked asked = options_.asked;
    asked.file = state.download.path;
    failure_ = refusal(asked, end);
  }

  Http& http_;
  const DownloadOptions& options_;
  const FileWork& work_;
  std::list<State> states_;
  std::deque<Piece> queue_;
  std::uint64_t done_ = 0, all_ = 0;
  absl::Status failure_;
};

}  // namespace

std::vector<ByteRange> pieces_of(const ByteRanges& missing, const DownloadOptions& options) {
  const std::uint64_t share = missing.bytes() / std::max<std::size_t>(options.connections, 1) + 1;
  const std::uint64_t most =
      std::min(options.piece_bytes, std::max(share, std::min(kSmallestPiece, options.piece_bytes)));
  std::vector<ByteRange> pieces;
  for (ByteRange range : missing.list()) {
    while (range.size() > most) {
      pieces.push_back({range.begin, range.begin + most});
      range.begin += most;
    }
    pieces.push_back(range);
  }
  return pieces;
}

absl::Status download(Http& http, const std::vector<Download>& downloads,
                      const DownloadOptions& options, const FileWork& work) {
  return Downloads(http, downloads, options, work).run();
}

}  // namespace shoal::model::hub
