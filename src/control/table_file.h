// What a table holds, into the file that its contents come from.
#pragma once

#include <span>
#include <string>

#include "base/result.h"
#include "firewall/prefix_set.h"

namespace ringplane::control {

/// In place of the file at `path`, with its mode and owner: `entries` in order, one a line. Whoever reads it sees the
/// old one or the new one; when this fails, with a sentence, the old one is as it was.
[[nodiscard]] base::Result<void> write_table_file(const std::string& path,
                                                  std::span<const firewall::TableEntry> entries);

}  // namespace ringplane::control
