// HttpClient: asks a server of this room at its unix socket. Blocks; one thread.
#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <string>
#include <string_view>

#include "base/result.h"

namespace ringplane::api {

class HttpClient {
 public:
  explicit HttpClient(std::string socket_path) : socket_path_(std::move(socket_path)) {}

  /// From now on a request fails after so many seconds (60 if nobody says), and within a second when `*given_up` turns
  /// true, which somebody else may do; nullptr: nobody does.
  void set_patience(std::uint32_t seconds, const std::atomic<bool>* given_up = nullptr) noexcept {
    patience_s_ = seconds;
    given_up_ = given_up;
  }

  struct Reply {
    int status = 0;
    std::string body;
  };
  /// Fails with a sentence if nobody answers, or not in time. `path` is encoded already (encoded()).
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
  std::uint32_t patience_s_ = 60;
  const std::atomic<bool>* given_up_ = nullptr;
};

/// As part of a path or a query: what is neither a letter nor a digit becomes %XX.
[[nodiscard]] std::string encoded(std::string_view text);

}  // namespace ringplane::api
