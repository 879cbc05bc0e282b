// TableJournal: what was changed in tables while the rules ran, where it outlives the data process: two memory files of
// the estate, of which the one with the higher number counts. Changes are appended to it; when it has grown to twice
// what it was, the contents of all changed tables are written anew into the other. A reader sees what was complete.
//
// The data process that works writes; one that stands by reads on, and all that is left when it takes over.
#pragma once

#include <array>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/holdings.h"
#include "base/result.h"
#include "firewall/prefix_set.h"
#include "wire/ip_address.h"

namespace ringplane::control {

/// As bytes, 20 each: family, length, sign, 0, address.
[[nodiscard]] std::string packed_entries(std::span<const firewall::TableEntry> entries);
/// Fails with a sentence if that is what they are not.
[[nodiscard]] base::Result<std::vector<firewall::TableEntry>> unpacked_entries(std::string_view bytes);

/// A change of a table by name: the meaning of DataPlane::TableChange.
struct NamedTableChange {
  std::string table;
  bool replaces = false;
  std::vector<wire::Prefix> removed;
  std::vector<firewall::TableEntry> added;
};

class TableJournal {
 public:
  /// Adds both files, empty, to those of a new estate.
  [[nodiscard]] static base::Result<void> add_files(base::Holdings& holdings);
  /// Of those that `holdings`, which outlives this, has. Without them (an estate of an older program), append() fails.
  explicit TableJournal(const base::Holdings& holdings) noexcept;

  [[nodiscard]] base::Result<void> append(const NamedTableChange& change) {
    return append(record_of(change), change.replaces);
  }
  /// The same in two steps, for who lets go of a long list in between.
  [[nodiscard]] static std::string record_of(const NamedTableChange& change);
  [[nodiscard]] base::Result<void> append(std::string_view record, bool replaces);
  [[nodiscard]] bool is_due_anew() const noexcept;
  /// In place of all that is written, `changes`, each of which replaces.
  [[nodiscard]] base::Result<void> write_anew(std::span<const NamedTableChange> changes);

  /// What was written since the last call, by this or by another. After write_anew() by another all of it, which brings
  /// any earlier state to the same. An error: it cannot be read now; the next call begins at the start.
  [[nodiscard]] base::Result<std::vector<NamedTableChange>> read_on();

 private:
  struct Head {
    std::uint64_t magic = 0;
    std::uint64_t number = 0;  ///< of the writing anew
    std::uint64_t end = 0;     ///< behind the last complete change
  };
  [[nodiscard]] base::Result<Head> head_of(unsigned file) const;

  std::array<int, 2> files_{-1, -1};
  unsigned present_ = 0;  ///< which file counts
  Head head_;             ///< its, as far as it is known here
  std::uint64_t base_bytes_ = 0;
};

}  // namespace ringplane::control
