#include "top/terminal.h"

#include <langinfo.h>
#include <unistd.h>

#define NCURSES_NOMACROS 1
#include <curses.h>

#include <clocale>
#include <cstddef>
#include <cstdio>
#include <cstdlib>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <sys/ioctl.h>

#include "base/result.h"
#include "top/keys.h"
#include "top/view.h"

namespace ringplane::top {
namespace {

constexpr int kEscapeDelayMs = 25;  // after ESC, until it was the key and not the begin of a longer one
enum Pair : short { kAlarmPair = 1, kHeadingPair, kKeyPair };

std::string_view of_environment(const char* name) {
  const char* const value = std::getenv(name);
  return value == nullptr ? std::string_view() : value;
}

Key key_of(int result, wint_t code) {
  using Kind = Key::Kind;
  if (result == KEY_CODE_YES) {
    switch (code) {
      case KEY_UP: return {.kind = Kind::kUp};
      case KEY_DOWN: return {.kind = Kind::kDown};
      case KEY_PPAGE: return {.kind = Kind::kPageUp};
      case KEY_NPAGE: return {.kind = Kind::kPageDown};
      case KEY_HOME: return {.kind = Kind::kHome};
      case KEY_END: return {.kind = Kind::kEnd};
      case KEY_ENTER: return {.kind = Kind::kEnter};
      case KEY_BACKSPACE: return {.kind = Kind::kBackspace};
      case KEY_BTAB: return {.kind = Kind::kBackTab};
      default: return {};
    }
  }
  switch (code) {
    case '\t': return {.kind = Kind::kTab};
    case '\r':
    case '\n': return {.kind = Kind::kEnter};
    case 0x1b: return {.kind = Kind::kEscape};
    case '\b':
    case 0x7f: return {.kind = Kind::kBackspace};
    default: break;
  }
  if (code < ' ') return {};
  return {.kind = Kind::kCharacter, .character = static_cast<char32_t>(code)};
}

attr_t attributes_of(Style style, bool has_colors) {
  switch (style) {
    case Style::kPlain: return A_NORMAL;
    case Style::kHead: return A_BOLD;
    case Style::kHeading: return has_colors ? A_BOLD | COLOR_PAIR(kHeadingPair) : A_BOLD | A_UNDERLINE;
    case Style::kFocus: return A_REVERSE | A_BOLD;
    case Style::kDim: return A_DIM;
    case Style::kKey: return has_colors ? A_BOLD | COLOR_PAIR(kKeyPair) : A_BOLD;
    case Style::kAlarm: return has_colors ? A_BOLD | COLOR_PAIR(kAlarmPair) : A_BOLD | A_REVERSE;
  }
  return A_NORMAL;
}

}  // namespace

struct Terminal::Screen {
  SCREEN* screen;
  bool has_colors;
};

bool is_terminal() {
  const std::string_view term = of_environment("TERM");
  return isatty(STDIN_FILENO) == 1 && isatty(STDOUT_FILENO) == 1 && !term.empty() && term != "dumb";
}

bool is_ascii() {
  std::setlocale(LC_CTYPE, "");
  return std::string_view(nl_langinfo(CODESET)) != "UTF-8";
}

Terminal::Terminal(std::unique_ptr<Screen> screen) : screen_(std::move(screen)) {}

base::Result<std::unique_ptr<Terminal>> Terminal::open() {
  (void)is_ascii();  // ncurses goes by the locale too
  SCREEN* const screen = newterm(nullptr, stdout, stdin);
  if (screen == nullptr)
    return base::fail("nothing is known about a terminal '" + std::string(of_environment("TERM")) +
                      "': set TERM to what it is, or use --once");
  set_term(screen);
  // https://no-color.org: any value but the empty one.
  const bool colored = of_environment("NO_COLOR").empty() && has_colors() && start_color() == OK;
  if (colored) {
    use_default_colors();
    init_pair(kAlarmPair, COLOR_WHITE, COLOR_RED);
    init_pair(kHeadingPair, COLOR_CYAN, -1);
    init_pair(kKeyPair, COLOR_YELLOW, -1);
  }
  set_escdelay(kEscapeDelayMs);
  cbreak();
  noecho();
  nonl();
  keypad(stdscr, true);
  nodelay(stdscr, true);
  curs_set(0);
  return std::unique_ptr<Terminal>(
      new Terminal(std::make_unique<Screen>(Screen{.screen = screen, .has_colors = colored})));
}

Terminal::~Terminal() {
  endwin();
  delscreen(screen_->screen);
}

Size Terminal::size() const {
  return {.columns = static_cast<std::size_t>(getmaxx(stdscr)), .lines = static_cast<std::size_t>(getmaxy(stdscr))};
}

void Terminal::take_size() {
  winsize size{};
  if (ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_row > 0 && size.ws_col > 0)
    resizeterm(size.ws_row, size.ws_col);
  clearok(curscr, true);  // many a terminal has moved what was on it
}

void Terminal::show(const std::vector<Line>& lines) {
  erase();
  for (std::size_t i = 0; i < lines.size(); ++i) {
    move(static_cast<int>(i), 0);
    for (const Span& span : lines[i]) {
      attrset(static_cast<int>(attributes_of(span.style, screen_->has_colors)));
      addnstr(span.text.data(), static_cast<int>(span.text.size()));
    }
  }
  attrset(A_NORMAL);
  refresh();
}

std::vector<Key> Terminal::keys() {
  std::vector<Key> keys;
  wint_t code = 0;
  for (int result = 0; (result = get_wch(&code)) != ERR;) keys.push_back(key_of(result, code));
  return keys;
}

}  // namespace ringplane::top
