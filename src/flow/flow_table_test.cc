#include "flow/flow_table.h"

#include <array>
#include <cstddef>
#include <cstdint>
#include <initializer_list>
#include <memory>
#include <optional>
#include <set>
#include <span>
#include <string>
#include <unordered_map>
#include <utility>
#include <vector>

#include <gtest/gtest.h>

#include "base/clock.h"
#include "base/drop_reason.h"
#include "base/hash.h"
#include "base/ids.h"
#include "base/random.h"
#include "base/result.h"
#include "base/vector_width.h"
#include "flow/conntrack.h"
#include "flow/expiry_wheel.h"
#include "flow/flow.h"
#include "flow/test_packets.h"
#include "flow/timeouts.h"
#include "wire/flow_key.h"
#include "wire/ip_address.h"
#include "wire/packet.h"

namespace ringplane::flow {
namespace {

using base::FlowId;
using base::kNanosPerSecond;
using wire::Family;

/// A flow ends at most this long after its deadline.
constexpr std::uint64_t kPrecisionNs = ExpiryWheel::kSlotNs + kTickNs;

struct KeyHash {
  std::size_t operator()(const wire::FlowKey& key) const { return key.hash(base::secret_from_seed(99)); }
};

class FlowTableTest : public ::testing::Test {
 protected:
  void make(std::uint32_t capacity) {
    auto made = FlowTable::create({.capacity = capacity, .secret = secret_, .huge_pages = false}, kStart);
    ASSERT_TRUE(made.has_value()) << made.error().message;
    table_ = std::move(*made);
    table_->set_end_hook({.function = &FlowTableTest::on_end, .context = this});
  }
  std::uint64_t hash(const wire::Packet& packet) const { return packet.key.hash(secret_); }
  InsertResult insert(const wire::Packet& packet, std::uint64_t now_ns, const FlowSetup& setup = {}) {
    return table_->insert(packet, hash(packet), setup, now_ns);
  }
  FlowId find(const wire::Packet& packet) const { return table_->find(packet.key, hash(packet)); }
  /// Plays `packets` one after the other; the first makes the flow.
  FlowId play(const std::array<wire::Packet, 3>& packets, std::uint64_t now_ns) {
    const FlowId id = insert(packets[0], now_ns).id;
    EXPECT_TRUE(id.valid());
    EXPECT_EQ(table_->track(id, packets[1], now_ns).reason, base::DropReason::none);
    EXPECT_EQ(table_->track(id, packets[2], now_ns).reason, base::DropReason::none);
    return id;
  }
  void expire_all(std::uint64_t now_ns) {
    while (table_->expire(now_ns, 64) == 64) {
    }
  }

  static void on_end(void* context, const FlowTable& table, std::span<const EndedFlow> ended) noexcept {
    for (const EndedFlow& flow : ended) {
      static_cast<FlowTableTest*>(context)->ended_.push_back({table.key_of(flow.id), flow.cause});
    }
  }

