// EveWriter: puts whole lines into a descriptor that somebody else has opened and will open again: a file, a pipe, a
// unix socket (a stream, or a datagram a line), or nowhere. Never waits: what the other side does not take stays here,
// up to kMostWaitingBytes; lines beyond that are counted and forgotten. One thread.
//
// A line that the old descriptor has taken half goes to the new one whole, so none is lost over a change. Whoever
// changes a file cuts the half off its end (cut_to_whole_lines() in log_outlet.h).
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include "base/file_descriptor.h"

namespace ringplane::report {

class EveWriter {
 public:
  static constexpr std::size_t kMostWaitingBytes = std::size_t{1} << 20;

  /// Nowhere: lines are neither written nor lost.
  EveWriter() = default;

  /// From now on there, with what waits; one that is not valid: nobody takes lines yet.
  void change_to(base::FileDescriptor file);
  /// Appends the line and a newline.
  void write(std::string_view line);
  /// What can go without waiting is with the kernel afterwards.
  void flush();

  [[nodiscard]] bool is_somewhere() const noexcept { return kind_ != Kind::kNowhere; }
  [[nodiscard]] std::uint64_t written() const noexcept { return written_; }
  [[nodiscard]] std::uint64_t waiting() const noexcept { return waiting_; }
  /// Lines that were forgotten.
  [[nodiscard]] std::uint64_t lost() const noexcept { return lost_; }
  /// errno of why lines wait; 0: none do.
  [[nodiscard]] int why() const noexcept { return why_; }

 private:
  enum class Kind : std::uint8_t { kNowhere, kNobody, kFile, kPipe, kStream, kDatagrams };

  [[nodiscard]] std::int64_t put(std::string_view bytes) const noexcept;
  void took(std::size_t bytes) noexcept;
  void forget_line() noexcept;

  base::FileDescriptor file_;
  Kind kind_ = Kind::kNowhere;
  std::string text_;           ///< whole lines
  std::size_t line_ = 0;       ///< where in text_ the first line begins that was not taken whole
  std::size_t taken_ = 0;      ///< up to here text_ was taken; >= line_
  std::uint64_t waiting_ = 0;  ///< lines from line_ on
  std::uint64_t written_ = 0;
  std::uint64_t lost_ = 0;
  int why_ = 0;
};

}  // namespace ringplane::report
