#include "firewall/table.h"

#include <cstddef>
#include <cstdint>
#include <map>
#include <string_view>
#include <utility>
#include <vector>

#include <gtest/gtest.h>

#include "base/random.h"
#include "firewall/prefix_set.h"
#include "firewall/table_overlay.h"
#include "wire/ip_address.h"

namespace ringplane::firewall {
namespace {

TableEntry entry(std::string_view text, bool negated = false) {
  return {.prefix = wire::parse_prefix(text).value(), .negated = negated};
}
bool holds(const AddressTable& table, std::string_view text) {
  const wire::HostAddress host = wire::parse_host_address(text).value();
  return table.contains(host.family, host.address);
}

TEST(AddressTable, the_longest_prefix_decides) {
  const std::vector<TableEntry> entries = {entry("10.0.0.0/8"),    entry("10.1.0.0/16", true),     entry("10.1.2.3"),
                                           entry("2001:db8::/32"), entry("2001:db8:1::/48", true), entry("::1")};
  const AddressTable table = AddressTable::build(entries);
  EXPECT_EQ(table.size(), 6U);
  EXPECT_TRUE(holds(table, "10.2.0.1"));
  EXPECT_FALSE(holds(table, "10.1.0.1"));
  EXPECT_TRUE(holds(table, "10.1.2.3"));
  EXPECT_FALSE(holds(table, "11.0.0.1"));
  EXPECT_TRUE(holds(table, "2001:db8::5"));
  EXPECT_FALSE(holds(table, "2001:db8:1::5"));
  EXPECT_TRUE(holds(table, "::1"));
  EXPECT_FALSE(holds(table, "::2"));
}

TEST(AddressTable, the_address_zero_and_the_prefix_of_length_zero_are_like_any_other) {
  const std::vector<TableEntry> zero = {entry("0.0.0.0"), entry("::")};
  EXPECT_TRUE(holds(AddressTable::build(zero), "0.0.0.0"));
  EXPECT_TRUE(holds(AddressTable::build(zero), "::"));
  EXPECT_FALSE(holds(AddressTable::build(zero), "0.0.0.1"));
  const std::vector<TableEntry> all = {entry("0.0.0.0/0")};
  EXPECT_TRUE(holds(AddressTable::build(all), "255.255.255.255"));
  EXPECT_FALSE(holds(AddressTable::build(all), "::1")) << "families are apart";
  EXPECT_FALSE(holds(AddressTable(), "0.0.0.0"));
}

TEST(AddressTable, agrees_with_a_scan_over_all_prefixes) {
  const std::uint64_t seed = base::os_random_seed();
  SCOPED_TRACE(seed);
  base::Random random(seed);
  for (int round = 0; round < 50; ++round) {
    std::vector<TableEntry> entries;
    std::map<wire::Prefix, bool> by_prefix;
    for (int i = 0; i < 200; ++i) {
      const bool ipv6 = random.below(3) == 0;
      const auto family = ipv6 ? wire::Family::kIpv6 : wire::Family::kIpv4;
      wire::IpAddress address;
      for (int byte = 0; byte < (ipv6 ? 16 : 4); ++byte) {
        address.bytes[static_cast<std::size_t>(byte)] = static_cast<std::uint8_t>(random.below(3));
      }
      const auto length = static_cast<unsigned>(random.below(wire::address_bits(family) + 1));
      const TableEntry one{.prefix = wire::Prefix::of(family, address, length), .negated = random.below(3) == 0};
      entries.push_back(one);
      by_prefix[one.prefix] |= one.negated;
    }
    const AddressTable table = AddressTable::build(entries);
    EXPECT_EQ(table.size(), by_prefix.size());
    for (int i = 0; i < 300; ++i) {
      const TableEntry& near = entries[random.below(entries.size())];
      wire::IpAddress address = near.prefix.address;
      address.bytes[random.below(near.prefix.family == wire::Family::kIpv4 ? 4 : 16)] ^=
          static_cast<std::uint8_t>(random.below(4));
      int best_length = -1;
      bool expected = false;
      for (const auto& [prefix, negated] : by_prefix) {
        if (prefix.contains(near.prefix.family, address) && int{prefix.length} > best_length) {
          best_length = prefix.length;
          expected = !negated;
        }
      }
      ASSERT_EQ(table.contains(near.prefix.family, address), expected);
    }
  }
}

/// Few enough different prefixes that changes meet each other.
TableEntry random_entry(base::Random& random) {
  const auto family = random.below(3) == 0 ? wire::Family::kIpv6 : wire::Family::kIpv4;
  wire::IpAddress address;
  for (std::size_t byte = 0; byte < (family == wire::Family::kIpv6 ? 16 : 4); ++byte) {
    address.bytes[byte] = static_cast<std::uint8_t>(random.below(2));
  }
  constexpr std::uint8_t kLengths[] = {0, 8, 16, 24, 31, 32};
  return {.prefix = wire::Prefix::of(family, address, kLengths[random.below(6)]), .negated = random.below(3) == 0};
}

TEST(AddressTable, after_any_changes_equals_one_built_anew_and_leaves_the_older_ones_alone) {
  const std::uint64_t seed = base::os_random_seed();
  SCOPED_TRACE(seed);
  base::Random random(seed);
  for (int round = 0; round < 30; ++round) {
    std::map<wire::Prefix, bool> model;
    std::vector<TableEntry> entries;
    for (std::uint64_t i = random.below(40); i > 0; --i) {
      const TableEntry one = random_entry(random);
      entries.push_back(one);
      model[one.prefix] |= one.negated;
    }
    AddressTable table = round % 5 == 0 && entries.empty() ? AddressTable() : AddressTable::build(entries);
    for (int step = 0; step < 60; ++step) {
      const TableEntry one = random_entry(random);
      const AddressTable before = table;
      const bool held = before.contains(one.prefix.family, one.prefix.address);
      if (random.below(2) == 0) {
        table = table.with(one);
        model[one.prefix] = one.negated;
      } else {
        table = table.without(one.prefix);
        model.erase(one.prefix);
      }
      ASSERT_EQ(before.contains(one.prefix.family, one.prefix.address), held) << "an older table has changed";
      if (random.below(20) == 0) {
        table = table.folded();
        ASSERT_EQ(table.change_count(), 0U);
      }
      entries.clear();
      for (const auto& [prefix, negated] : model) entries.push_back({.prefix = prefix, .negated = negated});
      const AddressTable anew = AddressTable::build(entries);
      ASSERT_EQ(table.size(), anew.size());
      for (int i = 0; i < 40; ++i) {
        const wire::Prefix& near = random_entry(random).prefix;
        ASSERT_EQ(table.contains(near.family, near.address), anew.contains(near.family, near.address));
      }
    }
  }
}

TEST(TableOverlay, behaves_as_a_set_with_a_limit) {
  const std::uint64_t seed = base::os_random_seed();
  SCOPED_TRACE(seed);
  base::Random random(seed);
  TableOverlay overlay(40, base::secret_from_seed(seed));
  std::map<std::pair<TableId, std::uint32_t>, bool> model;
  for (int i = 0; i < 20'000; ++i) {
    const auto table = static_cast<TableId>(random.below(3));
    const auto number = static_cast<std::uint32_t>(random.below(30));
    const wire::HostAddress host{wire::Family::kIpv4, wire::IpAddress::from_ipv4(number)};
    const auto key = std::pair(table, number);
    ASSERT_EQ(overlay.contains(table, host.family, host.address), model.contains(key));
    if (random.below(2) == 0) {
      const TableOverlay::Inserted inserted = overlay.insert(table, host);
      if (model.contains(key)) {
        ASSERT_EQ(inserted, TableOverlay::Inserted::kPresent);
      } else if (model.size() == 40) {
        ASSERT_EQ(inserted, TableOverlay::Inserted::kFull);
      } else {
        ASSERT_EQ(inserted, TableOverlay::Inserted::kNew);
        model[key] = true;
      }
    } else {
      ASSERT_EQ(overlay.erase(table, host), model.erase(key) == 1);
    }
    ASSERT_EQ(overlay.size(), model.size());
    if (random.below(1'000) == 0) {
      overlay.clear();
      model.clear();
    }
  }
}

TEST(TableOverlay, forgets_all_however_often_it_is_cleared) {
  TableOverlay overlay(4, base::secret_from_seed(1));
  const auto host = [](std::uint32_t number) {
    return wire::HostAddress{wire::Family::kIpv4, wire::IpAddress::from_ipv4(number)};
  };
  for (std::uint32_t round = 0; round < 140'000; ++round) {
    ASSERT_EQ(overlay.insert(1, host(round % 7)), TableOverlay::Inserted::kNew) << round;
    ASSERT_TRUE(overlay.contains(1, wire::Family::kIpv4, host(round % 7).address)) << round;
    overlay.clear();
    ASSERT_FALSE(overlay.contains(1, wire::Family::kIpv4, host(round % 7).address)) << round;
    ASSERT_EQ(overlay.size(), 0U);
  }
}

}  // namespace
}  // namespace ringplane::firewall
