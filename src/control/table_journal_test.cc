#include "control/table_journal.h"

#include <string>
#include <vector>

#include <gtest/gtest.h>

#include "base/holdings.h"
#include "base/memory_file.h"
#include "base/result.h"
#include "firewall/table_text.h"

namespace ringplane::control {
namespace {

class TableJournalTest : public testing::Test {
 protected:
  TableJournalTest() { EXPECT_TRUE(TableJournal::add_files(holdings_)); }

  static NamedTableChange change(const std::string& table, bool replaces, const std::string& added) {
    return {.table = table, .replaces = replaces, .removed = {}, .added = firewall::parse_table_text(added).entries};
  }
  /// "bad=1" for a replacement by one entry, "bad+2" for two added ones.
  static std::string text(const base::Result<std::vector<NamedTableChange>>& changes) {
    if (!changes) return changes.error().message;
    std::string all;
    for (const NamedTableChange& each : *changes)
      all += each.table + (each.replaces ? "=" : "+") + std::to_string(each.added.size()) + " ";
    return all;
  }
  base::Holdings holdings_;
};

TEST_F(TableJournalTest, GivesBackWhatWasWrittenToWhoeverReads) {
  TableJournal writer(holdings_);
  TableJournal reader(holdings_);
  EXPECT_EQ(text(reader.read_on()), "");
  NamedTableChange first = change("bad", false, "10.0.0.0/8 !2001:db8::1");
  first.removed = {first.added[0].prefix};
  ASSERT_TRUE(writer.append(first));
  const auto read = reader.read_on();
  ASSERT_TRUE(read && read->size() == 1);
  EXPECT_EQ(read->front().table, "bad");
  EXPECT_EQ(read->front().removed, first.removed);
  EXPECT_EQ(read->front().added, first.added);
  ASSERT_TRUE(writer.append(change("good", true, "")));
  ASSERT_TRUE(writer.append(change("bad", false, "1.1.1.1")));
  EXPECT_EQ(text(reader.read_on()), "good=0 bad+1 ");
  EXPECT_EQ(text(reader.read_on()), "");
}

TEST_F(TableJournalTest, BeginsAnewForEverybodyAndGoesOnThere) {
  TableJournal writer(holdings_);
  TableJournal reader(holdings_);
  ASSERT_TRUE(writer.append(change("bad", false, "1.1.1.1")));
  EXPECT_EQ(text(reader.read_on()), "bad+1 ");
  for (int i = 0; i < 3; ++i) {
    ASSERT_TRUE(writer.write_anew(std::vector{change("bad", true, "1.1.1.1 2.2.2.2")}));
    ASSERT_TRUE(writer.append(change("bad", false, "3.3.3.3")));
    EXPECT_EQ(text(reader.read_on()), "bad=2 bad+1 ");
  }
  // Who reads all goes on writing behind it.
  ASSERT_TRUE(reader.append(change("good", false, "4.4.4.4")));
  TableJournal third(holdings_);
  EXPECT_EQ(text(third.read_on()), "bad=2 bad+1 good+1 ");
}

TEST_F(TableJournalTest, IsDueAnewBeforeItGrowsWithoutEnd) {
  TableJournal writer(holdings_);
  std::string many;
  for (int i = 0; i < 60'000; ++i) many += std::to_string(i % 200) + "." + std::to_string(i / 200 % 250) + ".0.1\n";
  int written = 0;
  while (!writer.is_due_anew() && written < 100) {
    ASSERT_TRUE(writer.append(change("bad", true, many)));
    ++written;
  }
  EXPECT_EQ(written, 3);
  ASSERT_TRUE(writer.write_anew(std::vector{change("bad", true, many)}));
  EXPECT_FALSE(writer.is_due_anew());
}

TEST_F(TableJournalTest, ReadsNothingFromNonsense) {
  TableJournal writer(holdings_);
  ASSERT_TRUE(writer.append(change("bad", false, "1.1.1.1")));
  ASSERT_TRUE(base::write_memory_file(holdings_.find("tables/0"), std::string(16, '\xff'), 64));
  EXPECT_EQ(text(TableJournal(holdings_).read_on()), "what was changed in tables cannot be read");
  ASSERT_TRUE(base::write_memory_file(holdings_.find("tables/0"), "nonsense", 0));
  EXPECT_EQ(text(TableJournal(holdings_).read_on()), "the file of changes of tables makes no sense");
  EXPECT_FALSE(unpacked_entries(std::string(19, '\4')));
  EXPECT_FALSE(unpacked_entries(std::string(20, '\7')));
}

TEST_F(TableJournalTest, IsRefusedWithoutFiles) {
  const base::Holdings none;
  TableJournal writer(none);
  EXPECT_FALSE(writer.append(change("bad", false, "1.1.1.1")));
  EXPECT_EQ(text(writer.read_on()), "");
}

}  // namespace
}  // namespace ringplane::control
