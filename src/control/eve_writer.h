// EveWriter: where EVE lines go: a file that grows, standard output, or nowhere. Never blocks for long: a line that
// cannot be written (disk full, reader gone) is counted and forgotten. One thread.
#pragma once

#include <cstdint>
#include <cstdio>
#include <memory>
#include <string>

#include "base/file_descriptor.h"
#include "base/result.h"

namespace ringplane::control {

class EveWriter {
 public:
  /// Appends to an open file; one that is not valid is nowhere.
  [[nodiscard]] static base::Result<EveWriter> onto(base::FileDescriptor file);

  /// Appends the line and a newline.
  void write(const std::string& line);
  /// What was written is with the kernel afterwards.
  void flush();
  /// Lines that could not be written.
  [[nodiscard]] std::uint64_t lost() const noexcept { return lost_; }

 private:
  struct Close {
    void operator()(std::FILE* file) const noexcept { std::fclose(file); }
  };
  std::unique_ptr<std::FILE, Close> file_;
  std::uint64_t lost_ = 0;
};

}  // namespace ringplane::control
