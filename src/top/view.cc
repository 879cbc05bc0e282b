#include "top/view.h"

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdio>
#include <numeric>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "top/keys.h"
#include "top/panes.h"
#include "top/rates.h"
#include "top/sample.h"
#include "top/text.h"

namespace ringplane::top {
namespace {

constexpr std::array<Pane, kPaneCount> kAllPanes = {Pane::kPorts, Pane::kFlows, Pane::kRules, Pane::kDrops,
                                                    Pane::kWorkers};
/// Who gets lines first, after the pane that has the focus.
constexpr std::array<Pane, kPaneCount> kByImportance = {Pane::kPorts, Pane::kFlows, Pane::kWorkers, Pane::kDrops,
                                                        Pane::kRules};

constexpr auto kHelp = std::to_array<std::string_view>({
    "Tab, 1 to 5      the pane that has the focus: it has most of the room, and",
    "                 the keys below are about it",
    "s, S             sort by the next column, by the one before",
    "r                the other way round",
    "/                filter: lines that hold a text; Enter takes it, Esc does not",
    "Esc              no filter",
    "Up, Down, PgUp, PgDn, Home, End    move through the list",
    "Space            pause, and go on",
    "-, +             look more often, less often (0.2 to 60 s)",
    "h, ?             this page; any key leaves it",
    "q                quit",
    "",
    "PKT/S and BIT/S are of the time since the look before; '-': not known yet.",
    "LOAD is the share of time in which a worker had anything to do.",
});

/// One line that is being made. put() is the only way by which text gets onto the screen, and makes it fit for that.
class Writer {
 public:
  Writer(std::size_t columns, bool ascii) : left_(columns), ascii_(ascii) {}

  [[nodiscard]] std::size_t left() const noexcept { return left_; }
  /// In `width` columns, or in what is left.
  void put(std::string_view text, std::size_t width, Style style, Side side = Side::kLeft) {
    width = std::min(width, left_);
    if (width == 0) return;
    left_ -= width;
    std::string fitting = fit(text, width, side, ascii_);
    if (!line_.empty() && line_.back().style == style) {
      line_.back().text += fitting;
    } else {
      line_.push_back({.text = std::move(fitting), .style = style});
    }
  }
  /// As it is long.
  void put(std::string_view text, Style style) { put(text, width_of(clean(text, ascii_)), style); }
  /// The rest of the line is empty.
  [[nodiscard]] Line end(Style style = Style::kPlain) {
    put("", left_, style);
    return std::move(line_);
  }

