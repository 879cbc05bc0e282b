// Parts of a rule as pfctl prints them; text_of() in ruleset.h prints the whole.
#pragma once

#include <string>

#include "firewall/ruleset.h"

namespace ringplane::firewall {

/// "any", "! 10.0.0.0/8", "<bad>", "(lan)".
[[nodiscard]] std::string address_text(const Ruleset& ruleset, const AddressMatch& match);
/// "= ssh", "21 >< 2048", "1:1024"; "" for any port. `protocol`: -1 if unknown.
[[nodiscard]] std::string port_text(const PortMatch& match, int protocol);

}  // namespace ringplane::firewall
