// SPDX-License-Identifier: Apache-2.0
#include "model/safetensors.h"

#include <algorithm>
#include <array>
#include <limits>
#include <nlohmann/json.hpp>
#include <set>
#include <string_view>
#include <utility>

#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"

namespace shoal::model {
namespace {

constexpr std::size_t kLengthBytes = 8;
constexpr std::uint64_t kMaxHeaderBytes = 100'000'000;  // as in the Rust reader
constexpr std::size_t kMaxTensors = 1 << 20;            // so that a hostile header cannot cost much
constexpr std::size_t kMaxRank = 16;

struct ElementType {
  std::string_view name;
  std::uint64_t bits;
};
constexpr std::array<ElementType, 21> kElementTypes = {
    {{"BOOL", 8},    {"F4", 4},      {"F6_E2M3", 6},    {"F6_E3M2", 6}, {"U8", 8},   {"I8", 8},
     {"F8_E5M2", 8}, {"F8_E4M3", 8}, {"F8_E8M0", 8},    {"I16", 16},    {"U16", 16}, {"F16", 16},
     {"BF16", 16},   {"I32", 32},    {"U32", 32},       {"F32", 32},    {"F64", 64}, {"I64", 64},
     {"U64", 64},    {"C64", 64},    {"F8_E4M3FNUZ", 8}}};

// A name from the file in an error message: printable and short.
std::string shown(const std::string& name) {
  constexpr std::size_t kMaxShown = 120;
  std::string text = absl::CHexEscape(name.substr(0, kMaxShown));
  return absl::StrCat("\"", text, name.size() > kMaxShown ? "...\"" : "\"");
}

// Follows the shape {name: {"dtype": text, "shape": [n...], "data_offsets": [n, n]},
// "__metadata__": {text: text}} event by event, so nothing else is ever built in memory. False
// stops the parser.
class HeaderReader : public nlohmann::json_sax<nlohmann::json> {
 public:
  SafetensorsTable entries;
  std::string error;

  bool start_object(std::size_t) override {
    if (place_ == Place::kOutside) return go(Place::kTop);
    if (place_ == Place::kTop) {
      if (name_ == "__metadata__") return go(Place::kMetadata);
      fields_ = 0;
      return go(Place::kTensor);
    }
    return unexpected("an object");
  }
  bool key(string_t& text) override {
    switch (place_) {
      case Place::kTop:
        name_ = text;
        if (name_ == "__metadata__") {
          if (std::exchange(has_metadata_, true)) return fail("__metadata__ is repeated");
          return true;
        }
        if (entries.size() >= kMaxTensors) return fail("too many tensors");
        entry_ = entries.emplace(name_, SafetensorsEntry{});
        return entry_.second || fail(absl::StrCat("tensor ", shown(name_), " is repeated"));
      case Place::kMetadata:
        return metadata_keys_.insert(text).second ||
               fail(absl::StrCat("__metadata__: key ", shown(text), " is repeated"));
      case Place::kTensor: {
        field_ = text == "dtype"          ? kDtype
                 : text == "shape"        ? kShape
                 : text == "data_offsets" ? kOffsets
                                          : 0;
        if (field_ == 0) return fail_tensor(absl::StrCat("unknown key ", shown(text)));
        if ((fields_ & field_) != 0) return fail_tensor(absl::StrCat(text, " is repeated"));
        fields_ |= field_;
        return true;
      }
      default:
        return unexpected("a key");
    }
  }
  bool string(string_t& text) override {
    if (place_ == Place::kMetadata) return true;
    if (place_ != Place::kTensor || field_ != kDtype) return unexpected("a string");
    entry().dtype = text;
    return true;
  }
  bool start_array(std::size_t) override {
    if (place_ != Place::kTensor || (field_ != kShape && field_ != kOffsets)) {
      return unexpected("a list");
    }
    offsets_ = 0;
    return go(Place::kNumbers);
  }
  bool number_unsigned(number_unsigned_t number) override {
    if (place_ != Place::kNumbers) return unexpected("a number");
    if (number > static_cast<std::uint64_t>(std::numeric_limits<std::int64_t>::max())) {
      return fail_tensor("a number is too large");
    }
    if (field_ == kShape) {
      if (entry().shape.size() >= kMaxRank) return fail_tensor("too many dimensions");
      entry().shape.push_back(static_cast<std::int64_t>(number));
      return true;
    }
    if (offsets_ >= 2) return fail_tensor("data_offsets must be two numbers");
    (offsets_++ == 0 ? entry().begin : entry().end) = static_cast<std::size_t>(number);
    return true;
  }
  bool end_array() override {
    if (field_ == kOffsets && offsets_ != 2) return fail_tensor("data_offsets must be two numbers");
    return go(Place::kTensor);
  }
  bool end_object() override {
    if (place_ == Place::kTensor && fields_ != (kDtype | kShape | kOffsets)) {
      return fail_tensor("dtype, shape or data_offsets is missing");
    }
    return go(place_ == Place::kTop ? Place::kOutside : Place::kTop);
  }
  bool null() override {
    // The Rust reader takes "__metadata__": null for none.
    return (place_ == Place::kTop && name_ == "__metadata__") || unexpected("null");
  }
  bool boolean(bool) override { return unexpected("a boolean"); }
  bool number_integer(number_integer_t) override { return unexpected("a negative number"); }
  bool number_float(number_float_t, const string_t&) override { return unexpected("a fraction"); }
  bool binary(binary_t&) override { return unexpected("binary"); }
  bool parse_error(std::size_t position, const std::string&,
                   const nlohmann::detail::exception&) override {
    return fail(absl::StrCat("the header is not JSON at byte ", position));
  }

