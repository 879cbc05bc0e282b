// Reads what `ipset save` prints: sets of addresses and networks become tables. Sets of other things (ports,
// interfaces, marks, sets) have no equal in pf; they and their members become statements with a refusal.
#pragma once

#include <string>
#include <string_view>

#include "base/result.h"
#include "translate/filter.h"

namespace ringplane::translate {

/// `name` as it shall appear in errors. No chains.
[[nodiscard]] base::Result<Filter> read_ipset_save(const std::string& name, std::string_view text);

}  // namespace ringplane::translate
