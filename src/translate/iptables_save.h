// Reads what iptables-save and ip6tables-save print: one line a rule, tables between "*name" and "COMMIT". Tables other
// than `filter` are read for their number of rules only. A rule that pf cannot say becomes a statement with a refusal;
// a line that no such program prints is an error with its number.
#pragma once

#include <string>
#include <string_view>

#include "base/result.h"
#include "translate/filter.h"
#include "wire/ip_address.h"

namespace ringplane::translate {

/// `name` as it shall appear in errors. `family` kNone: by the comment that the program writes, IPv4 if there is none.
[[nodiscard]] base::Result<Filter> read_iptables_save(const std::string& name, std::string_view text,
                                                      wire::Family family = wire::Family::kNone);

}  // namespace ringplane::translate
