// What reaches the terminal: nothing that controls it, in exactly the columns that were asked for.
#include "top/text.h"

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include <gtest/gtest.h>

#include "base/random.h"

namespace ringplane::top {
namespace {

TEST(Text, WhatControlsATerminalIsNotLeft) {
  EXPECT_EQ(clean("\x1b[2J\x1b]0;title\a\r\n\t"), "?[2J?]0;title????");
  EXPECT_EQ(clean("\x7f"), "?");
  EXPECT_EQ(clean("\xc2\x9b"
                  "2J"),
            "?2J")
      << "CSI as one character";
  EXPECT_EQ(clean("\x9b"
                  "2J"),
            "?2J")
      << "CSI as one byte";
  EXPECT_EQ(clean("a\xe2\x80\xae"
                  "b"),
            "a?b")
      << "right-to-left override";
  EXPECT_EQ(clean("e\xcc\x81\xe2\x80\x8b"), "e??") << "a combining accent, a space without width";
  EXPECT_EQ(clean(std::string_view("\0x", 2)), "?x");
}

TEST(Text, TextOfPeopleIsLeft) {
  EXPECT_EQ(clean("Grüße, 東京, λ"), "Grüße, 東京, λ");
  EXPECT_EQ(clean("Grüße", true), "Gr??e");
}

TEST(Text, BrokenUtf8BecomesQuestionMarks) {
  EXPECT_EQ(clean("\xc3"), "?");
  EXPECT_EQ(clean("\xc3("), "?(");
  EXPECT_EQ(clean("\xc0\xaf\xe0\x80\xaf"), "?????") << "longer than needed";
  EXPECT_EQ(clean("\xed\xa0\x80"), "?") << "half of a pair";
  EXPECT_EQ(clean("\xf4\x90\x80\x80"), "????") << "beyond Unicode";
}

TEST(Text, FillsItsColumnsExactly) {
  EXPECT_EQ(fit("ab", 4), "ab  ");
  EXPECT_EQ(fit("ab", 4, Side::kRight), "  ab");
  EXPECT_EQ(fit("abcdef", 4), "abc~");
  EXPECT_EQ(fit("東京都", 6), "東京都");
  EXPECT_EQ(fit("東京都", 5), "東京~");
  EXPECT_EQ(fit("東京都", 4), "東~ ") << "half of a wide character is none";
  EXPECT_EQ(fit("abc", 0), "");
  EXPECT_EQ(fit("abc", 1), "~");
}

/// Any bytes: no control character comes out, and the width is right.
TEST(Text, HoldsForAnyBytes) {
  base::Random random(0x70b5eed);
  for (int round = 0; round < 20'000; ++round) {
    std::string bytes;
    const std::uint64_t length = random.below(24);
    for (std::uint64_t i = 0; i < length; ++i) {
      if (random.below(2) == 0) {
        append(bytes, static_cast<char32_t>(random.below(0x3000)));
      } else {
        bytes += static_cast<char>(random.below(256));
      }
    }
    const auto width = static_cast<std::size_t>(random.below(20));
    const std::string text = fit(bytes, width, Side::kLeft, round % 4 == 0);
    EXPECT_EQ(width_of(text), width);
    EXPECT_EQ(clean(text), text) << "nothing is left to clean";
    EXPECT_TRUE(std::ranges::none_of(text, [](char c) { return static_cast<unsigned char>(c) < 0x20 || c == 0x7f; }));
  }
}

TEST(Text, AmountsAreExactBelowAHundredThousandAndShortAbove) {
  EXPECT_EQ(amount_text(std::nullopt), "-");
  EXPECT_EQ(amount_text(0), "0");
  EXPECT_EQ(amount_text(0.32), "0.3");
  EXPECT_EQ(amount_text(9.97), "10");
  EXPECT_EQ(amount_text(99'999), "99999");
  EXPECT_EQ(amount_text(100'000), "100k");
  EXPECT_EQ(amount_text(999'499), "999k");
  EXPECT_EQ(amount_text(999'500), "1.00M");
  EXPECT_EQ(amount_text(12'345'678), "12.3M");
  EXPECT_EQ(amount_text(1e30), "9999E");
  base::Random random(7);
  for (int i = 0; i < 10'000; ++i) EXPECT_LE(amount_text(static_cast<double>(random() >> random.below(64))).size(), 5U);
}

TEST(Text, TimesAreShort) {
  constexpr std::uint64_t kDay = 86'400;
  EXPECT_EQ(age_text(0), "0s");
  EXPECT_EQ(age_text(119), "119s");
  EXPECT_EQ(age_text(120), "2m");
  EXPECT_EQ(age_text(7'200), "2h");
  EXPECT_EQ(age_text(45 * kDay), "45d");
  EXPECT_EQ(age_text(UINT64_MAX), "9999d");
  EXPECT_EQ(uptime_text(62), "0:01:02");
  EXPECT_EQ(uptime_text(12 * kDay + 11'045), "12d 3:04:05");
}

TEST(Text, ChopsWholeCharacters) {
  std::string text = "aü東";
  for (const std::string_view left : {"aü", "a", "", ""}) {
    chop(text);
    EXPECT_EQ(text, left);
  }
}

}  // namespace
}  // namespace ringplane::top