 private:
  enum class Place { kOutside, kTop, kMetadata, kTensor, kNumbers };
  static constexpr int kDtype = 1, kShape = 2, kOffsets = 4;

  SafetensorsEntry& entry() { return entry_.first->second; }
  bool go(Place place) {
    place_ = place;
    return true;
  }
  bool fail(std::string text) {
    if (error.empty()) error = std::move(text);
    return false;
  }
  bool fail_tensor(const std::string& text) {
    return fail(absl::StrCat("tensor ", shown(name_), ": ", text));
  }
  bool unexpected(const char* what) {
    return fail(absl::StrCat("the header has ", what, " where it may not",
                             name_.empty() ? "" : absl::StrCat(", in or after ", shown(name_))));
  }

  Place place_ = Place::kOutside;
  std::string name_;
  bool has_metadata_ = false;
  std::set<std::string> metadata_keys_;
  std::pair<std::map<std::string, SafetensorsEntry>::iterator, bool> entry_;
  int fields_ = 0, field_ = 0;
  int offsets_ = 0;
};

// Empty if dtype, shape and size agree.
std::string size_error(const SafetensorsEntry& entry) {
  const auto* type = std::find_if(kElementTypes.begin(), kElementTypes.end(),
                                  [&](const ElementType& t) { return t.name == entry.dtype; });
  if (type == kElementTypes.end()) return absl::StrCat("unknown dtype ", shown(entry.dtype));
  if (entry.end < entry.begin) return "data_offsets end before they begin";
  std::uint64_t bits = type->bits;
  for (const std::int64_t dimension : entry.shape) {
    if (__builtin_mul_overflow(bits, static_cast<std::uint64_t>(dimension), &bits)) {
      return "the product of its shape overflows";
    }
  }
  if (bits % 8 != 0) return "its values do not fill whole bytes";
  if (bits / 8 != entry.end - entry.begin) {
    return absl::StrCat("dtype and shape need ", bits / 8, " bytes, data_offsets give ",
                        entry.end - entry.begin);
  }
  return "";
}

// The tensors must follow each other from 0 to data_bytes without overlap or hole.
std::string layout_error(const std::map<std::string, SafetensorsEntry>& entries,
                         std::uint64_t data_bytes) {
  std::vector<std::pair<const std::string*, const SafetensorsEntry*>> order;
  order.reserve(entries.size());
  for (const auto& [name, entry] : entries) order.emplace_back(&name, &entry);
  std::sort(order.begin(), order.end(), [](const auto& a, const auto& b) {
    return std::pair(a.second->begin, a.second->end) < std::pair(b.second->begin, b.second->end);
  });
  std::uint64_t filled = 0;
  for (const auto& [name, entry] : order) {
    if (entry->begin != filled) {
      return absl::StrCat("tensor ", shown(*name), " begins at byte ", entry->begin,
                          " of the data where byte ", filled, " is next (a ",
                          entry->begin < filled ? "overlap" : "hole", ")");
    }
    filled = entry->end;
  }
  if (filled > data_bytes) {
    return absl::StrCat("truncated: the tensors need ", filled, " bytes, the file has ", data_bytes,
                        " after its header; fetch it again");
  }
  if (filled < data_bytes) {
    return absl::StrCat(data_bytes - filled, " bytes after the last tensor belong to none");
  }
  return "";
}

}  // namespace

absl::StatusOr<SafetensorsTable> parse_safetensors(std::span<const std::byte> file,
                                                   const std::string& where) {
  const auto refuse = [&](const std::string& why) {
    return absl::InvalidArgumentError(absl::StrCat(where, ": ", why));
  };
  if (file.empty()) return refuse("is empty; fetch it again (too short for a safetensors file)");
  if (file.size() < kLengthBytes) return refuse("too short for a safetensors file");
  std::uint64_t length = 0;
  for (std::size_t i = 0; i < kLengthBytes; ++i) {
    length |= std::to_integer<std::uint64_t>(file[i]) << (8 * i);
  }
  if (length > kMaxHeaderBytes) {
    return refuse(absl::StrCat("a header of ", length, " bytes is beyond the limit of ",
                               kMaxHeaderBytes, "; is this a safetensors file?"));
  }
  if (length > file.size() - kLengthBytes) {
    return refuse(absl::StrCat("truncated: the header has ", length, " bytes, the file only ",
                               file.size() - kLengthBytes, " after its length"));
  }
  const char* const header = reinterpret_cast<const char*>(file.data() + kLengthBytes);
  if (length == 0 || *header != '{') return refuse("the header does not start with {");

  HeaderReader reader;
  if (!nlohmann::json::sax_parse(header, header + length, &reader) || !reader.error.empty()) {
    return refuse(reader.error.empty() ? "the header is not JSON" : reader.error);
  }
  for (const auto& [name, entry] : reader.entries) {
    const std::string error = size_error(entry);
    if (!error.empty()) return refuse(absl::StrCat("tensor ", shown(name), ": ", error));
  }
  const std::size_t data_begin = kLengthBytes + static_cast<std::size_t>(length);
  const std::string error = layout_error(reader.entries, file.size() - data_begin);
  if (!error.empty()) return refuse(error);
  for (auto& [name, entry] : reader.entries) {
    entry.begin += data_begin;
    entry.end += data_begin;
  }
  return std::move(reader.entries);
}

}  // namespace shoal::model
