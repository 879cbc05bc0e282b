#include "control/eve_writer.h"

#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstring>
#include <string>

#include "base/file_descriptor.h"
#include "base/result.h"

namespace ringplane::control {

base::Result<EveWriter> EveWriter::onto(base::FileDescriptor file) {
  EveWriter writer;
  if (!file.valid()) return writer;
  const int own = fcntl(file.get(), F_DUPFD_CLOEXEC, 0);
  writer.file_.reset(own < 0 ? nullptr : fdopen(own, "a"));
  if (writer.file_ == nullptr) {
    if (own >= 0) close(own);
    return base::fail(std::string("cannot write the log: ") + std::strerror(errno));
  }
  return writer;
}

void EveWriter::write(const std::string& line) {
  if (file_ == nullptr) return;
  if (std::fwrite(line.data(), 1, line.size(), file_.get()) != line.size() || std::fputc('\n', file_.get()) == EOF) {
    std::clearerr(file_.get());
    ++lost_;
  }
}

void EveWriter::flush() {
  if (file_ != nullptr && std::fflush(file_.get()) != 0) std::clearerr(file_.get());
}

}  // namespace ringplane::control