 private:
  Line line_;
  std::size_t left_;
  bool ascii_;
};

/// Columns of a pane and how wide each is in a line of `columns`.
struct Layout {
  std::vector<std::size_t> places;
  std::vector<std::size_t> widths;
};

Layout lay_out(std::span<const Column> columns, std::size_t width) {
  std::vector<std::size_t> places(columns.size());
  std::iota(places.begin(), places.end(), std::size_t{0});
  const auto needed = [&] {
    std::size_t sum = places.size() - 1;
    for (const std::size_t place : places) sum += columns[place].least;
    return sum;
  };
  while (needed() > width) {
    const auto first = std::ranges::max_element(places, {}, [&](std::size_t place) { return columns[place].goes; });
    if (columns[*first].goes == 0) break;
    places.erase(first);
  }
  std::vector<std::size_t> widths;
  for (const std::size_t place : places) widths.push_back(columns[place].least);
  std::size_t spare = width - std::min(width, needed());
  for (bool grows = true; grows && spare > 0;) {
    grows = false;
    for (std::size_t i = 0; i < places.size() && spare > 0; ++i) {
      if (widths[i] == columns[places[i]].most) continue;
      ++widths[i];
      --spare;
      grows = true;
    }
  }
  return {.places = std::move(places), .widths = std::move(widths)};
}

Line heading_of(Pane pane, const Layout& layout, const Sort& sort, bool has_focus, std::size_t width, bool ascii) {
  const Style style = has_focus ? Style::kFocus : Style::kHeading;
  Writer line(width, ascii);
  for (std::size_t i = 0; i < layout.places.size(); ++i) {
    const Column& column = columns_of(pane)[layout.places[i]];
    if (i > 0) line.put(" ", style);
    // The mark stands where the column's text is not.
    const bool is_sorted = layout.places[i] == sort.column;
    const std::string_view mark = !is_sorted ? "" : ascii ? (sort.reverse ? "^" : "v") : (sort.reverse ? "▲" : "▼");
    std::string title(column.title);
    if (!mark.empty() && title.size() == layout.widths[i]) title.pop_back();
    title = column.side == Side::kRight ? std::string(mark) + title : title + std::string(mark);
    line.put(title, layout.widths[i], style, column.side);
  }
  return line.end(style);
}

Line line_of(const Row& row, Pane pane, const Layout& layout, std::size_t width, bool ascii) {
  Writer line(width, ascii);
  for (std::size_t i = 0; i < layout.places.size(); ++i) {
    if (i > 0) line.put(" ", Style::kPlain);
    line.put(row[layout.places[i]].text, layout.widths[i], Style::kPlain, columns_of(pane)[layout.places[i]].side);
  }
  return line.end();
}

std::string_view nothing_in(Pane pane, bool is_searched) {
  if (is_searched) return "nothing that the filter finds";
  switch (pane) {
    case Pane::kFlows: return "no flows";
    case Pane::kDrops: return "nothing dropped";
    default: return "none";
  }
}

std::string interval_text(double seconds) {
  std::array<char, 32> text{};
  std::snprintf(text.data(), text.size(), "%g s", seconds);
  return text.data();
}

Line first_line(const Model& model, const State& state, const Surroundings& around) {
  const Sample& now = model.now;
  Writer line(around.size.columns, around.ascii);
  const std::string pace = state.is_paused ? " PAUSED" : " every " + interval_text(state.interval_s);
  line.put("ringplane " + now.version, Style::kHead);
  const std::string rest = "  up " + uptime_text(now.uptime_s) + "  " + std::to_string(now.rules_count) +
                           " rules, generation " + std::to_string(now.generation);
  // Of what is too long the end of this, not the pace.
  line.put(rest, std::min(rest.size(), line.left() - std::min(line.left(), pace.size())), Style::kPlain);
  line.put(pace, line.left(), state.is_paused ? Style::kAlarm : Style::kDim, Side::kRight);
  return line.end();
}

/// The sums over all.
Line second_line(const Model& model, const Surroundings& around) {
  Writer line(around.size.columns, around.ascii);
  const auto put = [&](std::string_view figure, std::string_view unit) {
    line.put(figure, Style::kHead);
    line.put(unit, Style::kPlain);
  };
  put(amount_text(model.packets), " pkt/s  ");
  put(amount_text(model.bits), " bit/s  ");
  put(amount_text(model.dropped), " drops/s  ");
  put(amount_text(model.new_flows), " new flows/s  ");
  put(amount_text(static_cast<double>(model.live_flows)),
      " of " + amount_text(static_cast<double>(model.flows_limit)) + " flows");
  return line.end();
}

std::string sorted_by(Pane pane, const Sort& sort) {
  if (sort.column == kAsListed) return sort.reverse ? "in reverse order" : "in order";
  return "by " + std::string(columns_of(pane)[sort.column].title) + (sort.reverse ? ", reversed" : "");
}

/// Names of the panes, and what the focus shows of how many.
Line tabs(const Model& model, const State& state, std::size_t rows, const Surroundings& around) {
  Writer line(around.size.columns, around.ascii);
  for (const Pane pane : kAllPanes) {
    const auto place = static_cast<std::size_t>(pane);
    const std::string name = " " + std::to_string(place + 1) + " " + std::string(kPaneNames[place]) + " ";
    line.put(name, pane == state.focus ? Style::kFocus : Style::kDim);
  }
  const PaneState& pane = state.at(state.focus);
  std::string says = " " + sorted_by(state.focus, pane.sort);
  const std::size_t total = state.focus == Pane::kFlows   ? model.now.flows.total
                            : state.focus == Pane::kRules ? model.now.rules.total
                                                          : rows;
  if (total > rows)
    says = " " + amount_text(static_cast<double>(rows)) + " of " + amount_text(static_cast<double>(total)) + says;
  line.put(says, line.left(), Style::kDim, Side::kRight);
  return line.end();
}

Line last_line(const State& state, const Surroundings& around) {
  Writer line(around.size.columns, around.ascii);
  if (state.is_editing) {
    line.put("filter ", Style::kKey);
    // Of a long one the end, where the cursor is.
    std::string text = clean(state.edited, around.ascii) + "_";
    while (width_of(text) > line.left()) {
      std::size_t next = 1;
      while (next < text.size() && (static_cast<unsigned char>(text[next]) & 0xc0) == 0x80) ++next;
      text.erase(0, next);
    }
    line.put(text, Style::kPlain);
    return line.end();
  }
  if (!around.trouble.empty()) {
    line.put("no answer, trying again: " + std::string(around.trouble), line.left(), Style::kAlarm);
    return line.end();
  }
  if (const std::string& search = state.at(state.focus).search; !search.empty()) {
    line.put("filter ", Style::kKey);
    line.put(search + " ", Style::kPlain);
    line.put(" Esc", Style::kKey);
    line.put(" without  ", Style::kPlain);
  }
  constexpr std::array<std::pair<std::string_view, std::string_view>, 8> kWords = {{{"q", "quit"},
                                                                                    {"h", "help"},
                                                                                    {"Tab", "pane"},
                                                                                    {"s", "sort"},
                                                                                    {"r", "reverse"},
                                                                                    {"/", "filter"},
                                                                                    {"Space", "pause"},
                                                                                    {"- +", "pace"}}};
  for (const auto& [key, word] : kWords) {
    if (key.size() + word.size() + 1 > line.left()) break;
    line.put(key, Style::kKey);
    line.put(" " + std::string(word), Style::kPlain);
    line.put("  ", Style::kPlain);
  }
  return line.end();
}

/// Lines that each pane gets of `lines`, its heading among them; `rows` are those that it has.
std::array<std::size_t, kPaneCount> share_out(std::size_t lines, const std::array<std::size_t, kPaneCount>& rows,
                                              Pane focus) {
  std::array<std::size_t, kPaneCount> shares{};
  const auto grow = [&](Pane pane, std::size_t to) {
    const auto place = static_cast<std::size_t>(pane);
    const std::size_t wanted = std::min(to, 1 + std::max<std::size_t>(rows[place], 1));
    const std::size_t more = std::min(lines, wanted - std::min(wanted, shares[place]));
    if (shares[place] + more < 2) return;  // a heading alone says nothing
    shares[place] += more;
    lines -= more;
  };
  constexpr std::size_t kFocusLines = 5;
  const std::size_t others = std::max<std::size_t>(3, 1 + lines / 10);
  grow(focus, std::min(kFocusLines, lines));
  for (const Pane pane : kByImportance) grow(pane, pane == focus ? 0 : others);
  grow(focus, lines + shares[static_cast<std::size_t>(focus)]);
  for (const Pane pane : kByImportance) grow(pane, lines + shares[static_cast<std::size_t>(pane)]);
  return shares;
}

void draw_help(std::vector<Line>& lines, const Surroundings& around) {
  for (const std::string_view each : kHelp) {
    if (lines.size() + 1 >= around.size.lines) break;
    Writer line(around.size.columns, around.ascii);
    line.put(each, Style::kPlain);
    lines.push_back(line.end());
  }
}

void draw_panes(std::vector<Line>& lines, State& state, const std::array<std::vector<Row>, kPaneCount>& rows,
                const Surroundings& around) {
  std::array<std::size_t, kPaneCount> counts{};
  for (std::size_t i = 0; i < kPaneCount; ++i) counts[i] = rows[i].size();
  const auto shares = share_out(around.size.lines - lines.size() - 1, counts, state.focus);
  for (const Pane pane : kAllPanes) {
    const auto place = static_cast<std::size_t>(pane);
    if (shares[place] < 2) continue;
    PaneState& shown = state.panes[place];
    const std::size_t room = shares[place] - 1;
    shown.first = std::min(shown.first, counts[place] - std::min(counts[place], room));
    if (pane == state.focus) state.page_rows = room;
    const std::size_t width = around.size.columns;
    const Layout layout = lay_out(columns_of(pane), width);
    lines.push_back(heading_of(pane, layout, shown.sort, pane == state.focus, width, around.ascii));
    if (rows[place].empty()) {
      Writer line(width, around.ascii);
      line.put(nothing_in(pane, !shown.search.empty()), Style::kDim);
      lines.push_back(line.end());
    }
    for (std::size_t i = 0; i < room && shown.first + i < counts[place]; ++i)
      lines.push_back(line_of(rows[place][shown.first + i], pane, layout, width, around.ascii));
  }
}

std::vector<Line> too_small(const Surroundings& around) {
  std::array<char, 100> text{};
  std::snprintf(text.data(), text.size(), "too small: %zu x %zu, needs %zu x %zu", around.size.columns,
                around.size.lines, kLeastSize.columns, kLeastSize.lines);
  std::vector<Line> lines;
  for (std::size_t i = 0; i < around.size.lines; ++i) {
    Writer line(around.size.columns, around.ascii);
    if (i == 0) line.put(text.data(), Style::kAlarm);
    lines.push_back(line.end());
  }
  return lines;
}

}  // namespace

std::vector<Line> draw(const Model& model, State& state, const Surroundings& around) {
  if (around.size.columns < kLeastSize.columns || around.size.lines < kLeastSize.lines) return too_small(around);
  std::array<std::vector<Row>, kPaneCount> rows;
  for (std::size_t i = 0; i < kPaneCount; ++i)
    rows[i] = rows_of(static_cast<Pane>(i), model, state.panes[i].sort, state.panes[i].search);
  std::vector<Line> lines;
  lines.push_back(first_line(model, state, around));
  lines.push_back(second_line(model, around));
  lines.push_back(tabs(model, state, rows[static_cast<std::size_t>(state.focus)].size(), around));
  if (state.shows_help) {
    draw_help(lines, around);
  } else {
    draw_panes(lines, state, rows, around);
  }
  while (lines.size() + 1 < around.size.lines) lines.push_back(Writer(around.size.columns, around.ascii).end());
  lines.push_back(last_line(state, around));
  return lines;
}

std::string plain_text(const Model& model, const State& state, std::size_t columns, bool ascii) {
  const Surroundings around{.size = {.columns = columns, .lines = 0}, .ascii = ascii};
  std::vector<Line> lines{first_line(model, state, around), second_line(model, around)};
  for (const Pane pane : kAllPanes) {
    const PaneState& shown = state.at(pane);
    const std::vector<Row> rows = rows_of(pane, model, shown.sort, shown.search);
    const Layout layout = lay_out(columns_of(pane), columns);
    lines.emplace_back();
    lines.push_back(heading_of(pane, layout, shown.sort, false, columns, ascii));
    const bool is_long = pane == Pane::kFlows || pane == Pane::kRules;
    for (std::size_t i = 0; i < rows.size() && (!is_long || i < kPlainRows); ++i)
      lines.push_back(line_of(rows[i], pane, layout, columns, ascii));
  }
  std::string text;
  for (const Line& line : lines) {
    for (const Span& span : line) text += span.text;
    text.erase(text.find_last_not_of(' ') + 1);
    text += '\n';
  }
  return text;
}

}  // namespace ringplane::top
