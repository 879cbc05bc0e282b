// A flow table whose process died, taken over by another through the memory file that both map.
#include <signal.h>
#include <unistd.h>

#include <array>
#include <csignal>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <utility>

#include <gtest/gtest.h>
#include <sys/wait.h>

#include "base/clock.h"
#include "base/drop_reason.h"
#include "base/file_descriptor.h"
#include "base/ids.h"
#include "base/mapped_memory.h"
#include "base/memory_file.h"
#include "base/random.h"
#include "base/result.h"
#include "flow/flow.h"
#include "flow/flow_table.h"
#include "flow/test_packets.h"
#include "wire/flow_key.h"
#include "wire/ip_address.h"
#include "wire/packet.h"

namespace ringplane::flow {
namespace {

constexpr std::uint32_t kCapacity = 2000;

wire::Packet opening(std::uint32_t number) {
  const wire::Family family = number % 3 == 0 ? wire::Family::kIpv6 : wire::Family::kIpv4;
  return number % 2 == 0 ? syn_of(number, family) : packet_of(number, family, wire::protocol::kUdp);
}

class Inheritance : public ::testing::Test {
 protected:
  void SetUp() override {
    auto file = base::make_memory_file(FlowTable::bytes_for(kCapacity), false, "the test", "ask for less");
    ASSERT_TRUE(file) << file.error().message;
    file_ = std::move(*file);
  }
  std::unique_ptr<FlowTable> take_over(std::uint32_t capacity = kCapacity, std::uint64_t secret = 1) {
    auto made = FlowTable::create({.capacity = capacity,
                                   .secret = base::secret_from_seed(secret),
                                   .huge_pages = false,
                                   .memory_file = file_.get()},
                                  kStart);
    EXPECT_TRUE(made) << made.error().message;
    return std::move(*made);
  }
  static std::uint64_t hash(const wire::Packet& packet) { return packet.key.hash(base::secret_from_seed(1)); }
  static base::FlowId find(const FlowTable& table, const wire::Packet& packet) {
    return table.find(packet.key, hash(packet));
  }
  static void fill(FlowTable& table, std::uint32_t flows) {
    for (std::uint32_t i = 0; i < flows; ++i) {
      const wire::Packet packet = opening(i);
      ASSERT_EQ(table.insert(packet, hash(packet), {.path = {5}, .generation = 3}, kStart).outcome,
                InsertOutcome::kInserted);
    }
  }
  /// Everything a table promises of its flows, and that all of them can end.
  static void expect_sound(FlowTable& table) {
    std::uint32_t live = 0;
    table.visit_slice(0, kCapacity, [&](base::FlowId id) {
      ++live;
      const wire::FlowKey key = table.key_of(id);
      EXPECT_EQ(table.find(key, key.hash(base::secret_from_seed(1))), id);
      EXPECT_EQ(table.at(id).generation, 0);
      EXPECT_FALSE(table.at(id).path.valid());
    });
    EXPECT_EQ(table.size(), live);
    const std::uint64_t much_later = kStart + 200'000 * base::kNanosPerSecond;
    for (int i = 0; i < 10'000 && table.size() > 0; ++i) table.expire(much_later, 64);
    EXPECT_EQ(table.size(), 0U);
    for (std::uint32_t i = 0; i < kCapacity; ++i) {
      const wire::Packet packet = opening(i + 100'000);
      ASSERT_EQ(table.insert(packet, hash(packet), {}, much_later).outcome, InsertOutcome::kInserted);
    }
  }

  base::FileDescriptor file_;
};

TEST_F(Inheritance, OfANewFileIsNothing) {
  EXPECT_FALSE(take_over()->inherited().has_value());
}

TEST_F(Inheritance, FlowsGoOnWhereTheyWere) {
  {
    auto table = take_over();
    fill(*table, 900);
    table->erase(find(*table, opening(7)));
    const wire::Packet answer = handshake_of(8)[1];
    ASSERT_EQ(table->track(find(*table, opening(8)), answer, kStart).reason, base::DropReason::none);
  }
  auto heir = take_over();
  ASSERT_TRUE(heir->inherited().has_value());
  EXPECT_TRUE(heir->inherited()->trusted);
  EXPECT_EQ(heir->inherited()->kept, 899U);
  EXPECT_EQ(heir->inherited()->dropped, 0U);
  EXPECT_EQ(heir->counters().inserted.get(), 900U) << "counters go on too";
  EXPECT_FALSE(find(*heir, opening(7)).valid());
  for (std::uint32_t i = 0; i < 900; ++i) EXPECT_EQ(find(*heir, opening(i)).valid(), i != 7) << i;
  const FlowDetails details = heir->details(find(*heir, opening(8)), kStart);
  EXPECT_EQ(details.packets, (std::array<std::uint64_t, 2>{1, 1}));
  EXPECT_EQ(details.state[1], PeerState::kSynSent);
  expect_sound(*heir);
}

TEST_F(Inheritance, OfAnotherLayoutIsRefusedWhole) {
  fill(*take_over(), 100);
  auto heir = take_over(kCapacity, 2);
  ASSERT_TRUE(heir->inherited().has_value());
  EXPECT_FALSE(heir->inherited()->trusted) << "of another secret";
  EXPECT_EQ(heir->size(), 0U);
}

TEST_F(Inheritance, AFlowThatWasOverwrittenIsDropped) {
  const std::uint64_t bytes = FlowTable::bytes_for(kCapacity);
  for (std::uint64_t seed = 1; seed <= 200; ++seed) {
    SetUp();
    fill(*take_over(), 1000);
    auto memory = base::MappedMemory::map_file(file_.get(), bytes, false, "the test", "");
    ASSERT_TRUE(memory);
    const auto words = memory->take<std::uint64_t>(bytes / 8);
    base::Random random(seed);
    // Past the head, which is checked as a whole: anywhere in index, records, links, ledgers and addresses.
    for (int i = 0; i < 40; ++i) words[64 + random.below(words.size() - 64)] = random();
    auto heir = take_over();
    ASSERT_TRUE(heir->inherited().has_value());
    EXPECT_GE(heir->size(), 800U) << "seed " << seed;
    std::uint32_t wrong = 0;
    std::uint32_t missing = 0;
    for (std::uint32_t i = 0; i < 1000; ++i) missing += find(*heir, opening(i)).valid() ? 0 : 1;
    heir->visit_slice(0, kCapacity, [&](base::FlowId id) {
      bool known = false;
      for (std::uint32_t i = 0; i < 1000; ++i) known |= find(*heir, opening(i)) == id;
      wrong += known ? 0 : 1;
    });
    EXPECT_EQ(wrong, 0U) << "a flow that was never made, seed " << seed;
    EXPECT_LE(heir->inherited()->dropped, missing) << "seed " << seed;
    expect_sound(*heir);
    if (::testing::Test::HasFailure()) break;
  }
}

TEST_F(Inheritance, ATableInWhichMuchWasOverwrittenIsNotTrusted) {
  fill(*take_over(), 1500);
  const std::uint64_t bytes = FlowTable::bytes_for(kCapacity);
  auto memory = base::MappedMemory::map_file(file_.get(), bytes, false, "the test", "");
  ASSERT_TRUE(memory);
  const auto words = memory->take<std::uint64_t>(bytes / 8);
  base::Random random(1);
  for (std::size_t i = 64; i < words.size(); ++i) words[i] ^= random();
  auto heir = take_over();
  ASSERT_TRUE(heir->inherited().has_value());
  EXPECT_FALSE(heir->inherited()->trusted);
  EXPECT_EQ(heir->size(), 0U);
  expect_sound(*heir);
}

/// What the child does until it is killed: begins, continues, ends, evicts and expires flows in no order.
[[noreturn]] void live_until_killed(FlowTable& table, std::uint64_t seed) {
  base::Random random(seed);
  for (;;) {
    const wire::Packet packet = opening(static_cast<std::uint32_t>(random.below(std::uint64_t{3} * kCapacity)));
    const std::uint64_t hash = packet.key.hash(base::secret_from_seed(1));
    const base::FlowId id = table.find(packet.key, hash);
    if (!id.valid()) {
      (void)table.insert(packet, hash, {.path = {1}, .generation = 9}, kStart);
    } else if (random.below(4) == 0) {
      table.erase(id);
    } else {
      (void)table.track(id, packet, kStart);
    }
    if (random.below(64) == 0) table.expire(kStart + random.below(60) * base::kNanosPerSecond, 8);
  }
}

TEST_F(Inheritance, OfAProcessThatWasKilledAnywhereIsSound) {
  for (std::uint64_t seed = 1; seed <= 60; ++seed) {
    SetUp();
    auto table = take_over();
    const pid_t child = fork();
    ASSERT_GE(child, 0);
    if (child == 0) live_until_killed(*table, seed);
    base::Random random(seed);
    usleep(static_cast<useconds_t>(1000 + random.below(15'000)));
    kill(child, SIGKILL);
    waitpid(child, nullptr, 0);
    table.reset();
    auto heir = take_over();
    ASSERT_TRUE(heir->inherited().has_value());
    EXPECT_TRUE(heir->inherited()->trusted) << "seed " << seed;
    EXPECT_LE(heir->inherited()->dropped, 2U) << "one flow was being made, ended or moved; seed " << seed;
    expect_sound(*heir);
    if (::testing::Test::HasFailure()) break;
  }
}

}  // namespace
}  // namespace ringplane::flow
