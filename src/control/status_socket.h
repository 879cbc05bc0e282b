// StatusSocket: where `ringplane show` asks the daemon: a unix stream socket, one line of request ("show rules 100"),
// one JSON text as answer, then the end. Control thread only. A client that is slow or talks nonsense is dropped after
// 200 ms; workers never notice any of it.
#pragma once

#include <functional>
#include <string>

#include "base/file_descriptor.h"
#include "base/result.h"

namespace ringplane::control {

class StatusSocket {
 public:
  /// Makes the socket with mode 0660, and its folder if that is missing. Refuses if another daemon answers there; a
  /// socket that nobody answers is replaced.
  [[nodiscard]] static base::Result<StatusSocket> listen(const std::string& path);
  StatusSocket(StatusSocket&&) noexcept = default;
  StatusSocket& operator=(StatusSocket&&) noexcept = default;
  /// Removes the socket from the file system.
  ~StatusSocket();

  [[nodiscard]] int descriptor() const noexcept { return listener_.get(); }
  /// Serves the clients that wait. `answer` turns a request line into the text of the reply.
  void serve(const std::function<std::string(const std::string&)>& answer);

 private:
  StatusSocket(base::FileDescriptor listener, std::string path)
      : listener_(std::move(listener)), path_(std::move(path)) {}
  base::FileDescriptor listener_;
  std::string path_;
};

/// The client's side: sends `request`, returns the whole reply. Fails with a sentence if no daemon answers.
[[nodiscard]] base::Result<std::string> ask(const std::string& path, const std::string& request);

}  // namespace ringplane::control
