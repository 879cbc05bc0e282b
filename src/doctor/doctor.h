// The doctor: looks at a machine with a configuration in mind, and says what is fine, what costs speed, what keeps
// ringplane from working, and what to type. It changes nothing.
#pragma once

#include <string>
#include <vector>

#include "doctor/finding.h"
#include "doctor/machine.h"
#include "doctor/wishes.h"

namespace ringplane::doctor {

/// Everything, in the order of the table of contents in doctor.cc.
[[nodiscard]] std::vector<Finding> examine(const Machine& machine, const Wishes& wishes);

/// The interfaces of this machine that could be ports: Ethernet, with a device behind it or the end of a veth pair.
[[nodiscard]] std::vector<std::string> possible_ports(const Machine& machine);

}  // namespace ringplane::doctor
