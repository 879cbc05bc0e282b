// Receive-side scaling: which queue, and so which worker, a packet comes to. With one worker nobody cares.
#include <algorithm>
#include <cerrno>
#include <cstddef>
#include <cstdint>
#include <initializer_list>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <fmt/core.h>
#include <linux/ethtool.h>

#include "doctor/checks.h"
#include "doctor/finding.h"
#include "doctor/kernel.h"

namespace ringplane::doctor {
namespace {

/// A key that repeats every 16 bits gives both directions of a flow one Toeplitz hash (S. Woo, K. Park: Scalable TCP
/// Session Monitoring with Symmetric Receive-side Scaling, 2012), unless it is all alike.
bool repeats_every_16_bits(const std::vector<std::uint8_t>& key) {
  for (std::size_t i = 2; i < key.size(); ++i) {
    if (key[i] != key[i - 2]) return false;
  }
  return key.size() >= 2;
}

bool hashes_nothing(const std::vector<std::uint8_t>& key) {
  return !key.empty() && std::ranges::all_of(key, [](std::uint8_t byte) { return byte == 0; });
}

std::string symmetric_key_command(const Port& port, const Spreading& spreading) {
  const std::string function = spreading.function == Spreading::kToeplitz ? "" : " hfunc toeplitz";
  return type(fmt::format("ethtool -X {}{} hkey $(yes 6d:5a | head -n {} | paste -sd:)", port.interface(), function,
                          spreading.key.size() / 2));
}

/// Whether both ends of a packet are hashed, with their ports.
constexpr std::uint64_t kAllFields = RXH_IP_SRC | RXH_IP_DST | RXH_L4_B_0_1 | RXH_L4_B_2_3;

Answer check_fields(const Port& port, std::initializer_list<std::pair<std::uint32_t, std::string_view>> kinds) {
  if (port.workers() < 2) return std::nullopt;
  std::string commands;
  for (const auto& [kind, name] : kinds) {
    const auto fields = port.kernel.hashed_fields(port.wish.interface, kind);
    if (!fields && fields.error() == EOPNOTSUPP) return std::nullopt;
    if (!fields) return not_told(fields.error());
    if ((*fields & kAllFields) == kAllFields) continue;
    commands +=
        fmt::format("{}ethtool -N {} rx-flow-hash {} sdfn", commands.empty() ? "" : "; ", port.interface(), name);
  }
  if (commands.empty()) return ok("spread by addresses and ports");
  return slow("not spread by addresses and ports: all between two hosts comes to one worker", type(commands));
}

}  // namespace

Answer check_symmetry(const Port& port) {
  if (port.workers() < 2) return std::nullopt;
  const auto spreading = port.kernel.spreading(port.wish.interface);
  if (!spreading && spreading.error() == EOPNOTSUPP) {
    return unknown("the driver does not tell how it spreads packets over its queues");
  }
  if (!spreading) return not_told(spreading.error());
  if ((spreading->transform & (Spreading::kSymmetricXor | Spreading::kSymmetricOrXor)) != 0 &&
      spreading->transform != UINT8_MAX) {
    return ok("symmetric (transformed input)");
  }
  if (spreading->function == Spreading::kXor) return ok("symmetric (xor)");
  const bool is_toeplitz = spreading->function == Spreading::kToeplitz || spreading->function == 0;
  if (spreading->key.empty()) return unknown("the driver does not tell the key of its hash");
  if (hashes_nothing(spreading->key)) {
    return slow("a key of zeros: all packets come to one queue", symmetric_key_command(port, *spreading));
  }
  if (is_toeplitz && repeats_every_16_bits(spreading->key)) return ok("symmetric (the key repeats every 16 bits)");
  // Costs nothing: the owner of a flow is found by a hash of our own (worker/steer_stage.cc), whatever the NIC's is.
  return ok("not symmetric, which is fine: frames go to the owner of their flow in any case");
}

Answer check_table(const Port& port) {
  if (port.workers() < 2) return std::nullopt;
  const auto spreading = port.kernel.spreading(port.wish.interface);
  if (!spreading || spreading->table.empty()) return std::nullopt;  // said already
  const std::set<std::uint32_t> used(spreading->table.begin(), spreading->table.end());
  const std::uint32_t workers = port.workers();
  const std::string command = type(fmt::format("ethtool -X {} equal {}", port.interface(), workers));
  if (*used.rbegin() >= workers) {
    return broken(fmt::format("sends to queue {}, which no worker has", *used.rbegin()), command);
  }
  if (used.size() < workers) return slow(fmt::format("sends to {} of {} queues", used.size(), workers), command);
  const auto share = [&](std::uint32_t queue) { return std::ranges::count(spreading->table, queue); };
  const auto [least, most] = std::ranges::minmax(used, {}, share);
  if (share(most) > 2 * share(least)) {
    return slow(fmt::format("queue {} gets more than twice of what queue {} gets", most, least), command);
  }
  return ok(fmt::format("even over {} queues", workers));
}

Answer check_tcp_fields(const Port& port) {
  return check_fields(port, {{TCP_V4_FLOW, "tcp4"}, {TCP_V6_FLOW, "tcp6"}});
}

Answer check_udp_fields(const Port& port) {
  return check_fields(port, {{UDP_V4_FLOW, "udp4"}, {UDP_V6_FLOW, "udp6"}});
}

}  // namespace ringplane::doctor
