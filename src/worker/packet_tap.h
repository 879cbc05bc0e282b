// PacketTap: a copy of packets that somebody wants to see, each with what was decided of it: for `ringplane trace` and
// `ringplane capture`. While there is none, a burst costs one look at a pointer.
//
// A tap is one asker's, on one worker. The control thread makes it, hands it to the worker within a PacketTaps, reads
// its ring, and frees it when the worker has taken another PacketTaps, or none. What does not fit into the ring, or
// goes beyond the rate, is counted and not copied; packets are never held up.
#pragma once

#include <array>
#include <cstdint>
#include <vector>

#include "base/counter.h"
#include "base/drop_reason.h"
#include "base/ids.h"
#include "base/result.h"
#include "base/token_bucket.h"
#include "flow/flow.h"
#include "frame/spsc_ring.h"
#include "wire/ip_address.h"
#include "worker/packet_burst.h"
#include "worker/pipeline.h"
#include "worker/worker_tables.h"

namespace ringplane::worker {

/// One instruction of the BPF machine (McCanne and Jacobson 1993), as libpcap compiles filters to.
struct FilterInstruction {
  std::uint16_t code = 0;
  std::uint8_t jump_true = 0;
  std::uint8_t jump_false = 0;
  std::uint32_t operand = 0;
};

/// A filter over whole Ethernet frames; empty: everything.
class PacketFilter {
 public:
  static constexpr std::size_t kMostInstructions = 4096;
  PacketFilter() = default;
  /// Fails if it could do anything but end.
  [[nodiscard]] static base::Result<PacketFilter> create(std::vector<FilterInstruction> instructions);
  /// Compiles libpcap's language. Names of hosts, and where there is no /etc/services of services, are not known.
  [[nodiscard]] static base::Result<PacketFilter> compile(const std::string& expression);

  [[nodiscard]] bool matches(const std::uint8_t* data, std::uint32_t length) const noexcept;
  [[nodiscard]] const std::vector<FilterInstruction>& instructions() const noexcept { return instructions_; }

 private:
  std::vector<FilterInstruction> instructions_;
};

struct TapRecord {
  static constexpr std::uint32_t kBytes = 2048;

  std::uint64_t now_ns = 0;  ///< the worker's clock
  wire::IpAddress source;
  wire::IpAddress destination;
  std::uint16_t source_port = 0;
  std::uint16_t destination_port = 0;
  std::uint16_t ether_type = 0;
  std::uint16_t generation = 0;  ///< of the snapshot that the rules are of
  wire::Family family = wire::Family::kNone;
  wire::PacketKind kind = wire::PacketKind::kNonIp;
  std::uint8_t protocol = 0;
  std::uint8_t tcp_flags = 0;
  std::uint8_t icmp_type = 0;
  std::uint8_t icmp_code = 0;
  base::PortId ingress;
  base::PortId egress;
  Verdict verdict = Verdict::kDrop;
  base::DropReason reason = base::DropReason::none;
  base::RuleId rule;     ///< that decided; none: no rule did
  base::RuleId rule_in;  ///< asked on the ingress side, now or when its flow was made
  base::RuleId rule_out;
  bool asked_rules = false;  ///< now
  bool has_flow = false;
  bool is_reply = false;
  std::array<flow::PeerState, 2> state{};  ///< of the flow, afterwards, by direction
  std::uint64_t flow_packets = 0;
  std::uint16_t length = 0;    ///< of the frame
  std::uint16_t captured = 0;  ///< bytes below
  std::array<std::uint8_t, kBytes> bytes;
};

class PacketTap {
 public:
  /// `snap_bytes` of each packet at most; `per_second` 0: without a limit.
  PacketTap(PacketFilter filter, std::uint32_t snap_bytes, std::uint32_t per_second, std::uint32_t ring_slots);

  /// Worker. The burst is described (stages.h).
  void look_at(const PacketBurst& burst, const WorkerTables& tables) noexcept;

  /// Control thread.
  [[nodiscard]] bool pop(TapRecord& record) noexcept { return ring_.pop(record); }
  [[nodiscard]] std::uint64_t lost() const noexcept { return lost_.get(); }
  [[nodiscard]] std::uint64_t matched() const noexcept { return matched_.get(); }

 private:
  void fill(TapRecord& record, const PacketBurst& burst, std::uint32_t slot, const WorkerTables& tables) const noexcept;

  PacketFilter filter_;
  std::uint32_t snap_bytes_;
  bool limited_;
  base::TokenBucket tokens_;
  frame::SpscRing<TapRecord> ring_;
  TapRecord record_;  // the worker's
  base::Counter matched_;
  base::Counter lost_;
};

/// All taps of one worker; never changes.
class PacketTaps final : public BurstObserver {
 public:
  explicit PacketTaps(std::vector<PacketTap*> taps) : taps_(std::move(taps)) {}
  void on_decided(const PacketBurst& burst, const WorkerTables& tables) override {
    for (PacketTap* tap : taps_) tap->look_at(burst, tables);
  }

 private:
  std::vector<PacketTap*> taps_;
};

}  // namespace ringplane::worker
