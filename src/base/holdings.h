// Holdings: descriptors by name that outlive the process that opened them, because whoever holds them can hand them on:
// memory files, sockets, BPF links and maps. Names are paths ("port/lan/queue0"). Not for the burst path.
#pragma once

#include <map>
#include <string>
#include <utility>

#include "base/file_descriptor.h"
#include "base/result.h"

namespace ringplane::base {

class Holdings {
 public:
  /// Takes `descriptor` over, in place of one of the same name.
  void add(std::string name, FileDescriptor descriptor) { held_[std::move(name)] = std::move(descriptor); }
  /// Takes over all that `others` holds, in the same way.
  void add_all(Holdings others);
  /// Adds a duplicate of `descriptor`. Fails with a sentence when there are no more descriptors.
  [[nodiscard]] Result<void> add_duplicate(std::string name, int descriptor);
  /// The descriptor of that name, which stays here; -1: there is none.
  [[nodiscard]] int find(const std::string& name) const noexcept;
  /// A duplicate of it for the caller. Fails with a sentence if there is none.
  [[nodiscard]] Result<FileDescriptor> duplicate(const std::string& name) const;
  /// The descriptor of that name, which is not here any more; none: not valid.
  [[nodiscard]] FileDescriptor take(const std::string& name) {
    auto node = held_.extract(name);
    return node.empty() ? FileDescriptor() : std::move(node.mapped());
  }
  void remove(const std::string& name) { held_.erase(name); }
  [[nodiscard]] const std::map<std::string, FileDescriptor>& all() const noexcept { return held_; }

 private:
  std::map<std::string, FileDescriptor> held_;
};

/// A second descriptor of the same thing, closed on exec.
[[nodiscard]] Result<FileDescriptor> duplicate(int descriptor);

}  // namespace ringplane::base
