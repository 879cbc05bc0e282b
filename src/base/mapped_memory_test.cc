#include "base/mapped_memory.h"

#include <unistd.h>

#include <cstdint>
#include <utility>

#include <gtest/gtest.h>

#include "base/memory_file.h"

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

TEST(MappedMemory, OfAFileIsTheSameForAllWhoMapIt) {
  constexpr std::uint64_t kBytes = std::uint64_t{3} << 20;
  const auto file = make_memory_file(kBytes, false, "the test", "ask for less");
  ASSERT_TRUE(file) << file.error().message;
  {
    auto first = MappedMemory::map_file(file->get(), kBytes, false, "the test", "ask for less");
    ASSERT_TRUE(first) << first.error().message;
    const auto words = first->take<std::uint64_t>(kBytes / 8);
    EXPECT_EQ(words.front(), 0U);
    words.back() = 7;
  }
  auto second = MappedMemory::map_file(file->get(), kBytes, true, "the test", "ask for less");
  ASSERT_TRUE(second) << second.error().message;
  EXPECT_EQ(second->take<std::uint64_t>(kBytes / 8).back(), 7U);
  EXPECT_EQ(reinterpret_cast<std::uintptr_t>(second->data()) % (2U << 20), 0U) << "huge pages need it";
  EXPECT_NE(ftruncate(file->get(), 0), 0) << "a file that shrinks would be a SIGBUS for all who map it";
}

TEST(MemoryFile, OfATextCannotBeChanged) {
  const auto file = make_text_file("block all\n", "the rules");
  ASSERT_TRUE(file) << file.error().message;
  EXPECT_EQ(write(file->get(), "x", 1), -1);
  EXPECT_EQ(read_memory_file(file->get()), "block all\n");
}

}  // namespace
}  // namespace ringplane::base
