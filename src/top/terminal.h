// Terminal: the one place that knows ncurses. Takes the terminal, draws lines, gives keys, and leaves everything as it
// was when it goes, however that comes about. One at a time; one thread.
#pragma once

#include <memory>
#include <vector>

#include "base/result.h"
#include "top/keys.h"
#include "top/view.h"

namespace ringplane::top {

/// Whether standard input and output are a terminal that can move its cursor.
[[nodiscard]] bool is_terminal();
/// Nothing but ASCII is to be written: the locale (which this takes from the environment) knows no more.
[[nodiscard]] bool is_ascii();

class Terminal {
 public:
  /// Fails with a sentence where TERM names none that is known.
  [[nodiscard]] static base::Result<std::unique_ptr<Terminal>> open();
  Terminal(const Terminal&) = delete;
  Terminal& operator=(const Terminal&) = delete;
  ~Terminal();

  [[nodiscard]] Size size() const;
  /// After SIGWINCH.
  void take_size();
  void show(const std::vector<Line>& lines);
  /// Those that wait.
  [[nodiscard]] std::vector<Key> keys();

 private:
  struct Screen;
  explicit Terminal(std::unique_ptr<Screen> screen);
  std::unique_ptr<Screen> screen_;
};

}  // namespace ringplane::top
