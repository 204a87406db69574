// SPDX-License-Identifier: Apache-2.0
// Files in parts: which bytes are there, what outlives a crash, and what nobody may read.
#include "model/hub/range_file.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>

#include "model/byte_ranges.h"
#include "model/checkpoint.h"
#include "model/hub/download.h"
#include "model/hub/view.h"
#include "tests/model/safetensors_file.h"
#include "tests/support/temp_dir.h"

namespace shoal::model::hub {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using tests::TempDir;

const std::string kEtag(64, 'e');

TEST(ByteRangesOf, AFileAreMergedAndCut) {
  ByteRanges ranges({{10, 20}, {0, 5}, {7, 7}, {15, 30}});
  EXPECT_THAT(ranges.list(), ElementsAre(ByteRange{0, 5}, ByteRange{10, 30}));
  ranges.add({5, 10});
  EXPECT_THAT(ranges.list(), ElementsAre(ByteRange{0, 30}));
  ranges.add({40, 50});
  ranges.add({60, 70});
  ranges.add({45, 65});
  EXPECT_THAT(ranges.list(), ElementsAre(ByteRange{0, 30}, ByteRange{40, 70}));
  EXPECT_EQ(ranges.bytes(), 60u);
  EXPECT_TRUE(ranges.contains({40, 70}));
  EXPECT_FALSE(ranges.contains({29, 41}));
  EXPECT_TRUE(ranges.contains({99, 99}));
  EXPECT_THAT(ByteRanges({{0, 100}}).without(ranges).list(),
              ElementsAre(ByteRange{30, 40}, ByteRange{70, 100}));
  EXPECT_THAT(ByteRanges({{35, 45}, {50, 60}}).without(ranges).list(),
              ElementsAre(ByteRange{35, 40}));
  EXPECT_TRUE(ranges.without(ranges).empty());
}

TEST(Pieces, AreForAllConnectionsAndNotTooSmall) {
  DownloadOptions options;
  options.connections = 4;
  options.piece_bytes = 16 << 20;
  EXPECT_EQ(pieces_of(ByteRanges({{0, 100}}), options).size(), 1u);
  EXPECT_EQ(pieces_of(ByteRanges({{0, 40 << 20}}), options).size(), 4u);
  EXPECT_EQ(pieces_of(ByteRanges({{0, std::uint64_t{1} << 30}}), options).size(), 64u);
  ByteRanges all;
  for (const ByteRange& piece :
       pieces_of(ByteRanges({{3, 50 << 20}, {60 << 20, 61 << 20}}), options)) {
    all.add(piece);
  }
  EXPECT_EQ(all, ByteRanges({{3, 50 << 20}, {60 << 20, 61 << 20}}));
}

TEST(PartRecords, SayWhatIsThere) {
  PartRecord record{
      .size = 100, .etag = kEtag, .present = ByteRanges({{0, 8}, {20, 30}}), .hashes = {}};
  record.hashes = {{{0, 8}, Sha256Digest{1}}, {{20, 30}, Sha256Digest{2}}};
  const std::string text = part_record_text(record, "boot");
  EXPECT_EQ(parse_part_record(text, "boot", "x").value(), record);
  EXPECT_EQ(parse_part_record(text, "other", "x").value(), record);
  EXPECT_NE(record.content(), std::nullopt);

  // What came since counts as long as the system runs; half a line never does.
  record.hashes.clear();
  EXPECT_EQ(record.content(), std::nullopt);
  const std::string longer =
      part_record_text(record, "boot") + part_record_line({30, 40}) + "came 50 6";
  EXPECT_EQ(parse_part_record(longer, "boot", "x").value().present, ByteRanges({{0, 8}, {20, 40}}));
  EXPECT_EQ(parse_part_record(longer, "other", "x").value().present,
            ByteRanges({{0, 8}, {20, 30}}));
  EXPECT_EQ(parse_part_record(part_record_text(record, "") + part_record_line({30, 40}), "", "x")
                .value()
                .present,
            record.present);
}

TEST(PartRecords, OthersAreRefused) {
  const std::string head = "shoal ranges 1\nsize 100\netag " + kEtag + "\n";
  EXPECT_TRUE(parse_part_record(head, "b", "x").ok());
  for (const std::string& text :
       {std::string(), std::string("shoal ranges 2\n"), std::string("shoal ranges 1\nsize 5\n"),
        head + "stored 0 101\n", head + "stored 5 5\n", head + "stored -1 5\n", head + "stored 1\n",
        head + "hash 0 5 abc\n", head + "hash 0 5 " + kEtag + "\n", head + "size x\n",
        head + "etag ../x\n", head + "else\n", head + "\n"}) {
    const auto record = parse_part_record(text, "b", "x");
    ASSERT_FALSE(record.ok()) << text;
    EXPECT_THAT(std::string(record.status().message()), HasSubstr("x: ")) << text;
  }
}

TEST(RangeFiles, GoOnWhereTheyWere) {
  const TempDir folder;
  const std::string path = folder.file("f");
  const std::string block(kUnrecordedBytes, 'x');
  const std::uint64_t size = 4 * kUnrecordedBytes;
  {
    auto file = RangeFile::open(path, size, kEtag).value();
    ASSERT_TRUE(file.write(kUnrecordedBytes, block).ok());
    ASSERT_TRUE(file.write(0, "abc").ok());
    // As if killed now: the record knows the large write, and not yet the small one.
    const auto record = read_part_record(path + ".ranges").value().value();
    EXPECT_THAT(record.present.list(),
                ElementsAre(ByteRange{kUnrecordedBytes, 2 * kUnrecordedBytes}));
  }
  {
    auto file = RangeFile::open(path, size, kEtag).value();
    EXPECT_TRUE(file.record().present.contains({0, 3}));
    EXPECT_EQ(file.read({0, 3}).value(), "abc");
    ASSERT_TRUE(file.store_with_hashes({}).ok());
    EXPECT_EQ(file.record().hashes.size(), 2u);
  }
  const auto stored = read_part_record(path + ".ranges").value().value();
  EXPECT_EQ(stored.hashes[0].sha256, sha256("abc").value());
  // Of another file nothing is left.
  auto other = RangeFile::open(path, size, std::string(64, 'f')).value();
  EXPECT_TRUE(other.record().present.empty());
  EXPECT_EQ(other.read({0, 3}).value(), std::string(3, '\0'));
}

TEST(RangeFiles, TakeFromEachOther) {
  const TempDir folder;
  auto from = RangeFile::open(folder.file("a"), 100, kEtag).value();
  auto to = RangeFile::open(folder.file("b"), 100, kEtag).value();
  ASSERT_TRUE(from.write(10, "0123456789").ok());
  ASSERT_TRUE(to.write(10, "01").ok());
  EXPECT_EQ(to.take_from(from, ByteRanges({{0, 15}})).value(), 3u);
  EXPECT_EQ(to.read({10, 15}).value(), "01234");
  auto other = RangeFile::open(folder.file("c"), 100, std::string(64, 'f')).value();
  EXPECT_EQ(other.take_from(from, ByteRanges({{0, 100}})).value(), 0u);
}

// A model of one file with two tensors, of which one was fetched.
class FilesInParts : public ::testing::Test {
 protected:
  FilesInParts() {
    const std::string whole =
        safetensors_bytes(R"({"model.a":{"dtype":"F32","shape":[2],"data_offsets":[0,8]},)"
                          R"("model.b":{"dtype":"F32","shape":[2],"data_offsets":[8,16]}})",
                          std::string(8, 'a') + std::string(8, 'b'));
    const std::uint64_t header = whole.size() - 16;
    auto file = RangeFile::open(path_, whole.size(), kEtag).value();
    EXPECT_TRUE(file.write(0, std::string_view(whole).substr(0, header + 8)).ok());
    EXPECT_TRUE(file.store_with_hashes({}).ok());
  }
  const TempDir folder_;
  const std::string path_ = folder_.file("model.safetensors.shoal-part");
};

TEST_F(FilesInParts, AreHeldAsFarAsTheyAreThere) {
  const auto files = read_weight_files(folder_.path()).value();
  ASSERT_EQ(files.files.size(), 1u);
  EXPECT_TRUE(files.files[0].held);
  EXPECT_FALSE(files.is_whole());
  EXPECT_EQ(files.path(files.files[0]), path_);
  EXPECT_THAT(files.held_tensors(), ElementsAre("model.a"));
  EXPECT_EQ(files.missing(), "model.safetensors");
  EXPECT_EQ(ranges_of(files.files[0], [](std::string_view name) { return name == "model.a"; }),
            files.files[0].part->present);
}

TEST_F(FilesInParts, NobodyReadsWhatIsNotThere) {
  const auto files = read_weight_files(folder_.path()).value();
  const auto all = Checkpoint::open_held(files).value();
  EXPECT_TRUE(all.vector("model.a", 2).ok());
  EXPECT_THAT(std::string(all.vector("model.b", 2).status().message()),
              HasSubstr("model.b is not among the parts that are here"));
  EXPECT_TRUE(Checkpoint::open(files, [](std::string_view n) { return n == "model.a"; }).ok());
  EXPECT_THAT(std::string(Checkpoint::open(files, wants_all()).status().message()),
              HasSubstr("lacks model.b"));
  EXPECT_FALSE(Checkpoint::open(folder_.path()).ok());
}

TEST_F(FilesInParts, AreNothingWithoutTheirRecord) {
  std::filesystem::remove(path_ + ".ranges");
  EXPECT_FALSE(read_weight_files(folder_.path()).ok());
}

TEST_F(FilesInParts, OfAnotherSizeThanTheirRecordSaysAreRefused) {
  PartRecord record = read_part_record(path_ + ".ranges").value().value();
  ++record.size;
  tests::write_file(path_ + ".ranges", part_record_text(record, ""));
  EXPECT_THAT(std::string(read_weight_files(folder_.path()).status().message()),
              HasSubstr("fetch them again"));
}

}  // namespace
}  // namespace shoal::model::hub
