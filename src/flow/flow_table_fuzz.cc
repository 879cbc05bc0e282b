// Operations from bytes on a small table, against an unordered_map: what is found, what is counted, what ended. Three
// bytes an operation: what, which conversation, an argument.
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <memory>
#include <span>
#include <unordered_map>
#include <utility>

#include "base/clock.h"
#include "base/drop_reason.h"
#include "base/hash.h"
#include "base/ids.h"
#include "base/random.h"
#include "flow/conntrack.h"
#include "flow/flow_index.h"
#include "flow/flow_table.h"
#include "flow/test_packets.h"
#include "wire/flow_key.h"
#include "wire/ip_address.h"
#include "wire/packet.h"

namespace ringplane::flow {
namespace {

constexpr std::uint32_t kCapacity = 24;

void require(bool holds) {
  if (!holds) std::abort();
}

struct KeyHash {
  std::size_t operator()(const wire::FlowKey& key) const { return key.hash(base::secret_from_seed(2)); }
};

class Machine {
 public:
  Machine() {
    auto made =
        FlowTable::create({.capacity = kCapacity, .secret = secret_, .huge_pages = false, .prefault = false}, now_ns_);
    require(made.has_value());
    table_ = std::move(*made);
    table_->set_end_hook({.function = &Machine::on_end, .context = this});
  }

  void run(std::uint8_t operation, std::uint8_t number, std::uint8_t argument) {
    const wire::Packet packet = packet_from(number, argument);
    const std::uint64_t hash = packet.key.hash(secret_);
    const base::FlowId id = table_->find(packet.key, hash);
    const auto known = oracle_.find(packet.key);
    require(id.valid() == (known != oracle_.end()));
    switch (operation % 4) {
      case 0: insert(packet, hash, id); break;
      case 1:
        if (!id.valid()) break;
        if (const StepResult result = table_->track(id, packet, now_ns_);
            result.reason == base::DropReason::none && !result.restart) {
          ++known->second;
        }
        break;
      case 2:
        if (id.valid()) table_->erase(id);
        break;
      default:
        now_ns_ += (std::uint64_t{number} * number) << 24;
        table_->expire(now_ns_, argument);
        break;
    }
    check();
  }

 private:
  wire::Packet packet_from(std::uint8_t number, std::uint8_t argument) const {
    const wire::Family family = (number & 1) != 0 ? wire::Family::kIpv6 : wire::Family::kIpv4;
    if ((number & 2) != 0) return packet_of(number, family, wire::protocol::kUdp, (argument & 1) != 0);
    wire::Packet packet = handshake_of(number, family)[argument % 3];
    packet.tcp_flags ^= argument >> 3;
    packet.tcp_seq += argument >> 5;
    packet.kind = argument == 0xff ? wire::PacketKind::kIcmpError : wire::PacketKind::kFlow;
    return packet;
  }
  void insert(const wire::Packet& packet, std::uint64_t hash, base::FlowId existing) {
    if (!can_start_flow(packet)) return;
    const InsertResult made = table_->insert(packet, hash, {}, now_ns_);
    switch (made.outcome) {
      case InsertOutcome::kExists: require(made.id == existing); break;
      case InsertOutcome::kInserted:
        require(!existing.valid() && table_->key_of(made.id) == packet.key);
        oracle_.emplace(packet.key, 1);
        break;
      // A small table may be full before its capacity: both buckets of a key taken and nobody in them able to move.
      case InsertOutcome::kFull: require(!existing.valid() && oracle_.size() >= 2 * kBucketSlots); break;
    }
  }
  void check() {
    require(table_->size() == oracle_.size());
    std::size_t seen = 0;
    std::uint32_t cursor = 0;
    do {
      cursor = table_->visit_slice(cursor, 5, [&](base::FlowId id) {
        const FlowDetails details = table_->details(id, now_ns_);
        const auto known = oracle_.find(details.key);
        require(known != oracle_.end() && known->second == details.packets[0] + details.packets[1]);
        ++seen;
      });
    } while (cursor != 0);
    require(seen == oracle_.size());
  }
  static void on_end(void* context, const FlowTable& table, std::span<const EndedFlow> ended) noexcept {
    for (const EndedFlow& flow : ended) {
      require(static_cast<Machine*>(context)->oracle_.erase(table.key_of(flow.id)) == 1);
    }
  }

  base::HashSecret secret_ = base::secret_from_seed(1);
  std::uint64_t now_ns_ = 1000 * base::kNanosPerSecond;
  std::unique_ptr<FlowTable> table_;
  std::unordered_map<wire::FlowKey, std::uint64_t, KeyHash> oracle_;
};

}  // namespace
}  // namespace ringplane::flow

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::span<const std::uint8_t> bytes(data, size);
  ringplane::flow::Machine machine;
  for (std::size_t i = 0; i + 3 <= bytes.size(); i += 3) machine.run(bytes[i], bytes[i + 1], bytes[i + 2]);
  return 0;
}
