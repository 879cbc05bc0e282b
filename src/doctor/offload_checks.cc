// What a NIC or the kernel does to packets before ringplane sees them: merging, taking tags off, leaving checksums out.
#include <algorithm>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include <fmt/core.h>

#include "doctor/checks.h"
#include "doctor/finding.h"
#include "doctor/kernel.h"

namespace ringplane::doctor {
namespace {

const Offload* find_offload(const std::vector<Offload>& list, std::string_view name) {
  const auto found = std::ranges::find(list, name, &Offload::name);
  return found == list.end() ? nullptr : &*found;
}

Said fixed_on(const std::string& harm) {
  return slow("on, and the driver does not let it be switched off: " + harm, "use another NIC or driver");
}

/// Fine when off. `ethtool_word`: as `ethtool -K` takes it.
Answer must_be_off(const Port& port, std::string_view name, std::string_view ethtool_word, const std::string& harm) {
  if (!port.offloads) return not_told(port.offloads.error());
  const Offload* const offload = find_offload(*port.offloads, name);
  if (offload == nullptr) return std::nullopt;
  if (!offload->is_on) return ok("off");
  if (!offload->can_change) return fixed_on(harm);
  return slow("on: " + harm, type(fmt::format("ethtool -K {} {} off", port.interface(), ethtool_word)));
}

}  // namespace

Answer check_gro(const Port& port) {
  return must_be_off(port, "rx-gro", "gro", "where XDP is generic, packets come merged into ones larger than a frame");
}

Answer check_lro(const Port& port) {
  return must_be_off(port, "rx-lro", "lro", "packets come merged, or the driver refuses native XDP");
}

Answer check_hardware_gro(const Port& port) {
  return must_be_off(port, "rx-gro-hw", "rx-gro-hw", "packets come merged, or the driver refuses native XDP");
}

Answer check_vlan_tags(const Port& port) {
  // A veth has no hardware that takes a tag off; whether it comes beside the packet is up to the other end.
  if (port.driver == "veth") return std::nullopt;
  if (!port.offloads) return not_told(port.offloads.error());
  const Offload* const offload = find_offload(*port.offloads, "rx-vlan-hw-parse");
  if (offload == nullptr || !offload->is_on) return ok("left in the frame");
  const std::string finding = "taken off by the NIC: tagged frames would leave without their tag";
  if (!offload->can_change) return broken(finding, "use another NIC, or one without VLANs on its wire");
  return broken(finding, type(fmt::format("ethtool -K {} rxvlan off", port.interface())));
}

Answer check_rx_checksum(const Port& port) {
  // virtio hands over what its host has not finished: checksums not filled in, segments not cut.
  if (port.driver != "virtio_net") return std::nullopt;
  return must_be_off(port, "rx-checksum", "rx", "packets of the same host come without checksums");
}

Answer check_other_end(const Port& port) {
  if (port.driver != "veth") return std::nullopt;
  if (!port.details) return not_told(port.details.error());
  const std::string all = "tx off tso off gso off txvlan off";
  if (port.details->other_is_elsewhere || port.details->other_index == 0) {
    return unknown("in another network namespace: its offloads are not seen from here",
                   "there: ethtool -K OTHER-END " + all);
  }
  for (const std::string& name : port.kernel.interfaces()) {
    const auto link = port.kernel.link(name);
    if (!link || link->index != port.details->other_index) continue;
    const auto offloads = port.kernel.offloads(name);
    if (!offloads) return not_told(offloads.error());
    const auto is_on = [&](std::string_view each) {
      const Offload* const offload = find_offload(*offloads, each);
      return offload != nullptr && offload->is_on && offload->can_change;
    };
    const std::string command = type(fmt::format("ethtool -K {} {}", word(name), all));
    if (is_on("tx-checksum-ip-generic")) {
      return broken(name + " leaves checksums out: whoever gets its packets throws them away", command);
    }
    if (is_on("tx-vlan-hw-insert")) {
      return broken(name + " sends tags beside the packet: they would get lost", command);
    }
    if (is_on("tx-tcp-segmentation") || is_on("tx-tcp6-segmentation") || is_on("tx-generic-segmentation")) {
      return slow(name + " sends segments larger than a frame, which are dropped", command);
    }
    return ok(name + " sends what a wire would carry");
  }
  return unknown("not found");
}

}  // namespace ringplane::doctor
