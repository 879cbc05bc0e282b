// Reads what `nft -j list ruleset` prints. Chains with a hook of type filter are taken with the chains they jump to;
// sets of addresses become tables, other sets and maps are written out where rules use them. A rule that pf cannot say
// becomes a statement with a refusal; text that is not of this form is an error.
#pragma once

#include <string>
#include <string_view>

#include "base/result.h"
#include "translate/filter.h"

namespace ringplane::translate {

/// `name` as it shall appear in errors.
[[nodiscard]] base::Result<Filter> read_nft_json(const std::string& name, std::string_view text);

}  // namespace ringplane::translate
