// SPDX-License-Identifier: Apache-2.0
#include "model/tokenizer/decoder.h"

#include <nlohmann/json.hpp>

#include "absl/strings/str_cat.h"

namespace shoal::model {
namespace {

constexpr std::size_t kMaxText = 256;  // of a pattern, its replacement; also of strip counts

}  // namespace

Decoder Decoder::parse(const Json& value, const std::string& place, absl::Status* status) {
  Decoder decoder;
  if (value.is_null()) {
    decoder.join_ = Join::kBlanks;
  } else {
    decoder.add(value, place, 0, status);
  }
  return decoder;
}

void Decoder::add(const Json& value, const std::string& place, int depth, absl::Status* status) {
  ObjectReader reader(value, place, status);
  const std::string type = reader.text("type");
  if (type == "Sequence") {
    for_each_part(reader, "decoders", depth, [&](const Json& part, const std::string& at) {
      add(part, at, depth + 1, status);
    });
  } else if (type == "ByteLevel") {
    for (const char* key : {"add_prefix_space", "trim_offsets", "use_regex"}) reader.ignore(key);
    if (joined_) return reader.refuse("stands after Fuse or ByteLevel, which is not supported");
    join_ = Join::kBytes;
    joined_ = true;
  } else if (type == "Fuse") {
    joined_ = true;
  } else if (reader.ok()) {
    add_step(reader, type);
  }
  reader.done();
}

void Decoder::add_step(ObjectReader& reader, const std::string& type) {
  Step step{};
  if (type == "Replace") {
    step.kind = Kind::kReplace;
    const PatternText pattern = read_pattern(reader, "pattern");
    if (pattern.is_regex) reader.refuse("replaces by regular expression, which is not supported");
    step.pattern = pattern.text;
    step.content = reader.text("content");
  } else if (type == "Strip") {
    step.kind = Kind::kStrip;
    append_utf8(reader.character("content"), &step.pattern);
    step.start = static_cast<std::size_t>(reader.number("start", 0, kMaxText));
    step.stop = static_cast<std::size_t>(reader.number("stop", 0, kMaxText));
  } else if (type == "ByteFallback") {
    step.kind = Kind::kByteFallback;
  } else if (type == "Metaspace") {
    step.kind = Kind::kMetaspace;
    append_utf8(reader.character("replacement"), &step.pattern);
    const std::string scheme = reader.text("prepend_scheme", "always");
    if (scheme != "always" && scheme != "first" && scheme != "never") {
      reader.refuse(absl::StrCat("has the unknown prepend_scheme ", in_quotes(scheme)));
    }
    step.drop_in_first = scheme != "never";
    if (!reader.flag("add_prefix_space", true) && step.drop_in_first) {
      reader.refuse("says add_prefix_space false, but its prepend_scheme is not \"never\"");
    }
    for (const char* key : {"str_rep", "split"}) reader.ignore(key);
  } else {
    return reader.refuse(absl::StrCat("is a ", in_quotes(type),
                                      " decoder; supported are ByteLevel, ",
                                      "Replace, ByteFallback, Fuse, Strip, Metaspace, Sequence"));
  }
  if (step.pattern.size() > kMaxText || step.content.size() > kMaxText) {
    reader.refuse("has a text that is too long");
  }
  if (joined_ && (step.kind == Kind::kByteFallback || step.kind == Kind::kMetaspace)) {
    reader.refuse("stands after Fuse or ByteLevel, which is not supported");
  }
  (joined_ ? text_steps_ : token_steps_).push_back(std::move(step));
}

}  // namespace shoal::model
