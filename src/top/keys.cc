#include "top/keys.h"

#include <algorithm>
#include <array>
#include <cstddef>
#include <limits>
#include <string>
#include <vector>

#include "top/panes.h"
#include "top/sample.h"
#include "top/text.h"

namespace ringplane::top {
namespace {

constexpr std::size_t kLongestSearch = 200;
constexpr auto kIntervals = std::to_array({0.2, 0.5, 1.0, 2.0, 5.0, 10.0, 30.0, 60.0});

void move_focus(State& state, std::size_t step) {
  state.focus = static_cast<Pane>((static_cast<std::size_t>(state.focus) + step) % kPaneCount);
}

void next_sort(State& state, bool backwards) {
  const std::vector<std::size_t> sorts = sorts_of(state.focus);
  PaneState& pane = state.at(state.focus);
  const auto at = static_cast<std::size_t>(std::ranges::find(sorts, pane.sort.column) - sorts.begin());
  pane.sort.column = sorts[(at + (backwards ? sorts.size() - 1 : 1)) % sorts.size()];
  pane.first = 0;
}

void change_interval(State& state, bool longer) {
  if (longer) {
    const auto* const next = std::ranges::upper_bound(kIntervals, state.interval_s);
    if (next != kIntervals.end()) state.interval_s = *next;
  } else {
    const auto* const at = std::ranges::lower_bound(kIntervals, state.interval_s);
    if (at != kIntervals.begin()) state.interval_s = *(at - 1);
  }
}

void search_for(State& state, const std::string& text) {
  state.at(state.focus).search = text;
  state.at(state.focus).first = 0;
}

/// The line of the filter has the keyboard.
void edit(State& state, const Key& key) {
  switch (key.kind) {
    case Key::Kind::kEnter:
      search_for(state, state.edited);
      state.is_editing = false;
      break;
    case Key::Kind::kEscape: state.is_editing = false; break;
    case Key::Kind::kBackspace: chop(state.edited); break;
    case Key::Kind::kCharacter:
      if (state.edited.size() < kLongestSearch) append(state.edited, key.character);
      break;
    default: break;
  }
}

Effect press_character(State& state, char32_t character) {
  PaneState& pane = state.at(state.focus);
  switch (character) {
    case 'q': return Effect::kQuit;
    case '1':
    case '2':
    case '3':
    case '4':
    case '5': state.focus = static_cast<Pane>(character - '1'); break;
    case 's': next_sort(state, false); break;
    case 'S': next_sort(state, true); break;
    case 'r':
      pane.sort.reverse = !pane.sort.reverse;
      pane.first = 0;
      break;
    case '/':
      state.is_editing = true;
      state.edited = pane.search;
      break;
    case ' ': state.is_paused = !state.is_paused; break;
    case '+': change_interval(state, true); break;
    case '-': change_interval(state, false); break;
    case 'h':
    case '?': state.shows_help = true; break;
    default: break;
  }
  return Effect::kNone;
}

}  // namespace

State::State() {
  for (std::size_t i = 0; i < kPaneCount; ++i) panes[i].sort.column = sorts_of(static_cast<Pane>(i)).front();
}

Wanted State::wanted() const {
  const auto list = [&](Pane pane) {
    return Wanted::List{.sort = std::string(order_of(pane, at(pane).sort.column)), .search = at(pane).search};
  };
  return {.flows = list(Pane::kFlows), .rules = list(Pane::kRules)};
}

Effect press(State& state, const Key& key) {
  if (state.is_editing) {
    edit(state, key);
    return Effect::kNone;
  }
  if (state.shows_help) {
    state.shows_help = false;
    return Effect::kNone;
  }
  PaneState& pane = state.at(state.focus);
  // The end of the list is the view's to know: it puts `first` right.
  switch (key.kind) {
    case Key::Kind::kCharacter: return press_character(state, key.character);
    case Key::Kind::kTab: move_focus(state, 1); break;
    case Key::Kind::kBackTab: move_focus(state, kPaneCount - 1); break;
    case Key::Kind::kUp: pane.first -= std::min<std::size_t>(pane.first, 1); break;
    case Key::Kind::kDown: ++pane.first; break;
    case Key::Kind::kPageUp: pane.first -= std::min(pane.first, state.page_rows); break;
    case Key::Kind::kPageDown: pane.first += state.page_rows; break;
    case Key::Kind::kHome: pane.first = 0; break;
    case Key::Kind::kEnd: pane.first = std::numeric_limits<std::size_t>::max() / 2; break;
    case Key::Kind::kEscape: search_for(state, ""); break;
    default: break;
  }
  return Effect::kNone;
}

}  // namespace ringplane::top
