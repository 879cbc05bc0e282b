#include "firewall/table_text.h"

#include <algorithm>
#include <cstdint>
#include <string>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/random.h"
#include "firewall/prefix_set.h"
#include "firewall/table.h"
#include "firewall/table_edits.h"
#include "wire/ip_address.h"

namespace ringplane::firewall {
namespace {

using testing::ElementsAre;

std::vector<std::string> texts(const std::vector<TableEntry>& entries) {
  std::vector<std::string> all;
  for (const TableEntry& entry : entries) all.push_back((entry.negated ? "!" : "") + wire::to_string(entry.prefix));
  return all;
}

TEST(TableText, HasAddressesPrefixesRangesNegationsAndComments) {
  const TableText read = parse_table_text(
      "# first\n10.0.0.1, 10.1.0.0/16\t!10.1.2.3\r\n; none\n2001:db8::/32 # behind\n! 192.0.2.254-192.0.3.1\n");
  EXPECT_TRUE(read.errors.empty());
  EXPECT_THAT(texts(read.entries),
              ElementsAre("10.0.0.1", "10.1.0.0/16", "!10.1.2.3", "2001:db8::/32", "!192.0.2.254/31", "!192.0.3.0/31"));
}

TEST(TableText, NamesEveryError) {
  const TableText read = parse_table_text("10.0.0.1 x\n\n10.0.0.9-10.0.0.1 1.1.1.1-::2\n1.1.1.1/33\n!\n!10.0.0.2 !");
  std::vector<std::string> said;
  for (const TableTextError& error : read.errors) {
    said.push_back(std::to_string(error.line) + ":" + std::to_string(error.column) + " " + error.what);
  }
  EXPECT_THAT(said, ElementsAre("1:10 'x' is no address, prefix or range",
                                "3:1 the range '10.0.0.9-10.0.0.1' ends before it begins",
                                "3:19 the range '1.1.1.1-::2' ends before it begins",
                                "4:1 '1.1.1.1/33' is no address, prefix or range", "5:2 '!' stands before no address",
                                "6:12 '!' stands before no address"));
  EXPECT_THAT(texts(read.entries), ElementsAre("10.0.0.1", "!10.0.0.2"));
}

TableEntry entry_among_few(base::Random& random) {
  const auto address = static_cast<std::uint32_t>(0x0a000000 + random() % 16);
  const auto length = static_cast<unsigned>(29 + random() % 4);
  return {.prefix = wire::Prefix::of(wire::Family::kIpv4, wire::IpAddress::from_ipv4(address), length),
          .negated = random() % 3 == 0};
}

/// Few prefixes, so that later changes meet earlier ones: the one change must come to the same as one after the other.
TEST(TableEdits, ComeToTheSameAsOneAfterTheOther) {
  for (std::uint64_t seed = 1; seed <= 200; ++seed) {
    base::Random random(seed);
    std::vector<TableEntry> first(random() % 20);
    for (TableEntry& entry : first) entry = entry_among_few(random);
    const AddressTable before = AddressTable::build(first);
    AddressTable oracle = before;
    TableEdits edits;
    for (int step = 0; step < 20; ++step) {
      std::vector<wire::Prefix> removed(random() % 3);
      for (wire::Prefix& prefix : removed) prefix = entry_among_few(random).prefix;
      std::vector<TableEntry> added(random() % 4);
      for (TableEntry& entry : added) entry = entry_among_few(random);
      oracle = oracle.changed(removed, added);
      edits.note(removed, added);
      auto wanted = oracle.entries();
      auto merged = before.changed(edits.removed(), edits.added()).entries();
      std::ranges::sort(wanted);
      std::ranges::sort(merged);
      ASSERT_EQ(texts(merged), texts(wanted)) << "seed " << seed << ", step " << step;
    }
  }
}

}  // namespace
}  // namespace ringplane::firewall
