#include "base/piece_list.h"

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include "base/random.h"

namespace ringplane::base {
namespace {

std::vector<std::string> contents_of(const PieceList<std::string>& list) {
  return {list.begin(), list.end()};
}

TEST(PieceList, is_what_a_vector_is_after_any_changes_and_older_versions_stay_as_they_were) {
  const std::uint64_t seed = os_random_seed();
  SCOPED_TRACE("seed " + std::to_string(seed));
  Random random(seed);
  for (int round = 0; round < 50; ++round) {
    std::vector<std::string> expected;
    for (std::uint64_t i = random.below(20); i > 0; --i) expected.push_back("first " + std::to_string(i));
    PieceList<std::string> list(expected);
    std::vector<PieceList<std::string>> versions;
    std::vector<std::vector<std::string>> contents;
    for (int change = 0; change < 60; ++change) {
      versions.push_back(list);
      contents.push_back(expected);
      const std::size_t first = random.below(expected.size() + 1);
      const std::size_t count = random.below(std::min<std::size_t>(expected.size() - first, 3) + 1);
      const std::string text = std::to_string(change);
      if (random.below(4) == 0) {
        list.push_back(text);
        expected.push_back(text);
      } else if (random.below(4) == 0 && !expected.empty()) {
        const std::size_t at = random.below(expected.size());
        list.writable(at) += text;
        expected[at] += text;
      } else {
        const std::vector<std::string> more(random.below(3), text);
        list = list.spliced(first, count, more);
        const auto from = expected.begin() + static_cast<std::ptrdiff_t>(first);
        const auto gap = expected.erase(from, from + static_cast<std::ptrdiff_t>(count));
        expected.insert(gap, more.begin(), more.end());
      }
      ASSERT_EQ(list.size(), expected.size());
      ASSERT_EQ(contents_of(list), expected);
      for (std::size_t i = 0; i < expected.size(); ++i) ASSERT_EQ(list[i], expected[i]);
    }
    for (std::size_t i = 0; i < versions.size(); ++i) ASSERT_EQ(contents_of(versions[i]), contents[i]);
  }
}

TEST(PieceList, shares_what_did_not_change) {
  const PieceList<int> list(std::vector<int>(1000, 1));
  const PieceList<int> changed = list.spliced(500, 1, {2, 3});
  ASSERT_EQ(changed.pieces().size(), 3U);
  EXPECT_EQ(&changed[0], &list[0]);
  EXPECT_EQ(&changed[502], &list[501]);
}

}  // namespace
}  // namespace ringplane::base
