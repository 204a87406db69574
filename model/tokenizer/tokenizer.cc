// SPDX-License-Identifier: Apache-2.0
#include "model/tokenizer.h"

#include "absl/strings/str_cat.h"
#include "model/json_fields.h"
#include "model/tokenizer/tokenizer_impl.h"

namespace shoal::model {
namespace {

constexpr std::size_t kMaxTokenizerBytes = std::size_t{256} << 20;

}  // namespace

Tokenizer::Tokenizer(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
Tokenizer::Tokenizer(Tokenizer&&) noexcept = default;
Tokenizer& Tokenizer::operator=(Tokenizer&&) noexcept = default;
Tokenizer::~Tokenizer() = default;

absl::StatusOr<Tokenizer> Tokenizer::load(const std::string& directory) {
  const std::string path = directory + "/tokenizer.json";
  const absl::StatusOr<std::string> text = read_text_file(path, kMaxTokenizerBytes);
  if (!text.ok()) {
    return absl::Status(
        text.status().code(),
        absl::StrCat(text.status().message(), "; a model folder needs a tokenizer.json"));
  }
  const auto placed = [&](const absl::Status& status) {  // the message begins with the file's name
    return absl::Status(status.code(), absl::StrCat(directory, "/", status.message()));
  };
  absl::StatusOr<std::unique_ptr<Impl>> impl = Impl::parse(*text);
  if (!impl.ok()) return placed(impl.status());
  absl::StatusOr<SideFiles> side =
      read_side_files(directory, {(*impl)->added_tokens(), (*impl)->padding_token()});
  if (!side.ok()) return side.status();
  (*impl)->add(*std::move(side));
  if (absl::Status status = (*impl)->finish(); !status.ok()) return placed(status);
  return Tokenizer(*std::move(impl));
}

absl::StatusOr<Tokenizer> Tokenizer::parse(const std::string& json_text) {
  absl::StatusOr<std::unique_ptr<Impl>> impl = Impl::parse(json_text);
  if (!impl.ok()) return impl.status();
  if (absl::Status status = (*impl)->finish(); !status.ok()) return status;
  return Tokenizer(*std::move(impl));
}

absl::StatusOr<std::vector<std::int32_t>> Tokenizer::encode(std::string_view text,
                                                            EncodeOptions options) const {
  return impl_->encode(text, options);
}

absl::StatusOr<std::vector<std::int32_t>> Tokenizer::encode(std::string_view text) const {
  return impl_->encode(text, {.parse_special_tokens = !impl_->splits_special()});
}

absl::StatusOr<std::string> Tokenizer::decode(std::span<const std::int32_t> ids,
                                              bool skip_special_tokens) const {
  TextStream stream(*this, skip_special_tokens);
  std::string text;
  for (const std::int32_t id : ids) {
    absl::StatusOr<std::string> piece = stream.push(id);
    if (!piece.ok()) return piece.status();
    text += *piece;
  }
  return text + stream.finish();
}

std::int64_t Tokenizer::size() const { return impl_->size(); }

std::optional<std::int32_t> Tokenizer::id_of(std::string_view token) const {
  return impl_->id_of(token);
}

std::optional<std::int32_t> Tokenizer::named_id(std::string_view name) const {
  return impl_->named_id(name);
}

const std::vector<std::string>& Tokenizer::warnings() const { return impl_->warnings(); }

bool Tokenizer::is_special(std::int32_t id) const {
  const AddedToken* token = impl_->added(id);
  return token != nullptr && token->special;
}

std::optional<std::string> Tokenizer::special_text(std::int32_t id) const {
  const AddedToken* token = impl_->added(id);
  if (token == nullptr || !token->special) return std::nullopt;
  return token->content;
}

std::optional<std::string> Tokenizer::piece(std::int32_t id) const {
  const std::string* token = impl_->decoded_token(id);
  if (token == nullptr || impl_->is_special(*token)) return std::nullopt;
  return impl_->decoder().piece(*token);
}

}  // namespace shoal::model
