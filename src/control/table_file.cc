#include "control/table_file.h"

#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <span>
#include <string>
#include <string_view>
#include <system_error>
#include <vector>

#include <sys/stat.h>

#include "base/file_descriptor.h"
#include "base/result.h"
#include "firewall/prefix_set.h"
#include "firewall/table_text.h"
#include "wire/ip_address.h"

namespace ringplane::control {
namespace {

bool write_whole(int file, std::string_view text) {
  while (!text.empty()) {
    const ssize_t count = write(file, text.data(), text.size());
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) return false;
    text.remove_prefix(static_cast<std::size_t>(count));
  }
  return true;
}

std::string text_of_entries(std::span<const firewall::TableEntry> entries) {
  std::vector<firewall::TableEntry> sorted(entries.begin(), entries.end());
  std::ranges::sort(sorted, firewall::comes_before);
  std::string text;
  for (const firewall::TableEntry& entry : sorted)
    text += (entry.negated ? "!" : "") + wire::to_string(entry.prefix) + "\n";
  return text;
}

}  // namespace

base::Result<void> write_table_file(const std::string& path, std::span<const firewall::TableEntry> entries) {
  const auto failed = [&path] {
    return base::fail("cannot write " + path + " (" + std::strerror(errno) + "): it is as it was");
  };
  // A link stays a link: what it leads to is replaced.
  std::error_code error;
  const std::filesystem::path target = std::filesystem::canonical(path, error);
  struct stat about{};
  if (error || stat(target.c_str(), &about) != 0) {
    errno = error ? error.value() : errno;
    return failed();
  }
  std::string beside = (target.parent_path() / ("." + target.filename().string() + ".XXXXXX")).string();
  const base::FileDescriptor file(mkostemp(beside.data(), O_CLOEXEC));
  if (!file.valid()) return failed();
  const bool written = write_whole(file.get(), text_of_entries(entries)) &&
                       (fchown(file.get(), about.st_uid, about.st_gid) == 0 || errno == EPERM) &&
                       fchmod(file.get(), about.st_mode & 07777) == 0 && fsync(file.get()) == 0 &&
                       rename(beside.c_str(), target.c_str()) == 0;
  if (!written) {
    const int why = errno;
    unlink(beside.c_str());
    errno = why;
    return failed();
  }
  // Without this a loss of power may bring the old name back.
  const base::FileDescriptor folder(open(target.parent_path().c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (folder.valid()) fsync(folder.get());
  return {};
}

}  // namespace ringplane::control
