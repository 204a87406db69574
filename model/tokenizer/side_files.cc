// SPDX-License-Identifier: Apache-2.0
#include "model/tokenizer/side_files.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <nlohmann/json.hpp>
#include <set>
#include <string_view>
#include <utility>

#include "absl/strings/str_cat.h"
#include "model/json_fields.h"
#include "model/json_text.h"
#include "model/tokenizer/bpe.h"
#include "model/tokenizer/utf8.h"

namespace shoal::model {
namespace {

using Ordered = nlohmann::ordered_json;

constexpr std::size_t kMaxFileBytes = 16u << 20;  // chat templates are long
constexpr std::size_t kMaxSideTokens = 1 << 17;   // published models add a few thousand
constexpr std::size_t kMaxContentBytes = 1024;
constexpr const char* kConfig = "tokenizer_config.json";
constexpr const char* kMap = "special_tokens_map.json";
constexpr const char* kAdded = "added_tokens.json";
constexpr std::array<std::string_view, 7> kNames = {
    "bos_token", "eos_token", "unk_token", "sep_token", "pad_token", "cls_token", "mask_token"};

bool is_standard(std::string_view key) {
  return std::find(kNames.begin(), kNames.end(), key) != kNames.end();
}

bool is_typed(const Ordered& value) {
  return value.is_object() && value.contains("__type") && value["__type"] == "AddedToken";
}

// A token as a file names it: a text alone, or with its flags.
struct Named {
  AddedToken token;
  bool is_text = false;
};

// Ordered by first appearance; a key that is set again keeps its place, as in Python.
using NamedTokens = std::vector<std::pair<std::string, Named>>;

void set(NamedTokens& tokens, const std::string& key, Named value) {
  for (auto& [name, token] : tokens) {
    if (name == key) {
      token = std::move(value);
      return;
    }
  }
  tokens.emplace_back(key, std::move(value));
}

void unset(NamedTokens& tokens, const std::string& key) {
  std::erase_if(tokens, [&](const auto& entry) { return entry.first == key; });
}

bool same(const AddedToken& a, const AddedToken& b) {
  return a.content == b.content && a.single_word == b.single_word && a.lstrip == b.lstrip &&
         a.rstrip == b.rstrip && a.normalized == b.normalized && a.special == b.special;
}

bool is_empty(const Ordered* value) {
  return value == nullptr || value->is_null() ||
         ((value->is_structured() || value->is_string()) && value->empty());
}

class Merger {
 public:
  Merger(const Ordered& config, const Ordered& special_map, const Ordered& added,
         const ListedTokens& listed)
      : config_(config), special_map_(special_map), added_(added), listed_(listed) {}

  SideFiles run() {
    read_config();
    if (find(config_, "added_tokens_decoder") != nullptr) {
      read_decoder();
      compare_map();
    } else {
      read_special_map();
      read_added_file();
      // The reference puts these in order with the others by their ids; one of them under the same
      // id as another replaces it.
      for (const AddedToken& token : listed_.added) decoder_[token.id] = token;
    }
    if (!listed_.padding_token.empty() && find(config_, "pad_token") == nullptr &&
        std::none_of(named_.begin(), named_.end(),
                     [](const auto& entry) { return entry.first == "pad_token"; })) {
      Named token;
      token.is_text = true;
      token.token.id = -1;
      token.token.content = listed_.padding_token.substr(0, kMaxContentBytes);
      token.token.special = true;
      set(named_, "pad_token", std::move(token));
    }
    collect();
    for (const auto& [name, token] : named_) result_.named[name] = token.token.content;
    return std::move(result_);
  }

 private:
  static const Ordered* find(const Ordered& object, const char* key) {
    if (!object.is_object()) return nullptr;
    const auto found = object.find(key);
    return found == object.end() ? nullptr : &*found;
  }

  void warn(const char* file, const std::string& text) {
    constexpr std::size_t kMaxWarnings = 8;
    if (result_.warnings.size() < kMaxWarnings) {
      result_.warnings.push_back(absl::StrCat(file, ": ", text));
    }
  }

  // A text, or an object with the text as "content" and with flags. Anything else is no token.
  std::optional<Named> token_of(const Ordered& value, const char* file, const std::string& key,
                                bool special) {
    Named result;
    result.token.id = -1;
    result.token.special = special;
    if (value.is_string()) {
      result.is_text = true;
      result.token.content = value.get<std::string>();
      result.token.special = true;
    } else if (value.is_object() && value.contains("content") && value["content"].is_string()) {
      const auto flag = [&](const char* name, bool fallback) {
        const Ordered* found = find(value, name);
        return found != nullptr && found->is_boolean() ? found->get<bool>() : fallback;
      };
      result.token.content = value["content"].get<std::string>();
      result.token.special = flag("special", special);
      result.token.single_word = flag("single_word", false);
      result.token.lstrip = flag("lstrip", false);
      result.token.rstrip = flag("rstrip", false);
      result.token.normalized = flag("normalized", !result.token.special);
    } else {
      warn(file, absl::StrCat(key, " is ", json_excerpt(value),
                              ", neither a text nor a token with its flags: it is ignored"));
      return std::nullopt;
    }
    if (result.token.content.size() > kMaxContentBytes) {
      warn(file, absl::StrCat(key, " is longer than ", kMaxContentBytes, " bytes: it is ignored"));
      return std::nullopt;
    }
    return result;
  }

