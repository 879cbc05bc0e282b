// How start-up and control code reports failure: a value or one sentence. Nothing on the burst path uses this.
#pragma once

#include <cstdint>
#include <expected>
#include <string>
#include <utility>

namespace ringplane::base {

/// What a failure means for the exit code of the program (0 fine, 1 failed, 2 usage, 78 bad configuration).
enum class ErrorKind : std::uint8_t { kFailed, kBadConfiguration };

/// One sentence for a person: what is wrong and what to do about it. No trailing newline.
struct Error {
  std::string message;
  ErrorKind kind = ErrorKind::kFailed;
};

template <class T>
using Result = std::expected<T, Error>;

[[nodiscard]] inline std::unexpected<Error> fail(std::string message, ErrorKind kind = ErrorKind::kFailed) {
  return std::unexpected(Error{.message = std::move(message), .kind = kind});
}

}  // namespace ringplane::base
