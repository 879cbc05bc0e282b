// What is on the screen: a model and a state as lines of styled text that fill it exactly. Pure; nothing here knows a
// terminal.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "top/keys.h"
#include "top/rates.h"

namespace ringplane::top {

enum class Style : std::uint8_t { kPlain, kHead, kHeading, kFocus, kDim, kKey, kAlarm };

struct Span {
  std::string text;
  Style style = Style::kPlain;
};
using Line = std::vector<Span>;

struct Size {
  std::size_t columns = 80;
  std::size_t lines = 24;
};
inline constexpr Size kLeastSize{.columns = 40, .lines = 8};

struct Surroundings {
  Size size;
  bool ascii = false;  ///< nothing else is understood
  /// Why what is shown is old; empty: it is not.
  std::string_view trouble{};
};

/// size.lines lines of size.columns columns each. Puts `first` and `page_rows` of `state` right.
[[nodiscard]] std::vector<Line> draw(const Model& model, State& state, const Surroundings& surroundings);

/// All panes one after the other, for a file or a pipe: lines of at most `columns` columns.
[[nodiscard]] std::string plain_text(const Model& model, const State& state, std::size_t columns, bool ascii);

/// Flows and rules that plain_text() shows.
inline constexpr std::size_t kPlainRows = 10;

}  // namespace ringplane::top
