#include "control/table_journal.h"

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <expected>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/holdings.h"
#include "base/memory_file.h"
#include "base/result.h"
#include "firewall/prefix_set.h"
#include "wire/ip_address.h"

namespace ringplane::control {
namespace {

constexpr std::uint64_t kJournalMagic = 0x3130'6c62'7470'7221;
constexpr std::uint64_t kJournalStart = 64;
constexpr std::size_t kEntryBytes = 20;
/// Below this it is not worth writing it anew.
constexpr std::uint64_t kSmallBytes = std::uint64_t{1} << 20;

/// What stands before each change: its name, `removed` and `added` follow, the latter two as packed entries.
struct RecordHead {
  std::uint32_t replaces = 0;
  std::uint32_t name_bytes = 0;
  std::uint64_t removed = 0;
  std::uint64_t added = 0;
};

/// Packs `entry`, kEntryBytes of them, at `at`.
void pack(const firewall::TableEntry& entry, char* at) noexcept {
  at[0] = static_cast<char>(entry.prefix.family);
  at[1] = static_cast<char>(entry.prefix.length);
  at[2] = static_cast<char>(entry.negated ? 1 : 0);
  std::memcpy(at + 4, entry.prefix.address.bytes.data(), entry.prefix.address.bytes.size());
}

/// The first `bytes` of `rest`, which they are taken from; none: there are fewer.
std::optional<std::string_view> take_bytes(std::string_view& rest, std::uint64_t bytes) {
  if (bytes > rest.size()) return std::nullopt;
  const std::string_view taken = rest.substr(0, bytes);
  rest.remove_prefix(bytes);
  return taken;
}

base::Result<NamedTableChange> take_record(std::string_view& rest) {
  constexpr std::uint64_t kMostEntries = std::uint64_t{1} << 32;
  const auto broken = [] { return base::fail("what was changed in tables cannot be read"); };
  RecordHead head;
  const auto first = take_bytes(rest, sizeof head);
  if (!first) return broken();
  std::memcpy(&head, first->data(), sizeof head);
  if (head.removed > kMostEntries || head.added > kMostEntries) return broken();
  const auto name = take_bytes(rest, head.name_bytes);
  const auto removed_bytes = take_bytes(rest, head.removed * kEntryBytes);
  const auto added_bytes = take_bytes(rest, head.added * kEntryBytes);
  if (!name || !removed_bytes || !added_bytes) return broken();
  auto removed = unpacked_entries(*removed_bytes);
  auto added = unpacked_entries(*added_bytes);
  if (!removed || !added) return broken();
  NamedTableChange change{
      .table = std::string(*name), .replaces = head.replaces != 0, .removed = {}, .added = std::move(*added)};
  for (const firewall::TableEntry& entry : *removed) change.removed.push_back(entry.prefix);
  return change;
}

}  // namespace

std::string packed_entries(std::span<const firewall::TableEntry> entries) {
  std::string bytes(entries.size() * kEntryBytes, '\0');
  char* at = bytes.data();
  for (const firewall::TableEntry& entry : entries) {
    pack(entry, at);
    at += kEntryBytes;
  }
  return bytes;
}

base::Result<std::vector<firewall::TableEntry>> unpacked_entries(std::string_view bytes) {
  if (bytes.size() % kEntryBytes != 0) return base::fail("a list of addresses ends too soon");
  std::vector<firewall::TableEntry> entries;
  entries.reserve(bytes.size() / kEntryBytes);
  for (std::size_t at = 0; at < bytes.size(); at += kEntryBytes) {
    const auto family = static_cast<wire::Family>(bytes[at]);
    const auto length = static_cast<std::uint8_t>(bytes[at + 1]);
    if ((family != wire::Family::kIpv4 && family != wire::Family::kIpv6) || length > wire::address_bits(family))
      return base::fail("a list of addresses makes no sense");
    const wire::IpAddress address =
        wire::IpAddress::from_wire(reinterpret_cast<const std::uint8_t*>(bytes.data()) + at + 4, family);
    entries.push_back({.prefix = wire::Prefix::of(family, address, length), .negated = bytes[at + 2] != 0});
  }
  return entries;
}

base::Result<void> TableJournal::add_files(base::Holdings& holdings) {
  for (const char* name : {"tables/0", "tables/1"}) {
    auto file = base::make_growing_file("changes of tables");
    if (!file) return std::unexpected(std::move(file.error()));
    holdings.add(name, std::move(*file));
  }
  return {};
}

TableJournal::TableJournal(const base::Holdings& holdings) noexcept
    : files_{holdings.find("tables/0"), holdings.find("tables/1")} {}

base::Result<TableJournal::Head> TableJournal::head_of(unsigned file) const {
  Head head;
  const auto bytes = base::read_memory_file(files_[file], 0, sizeof head);
  if (!bytes) return std::unexpected(bytes.error());
  if (bytes->size() < sizeof head) return Head{.magic = kJournalMagic, .number = 0, .end = kJournalStart};
  std::memcpy(&head, bytes->data(), sizeof head);
  if (head.magic != kJournalMagic || head.end < kJournalStart)
    return base::fail("the file of changes of tables makes no sense");
  return head;
}

std::string TableJournal::record_of(const NamedTableChange& change) {
  const RecordHead head{.replaces = change.replaces ? 1U : 0U,
                        .name_bytes = static_cast<std::uint32_t>(change.table.size()),
                        .removed = change.removed.size(),
                        .added = change.added.size()};
  std::string bytes(sizeof head + change.table.size() + (head.removed + head.added) * kEntryBytes, '\0');
  char* at = bytes.data();
  std::memcpy(at, &head, sizeof head);
  change.table.copy(at += sizeof head, change.table.size());
  at += change.table.size();
  for (const wire::Prefix& prefix : change.removed) {
    pack({.prefix = prefix}, at);
    at += kEntryBytes;
  }
  for (const firewall::TableEntry& entry : change.added) {
    pack(entry, at);
    at += kEntryBytes;
  }
  return bytes;
}

base::Result<void> TableJournal::append(std::string_view record, bool replaces) {
  if (files_[0] < 0 || files_[1] < 0) {
    return base::fail(
        "tables cannot be changed: this ringplane was upgraded from a version that has no place to remember it; stop "
        "and start it");
  }
  if (head_.magic == 0) head_ = {.magic = kJournalMagic, .number = 0, .end = kJournalStart};
  if (auto written = base::write_memory_file(files_[present_], record, head_.end); !written) return written;
  Head next = head_;
  next.end += record.size();
  auto written = base::write_memory_file(files_[present_], {reinterpret_cast<const char*>(&next), sizeof next}, 0);
  if (!written) return written;
  head_ = next;
  // Written anew, it would be no shorter than this.
  if (replaces) base_bytes_ = std::max<std::uint64_t>(base_bytes_, record.size());
  return {};
}

bool TableJournal::is_due_anew() const noexcept {
  return head_.end > kJournalStart + 2 * base_bytes_ + kSmallBytes;
}

base::Result<void> TableJournal::write_anew(std::span<const NamedTableChange> changes) {
  if (files_[0] < 0 || files_[1] < 0) return {};
  const unsigned other = 1 - present_;
  Head next{.magic = kJournalMagic, .number = head_.number + 1, .end = kJournalStart};
  for (const NamedTableChange& change : changes) {
    const std::string bytes = record_of(change);
    if (auto written = base::write_memory_file(files_[other], bytes, next.end); !written) return written;
    next.end += bytes.size();
  }
  auto written = base::write_memory_file(files_[other], {reinterpret_cast<const char*>(&next), sizeof next}, 0);
  if (!written) return written;
  present_ = other;
  head_ = next;
  base_bytes_ = next.end - kJournalStart;
  return {};
}

base::Result<std::vector<NamedTableChange>> TableJournal::read_on() {
  std::vector<NamedTableChange> changes;
  if (files_[0] < 0 || files_[1] < 0) return changes;
  const auto first = head_of(0);
  const auto second = head_of(1);
  if (!first) return std::unexpected(first.error());
  if (!second) return std::unexpected(second.error());
  const unsigned newer = second->number > first->number ? 1 : 0;
  const Head& now = newer == 1 ? *second : *first;
  const bool goes_on = head_.magic != 0 && newer == present_ && now.number == head_.number;
  const std::uint64_t from = goes_on ? head_.end : kJournalStart;
  head_ = {};
  if (now.end < from) return base::fail("the file of changes of tables has become shorter");
  const auto bytes = base::read_memory_file(files_[newer], from, now.end - from);
  if (!bytes) return std::unexpected(bytes.error());
  for (std::string_view rest = *bytes; !rest.empty();) {
    auto change = take_record(rest);
    if (!change) return std::unexpected(std::move(change.error()));
    changes.push_back(std::move(*change));
  }
  // Read while another wrote it anew: what was read is no one's.
  const auto after = head_of(newer);
  if (!after || after->number != now.number) return base::fail("the file of changes of tables is being written anew");
  present_ = newer;
  head_ = now;
  return changes;
}

}  // namespace ringplane::control
