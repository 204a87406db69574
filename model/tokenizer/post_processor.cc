// SPDX-License-Identifier: Apache-2.0
#include "model/tokenizer/post_processor.h"

#include <nlohmann/json.hpp>

#include "absl/strings/str_cat.h"
#include "model/tokenizer/bpe.h"
#include "model/tokenizer/utf8.h"

namespace shoal::model {
namespace {

constexpr std::size_t kMaxAddedIds = 1024;

// The ids of one special token of a template: special_tokens[name].ids
std::vector<std::int32_t> special_ids(ObjectReader& reader, const std::string& name) {
  std::vector<std::int32_t> ids;
  const Json* table = reader.get("special_tokens");
  if (table == nullptr || !table->is_object() || !table->contains(name)) {
    reader.refuse(absl::StrCat("uses ", in_quotes(name), ", which its special_tokens do not have"));
    return ids;
  }
  ObjectReader token((*table)[name], reader.at(absl::StrCat("special_tokens.", name)),
                     reader.status());
  token.ignore("id");
  token.ignore("tokens");
  for (const Json& id : token.list("ids")) {
    if (!id.is_number_unsigned() || id.get<std::uint64_t>() >= std::uint64_t{kMaxTokenId}) {
      token.refuse("has ids that are not token ids");
      break;
    }
    ids.push_back(id.get<std::int32_t>());
  }
  token.done();
  return ids;
}

}  // namespace

PostProcessor PostProcessor::parse(const Json& value, const std::string& place,
                                   absl::Status* status) {
  PostProcessor processor;
  if (!value.is_null()) processor.add(value, place, 0, status);
  return processor;
}

void PostProcessor::add(const Json& value, const std::string& place, int depth,
                        absl::Status* status) {
  ObjectReader reader(value, place, status);
  const std::string type = reader.text("type");
  if (type == "Sequence") {
    for_each_part(reader, "processors", depth, [&](const Json& part, const std::string& at) {
      add(part, at, depth + 1, status);
    });
  } else if (type == "ByteLevel") {  // moves offsets, which we do not keep
    for (const char* key : {"add_prefix_space", "trim_offsets", "use_regex"}) reader.ignore(key);
  } else if (type == "TemplateProcessing") {
    add_template(reader);
  } else if (reader.ok()) {
    return reader.refuse(
        absl::StrCat("is a ", in_quotes(type),
                     " post-processor; supported are TemplateProcessing, ByteLevel, Sequence"));
  }
  reader.done();
}

void PostProcessor::add_template(ObjectReader& reader) {
  if (has_template_) return reader.refuse("is a second TemplateProcessing, which is not supported");
  has_template_ = true;
  reader.ignore("pair");  // we encode single texts only
  reader.ignore("special_tokens");
  bool text_seen = false;
  for (const Json& item : reader.list("single")) {
    ObjectReader piece(item, reader.at("single"), reader.status());
    const bool is_text = piece.has("Sequence");
    const Json* body = piece.get(is_text ? "Sequence" : "SpecialToken");
    if (body == nullptr)
      return piece.refuse("has a piece that is neither Sequence nor SpecialToken");
    piece.done();
    ObjectReader fields(*body, piece.place(), reader.status());
    const std::string id = fields.text("id");
    fields.ignore("type_id");
    fields.done();
    if (!reader.ok()) return;
    if (is_text) {
      if (id != "A" || text_seen)
        return piece.refuse("must have the Sequence A once, and no other");
      text_seen = true;
      continue;
    }
    std::vector<std::int32_t>& side = text_seen ? after_ : before_;
    const std::vector<std::int32_t> ids = special_ids(reader, id);
    side.insert(side.end(), ids.begin(), ids.end());
    if (side.size() > kMaxAddedIds) return piece.refuse("adds too many tokens");
  }
  if (!text_seen) reader.refuse("has a template without the text itself");
}

std::vector<std::int32_t> PostProcessor::apply(std::vector<std::int32_t> ids,
                                               bool add_special_tokens) const {
  if (!add_special_tokens) return ids;
  ids.insert(ids.begin(), before_.begin(), before_.end());
  ids.insert(ids.end(), after_.begin(), after_.end());
  return ids;
}

}  // namespace shoal::model
