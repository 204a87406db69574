// SPDX-License-Identifier: Apache-2.0
// A tokenizer.json and, behind a NUL, a text: whatever the file says, loading it, encoding the text
// and decoding ids made of its bytes ends in a Status or in valid UTF-8, and the streamed pieces
// are the decoded text.
#include <cstdint>
#include <string>
#include <vector>

#include "base/check.h"
#include "model/tokenizer.h"
#include "model/tokenizer/utf8.h"

using shoal::model::TextStream;
using shoal::model::Tokenizer;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string input(reinterpret_cast<const char*>(data), size);
  const std::size_t end = std::min(input.find('\0'), input.size());
  const auto tokenizer = Tokenizer::parse(input.substr(0, end));
  if (!tokenizer.ok()) return 0;
  const std::string text = input.substr(std::min(end + 1, input.size()));
  std::vector<std::int32_t> ids;
  for (const bool special : {true, false}) {
    const auto encoded =
        tokenizer->encode(text, {.add_special_tokens = special, .parse_special_tokens = special});
    if (!encoded.ok()) continue;
    for (const std::int32_t id : *encoded) CHECK(id >= 0 && id < tokenizer->size());
    const auto decoded = tokenizer->decode(*encoded);
    CHECK(decoded.ok() && shoal::model::is_utf8(*decoded));
    ids.insert(ids.end(), encoded->begin(), encoded->end());
  }
  for (const char c : text) {
    ids.push_back(static_cast<std::int32_t>(static_cast<unsigned char>(c) % tokenizer->size()));
  }
  const auto decoded = tokenizer->decode(ids, /*skip_special_tokens=*/false);
  CHECK(decoded.ok());
  std::string streamed;
  TextStream stream(*tokenizer, /*skip_special_tokens=*/false);
  for (const std::int32_t id : ids) {
    const auto piece = stream.push(id);
    CHECK(piece.ok() && shoal::model::is_utf8(*piece));
    streamed += *piece;
  }
  streamed += stream.finish();
  CHECK(streamed == *decoded && shoal::model::is_utf8(streamed));
  return 0;
}