  void read_list(const Ordered& value, const char* file, const std::string& key,
                 std::vector<Named>& tokens) {
    if (value.is_null()) return;
    const auto add = [&](const Ordered& item) {
      if (tokens.size() >= kMaxSideTokens) return;
      if (auto token = token_of(item, file, key, true)) tokens.push_back(*std::move(token));
    };
    if (!value.is_array()) return add(value);
    for (const Ordered& item : value) add(item);
  }

  // tokenizer_config.json but for added_tokens_decoder.
  void read_config() {
    const auto flag = [&](const char* key) -> std::optional<bool> {
      const Ordered* value = find(config_, key);
      if (value == nullptr || !value->is_boolean()) return std::nullopt;
      return value->get<bool>();
    };
    result_.add_bos = flag("add_bos_token");
    result_.add_eos = flag("add_eos_token");
    result_.split_special = flag("split_special_tokens").value_or(false);
    if (flag("fix_mistral_regex").value_or(false)) {
      warn(kConfig, "fix_mistral_regex is ignored: tokenizer.json is followed as it is");
    }
    if (!config_.is_object()) return;

    const Ordered* extra = find(config_, "extra_special_tokens");
    const Ordered* additional = find(config_, "additional_special_tokens");
    if (is_empty(extra) && additional != nullptr) extra = additional;
    for (const auto& [key, value] : config_.items()) {
      if (value.is_null()) continue;
      if (is_standard(key)) {
        if (auto token = token_of(value, kConfig, key, true)) set(named_, key, *std::move(token));
      } else if (std::string_view(key).ends_with("_token")) {
        // An object without "__type" is no token here, for the reference neither.
        if (!value.is_string() && !is_typed(value)) continue;
        auto token = token_of(value, kConfig, key, true);
        if (token) set(value.is_string() ? explicit_ : automatic_, key, *std::move(token));
      }
    }
    if (extra == nullptr) return;
    has_extra_ = true;
    if (extra->is_object() && !is_typed(*extra)) {
      has_extra_ = false;
      read_table(*extra, kConfig);
      if (additional != nullptr)
        read_list(*additional, kConfig, "additional_special_tokens", extra_);
    } else {
      read_list(*extra, kConfig, "extra_special_tokens", extra_);
    }
  }

  // extra_special_tokens as {name: token}: may also say what "eos_token" is.
  void read_table(const Ordered& table, const char* file) {
    for (const auto& [key, value] : table.items()) {
      if (auto token = token_of(value, file, key, true)) set(explicit_, key, *std::move(token));
    }
  }

  void read_decoder() {
    const Ordered& table = *find(config_, "added_tokens_decoder");
    if (!table.is_object()) {
      if (!table.is_null()) warn(kConfig, "added_tokens_decoder is no object: it is ignored");
      return;
    }
    for (const auto& [key, value] : table.items()) {
      std::int64_t id = 0;
      const auto [end, error] = std::from_chars(key.data(), key.data() + key.size(), id);
      if (error != std::errc() || end != key.data() + key.size() || !value.is_object()) {
        warn(kConfig, absl::StrCat("added_tokens_decoder: the entry ", in_quotes(key),
                                   " is no token under its id: it is ignored"));
        continue;
      }
      put(id, token_of(value, kConfig, absl::StrCat("added_tokens_decoder[", key, "]"), false));
    }
  }

  void put(std::int64_t id, std::optional<Named> token) {
    if (!token || decoder_.size() >= kMaxSideTokens) return;
    const bool fits = id >= 0 && id < kMaxTokenId;
    token->token.id = fits ? static_cast<std::int32_t>(id) : -1;
    decoder_[id] = std::move(token->token);
  }

  // With added_tokens_decoder the reference does not read special_tokens_map.json at all.
  void compare_map() {
    for (const char* key : {"bos_token", "eos_token"}) {
      const Ordered* value = find(special_map_, key);
      if (value == nullptr || value->is_null()) continue;
      const auto other = token_of(*value, kMap, key, true);
      const auto mine = std::find_if(named_.begin(), named_.end(),
                                     [&](const auto& entry) { return entry.first == key; });
      if (!other || (mine != named_.end() && mine->second.token.content == other->token.content)) {
        continue;
      }
      warn(kMap, absl::StrCat("says that ", key, " is ", in_quotes(other->token.content),
                              ", tokenizer_config.json ",
                              mine == named_.end() ? std::string("names none")
                                                   : in_quotes(mine->second.token.content),
                              ": the latter is followed, as in the reference"));
    }
  }

