// TapPort: a listener on the cable. It wraps any port and writes what is received and what is transmitted, of all its
// queues, into one capture file. It never changes, delays or drops what passes.
//
// For finding faults, not for speed: each burst that is not empty takes a lock and writes to the file.
// Threads: as the wrapped port. Counters of a queue are those of the queue that it wraps.
#pragma once

#include <cstdint>
#include <memory>
#include <string>

#include "base/result.h"
#include "frame/arena.h"
#include "frame/frame_pool.h"
#include "port/port.h"

namespace ringplane::port {

struct TapFile;

struct TapOptions {
  std::string path{};                              ///< capture to write, replaced if it exists
  std::uint64_t (*clock_ns)() noexcept = nullptr;  ///< called once a burst, from any queue's thread; since 1970
};

class TapPort final : public Port {
 public:
  /// `arena` outlives the port.
  [[nodiscard]] static base::Result<std::unique_ptr<TapPort>> create(std::unique_ptr<Port> inner,
                                                                     const frame::Arena& arena,
                                                                     const TapOptions& options);
  ~TapPort() override;

  [[nodiscard]] std::uint32_t queue_count() const noexcept override { return inner_->queue_count(); }
  [[nodiscard]] base::Result<std::unique_ptr<Queue>> open_queue(std::uint32_t index, frame::FramePool& pool) override;
  [[nodiscard]] std::string description() const override;
  [[nodiscard]] MacAddress mac() const noexcept override { return inner_->mac(); }
  [[nodiscard]] std::uint32_t mtu() const noexcept override { return inner_->mtu(); }
  [[nodiscard]] LinkState link_state() override { return inner_->link_state(); }

  /// Brings all that has passed to the file; false if some of it could not be written.
  bool flush_file();

 private:
  TapPort(std::unique_ptr<Port> inner, std::unique_ptr<TapFile> file);

  const std::unique_ptr<Port> inner_;
  const std::unique_ptr<TapFile> file_;
};

}  // namespace ringplane::port
