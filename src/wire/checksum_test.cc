#include "wire/checksum.h"

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <vector>

#include <gtest/gtest.h>

#include "base/random.h"
#include "wire/bytes.h"

namespace ringplane::wire {
namespace {

/// The definition of RFC 1071, word by word: the oracle.
std::uint16_t slow_checksum(Bytes bytes) {
  std::uint32_t sum = 0;
  for (std::size_t i = 0; i < bytes.size(); i += 2) {
    sum += (std::uint32_t{bytes[i]} << 8) | (i + 1 < bytes.size() ? bytes[i + 1] : 0);
    if (sum > 0xffff) sum -= 0xffff;
  }
  return static_cast<std::uint16_t>(~sum);
}

std::vector<std::uint8_t> random_bytes(base::Random& random, std::size_t count) {
  std::vector<std::uint8_t> bytes(count);
  for (auto& byte : bytes) byte = static_cast<std::uint8_t>(random());
  return bytes;
}

TEST(Checksum, OfTheExampleInRfc1071) {
  const std::vector<std::uint8_t> bytes{0x00, 0x01, 0xf2, 0x03, 0xf4, 0xf5, 0xf6, 0xf7};
  EXPECT_EQ(checksum(bytes), static_cast<std::uint16_t>(~0xddf2));
}

TEST(Checksum, EqualsTheDefinitionForEveryLengthAndAlignment) {
  base::Random random(1071);
  for (std::size_t length = 0; length < 200; ++length) {
    const auto bytes = random_bytes(random, length + 3);
    for (std::size_t shift = 0; shift < 4; ++shift) {
      const Bytes part = Bytes(bytes).subspan(std::min(shift, bytes.size()), length);
      if (shift + length > bytes.size()) break;
      EXPECT_EQ(checksum(part), slow_checksum(part)) << "length " << length << " shift " << shift;
    }
  }
}

TEST(Checksum, UpdatedIncrementallyEqualsComputedAfresh) {
  base::Random random(1624);
  for (int round = 0; round < 2000; ++round) {
    auto bytes = random_bytes(random, 2 * (2 + random.below(30)));
    const std::size_t field = 2 * random.below(bytes.size() / 2);
    header_at<Be16>(MutableBytes(bytes).subspan(field)) = std::uint16_t{0};
    const std::uint16_t header = checksum(bytes);
    std::size_t changed = 2 * random.below(bytes.size() / 2);
    if (changed == field) changed = (changed + 2) % bytes.size();
    const std::uint16_t before = header_at<Be16>(Bytes(bytes).subspan(changed));
    const auto after = static_cast<std::uint16_t>(random());
    header_at<Be16>(MutableBytes(bytes).subspan(changed)) = after;
    const std::uint16_t updated = checksum_update(header, before, after);
    // 0 and 0xffff are the same number in one's complement; a receiver takes either.
    header_at<Be16>(MutableBytes(bytes).subspan(field)) = updated;
    EXPECT_TRUE(checksum(bytes) == 0 || checksum(bytes) == 0xffff) << "round " << round;
  }
}

}  // namespace
}  // namespace ringplane::wire
