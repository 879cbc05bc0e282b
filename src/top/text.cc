#include "top/text.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <optional>
#include <string>
#include <string_view>

namespace ringplane::top {
namespace {

struct Range {
  char32_t first;
  char32_t last;
};

// Of Unicode's general categories Cc, Cf, Zl, Zp, Mn, Me, Cs, Co and Cn the ranges that text is likely to bring; whole
// blocks where nearly all of one is. What is printable and among them is shown as '?', which harms nobody.
constexpr auto kUnfit = std::to_array<Range>({
    {0x0000, 0x001f},    {0x007f, 0x009f},   {0x00ad, 0x00ad},   {0x0300, 0x036f},   {0x0483, 0x0489},
    {0x0591, 0x05c7},    {0x0600, 0x0605},   {0x0610, 0x061c},   {0x064b, 0x065f},   {0x0670, 0x0670},
    {0x06d6, 0x06ed},    {0x070f, 0x0711},   {0x0730, 0x074a},   {0x07a6, 0x07b0},   {0x07eb, 0x07f3},
    {0x0816, 0x082d},    {0x0859, 0x085b},   {0x0890, 0x089f},   {0x08ca, 0x0903},   {0x093a, 0x094f},
    {0x0951, 0x0957},    {0x0962, 0x0963},   {0x0981, 0x0983},   {0x09bc, 0x09cd},   {0x0a01, 0x0a03},
    {0x0a3c, 0x0a51},    {0x0a70, 0x0a83},   {0x0abc, 0x0acd},   {0x0b01, 0x0b03},   {0x0b3c, 0x0b57},
    {0x0bbe, 0x0bcd},    {0x0c00, 0x0c04},   {0x0c3c, 0x0c56},   {0x0c81, 0x0c83},   {0x0cbc, 0x0cd6},
    {0x0d00, 0x0d03},    {0x0d3b, 0x0d4d},   {0x0d81, 0x0d83},   {0x0dca, 0x0df3},   {0x0e31, 0x0e31},
    {0x0e34, 0x0e3a},    {0x0e47, 0x0e4e},   {0x0eb1, 0x0eb1},   {0x0eb4, 0x0ece},   {0x0f18, 0x0f19},
    {0x0f35, 0x0f3f},    {0x0f71, 0x0fc6},   {0x102b, 0x103e},   {0x1056, 0x109d},   {0x1160, 0x11ff},
    {0x135d, 0x135f},    {0x1712, 0x1734},   {0x1752, 0x1773},   {0x17b4, 0x17d3},   {0x180b, 0x180f},
    {0x18a9, 0x18a9},    {0x1920, 0x193b},   {0x1a17, 0x1a1b},   {0x1a55, 0x1a7f},   {0x1ab0, 0x1b04},
    {0x1b34, 0x1b44},    {0x1b6b, 0x1b73},   {0x1b80, 0x1b82},   {0x1ba1, 0x1bad},   {0x1be6, 0x1bf3},
    {0x1c24, 0x1c37},    {0x1cd0, 0x1cf9},   {0x1dc0, 0x1dff},   {0x200b, 0x200f},   {0x2028, 0x202e},
    {0x2060, 0x206f},    {0x20d0, 0x20f0},   {0x2cef, 0x2cf1},   {0x2de0, 0x2dff},   {0x302a, 0x302f},
    {0x3099, 0x309a},    {0x3164, 0x3164},   {0xa66f, 0xa67d},   {0xa69e, 0xa69f},   {0xa6f0, 0xa6f1},
    {0xa802, 0xa82c},    {0xa880, 0xa8c5},   {0xa8e0, 0xa8f1},   {0xa926, 0xa953},   {0xa980, 0xa9c0},
    {0xaa29, 0xaa4d},    {0xaab0, 0xaac1},   {0xaaeb, 0xaaf6},   {0xabe3, 0xabed},   {0xd7b0, 0xf8ff},
    {0xfb1e, 0xfb1e},    {0xfdd0, 0xfdef},   {0xfe00, 0xfe0f},   {0xfe20, 0xfe2f},   {0xfeff, 0xfeff},
    {0xffa0, 0xffa0},    {0xfff0, 0xffff},   {0x10a01, 0x10a3f}, {0x11000, 0x12fff}, {0x13430, 0x13455},
    {0x16af0, 0x16f92},  {0x1bc9d, 0x1bca3}, {0x1cf00, 0x1cf46}, {0x1d165, 0x1d1ad}, {0x1da00, 0x1e2ff},
    {0x1e8d0, 0x1e94a},  {0x1f1e6, 0x1f1ff}, {0x1f3fb, 0x1f3ff}, {0x1fc00, 0x1ffff}, {0x2fffe, 0x2ffff},
    {0x3fffe, 0x10ffff},
});

// Unicode's East Asian Width W and F, by blocks.
constexpr auto kWide = std::to_array<Range>({
    {0x1100, 0x115f},   {0x231a, 0x231b},   {0x2329, 0x232a},   {0x23e9, 0x23ec},   {0x23f0, 0x23f0},
    {0x23f3, 0x23f3},   {0x25fd, 0x25fe},   {0x2614, 0x2615},   {0x2648, 0x2653},   {0x267f, 0x267f},
    {0x2693, 0x2693},   {0x26a1, 0x26a1},   {0x26aa, 0x26ab},   {0x26bd, 0x26be},   {0x26c4, 0x26c5},
    {0x26ce, 0x26ce},   {0x26d4, 0x26d4},   {0x26ea, 0x26ea},   {0x26f2, 0x26f3},   {0x26f5, 0x26f5},
    {0x26fa, 0x26fa},   {0x26fd, 0x26fd},   {0x2705, 0x2705},   {0x270a, 0x270b},   {0x2728, 0x2728},
    {0x274c, 0x274c},   {0x274e, 0x274e},   {0x2753, 0x2755},   {0x2757, 0x2757},   {0x2795, 0x2797},
    {0x27b0, 0x27b0},   {0x27bf, 0x27bf},   {0x2b1b, 0x2b1c},   {0x2b50, 0x2b50},   {0x2b55, 0x2b55},
    {0x2e80, 0x303e},   {0x3041, 0x4dbf},   {0x4e00, 0xa4cf},   {0xa960, 0xa97f},   {0xac00, 0xd7a3},
    {0xf900, 0xfaff},   {0xfe10, 0xfe19},   {0xfe30, 0xfe6f},   {0xff01, 0xff60},   {0xffe0, 0xffe6},
    {0x16fe0, 0x18cff}, {0x1aff0, 0x1b2ff}, {0x1f004, 0x1f004}, {0x1f0cf, 0x1f0cf}, {0x1f18e, 0x1f18e},
    {0x1f191, 0x1f19a}, {0x1f200, 0x1f320}, {0x1f32d, 0x1f335}, {0x1f337, 0x1f37c}, {0x1f37e, 0x1f393},
    {0x1f3a0, 0x1f3ca}, {0x1f3cf, 0x1f3d3}, {0x1f3e0, 0x1f3f0}, {0x1f3f4, 0x1f3f4}, {0x1f3f8, 0x1f43e},
    {0x1f440, 0x1f440}, {0x1f442, 0x1f4fc}, {0x1f4ff, 0x1f53d}, {0x1f54b, 0x1f54e}, {0x1f550, 0x1f567},
    {0x1f57a, 0x1f57a}, {0x1f595, 0x1f596}, {0x1f5a4, 0x1f5a4}, {0x1f5fb, 0x1f64f}, {0x1f680, 0x1f6c5},
    {0x1f6cc, 0x1f6cc}, {0x1f6d0, 0x1f6d2}, {0x1f6d5, 0x1f6d7}, {0x1f6dc, 0x1f6df}, {0x1f6eb, 0x1f6ec},
    {0x1f6f4, 0x1f6fc}, {0x1f7e0, 0x1f7eb}, {0x1f7f0, 0x1f7f0}, {0x1f90c, 0x1f93a}, {0x1f93c, 0x1f945},
    {0x1f947, 0x1f9ff}, {0x1fa70, 0x1faff}, {0x20000, 0x3fffd},
});

static_assert(std::ranges::is_sorted(kUnfit, {}, &Range::last) && std::ranges::is_sorted(kWide, {}, &Range::last));

template <std::size_t kCount>
bool is_in(const std::array<Range, kCount>& ranges, char32_t character) noexcept {
  const auto* const at = std::ranges::lower_bound(ranges, character, {}, &Range::last);
  return at != ranges.end() && at->first <= character;
}

constexpr char32_t kNone = 0xffff'ffff;

/// The character at text[at], and `at` behind it; kNone and one byte further if there is none.
char32_t next_character(std::string_view text, std::size_t& at) noexcept {
  const auto byte = [&](std::size_t i) { return static_cast<unsigned char>(text[i]); };
  const unsigned char first = byte(at++);
  if (first < 0x80) return first;
  const std::size_t more = first >= 0xf0 ? 3 : first >= 0xe0 ? 2 : 1;
  if (first < 0xc2 || first > 0xf4 || text.size() - at < more) return kNone;
  char32_t character = first & (0x3fU >> more);
  for (std::size_t i = 0; i < more; ++i) {
    if ((byte(at + i) & 0xc0) != 0x80) return kNone;
    character = (character << 6) | (byte(at + i) & 0x3f);
  }
  constexpr std::array<char32_t, 4> kLeast = {0, 0x80, 0x800, 0x10000};  // a longer form than needed is none
  if (character < kLeast[more] || character > 0x10ffff) return kNone;
  at += more;
  return character;
}

std::size_t columns_of(char32_t character) noexcept {
  return character >= kWide.front().first && is_in(kWide, character) ? 2 : 1;
}

}  // namespace

void append(std::string& text, char32_t character) {
  if (character < 0x80) {
    text += static_cast<char>(character);
    return;
  }
  const int more = character < 0x800 ? 1 : character < 0x10000 ? 2 : 3;
  constexpr std::array<unsigned, 4> kHead = {0, 0xc0, 0xe0, 0xf0};
  text += static_cast<char>(kHead[static_cast<std::size_t>(more)] | (character >> (6 * more)));
  for (int i = more - 1; i >= 0; --i) text += static_cast<char>(0x80U | ((character >> (6 * i)) & 0x3fU));
}

void chop(std::string& text) {
  while (!text.empty() && (static_cast<unsigned char>(text.back()) & 0xc0) == 0x80) text.pop_back();
  if (!text.empty()) text.pop_back();
}

std::string clean(std::string_view text, bool ascii) {
  std::string out;
  for (std::size_t at = 0; at < text.size();) {
    const char32_t character = next_character(text, at);
    append(out, character == kNone || (ascii && character >= 0x7f) || is_in(kUnfit, character) ? U'?' : character);
  }
  return out;
}

std::size_t width_of(std::string_view clean_text) noexcept {
  std::size_t width = 0;
  for (std::size_t at = 0; at < clean_text.size();) width += columns_of(next_character(clean_text, at));
  return width;
}

std::string fit(std::string_view text, std::size_t width, Side side, bool ascii) {
  std::string out = clean(text, ascii);
  std::size_t taken = width_of(out);
  if (taken > width) {
    std::size_t end = 0;
    taken = 0;
    for (std::size_t at = 0; at < out.size(); end = at) {
      const std::size_t columns = columns_of(next_character(out, at));
      if (taken + columns + 1 > width) break;
      taken += columns;
    }
    out.resize(end);
    if (width > 0) {
      out += '~';
      ++taken;
    }
  }
  out.insert(side == Side::kRight ? 0 : out.size(), width - taken, ' ');
  return out;
}

std::string amount_text(std::optional<double> amount) {
  if (!amount || !std::isfinite(*amount)) return "-";
  double value = std::max(*amount, 0.0);
  std::array<char, 32> text{};
  if (value < 99'999.5) {
    const bool is_small = value < 9.95 && std::abs(value - std::round(value)) >= 0.05;
    std::snprintf(text.data(), text.size(), is_small ? "%.1f" : "%.0f", value);
    return text.data();
  }
  constexpr std::string_view kUnits = "kMGTPE";
  std::size_t unit = 0;
  for (value /= 1'000; value >= 999.5 && unit + 1 < kUnits.size(); value /= 1'000) ++unit;
  const int decimals = value < 9.995 ? 2 : value < 99.95 ? 1 : 0;
  std::snprintf(text.data(), text.size(), "%.*f%c", decimals, std::min(value, 9'999.0), kUnits[unit]);
  return text.data();
}

std::string age_text(std::uint64_t seconds) {
  constexpr std::uint64_t kMinute = 60;
  constexpr std::uint64_t kHour = 60 * kMinute;
  constexpr std::uint64_t kDay = 24 * kHour;
  if (seconds < 2 * kMinute) return std::to_string(seconds) + "s";
  if (seconds < 2 * kHour) return std::to_string(seconds / kMinute) + "m";
  if (seconds < 2 * kDay) return std::to_string(seconds / kHour) + "h";
  return std::to_string(std::min<std::uint64_t>(seconds / kDay, 9'999)) + "d";
}

std::string uptime_text(std::uint64_t seconds) {
  std::array<char, 48> text{};
  const auto hours = static_cast<unsigned>(seconds / 3'600 % 24);
  const auto minutes = static_cast<unsigned>(seconds / 60 % 60);
  const auto rest = static_cast<unsigned>(seconds % 60);
  if (const std::uint64_t days = seconds / 86'400; days > 0) {
    std::snprintf(text.data(), text.size(), "%llud %u:%02u:%02u", static_cast<unsigned long long>(days), hours, minutes,
                  rest);
  } else {
    std::snprintf(text.data(), text.size(), "%u:%02u:%02u", hours, minutes, rest);
  }
  return text.data();
}

}  // namespace ringplane::top
