#include "base/mapped_memory.h"

#include <cstdint>
#include <utility>

#include <gtest/gtest.h>

namespace ringplane::base {
namespace {

TEST(MappedMemory, HandsOutZeroedArraysOnCacheLines) {
  auto memory = MappedMemory::map(4096, false, true, "the test", "ask for less");
  ASSERT_TRUE(memory) << memory.error().message;
  EXPECT_EQ(memory->pages(), PageKind::kPlain);
  const auto first = memory->take<std::uint8_t>(10);
  const auto second = memory->take<std::uint64_t>(3);
  EXPECT_EQ(reinterpret_cast<std::uintptr_t>(second.data()) % MappedMemory::kAlignment, 0U);
  EXPECT_EQ(memory->used_bytes(), 128U);
  for (const auto byte : first) EXPECT_EQ(byte, 0);
  second[2] = 7;
  const MappedMemory moved = std::move(*memory);
  EXPECT_EQ(second[2], 7U) << "the mapping moves, its bytes stay";
}

TEST(MappedMemory, SaysWhatNeedsHowMuchAndWhatToDo) {
  const auto memory = MappedMemory::map(std::uint64_t{1} << 50, false, true, "the test", "ask for less");
  ASSERT_FALSE(memory);
  EXPECT_EQ(memory.error().message.find("the test needs 1073741825 MiB"), 0U) << memory.error().message;
  EXPECT_NE(memory.error().message.find("ask for less"), std::string::npos);
}

}  // namespace
}  // namespace ringplane::base