  void read_special_map() {
    if (!special_map_.is_object()) return;
    std::optional<std::vector<Named>> additional;
    for (const auto& [key, value] : special_map_.items()) {
      if (key == "extra_special_tokens") {
        if (value.is_object()) {
          read_table(value, kMap);
        } else if (value.is_array()) {
          has_extra_ = true;
          std::vector<Named> tokens;
          read_list(value, kMap, key, tokens);
          for (Named& token : tokens) {
            if (!holds(extra_, token)) extra_.push_back(std::move(token));
          }
        }
      } else if (key == "additional_special_tokens") {
        additional.emplace();
        read_list(value, kMap, key, *additional);
      } else if (is_standard(key) || std::string_view(key).ends_with("_token")) {
        NamedTokens& place = is_standard(key) ? named_ : automatic_;
        if (value.is_null()) {
          unset(place, key);
        } else if (auto token = token_of(value, kMap, key, true)) {
          if (!token->is_text) token->token.special = true;
          set(place, key, *std::move(token));
        }
      }
    }
    if (additional && !has_extra_) extra_ = *std::move(additional);
  }

  // {content: id}
  void read_added_file() {
    if (!added_.is_object()) return;
    std::set<std::string> special;
    for (const auto& [name, token] : named_) special.insert(token.token.content);
    if (has_extra_) {
      for (const Named& token : extra_) special.insert(token.token.content);
    }
    for (const auto& [content, id] : added_.items()) {
      if (!id.is_number_integer() || content.size() > kMaxContentBytes) {
        warn(kAdded, absl::StrCat("the id of ", in_quotes(content), " is ", json_excerpt(id),
                                  ": it is ignored"));
        continue;
      }
      Named token;
      token.token.content = content;
      token.token.special = special.count(content) > 0;
      token.token.normalized = !token.token.special;
      put(id.get<std::int64_t>(), std::move(token));
    }
  }

  static bool holds(const std::vector<Named>& tokens, const Named& token) {
    return std::any_of(tokens.begin(), tokens.end(), [&](const Named& other) {
      return token.is_text == other.is_text && same(token.token, other.token);
    });
  }

  void collect() {
    NamedTokens specific = automatic_;
    for (auto& [key, token] : explicit_) set(specific, key, token);
    for (auto& [key, token] : specific) set(named_, key, std::move(token));
    // The reference goes through its seven names first, in its own order.
    const auto place = [](const std::string& key) {
      return std::find(kNames.begin(), kNames.end(), key) - kNames.begin();
    };
    std::stable_sort(named_.begin(), named_.end(),
                     [&](const auto& a, const auto& b) { return place(a.first) < place(b.first); });
    std::set<std::string> all_named;
    for (const auto& [key, token] : named_) all_named.insert(token.token.content);

    std::vector<Named> tokens;
    std::set<std::string> known;
    for (const AddedToken& token : listed_.added) known.insert(token.content);
    for (const auto& [id, token] : decoder_) {
      tokens.push_back({token, false});
      if (all_named.count(token.content) > 0) tokens.back().token.special = true;
    }
    for (const Named& token : tokens) known.insert(token.token.content);
    const auto add = [&](const Named& token) {
      if (known.count(token.token.content) == 0 && !holds(tokens, token)) tokens.push_back(token);
    };
    for (const auto& [key, token] : named_) {
      Named special = token;
      special.token.special = true;
      add(special);
    }
    for (const Named& token : extra_) add(token);
    for (Named& token : tokens) result_.tokens.push_back(std::move(token.token));
  }

  const Ordered& config_;
  const Ordered& special_map_;
  const Ordered& added_;
  const ListedTokens& listed_;
  NamedTokens named_;         // the seven names
  NamedTokens automatic_;     // other names: with flags, or of special_tokens_map.json
  NamedTokens explicit_;      // other names: texts of tokenizer_config.json, and tables
  std::vector<Named> extra_;  // tokens without a name
  bool has_extra_ = false;
  std::map<std::int64_t, AddedToken> decoder_;
  SideFiles result_;
};

absl::StatusOr<Ordered> read_object(const std::string& directory, const char* name) {
  const std::string path = absl::StrCat(directory, "/", name);
  const absl::StatusOr<std::string> text = read_text_file(path, kMaxFileBytes);
  if (absl::IsNotFound(text.status())) return Ordered();
  if (!text.ok()) return text.status();
  return parse_ordered_object(*text, path);
}

}  // namespace

SideFiles merge_side_files(const nlohmann::ordered_json& config,
                           const nlohmann::ordered_json& special_map,
                           const nlohmann::ordered_json& added, const ListedTokens& listed) {
  return Merger(config, special_map, added, listed).run();
}

absl::StatusOr<SideFiles> read_side_files(const std::string& directory,
                                          const ListedTokens& listed) {
  const absl::StatusOr<Ordered> config = read_object(directory, kConfig);
  if (!config.ok()) return config.status();
  const absl::StatusOr<Ordered> special_map = read_object(directory, kMap);
  if (!special_map.ok()) return special_map.status();
  const absl::StatusOr<Ordered> added = read_object(directory, kAdded);
  if (!added.ok()) return added.status();
  return merge_side_files(*config, *special_map, *added, listed);
}

}  // namespace shoal::model
