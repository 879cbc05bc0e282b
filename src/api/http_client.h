// HttpClient: asks a server of this room at its unix socket. Blocks; one thread.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <string_view>

#include "base/result.h"

namespace ringplane::api {

class HttpClient {
 public:
  explicit HttpClient(std::string socket_path) : socket_path_(std::move(socket_path)) {}

  struct Reply {
    int status = 0;
    std::string body;
  };
  /// Fails with a sentence if nobody answers, or not within a minute. `path` is encoded already (encoded()).
  [[nodiscard]] base::Result<Reply> get(const std::string& path) const;
  [[nodiscard]] base::Result<Reply> post(const std::string& path, const std::string& body,
                                         const std::string& content_type = "application/json") const;
  /// What comes goes to `take` until the server ends, `take` returns false, or `seconds` (0: any) are over; an answer
  /// other than 200 is returned.
  [[nodiscard]] base::Result<Reply> follow(const std::string& path, const std::function<bool(std::string_view)>& take,
                                           std::uint32_t seconds = 0) const;

 private:
  struct Words;
  [[nodiscard]] base::Result<Reply> exchange(const Words& words) const;
  std::string socket_path_;
};

/// As part of a path or a query: what is neither a letter nor a digit becomes %XX.
[[nodiscard]] std::string encoded(std::string_view text);

}  // namespace ringplane::api
