#include "doctor/drivers.h"

#include <algorithm>
#include <array>
#include <optional>
#include <string_view>

#include "doctor/machine.h"

namespace ringplane::doctor {
namespace {

using Since = KernelVersion;
constexpr std::optional<KernelVersion> kNever;

// Since when, and the largest MTU: ebpf-docs, "Program type BPF_PROG_TYPE_XDP", driver support and max MTU, which names
// the kernel's commit for each (docs.ebpf.io/linux/program-type/BPF_PROG_TYPE_XDP). igb's zero-copy: commit
// 80f6ccf9f116 (Linux 6.14). Names are those of `ethtool -i`.
constexpr std::array kDrivers = std::to_array<DriverFacts>({
    {"atlantic", Since{5, 19}, kNever, 2048, false},
    {"bnxt_en", Since{4, 11}, kNever, 3502, false},
    {"bonding", Since{5, 15}, kNever, 0, false},
    {"ena", Since{5, 6}, kNever, 3498, true},
    {"fsl_dpaa2_eth", Since{5, 0}, Since{6, 2}, 0, false},
    {"gve", Since{6, 4}, Since{6, 4}, 2032, true},
    {"hv_netvsc", Since{5, 6}, kNever, 3506, true},
    {"i40e", Since{4, 13}, Since{4, 20}, 3046, false},
    {"ice", Since{5, 5}, Since{5, 5}, 3046, false},
    {"igb", Since{5, 10}, Since{6, 14}, 3046, false},
    {"igc", Since{5, 13}, Since{5, 14}, 1500, false},
    {"ionic", Since{6, 9}, kNever, 3502, false},
    {"ixgbe", Since{4, 12}, Since{4, 20}, 3050, false},
    {"ixgbevf", Since{4, 17}, kNever, 3050, true},
    {"mana", Since{5, 17}, kNever, 3506, true},
    {"mlx4_en", Since{4, 8}, kNever, 3498, false},
    {"mlx5_core", Since{4, 9}, Since{5, 3}, 3498, false},
    {"mvneta", Since{5, 5}, kNever, 3520, false},
    {"mvpp2", Since{5, 9}, kNever, 3552, false},
    {"nfp", Since{4, 10}, Since{5, 18}, 4096, false},
    {"qede", Since{4, 10}, kNever, 0, false},
    {"sfc", Since{5, 5}, kNever, 3522, false},
    {"st_gmac", Since{5, 13}, Since{5, 13}, 1500, false},
    {"tsnep", Since{6, 3}, Since{6, 4}, 0, false},
    {"tun", Since{4, 14}, kNever, 1500, false},
    {"veth", Since{4, 19}, kNever, 3520, false},
    {"virtio_net", Since{4, 10}, Since{6, 11}, 3506, true},
    {"vmxnet3", Since{6, 6}, kNever, 3494, true},
    // Those that people meet and that have no XDP of their own.
    {"bridge", kNever, kNever, 0, false},
    {"e1000", kNever, kNever, 0, true},
    {"e1000e", kNever, kNever, 0, false},
    {"r8169", kNever, kNever, 0, false},
    {"tg3", kNever, kNever, 0, false},
});

}  // namespace

const DriverFacts* facts_of(std::string_view driver) noexcept {
  const auto found = std::ranges::find(kDrivers, driver, &DriverFacts::name);
  return found == kDrivers.end() ? nullptr : &*found;
}

}  // namespace ringplane::doctor
