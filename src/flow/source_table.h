// SourceTable: what one worker knows of the hosts whose states a rule limits (`source-track`, `max-src-*` of
// pf.conf(5)): their live flows, their established TCP connections and the rate of new ones.
//
// An entry is made by the first flow of a source and goes with its last. Full: begin_flow() refuses (kFull). All memory
// is taken by the constructor. Owner thread only.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "base/hash.h"
#include "base/ids.h"
#include "wire/ip_address.h"

namespace ringplane::flow {

/// This worker's part of a rule's limits; 0: none.
struct SourceLimits {
  std::uint32_t max_sources = 0;      ///< hosts with flows of the rule at the same time
  std::uint32_t max_flows = 0;        ///< live flows of one host
  std::uint32_t max_connections = 0;  ///< established TCP connections of one host
  std::uint32_t rate_count = 0;       ///< new TCP connections of one host in rate_seconds
  std::uint32_t rate_seconds = 0;
};

class SourceTable {
 public:
  enum class Begun : std::uint8_t { kFirst, kAnother, kLimit, kFull };

  /// Room for `capacity` sources (at least 1).
  SourceTable(std::size_t capacity, const base::HashSecret& secret);

  /// A flow of `host` under `rule` (none: counted over all rules) begins. `sources` is how many hosts the rule has
  /// flows of. kFirst: its host had none; kLimit: a limit forbids it, nothing was counted.
  [[nodiscard]] Begun begin_flow(base::RuleId rule, const wire::HostAddress& host, const SourceLimits& limits,
                                 std::uint32_t sources) noexcept;
  /// One of its flows was established. True: the host is now beyond max_connections or its rate.
  [[nodiscard]] bool begin_connection(base::RuleId rule, const wire::HostAddress& host, const SourceLimits& limits,
                                      std::uint64_t now_ns) noexcept;
  /// A flow that was begun ends; `was_connection`: begin_connection() was called for it. True: it was the host's last.
  bool end_flow(base::RuleId rule, const wire::HostAddress& host, bool was_connection) noexcept;
  /// Forgets all, in constant time: a reload comes here between two bursts. (Once in 65,536 calls it walks the table.)
  void clear() noexcept;

  [[nodiscard]] std::size_t size() const noexcept { return size_; }
  [[nodiscard]] std::size_t memory_bytes() const noexcept { return slots_.size() * sizeof(Slot); }

 private:
  struct Key {
    wire::IpAddress address;
    base::RuleId rule;
    wire::Family family = wire::Family::kNone;
    std::uint8_t zero = 0;
    std::uint16_t epoch = 0;
    [[nodiscard]] bool operator==(const Key& other) const noexcept = default;
  };
  static_assert(sizeof(Key) == 24);
  struct Slot {
    Key key;
    std::uint32_t flows = 0;  // 0: the slot is free; so it is if it is of an earlier epoch
    std::uint32_t connections = 0;
    std::uint64_t rate_last_ns = 0;
    std::uint64_t rate_thousandths = 0;  // connections in the window, decaying; thousandths of one
  };
  [[nodiscard]] std::size_t home(const Key& key) const noexcept {
    return base::keyed_hash<24>(&key, secret_) & (slots_.size() - 1);
  }
  [[nodiscard]] Key key_of(base::RuleId rule, const wire::HostAddress& host) const noexcept {
    return {.address = host.address, .rule = rule, .family = host.family, .epoch = epoch_};
  }
  [[nodiscard]] bool is_free(const Slot& slot) const noexcept { return slot.flows == 0 || slot.key.epoch != epoch_; }
  [[nodiscard]] std::size_t find(const Key& key) const noexcept;
  void remove(std::size_t slot) noexcept;

  std::vector<Slot> slots_;  // open addressing, a power of two, at least twice the capacity
  base::HashSecret secret_;
  std::size_t capacity_;
  std::size_t size_ = 0;
  std::uint16_t epoch_ = 0;  // clear() begins a new one
};

}  // namespace ringplane::flow
