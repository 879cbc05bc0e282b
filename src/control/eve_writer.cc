#include "control/eve_writer.h"

#include <cerrno>
#include <cstdio>
#include <cstring>
#include <string>

#include "base/result.h"

namespace ringplane::control {

void EveWriter::Close::operator()(std::FILE* file) const noexcept {
  if (file != stdout) std::fclose(file);
}

base::Result<EveWriter> EveWriter::open(const std::string& path) {
  EveWriter writer;
  if (path == "-") {
    writer.file_.reset(stdout);
  } else if (!path.empty()) {
    writer.file_.reset(std::fopen(path.c_str(), "ae"));
    if (writer.file_ == nullptr) {
      return base::fail("log.file: cannot write " + path + " (" + std::strerror(errno) +
                            "): create its folder or choose another file",
                        base::ErrorKind::kBadConfiguration);
    }
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
