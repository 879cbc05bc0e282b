// EveWriter: where EVE lines go: a file that grows, standard output, or nowhere. Never blocks for long: a line that
// cannot be written (disk full, reader gone) is counted and forgotten. Control thread only.
#pragma once

#include <cstdint>
#include <cstdio>
#include <memory>
#include <string>

#include "base/result.h"

namespace ringplane::control {

class EveWriter {
 public:
  /// `path`: a file to append to, "-" for standard output, "" for nowhere.
  [[nodiscard]] static base::Result<EveWriter> open(const std::string& path);

  /// Appends the line and a newline.
  void write(const std::string& line);
  /// What was written is with the kernel afterwards.
  void flush();
  /// Lines that could not be written.
  [[nodiscard]] std::uint64_t lost() const noexcept { return lost_; }

 private:
  struct Close {
    void operator()(std::FILE* file) const noexcept;
  };
  std::unique_ptr<std::FILE, Close> file_;
  std::uint64_t lost_ = 0;
};

}  // namespace ringplane::control
