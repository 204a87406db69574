// SPDX-License-Identifier: Apache-2.0
// What stands beside the weights and tokenizer.json of a model folder: tokenizer_config.json,
// special_tokens_map.json, added_tokens.json and generation_config.json, with a NUL between them,
// and a text behind another. Whatever they say, loading ends in a Status or in ids and settings
// within their bounds.
#include <array>
#include <cstdint>
#include <string>

#include "base/check.h"
#include "model/generation_config.h"
#include "model/tokenizer.h"
#include "model/tokenizer/utf8.h"
#include "tests/support/temp_dir.h"

namespace {

using shoal::model::Tokenizer;
using shoal::tests::TempDir;
using shoal::tests::write_file;

constexpr const char* kTokenizer =
    R"~({"version":"1.0","truncation":null,"padding":null,"added_tokens":[{"id":0,"content":"<s>)~"
    R"~(","single_word":false,"lstrip":false,"rstrip":false,"normalized":false,"special":true},{)~"
    R"~("id":2,"content":"</s>","single_word":false,"lstrip":false,"rstrip":true,"normalized":fa)~"
    R"~(lse,"special":true}],"normalizer":{"type":"Sequence","normalizers":[{"type":"Prepend","p)~"
    R"~(repend":"▁"},{"type":"Replace","pattern":{"String":" "},"content":"▁"}]},"pre_tokenizer")~"
    R"~(:null,"post_processor":{"type":"TemplateProcessing","single":[{"SpecialToken":{"id":"<s>)~"
    R"~(","type_id":0}},{"Sequence":{"id":"A","type_id":0}}],"pair":[],"special_tokens":{"<s>":{)~"
    R"~("id":"<s>","ids":[0],"tokens":["<s>"]}}},"decoder":{"type":"Sequence","decoders":[{"type)~"
    R"~(":"Replace","pattern":{"String":"▁"},"content":" "},{"type":"ByteFallback"},{"type":"Fus)~"
    R"~(e"},{"type":"Strip","content":" ","start":1,"stop":1}]},"model":{"type":"BPE","vocab":{")~"
    R"~(<s>":0,"<unk>":1,"</s>":2,"<0x0A>":3,"<0xC3>":4,"<0xA9>":5,"<0xF0>":6,"<0x9F>":7,"<0x98>)~"
    R"~(":8,"<0x80>":9,"<0xFF>":10,"▁":11,"a":12,"b":13,"▁a":14,"ab":15},"merges":[["▁","a"],["a)~"
    R"~(","b"]],"byte_fallback":true,"fuse_unk":true,"unk_token":"<unk>"}})~";

constexpr std::array<const char*, 4> kFiles = {"tokenizer_config.json", "special_tokens_map.json",
                                               "added_tokens.json", "generation_config.json"};

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  static const TempDir folder;
  static const bool written = [] {
    write_file(folder.file("tokenizer.json"), kTokenizer);
    return true;
  }();
  CHECK(written);
  std::string rest(reinterpret_cast<const char*>(data), size);
  for (const char* name : kFiles) {
    const std::size_t end = std::min(rest.find('\0'), rest.size());
    write_file(folder.file(name), end == 0 ? "{}" : rest.substr(0, end));
    rest.erase(0, std::min(end + 1, rest.size()));
  }

  const auto generation = shoal::model::load_generation_config(folder.path());
  if (generation.ok()) {
    for (const std::string& line : generation->warnings) CHECK(line.size() < 4'096);
  }
  const auto tokenizer = Tokenizer::load(folder.path());
  if (!tokenizer.ok()) return 0;
  for (const std::string& line : tokenizer->warnings()) CHECK(line.size() < 4'096);
  for (const char* name : {"bos_token", "eos_token", "pad_token"}) {
    const auto id = tokenizer->named_id(name);
    CHECK(!id || (*id >= 0 && *id < tokenizer->size()));
  }
  const auto encoded = tokenizer->encode(rest);
  if (!encoded.ok()) return 0;
  for (const std::int32_t id : *encoded) CHECK(id >= 0 && id < tokenizer->size());
  const auto decoded = tokenizer->decode(*encoded);
  CHECK(decoded.ok() && shoal::model::is_utf8(*decoded));
  return 0;
}