  struct Ended {
    wire::FlowKey key;
    EndCause cause;
  };
  base::HashSecret secret_ = base::secret_from_seed(1);
  std::unique_ptr<FlowTable> table_;
  std::vector<Ended> ended_;
};

TEST_F(FlowTableTest, TakesAtMost128BytesAFlowWithIndexAndIpv6) {
  for (const std::uint32_t capacity : {1'000'000U, 2'500'000U}) {
    auto made = FlowTable::create({.capacity = capacity, .huge_pages = false, .prefault = false}, kStart);
    ASSERT_TRUE(made.has_value());
    EXPECT_LE((*made)->memory_bytes(), std::uint64_t{128} * capacity);
  }
}

TEST_F(FlowTableTest, SaysWhatIsWrongWhenItCannotBeMade) {
  const auto none = FlowTable::create({.capacity = 0}, kStart);
  ASSERT_FALSE(none.has_value());
  EXPECT_EQ(none.error().kind, base::ErrorKind::kBadConfiguration);
  const auto too_many = FlowTable::create({.capacity = kMaxFlows, .prefault = false}, kStart);  // 128 GiB
  if (!too_many.has_value()) {
    EXPECT_NE(too_many.error().message.find("MiB"), std::string::npos);
  }
}

TEST_F(FlowTableTest, FindsAFlowByThePacketsOfBothDirectionsAndNoOther) {
  make(100);
  for (const Family family : {Family::kIpv4, Family::kIpv6}) {
    const auto segments = handshake_of(7, family);
    const FlowId id = insert(segments[0], kStart).id;
    EXPECT_EQ(find(segments[1]), id);
    for (const auto change : std::initializer_list<void (*)(wire::FlowKey&)>{
             [](wire::FlowKey& key) { key.port[0] ^= 1; }, [](wire::FlowKey& key) { key.port[1] ^= 1; },
             [](wire::FlowKey& key) { key.zone ^= 1; }, [](wire::FlowKey& key) { key.protocol = 17; },
             [](wire::FlowKey& key) { key.address[0].bytes[3] ^= 1; },
             [](wire::FlowKey& key) { key.address[1].bytes[3] ^= 1; },
             [](wire::FlowKey& key) { key.family = key.family == Family::kIpv4 ? Family::kIpv6 : Family::kIpv4; }}) {
      wire::Packet other = segments[0];
      change(other.key);
      EXPECT_FALSE(find(other).valid());
      EXPECT_FALSE(table_->find(other.key, hash(segments[0])).valid()) << "the same hash does not make the same flow";
    }
  }
}

TEST_F(FlowTableTest, TheSecondFirstPacketOfABurstFindsTheFlowOfTheFirst) {
  make(100);
  const InsertResult first = insert(syn_of(1), kStart);
  const InsertResult second = insert(syn_of(1), kStart);
  EXPECT_EQ(first.outcome, InsertOutcome::kInserted);
  EXPECT_EQ(second.outcome, InsertOutcome::kExists);
  EXPECT_EQ(first.id, second.id);
  EXPECT_EQ(table_->size(), 1U);
}

TEST_F(FlowTableTest, GivesBackTheWholeKeyAndWhatTheRulesSaid) {
  make(100);
  for (const Family family : {Family::kIpv4, Family::kIpv6}) {
    wire::Packet packet = packet_of(1234, family, wire::protocol::kUdp, true);
    const FlowSetup setup{.path = {77}, .generation = 9, .timeout_set = 0, .worker_flags = flow_flag::kLog};
    const FlowId id = insert(packet, kStart, setup).id;
    const FlowDetails details = table_->details(id, kStart + 5 * kNanosPerSecond);
    EXPECT_EQ(details.key, packet.key);
    EXPECT_TRUE(details.original_upper);
    EXPECT_EQ(details.path, base::RulePathId{77});
    EXPECT_NEAR(static_cast<double>(details.age_ns), 5e9, 2.0 * kTickNs);
    EXPECT_NEAR(static_cast<double>(details.expires_in_ns), 55e9, 2.0 * kTickNs);
    EXPECT_EQ(table_->at(id).generation, 9);
    EXPECT_TRUE(table_->at(id).has(flow_flag::kLog));
    table_->set_rules(id, {.path = {78}, .generation = 10});
    EXPECT_EQ(table_->details(id, kStart).path, base::RulePathId{78});
    EXPECT_FALSE(table_->at(id).has(flow_flag::kLog));
    EXPECT_TRUE(table_->at(id).has(flow_flag::kOriginalUpper)) << "what conntrack knows stays";
  }
}

TEST_F(FlowTableTest, CountsExactlyBeyondTheWidthOfItsHotCounters) {
  make(10);
  wire::Packet query = packet_of(1, Family::kIpv4, wire::protocol::kUdp, false);
  wire::Packet answer = packet_of(1, Family::kIpv4, wire::protocol::kUdp, true);
  query.ip_length = 65'535;
  answer.ip_length = 100;
  const FlowId id = insert(query, kStart).id;
  for (int i = 1; i < 200'000; ++i) ASSERT_EQ(table_->track(id, query, kStart).reason, base::DropReason::none);
  for (int i = 0; i < 70'000; ++i) ASSERT_EQ(table_->track(id, answer, kStart).reason, base::DropReason::none);
  const FlowDetails details = table_->details(id, kStart);
  EXPECT_EQ(details.packets[0], 200'000U);
  EXPECT_EQ(details.bytes[0], 200'000ULL * 65'535);
  EXPECT_EQ(details.packets[1], 70'000U);
  EXPECT_EQ(details.bytes[1], 7'000'000U);
}

TEST_F(FlowTableTest, DoesNotCountWhatItDropsAndIsNotKeptAliveByIcmpErrors) {
  make(10);
  const FlowId id = play(handshake_of(1), kStart);
  wire::Packet stray = handshake_of(1)[2];
  stray.tcp_seq += 1'000'000;
  EXPECT_EQ(table_->track(id, stray, kStart + kNanosPerSecond).reason, base::DropReason::tcp_out_of_window);
  EXPECT_EQ(table_->details(id, kStart).packets[0], 2U);
  wire::Packet error = handshake_of(1)[2];
  error.kind = wire::PacketKind::kIcmpError;
  error.from_upper = true;
  EXPECT_EQ(table_->track(id, error, kStart + kNanosPerSecond).reason, base::DropReason::none);
  EXPECT_EQ(table_->details(id, kStart).packets[1], 2U);
  EXPECT_EQ(table_->at(id).last_seen, tick_of(kStart));
}

TEST_F(FlowTableTest, FindsWholeBurstsAndLeavesUnwantedElementsAlone) {
  make(2000);
  constexpr std::uint64_t kSeed = 31;
  SCOPED_TRACE("seed " + std::to_string(kSeed));
  base::Random random(kSeed);
  std::vector<wire::Packet> known;
  for (std::uint32_t i = 0; i < 2000; ++i) {
    known.push_back(syn_of(i, i % 2 == 0 ? Family::kIpv4 : Family::kIpv6));
    if (i % 4 == 3) continue;
    ASSERT_EQ(insert(known.back(), kStart).outcome, InsertOutcome::kInserted);
  }
  for (int round = 0; round < 200; ++round) {
    const std::size_t length = 1 + random.below(kMaxLookUp);
    std::vector<wire::Packet> packets;
    std::vector<std::uint64_t> hashes;
    for (std::size_t i = 0; i < length; ++i) {
      packets.push_back(known[random.below(known.size())]);
      hashes.push_back(hash(packets.back()));
    }
    const std::uint64_t wanted = random() & (length == 64 ? ~0ULL : (1ULL << length) - 1);
    constexpr FlowId kUntouched{0x1234'5678};
    std::vector<FlowId> found(length, kUntouched);
    const base::VectorWidth width = round % 2 == 0 ? base::VectorWidth::kPlain : base::widest_vectors();
    const FlowTable::Likely likely = table_->look_up(hashes, wanted, width, found);
    const std::uint64_t with_flow = likely.found | table_->look_up_elsewhere(hashes, likely.elsewhere, found);
    EXPECT_EQ(likely.found & likely.elsewhere, 0U);
    EXPECT_EQ(with_flow & ~wanted, 0U);
    for (std::size_t i = 0; i < length; ++i) {
      if ((wanted >> i & 1) == 0) {
        EXPECT_EQ(found[i], kUntouched);
      } else {
        EXPECT_EQ((with_flow >> i & 1) != 0, found[i].valid());
        EXPECT_EQ(table_->confirm(found[i], packets[i].key, hashes[i]), find(packets[i]));
      }
    }
  }
}

TEST_F(FlowTableTest, VisitsEveryFlowInSlicesAndMayEraseThemMeanwhile) {
  make(1000);
  for (std::uint32_t i = 0; i < 900; ++i) ASSERT_TRUE(insert(syn_of(i), kStart).id.valid());
  for (std::uint32_t i = 0; i < 900; i += 3) table_->erase(find(syn_of(i)));
  std::set<std::uint32_t> seen;
  std::uint32_t cursor = 0;
  do {
    cursor = table_->visit_slice(cursor, 7, [&](FlowId id) {
      EXPECT_TRUE(seen.insert(id.value).second);
      if (id.value % 2 == 0) table_->erase(id);
    });
  } while (cursor != 0);
  EXPECT_EQ(seen.size(), 600U);
  EXPECT_EQ(table_->size(), 300U);
}

// --- time ------------------------------------------------------------------------------------------------------------

TEST_F(FlowTableTest, EndsAFlowAfterTheTimeoutOfItsState) {
  const auto track = [this](FlowId id, wire::Packet packet, std::uint8_t flags, std::uint32_t seq, std::uint32_t ack) {
    packet.tcp_flags = flags;
    packet.tcp_seq += seq;
    packet.tcp_ack += ack;
    EXPECT_EQ(table_->track(id, packet, kStart).reason, base::DropReason::none);
  };
  constexpr std::uint8_t kAck = wire::tcp_flag::kAck;
  constexpr std::uint8_t kFinAck = wire::tcp_flag::kAck | wire::tcp_flag::kFin;
  const auto segments = handshake_of(5);
  wire::Packet server = segments[1];
  server.tcp_seq += 1;

  make(10);
  const auto ends_after = [&](const char* what, std::uint64_t timeout_s) {
    SCOPED_TRACE(what);
    expire_all(kStart + timeout_s * kNanosPerSecond - kTickNs);
    EXPECT_EQ(table_->size(), 1U) << "too early";
    expire_all(kStart + timeout_s * kNanosPerSecond + kPrecisionNs);
    EXPECT_EQ(table_->size(), 0U) << "too late";
    make(10);
  };
  (void)insert(segments[0], kStart);
  ends_after("SYN", 120);
  track(insert(segments[0], kStart).id, segments[0], wire::tcp_flag::kSyn, 0, 0);
  ends_after("SYN twice: the wheel learns of the shorter timeout when the first runs out", 120);
  (void)play(segments, kStart);
  ends_after("established", 86'400);
  track(play(segments, kStart), segments[2], kFinAck, 0, 0);
  ends_after("closing", 900);
  {
    const FlowId id = play(segments, kStart);
    track(id, segments[2], kFinAck, 0, 0);
    track(id, server, kFinAck, 0, 0);
  }
  ends_after("both closing", 45);
  {
    const FlowId id = play(segments, kStart);
    track(id, segments[2], kFinAck, 0, 0);
    track(id, server, kFinAck, 0, 1);
    track(id, segments[2], kAck, 1, 1);
  }
  ends_after("closed", 90);
  track(play(segments, kStart), segments[2], wire::tcp_flag::kRst, 0, 0);
  ends_after("reset", 90);
  (void)insert(packet_of(1, Family::kIpv6, wire::protocol::kUdp), kStart);
  ends_after("UDP", 60);
  (void)insert(packet_of(1, Family::kIpv6, 47), kStart);
  ends_after("GRE", 60);
}

TEST_F(FlowTableTest, SaysWhyAFlowEnded) {
  make(10);
  const FlowId closed = play(handshake_of(1), kStart);
  wire::Packet reset = handshake_of(1)[2];
  reset.tcp_flags = wire::tcp_flag::kRst;
  EXPECT_EQ(table_->track(closed, reset, kStart).reason, base::DropReason::none);
  (void)insert(syn_of(2), kStart);
  table_->erase(insert(syn_of(3), kStart).id);
  expire_all(kStart + 121 * kNanosPerSecond);
  ASSERT_EQ(ended_.size(), 3U);
  EXPECT_EQ(ended_[0].key, syn_of(3).key);
  EXPECT_EQ(ended_[0].cause, EndCause::kErased);
  EXPECT_EQ(ended_[1].key, syn_of(1).key);
  EXPECT_EQ(ended_[1].cause, EndCause::kClosed);
  EXPECT_EQ(ended_[2].key, syn_of(2).key);
  EXPECT_EQ(ended_[2].cause, EndCause::kTimeout);
  EXPECT_EQ(table_->counters().ended[static_cast<std::size_t>(EndCause::kTimeout)].get(), 1U);
}

TEST_F(FlowTableTest, ExpiresNoMoreThanItsBudgetAtATime) {
  make(1000);
  for (std::uint32_t i = 0; i < 1000; ++i) ASSERT_TRUE(insert(syn_of(i), kStart).id.valid());
  const std::uint64_t late = kStart + 200 * kNanosPerSecond;
  EXPECT_EQ(table_->expire(late, 100), 100U);
  EXPECT_EQ(table_->size(), 900U);
  EXPECT_EQ(table_->expire(late, 1000), 900U);
  EXPECT_EQ(table_->expire(late, 1000), 0U);
}

TEST_F(FlowTableTest, ARuleMayHaveTimeoutsOfItsOwn) {
  make(10);
  std::array<FlowTimeouts, 2> sets;
  sets[1][TimeoutClass::kUdpFirst] = 5;
  table_->set_timeouts(sets);
  (void)insert(packet_of(1, Family::kIpv4, wire::protocol::kUdp), kStart, {.timeout_set = 1});
  (void)insert(packet_of(2, Family::kIpv4, wire::protocol::kUdp), kStart, {.timeout_set = 0});
  (void)insert(packet_of(3, Family::kIpv4, wire::protocol::kUdp), kStart, {.timeout_set = 200});
  expire_all(kStart + 6 * kNanosPerSecond);
  EXPECT_EQ(table_->size(), 2U);
  expire_all(kStart + 61 * kNanosPerSecond);
  EXPECT_EQ(table_->size(), 0U);
}

TEST(FlowTimeouts, ShrinkInProportionAsTheTableFills) {  // pf.conf(5) adaptive.start, adaptive.end
  FlowTimeouts timeouts;
  const Tick full = timeouts.ticks(TimeoutClass::kTcpEstablished, 1'000'000);
  timeouts.set_adaptive_defaults(1000);
  EXPECT_EQ(timeouts.ticks(TimeoutClass::kTcpEstablished, 600), full);
  EXPECT_EQ(timeouts.ticks(TimeoutClass::kTcpEstablished, 900), full / 2);
  EXPECT_EQ(timeouts.ticks(TimeoutClass::kTcpEstablished, 1200), 0U);
  EXPECT_EQ(timeouts.ticks(TimeoutClass::kTcpEstablished, 5000), 0U);
}

TEST(FlowTimeouts, HaveTheNamesAndDefaultsOfPf) {
  const FlowTimeouts timeouts;
  EXPECT_EQ(timeout_class_of("tcp.first"), TimeoutClass::kTcpFirst);
  EXPECT_EQ(timeout_class_of("other.multiple"), TimeoutClass::kOtherMultiple);
  EXPECT_EQ(timeout_class_of("tcp.last"), std::nullopt);
  EXPECT_EQ(name_of(TimeoutClass::kIcmpError), "icmp.error");
  EXPECT_EQ(timeouts[TimeoutClass::kTcpEstablished], 86'400U);
  EXPECT_EQ(timeouts[TimeoutClass::kIcmpError], 10U);
}

TEST_F(FlowTableTest, EndsFlowsSoonerWhenItFillsUp) {
  make(100);
  std::array<FlowTimeouts, 1> sets;
  sets[0].adaptive_start_flows = 50;
  sets[0].adaptive_end_flows = 100;
  table_->set_timeouts(sets);
  for (std::uint32_t i = 0; i < 75; ++i) (void)insert(packet_of(i, Family::kIpv4, wire::protocol::kUdp), kStart);
  // 75 of 50..100: half the minute, although it was the whole minute when the first ones began.
  expire_all(kStart + 29 * kNanosPerSecond);
  EXPECT_EQ(table_->size(), 75U);
  // Each that goes lengthens the time of those who stay, up to 60 s for the last 50.
  expire_all(kStart + 45 * kNanosPerSecond);
  EXPECT_LT(table_->size(), 75U);
  EXPECT_GT(table_->size(), 50U);
  expire_all(kStart + 61 * kNanosPerSecond);
  EXPECT_EQ(table_->size(), 0U);
}

// --- full ------------------------------------------------------------------------------------------------------------

TEST_F(FlowTableTest, AFloodOfSynsEvictsItselfAndNoEstablishedFlow) {
  make(1000);
  for (std::uint32_t i = 0; i < 900; ++i)
    (void)play(handshake_of(i, i % 2 == 0 ? Family::kIpv4 : Family::kIpv6), kStart);
  std::uint64_t now = kStart;
  for (std::uint32_t i = 0; i < 100'000; ++i) {
    now += 6'000'000;
    ASSERT_EQ(insert(syn_of(1'000'000 + i), now).outcome, InsertOutcome::kInserted);
    if (i % 64 == 0) table_->expire(now, 64);
  }
  EXPECT_EQ(table_->size(), 1000U);
  for (std::uint32_t i = 0; i < 900; ++i) {
    EXPECT_TRUE(find(handshake_of(i, i % 2 == 0 ? Family::kIpv4 : Family::kIpv6)[0]).valid());
  }
  EXPECT_EQ(table_->counters().ended[static_cast<std::size_t>(EndCause::kEvicted)].get(), 99'900U);
  EXPECT_EQ(table_->counters().full.get(), 0U);
  // The oldest went first: exactly the last hundred are left.
  for (std::uint32_t i = 99'900; i < 100'000; ++i) EXPECT_TRUE(find(syn_of(1'000'000 + i)).valid());
}

TEST_F(FlowTableTest, ATableOfEstablishedFlowsRefusesNewOnes) {
  make(100);
  for (std::uint32_t i = 0; i < 100; ++i) (void)play(handshake_of(i), kStart);
  EXPECT_EQ(insert(syn_of(1000), kStart).outcome, InsertOutcome::kFull);
  EXPECT_EQ(table_->counters().full.get(), 1U);
  EXPECT_TRUE(ended_.empty());
  EXPECT_EQ(table_->size(), 100U);
}

TEST_F(FlowTableTest, ClosedAndUnansweredFlowsMakeRoom) {
  make(3);
  const FlowId closed = play(handshake_of(1), kStart);
  wire::Packet reset = handshake_of(1)[2];
  reset.tcp_flags = wire::tcp_flag::kRst;
  EXPECT_EQ(table_->track(closed, reset, kStart).reason, base::DropReason::none);
  (void)insert(packet_of(2, Family::kIpv4, wire::protocol::kUdp), kStart);
  const FlowId answered = insert(packet_of(3, Family::kIpv4, wire::protocol::kUdp), kStart).id;
  EXPECT_EQ(table_->track(answered, packet_of(3, Family::kIpv4, wire::protocol::kUdp, true), kStart).reason,
            base::DropReason::none);
  const std::uint64_t later = kStart + kNanosPerSecond;
  (void)play(handshake_of(4), later);
  (void)play(handshake_of(5), later);
  EXPECT_EQ(insert(syn_of(6), later).outcome, InsertOutcome::kFull);
  ASSERT_EQ(ended_.size(), 2U);
  EXPECT_EQ(ended_[0].key, packet_of(2, Family::kIpv4, wire::protocol::kUdp).key);
  EXPECT_EQ(ended_[1].key, syn_of(1).key);
}

TEST_F(FlowTableTest, AFlowThatWaitsForItsAnswerIsNotEvictedForHalfASecond) {
  make(10);
  for (std::uint32_t i = 0; i < 10; ++i) (void)insert(syn_of(i), kStart);
  EXPECT_FALSE(table_->has_room(kStart + kNanosPerSecond / 4));
  EXPECT_EQ(insert(syn_of(100), kStart + kNanosPerSecond / 4).outcome, InsertOutcome::kFull);
  // Their answers come in time for all of them, flood or not.
  const std::uint64_t answered = kStart + kNanosPerSecond * 4 / 10;
  for (std::uint32_t i = 0; i < 5; ++i) {
    const auto segments = handshake_of(i);
    ASSERT_EQ(table_->track(find(segments[0]), segments[1], answered).reason, base::DropReason::none);
    ASSERT_EQ(table_->track(find(segments[0]), segments[2], answered).reason, base::DropReason::none);
  }
  // Then those that had none may go, and only those.
  const std::uint64_t later = kStart + kNanosPerSecond * 6 / 10;
  for (std::uint32_t i = 0; i < 5; ++i) {
    EXPECT_TRUE(table_->has_room(later));
    ASSERT_EQ(insert(syn_of(200 + i), later).outcome, InsertOutcome::kInserted);
  }
  EXPECT_FALSE(table_->has_room(later));
  EXPECT_EQ(insert(syn_of(300), later).outcome, InsertOutcome::kFull);
  for (std::uint32_t i = 0; i < 5; ++i) EXPECT_TRUE(find(syn_of(i)).valid());
}

TEST_F(FlowTableTest, AYoungFlowWithAShortTimeoutDoesNotHideOlderOnesWithALongOne) {
  make(20);
  std::uint64_t now = kStart;
  for (std::uint32_t i = 0; i < 20; ++i) (void)insert(syn_of(i), now);
  now += 59 * kNanosPerSecond;  // tcp.first is 120 s, udp.first 60: from now on UDP comes due earlier
  for (std::uint32_t i = 0; i < 200; ++i) {
    now += kNanosPerSecond / 20;
    ASSERT_TRUE(table_->has_room(now)) << i;
    const wire::Packet udp = packet_of(1'000 + i, Family::kIpv4, wire::protocol::kUdp);
    ASSERT_EQ(insert(i % 2 == 0 ? udp : syn_of(1'000 + i), now).outcome, InsertOutcome::kInserted);
  }
}

TEST_F(FlowTableTest, AFlowThatIsOverMakesRoomAtOnce) {
  make(1);
  const FlowId closed = play(handshake_of(1), kStart);
  wire::Packet reset = handshake_of(1)[2];
  reset.tcp_flags = wire::tcp_flag::kRst;
  ASSERT_EQ(table_->track(closed, reset, kStart).reason, base::DropReason::none);
  EXPECT_TRUE(table_->has_room(kStart));
  EXPECT_EQ(insert(syn_of(2), kStart).outcome, InsertOutcome::kInserted);
}

TEST_F(FlowTableTest, RoomForABurstIsMadeByTheOldestAndNoMoreThanItNeeds) {
  for (const std::uint64_t seed : {1ULL, 2ULL, 3ULL}) {
    SCOPED_TRACE("seed " + std::to_string(seed));
    base::Random random(seed);
    make(200);
    ended_.clear();
    std::uint64_t now = kStart;
    std::uint32_t oldest = 0;
    std::uint32_t next = 0;
    for (int round = 0; round < 500; ++round) {
      now += kNanosPerSecond;
      std::array<std::uint64_t, kMaxEnding> hashes;
      const auto count = static_cast<std::uint32_t>(1 + random.below(hashes.size()));
      for (std::uint32_t i = 0; i < count; ++i) hashes[i] = hash(syn_of(next + i));
      const std::uint32_t free = table_->capacity() - table_->size();
      table_->make_room({hashes.data(), count}, now);
      const std::uint32_t gone = count > free ? count - free : 0;
      ASSERT_EQ(ended_.size(), oldest + gone);
      for (std::uint32_t i = 0; i < gone; ++i) ASSERT_EQ(ended_[oldest + i].key, syn_of(oldest + i).key);
      oldest += gone;
      for (std::uint32_t i = 0; i < count; ++i, ++next) {
        ASSERT_EQ(table_->begin(syn_of(next), hashes[i], {}, now).outcome, InsertOutcome::kInserted);
      }
      ASSERT_EQ(ended_.size(), oldest) << "room had been made";
      ASSERT_EQ(table_->size(), next - oldest);
    }
  }
}

TEST_F(FlowTableTest, AnUnansweredFlowThatIsActiveOutlivesIdleOnes) {
  make(50);
  const wire::Packet stream = packet_of(1, Family::kIpv4, wire::protocol::kUdp);
  const FlowId active = insert(stream, kStart).id;
  std::uint64_t now = kStart;
  for (std::uint32_t i = 0; i < 2'000; ++i) {
    now += 100'000'000;
    ASSERT_EQ(table_->track(active, stream, now).reason, base::DropReason::none);
    ASSERT_EQ(insert(packet_of(1000 + i, Family::kIpv4, wire::protocol::kUdp), now).outcome, InsertOutcome::kInserted);
  }
  EXPECT_EQ(find(stream), active);
}

// --- against an oracle -----------------------------------------------------------------------------------------------

TEST_F(FlowTableTest, AgreesWithAMapUnderRandomOperations) {
  for (const std::uint64_t seed : {1ULL, 2ULL, 3ULL, 4ULL}) {
    SCOPED_TRACE("seed " + std::to_string(seed));
    base::Random random(seed);
    const auto capacity = static_cast<std::uint32_t>(1 + random.below(seed % 2 == 0 ? 8 : 60));
    secret_ = base::secret_from_seed(seed);
    make(capacity);
    ended_.clear();
    std::size_t ended_seen = 0;
    struct Expected {
      FlowId id;
      std::uint64_t packets;
    };
    std::unordered_map<wire::FlowKey, Expected, KeyHash> oracle;
    std::uint64_t now = kStart;
    std::array<std::uint64_t, kEndCauseCount> causes{};
    std::uint64_t refused = 0;
    for (int round = 0; round < 40'000; ++round) {
      const auto number = static_cast<std::uint32_t>(random.below(capacity + capacity / 4 + 2));
      const Family family = number % 3 == 0 ? Family::kIpv6 : Family::kIpv4;
      const auto segments = handshake_of(number, family);
      const FlowId id = find(segments[0]);
      const auto known = oracle.find(segments[0].key);
      ASSERT_EQ(id.valid(), known != oracle.end());
      if (id.valid()) {
        ASSERT_EQ(id, known->second.id);
        ASSERT_EQ(table_->key_of(id), segments[0].key);
        const FlowDetails details = table_->details(id, now);
        ASSERT_EQ(details.packets[0] + details.packets[1], known->second.packets);
        if (random.chance(0.01)) {
          table_->erase(id);
        } else {
          // Mostly the segment that comes next, so that flows do get established.
          const std::size_t next = table_->at(id).state(wire::Direction::kReply) == PeerState::kNoTraffic ? 1 : 2;
          const StepResult result = table_->track(id, segments[random.chance(0.8) ? next : random.below(3)], now);
          known->second.packets += result.reason == base::DropReason::none && !result.restart;
        }
      } else {
        const InsertResult made = insert(segments[0], now);
        if (made.outcome == InsertOutcome::kFull) {
          ++refused;
          ASSERT_TRUE(oracle.size() >= capacity);
        } else {
          ASSERT_EQ(made.outcome, InsertOutcome::kInserted);
          oracle.emplace(segments[0].key, Expected{made.id, 1});
        }
      }
      if (random.chance(0.05)) {
        now += random.below(random.chance(0.01) ? 40'000 * kNanosPerSecond : kNanosPerSecond / 2);
        table_->expire(now, static_cast<std::uint32_t>(random.below(40)));
      }
      for (; ended_seen < ended_.size(); ++ended_seen) {
        ASSERT_EQ(oracle.erase(ended_[ended_seen].key), 1U) << "a flow ends once";
        ++causes[static_cast<std::size_t>(ended_[ended_seen].cause)];
      }
      ASSERT_EQ(table_->size(), oracle.size());
      ASSERT_LE(table_->size(), capacity);
    }
    for (const EndCause cause : {EndCause::kTimeout, EndCause::kEvicted, EndCause::kErased}) {
      EXPECT_GT(causes[static_cast<std::size_t>(cause)], 0U) << "the test did not reach it";
    }
    EXPECT_GT(refused, 0U) << "the test did not fill the table";
    expire_all(now + 100'000 * kNanosPerSecond);
    EXPECT_EQ(table_->size(), 0U);
  }
}

}  // namespace
}  // namespace ringplane::flow
