// RuleTables: the best of many IPv4 rules for many headers at a time, by merged hash tables.
//
// Rules are grouped by shape: which bits of addresses, ports and protocol they fix. Shapes are merged, to what both
// fix, as long as few rules share a key; that leaves a handful of tables, asked best rank first. For a block of headers
// and a table: hash all, throw most away by a filter of two bits a key, fetch the 16-slot buckets of the rest, compare
// tags of all slots at once, fetch the records of those that agree and check them in full. A header whose best rule
// beats all that a table holds is not looked up in it. A wrong tag or filter bit costs time, never correctness.
//
// Immutable after build(); any thread. Nothing on the lookup path allocates or throws.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

namespace ringplane::firewall {

/// What a header has, or a rule wants to be there. A rule matches only headers that have all it wants.
enum Want : std::uint8_t {
  kWantIn = 1U << 0,        ///< the packet was received
  kWantOut = 1U << 1,       ///< it is about to be sent
  kWantPorts = 1U << 2,     ///< TCP or UDP, and not a later fragment
  kWantFlags = 1U << 3,     ///< anything but a later fragment of TCP: its flags are known
  kWantNoReply = 1U << 4,   ///< anything but a reply to an ICMP query
  kWantMore = 1U << 6,      ///< of a rule: it has conditions that are not in HotRule. Every header has it.
  kWantProtocol = 1U << 7,  ///< of a rule: its protocol counts. Every header has it.
};

/// The conditions of most rules in half a cache line. Addresses and ports in host order.
struct alignas(32) HotRule {
  std::uint32_t source = 0;
  std::uint32_t source_mask = 0;
  std::uint32_t destination = 0;
  std::uint32_t destination_mask = 0;
  std::uint16_t source_port_low = 0;
  std::uint16_t source_port_high = 0xffff;
  std::uint16_t destination_port_low = 0;
  std::uint16_t destination_port_high = 0xffff;
  std::uint32_t rank = 0;  ///< lower wins; different for each rule
  std::uint8_t protocol = 0;
  std::uint8_t wants = 0;  ///< of Want
  std::uint8_t tcp_flags = 0;
  std::uint8_t tcp_flags_mask = 0;
};
static_assert(sizeof(HotRule) == 32);

/// Headers side by side, in host order.
struct HeaderBlock {
  static constexpr std::uint32_t kCapacity = 128;
  std::uint32_t count = 0;
  alignas(64) std::array<std::uint32_t, kCapacity> source;
  alignas(64) std::array<std::uint32_t, kCapacity> destination;
  alignas(64) std::array<std::uint32_t, kCapacity> ports;  ///< source << 16 | destination
  alignas(64) std::array<std::uint32_t, kCapacity> protocol;
  alignas(64) std::array<std::uint32_t, kCapacity> best;  ///< rank of the best rule found so far; lookup() lowers it
  std::array<std::uint8_t, kCapacity> has;                ///< of Want
  std::array<std::uint8_t, kCapacity> tcp_flags;
  std::array<std::uint8_t, kCapacity> judged_flags;  ///< 0xff for TCP, else 0
};

/// Answers for rules with conditions beyond HotRule: whether rule `rank` matches header `index` of the block in full.
struct MoreConditions {
  bool always = false;  ///< ask for every rule, not only for those that want more
  const void* context = nullptr;
  bool (*hold)(const void* context, std::uint32_t rank, std::uint32_t index) noexcept = nullptr;
};

/// Vectors that lookups may use.
enum class VectorWidth : std::uint8_t { kPlain, kAvx2, kAvx512 };
/// The widest that this processor has.
[[nodiscard]] VectorWidth widest_vectors() noexcept;

struct RuleHits;

class RuleTables {
 public:
  static constexpr std::uint32_t kNoRank = 0xffffffff;
  static constexpr std::uint32_t kMaxRules = (1U << 20) - 1;
  /// Buckets, one behind the other, that a key's rules may lie in.
  static constexpr std::uint32_t kChain = 8;

  /// Takes the rules in, at most kMaxRules; those that crowd one key too much are left out and returned by rank.
  std::vector<std::uint32_t> build(std::vector<HotRule> rules);

  /// Lowers block.best[i] to the rank of the best rule that matches header i and has a rank below that.
  void lookup(HeaderBlock& block, const MoreConditions& more, VectorWidth width) const noexcept;

  [[nodiscard]] bool empty() const noexcept { return tables_.empty(); }
  [[nodiscard]] std::size_t table_count() const noexcept { return tables_.size(); }
  [[nodiscard]] std::size_t memory_bytes() const noexcept;

  /// The bits that the key of a table is made of.
  struct Shape {
    std::uint32_t source = 0;
    std::uint32_t destination = 0;
    std::uint32_t ports = 0;
    std::uint32_t protocol = 0;
    [[nodiscard]] auto operator<=>(const Shape&) const noexcept = default;
  };

 private:
  static constexpr std::uint32_t kSlots = 16;
  struct alignas(64) Bucket {
    std::array<std::uint32_t, kSlots> slot;  // tag << 20 | index of the rule; kFree
  };
  struct Table {
    Shape shape{};
    std::uint32_t best_rank = kNoRank;
    std::uint32_t filter_shift = 31;
    std::size_t first_word = 0;
    std::size_t first_bucket = 0;
    std::uint32_t buckets = 0;
  };
  void add_table(const Shape& shape, std::span<const std::uint32_t> members, std::vector<std::uint32_t>& crowded);
  /// False: its chain of buckets is full.
  [[nodiscard]] bool put(const Table& table, std::uint32_t hash, std::uint32_t rule) noexcept;
  /// Checks the rules of `hits` in full.
  void check(HeaderBlock& block, const MoreConditions& more, const RuleHits& hits) const noexcept;

  std::vector<HotRule> rules_;
  std::vector<Table> tables_;  // by best_rank
  std::vector<std::uint32_t> filter_;
  std::vector<Bucket> buckets_;
};

}  // namespace ringplane::firewall
