// A Filter as pf.conf. iptables and nftables let the first rule decide, pf the last: every rule is written `quick`.
//
// What is forwarded is judged where it leaves, `out`: one list of rules sees both interfaces there, the one it came by
// as a tag. Chains become anchors where rules jump to them. If rules ask conntrack for states, pf's states take their
// place and the rules are asked for the first packet of a connection; if none does, nothing keeps state.
#pragma once

#include <cstddef>
#include <string>

#include "base/result.h"
#include "translate/filter.h"

namespace ringplane::translate {

struct WriteOptions {
  std::string source{};  ///< what the input is, for the first line: "iptables-save"
  /// Empty: the rules of what is forwarded. Else the port behind which the host stands whose rules these are: those of
  /// what goes to it (input) and comes from it (output).
  std::string host_port{};
};

struct Translation {
  std::string text{};  ///< ends with the line "# N of M translated"
  std::size_t translated = 0;
  std::size_t statements = 0;
};

/// Fails if the chains unfold to more than a million rules.
[[nodiscard]] base::Result<Translation> write_pf_conf(Filter filter, const WriteOptions& options);

}  // namespace ringplane::translate
