// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <optional>

#include "model/tokenizer/byte_alphabet.h"
#include "model/tokenizer/decoder.h"
#include "model/tokenizer/normalizer.h"

namespace shoal::model {
namespace {

// <0x41> and, as Rust reads numbers, <0x+A>.
std::optional<unsigned char> byte_of(std::string_view token) {
  if (token.size() != 6 || !token.starts_with("<0x") || token[5] != '>') return std::nullopt;
  const auto digit = [](char c) {
    if (c >= '0' && c <= '9') return c - '0';
    if (c >= 'a' && c <= 'f') return c - 'a' + 10;
    if (c >= 'A' && c <= 'F') return c - 'A' + 10;
    return -1;
  };
  const int high = token[3] == '+' ? 0 : digit(token[3]);
  const int low = digit(token[4]);
  if (high < 0 || low < 0) return std::nullopt;
  return static_cast<unsigned char>(high << 4 | low);
}

std::string strip_token(std::string_view token, std::string_view content, std::size_t start,
                        std::size_t stop) {
  for (; start > 0 && token.starts_with(content); --start) token.remove_prefix(content.size());
  for (; stop > 0 && token.ends_with(content); --stop) token.remove_suffix(content.size());
  return std::string(token);
}

// Length of the longest end of the text that is a beginning of the pattern, but not all of it.
std::size_t overlap(std::string_view text, std::string_view pattern) {
  for (std::size_t length = std::min(text.size(), pattern.size() - 1); length > 0; --length) {
    if (text.ends_with(pattern.substr(0, length))) return length;
  }
  return 0;
}

}  // namespace

std::optional<std::string> Decoder::piece(std::string_view token) const {
  std::string piece(token);
  bool is_byte = false;
  for (const Step& step : token_steps_) {
    if (is_byte) break;  // it comes behind them, as a part of a run
    switch (step.kind) {
      case Kind::kReplace:
        piece = replace_all(piece, step.pattern, step.content);
        break;
      case Kind::kStrip:
        piece = strip_token(piece, step.pattern, step.start, step.stop);
        break;
      case Kind::kMetaspace:
        piece = replace_all(piece, step.pattern, " ");
        break;
      case Kind::kByteFallback:
        if (const auto byte = byte_of(piece)) {
          piece.assign(1, static_cast<char>(*byte));
          is_byte = true;
        }
        break;
    }
  }
  if (join_ == Join::kBytes) piece = letters_to_bytes(piece).value_or(piece);
  if (join_ == Join::kBlanks) piece.insert(0, " ");
  for (const Step& step : text_steps_) {
    if (step.kind == Kind::kStrip) continue;  // at the ends of the whole text
    // A pattern of one character lies within a token, and in no run of bytes that is a part of one.
    std::size_t end = 0;
    const bool one = is_utf8(step.pattern) && !step.pattern.empty() &&
                     (next_code(step.pattern, &end), end == step.pattern.size());
    if (!one) {
      if (overlap(piece, step.pattern) > 0 || piece.find(step.pattern) != std::string::npos ||
          piece.empty() || step.pattern.substr(1).find(piece[0]) != std::string::npos) {
        return std::nullopt;
      }
    }
    piece = replace_all(piece, step.pattern, step.content);
  }
  return piece;
}

DecoderState::DecoderState(const Decoder& decoder)
    : decoder_(&decoder),
      token_states_(decoder.token_steps_.size()),
      text_states_(decoder.text_steps_.size()) {}

void DecoderState::push(std::string_view text, std::string* out) {
  token(0, std::string(text), out);
}

void DecoderState::finish(std::string* out) { end_tokens(0, out); }

void DecoderState::token(std::size_t step, std::string piece, std::string* out) {
  if (step == decoder_->token_steps_.size()) {
    if (decoder_->join_ == Decoder::Join::kBytes) {
      std::string decoded;
      lossy_.push(letters_to_bytes(piece).value_or(piece), &decoded);
      return text(0, decoded, out);
    }
    if (decoder_->join_ == Decoder::Join::kBlanks && !first_) piece.insert(0, " ");
    first_ = false;
    return text(0, piece, out);
  }
  const Decoder::Step& what = decoder_->token_steps_[step];
  TokenState& state = token_states_[step];
  switch (what.kind) {
    case Decoder::Kind::kReplace:
      return token(step + 1, replace_all(piece, what.pattern, what.content), out);
    case Decoder::Kind::kStrip:
      return token(step + 1, strip_token(piece, what.pattern, what.start, what.stop), out);
    case Decoder::Kind::kMetaspace: {
      const bool drop = !state.started && what.drop_in_first;
      state.started = true;
      return token(step + 1, replace_all(piece, what.pattern, drop ? "" : " "), out);
    }
    case Decoder::Kind::kByteFallback:
      if (const auto byte = byte_of(piece)) return byte_token(step, *byte, out);
      end_run(step, out);
      return token(step + 1, std::move(piece), out);
  }
}

// A run of bytes is its text when all of it is UTF-8, else one U+FFFD for each byte. So nothing is
// certain before the run ends, until it is broken; from then on everything is.
void DecoderState::byte_token(std::size_t step, unsigned char byte, std::string* out) {
  TokenState& state = token_states_[step];
  if (!state.broken) {
    state.run.push_back(static_cast<char>(byte));
    if (state.utf8.push(byte) != Utf8State::kInvalid) return;
    state.broken = true;
    for (std::size_t i = 0; i < state.run.size(); ++i) token(step + 1, kReplacement, out);
    state.run.clear();
  } else {
    token(step + 1, kReplacement, out);
  }
}

void DecoderState::end_run(std::size_t step, std::string* out) {
  TokenState& state = token_states_[step];
  const std::string run = std::move(state.run);
  const bool partial = state.utf8.inside();
  state = TokenState();
  if (run.empty()) return;
  if (!partial) return token(step + 1, run, out);
  for (std::size_t i = 0; i < run.size(); ++i) token(step + 1, kReplacement, out);
}

void DecoderState::end_tokens(std::size_t step, std::string* out) {
  if (step < decoder_->token_steps_.size()) {
    if (decoder_->token_steps_[step].kind == Decoder::Kind::kByteFallback) end_run(step, out);
    return end_tokens(step + 1, out);
  }
  std::string rest;
  lossy_.finish(&rest);
  text(0, rest, out);
  end_text(0, out);
}

void DecoderState::text(std::size_t step, std::string_view piece, std::string* out) {
  if (piece.empty()) return;
  if (step == decoder_->text_steps_.size()) {
    out->append(piece);
    return;
  }
  const Decoder::Step& what = decoder_->text_steps_[step];
  if (what.kind == Decoder::Kind::kStrip) return strip_text(step, piece, out);
  std::string& held = text_states_[step].held;
  held.append(piece);
  std::string ready;
  std::size_t at = 0;
  for (std::size_t hit; (hit = held.find(what.pattern, at)) != std::string::npos;) {
    ready.append(held, at, hit - at);
    ready.append(what.content);
    at = hit + what.pattern.size();
  }
  const std::size_t keep = overlap(std::string_view(held).substr(at), what.pattern);
  ready.append(held, at, held.size() - keep - at);
  held.erase(0, held.size() - keep);
  text(step + 1, ready, out);
}

void DecoderState::strip_text(std::size_t step, std::string_view piece, std::string* out) {
  const Decoder::Step& what = decoder_->text_steps_[step];
  TextState& state = text_states_[step];
  const std::string& content = what.pattern;
  while (!state.start_over && state.stripped < what.start && piece.starts_with(content)) {
    piece.remove_prefix(content.size());
    ++state.stripped;
  }
  if (piece.empty()) return;
  state.start_over = true;
  // Up to `stop` at the end wait for what comes behind them.
  std::size_t count = 0;
  std::string_view body = piece;
  for (; count < what.stop && body.ends_with(content); ++count) body.remove_suffix(content.size());
  std::string ready;
  std::size_t release = state.held_count;
  if (body.empty()) {
    const std::size_t all = state.held_count + count;
    release = all > what.stop ? all - what.stop : 0;
    count = all - release;
  }
  for (std::size_t i = 0; i < release; ++i) ready.append(content);
  ready.append(body);
  state.held_count = count;
  text(step + 1, ready, out);
}

void DecoderState::end_text(std::size_t step, std::string* out) {
  if (step == decoder_->text_steps_.size()) return;
  if (decoder_->text_steps_[step].kind == Decoder::Kind::kReplace) {
    const std::string held = std::move(text_states_[step].held);
    text_states_[step].held.clear();
    text(step + 1, held, out);
  }
  end_text(step + 1, out);
}

}  // namespace shoal::model
