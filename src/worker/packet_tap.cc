#include "worker/packet_tap.h"

#include <pcap.h>

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "base/ids.h"
#include "base/result.h"
#include "flow/flow.h"
#include "flow/flow_table.h"
#include "wire/flow_key.h"
#include "wire/ip_address.h"
#include "wire/packet.h"
#include "worker/flow_admission.h"
#include "worker/packet_burst.h"
#include "worker/rule_paths.h"
#include "worker/worker_tables.h"

namespace ringplane::worker {
namespace {

static_assert(sizeof(FilterInstruction) == sizeof(bpf_insn) &&
              offsetof(FilterInstruction, operand) == offsetof(bpf_insn, k));

constexpr int kSnapLength = 65535;

/// What bpf_filter(3) knows; of anything else it makes an end of the process, and bpf_validate(3) lets some of that
/// pass.
constexpr std::array<std::uint8_t, 49> kKnownCodes = {
    0x06, 0x16,                                                        // ret
    0x20, 0x28, 0x30, 0x40, 0x48, 0x50, 0x80, 0x00, 0x60,              // ld
    0x81, 0xb1, 0x01, 0x61,                                            // ldx
    0x02, 0x03,                                                        // st, stx
    0x05, 0x15, 0x25, 0x35, 0x45, 0x1d, 0x2d, 0x3d, 0x4d,              // jumps
    0x04, 0x14, 0x24, 0x34, 0x44, 0x54, 0x64, 0x74, 0x94, 0xa4,        // arithmetic with a constant
    0x0c, 0x1c, 0x2c, 0x3c, 0x4c, 0x5c, 0x6c, 0x7c, 0x9c, 0xac, 0x84,  // with x; neg
    0x07, 0x87                                                         // tax, txa
};

bool is_known(const FilterInstruction& instruction) noexcept {
  return std::ranges::any_of(kKnownCodes, [&](std::uint8_t code) { return code == instruction.code; });
}

struct CloseCapture {
  void operator()(pcap_t* capture) const noexcept { pcap_close(capture); }
};

}  // namespace

base::Result<PacketFilter> PacketFilter::create(std::vector<FilterInstruction> instructions) {
  if (instructions.size() > kMostInstructions)
    return base::fail("the filter is too long: " + std::to_string(kMostInstructions) + " instructions at most");
  PacketFilter filter;
  filter.instructions_ = std::move(instructions);
  if (!std::ranges::all_of(filter.instructions_, is_known))
    return base::fail("this is no filter program: unknown code");
  if (!filter.instructions_.empty() && bpf_validate(reinterpret_cast<const bpf_insn*>(filter.instructions_.data()),
                                                    static_cast<int>(filter.instructions_.size())) == 0) {
    return base::fail("this is no filter program: it could run out of itself");
  }
  return filter;
}

base::Result<PacketFilter> PacketFilter::compile(const std::string& expression) {
  constexpr std::size_t kLongest = 4'000;
  if (expression.size() > kLongest) return base::fail("a filter has at most 4,000 characters");
  const std::unique_ptr<pcap_t, CloseCapture> capture(pcap_open_dead(DLT_EN10MB, kSnapLength));
  bpf_program program{};
  if (capture == nullptr || pcap_compile(capture.get(), &program, expression.c_str(), 1, PCAP_NETMASK_UNKNOWN) != 0) {
    return base::fail("the filter '" + expression +
                      "' is none: " + (capture == nullptr ? "out of memory" : pcap_geterr(capture.get())));
  }
  std::vector<FilterInstruction> instructions;
  for (unsigned i = 0; i < program.bf_len; ++i) {
    const bpf_insn& each = program.bf_insns[i];
    instructions.push_back({.code = each.code, .jump_true = each.jt, .jump_false = each.jf, .operand = each.k});
  }
  pcap_freecode(&program);
  return create(std::move(instructions));
}

bool PacketFilter::matches(const std::uint8_t* data, std::uint32_t length) const noexcept {
  return instructions_.empty() ||
         bpf_filter(reinterpret_cast<const bpf_insn*>(instructions_.data()), data, length, length) != 0;
}

PacketTap::PacketTap(PacketFilter filter, std::uint32_t snap_bytes, std::uint32_t per_second, std::uint32_t ring_slots)
    : filter_(std::move(filter)),
      snap_bytes_(std::min(snap_bytes, TapRecord::kBytes)),
      limited_(per_second != 0),
      tokens_(per_second),
      ring_(ring_slots),
      record_() {}

void PacketTap::look_at(const PacketBurst& burst, const WorkerTables& tables) noexcept {
  for (std::uint32_t slot = 0; slot < burst.frames.size(); ++slot) {
    // Its bytes are another worker's by now, whose tap sees it.
    if (burst.outcomes[slot].verdict == Verdict::kHandedOver) continue;
    if (!filter_.matches(burst.bytes.data[slot], burst.bytes.length[slot])) continue;
    matched_.add(1);
    if (limited_ && !tokens_.take(burst.now_ns)) {
      lost_.add(1);
      continue;
    }
    fill(record_, burst, slot, tables);
    if (!ring_.push(record_)) lost_.add(1);
  }
}

void PacketTap::fill(TapRecord& record, const PacketBurst& burst, std::uint32_t slot,
                     const WorkerTables& tables) const noexcept {
  const wire::Packet& packet = burst.packets[slot];
  const Outcome& outcome = burst.outcomes[slot];
  record.now_ns = burst.now_ns;
  record.source = packet.source;
  record.destination = packet.destination;
  record.source_port = packet.source_port;
  record.destination_port = packet.destination_port;
  record.ether_type = packet.ether_type;
  record.generation = tables.snapshot->generation;
  record.family = packet.family;
  record.kind = packet.kind;
  record.protocol = packet.protocol;
  record.tcp_flags = packet.tcp_flags;
  record.icmp_type = packet.icmp_type;
  record.icmp_code = packet.icmp_code;
  record.ingress = burst.frames[slot].port;
  record.egress = outcome.egress;
  record.verdict = outcome.verdict;
  record.reason = outcome.reason;
  record.rule = rule_of(outcome, tables);
  record.rule_in = record.rule_out = base::RuleId{};
  if (outcome.path.valid()) {
    const RulePath& path = tables.paths->at(outcome.path);
    record.rule_in = path.in;
    record.rule_out = path.out;
  }
  const base::FlowId id = burst.flows[slot];
  record.has_flow =
      packet.family != wire::Family::kNone && id.valid() && tables.flows->at(id).has(flow::flow_flag::kLive);
  record.asked_rules = outcome.path.valid() && (burst.found >> slot & 1) == 0;
  record.is_reply = false;
  record.flow_packets = 0;
  if (record.has_flow) {
    const flow::FlowDetails details = tables.flows->details(id, burst.now_ns);
    record.is_reply = tables.flows->at(id).direction_of(packet) == wire::Direction::kReply;
    record.state = details.state;
    record.flow_packets = details.packets[0] + details.packets[1];
  }
  record.length = static_cast<std::uint16_t>(burst.bytes.length[slot]);
  record.captured = static_cast<std::uint16_t>(std::min<std::uint32_t>(burst.bytes.length[slot], snap_bytes_));
  std::memcpy(record.bytes.data(), burst.bytes.data[slot], record.captured);
}

}  // namespace ringplane::worker
