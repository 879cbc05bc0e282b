// What the person at the terminal has chosen, and what a key changes of it. Pure.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <string>

#include "top/panes.h"
#include "top/sample.h"

namespace ringplane::top {

struct Key {
  enum class Kind : std::uint8_t {
    kCharacter,
    kUp,
    kDown,
    kPageUp,
    kPageDown,
    kHome,
    kEnd,
    kEnter,
    kEscape,
    kBackspace,
    kTab,
    kBackTab,
    kOther,
  };
  Kind kind = Kind::kOther;
  char32_t character = 0;
};

inline constexpr double kLeastInterval = 0.2;
inline constexpr double kMostInterval = 60;

struct PaneState {
  Sort sort;
  std::string search;
  std::size_t first = 0;  ///< row at the top
};

struct State {
  State();

  Pane focus = Pane::kFlows;
  std::array<PaneState, kPaneCount> panes;
  double interval_s = 1;
  bool is_paused = false;
  bool shows_help = false;
  bool is_editing = false;    ///< the search of the pane that has the focus
  std::string edited;         ///< what it is so far
  std::size_t page_rows = 1;  ///< of the focus, as last drawn

  [[nodiscard]] PaneState& at(Pane pane) { return panes[static_cast<std::size_t>(pane)]; }
  [[nodiscard]] const PaneState& at(Pane pane) const { return panes[static_cast<std::size_t>(pane)]; }
  /// What the daemon is to be asked for.
  [[nodiscard]] Wanted wanted() const;
};

enum class Effect : std::uint8_t { kNone, kQuit };
[[nodiscard]] Effect press(State& state, const Key& key);

}  // namespace ringplane::top
