// The kernel that runs: ethtool's ioctls, rtnetlink and the netdev family of generic netlink, in the network namespace
// of the process. What these ask is open to every user.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "base/file_descriptor.h"
#include "doctor/kernel.h"

namespace ringplane::doctor {

class RunningKernel final : public Kernel {
 public:
  RunningKernel();

  [[nodiscard]] std::vector<std::string> interfaces() const override;
  [[nodiscard]] Asked<Link> link(const std::string& interface) const override;
  [[nodiscard]] Asked<LinkDetails> details(std::uint32_t index) const override;
  [[nodiscard]] Asked<std::string> driver(const std::string& interface) const override;
  [[nodiscard]] Asked<Channels> channels(const std::string& interface) const override;
  [[nodiscard]] Asked<RingSizes> ring_sizes(const std::string& interface) const override;
  [[nodiscard]] Asked<Spreading> spreading(const std::string& interface) const override;
  [[nodiscard]] Asked<std::uint64_t> hashed_fields(const std::string& interface, std::uint32_t kind) const override;
  [[nodiscard]] Asked<std::vector<Offload>> offloads(const std::string& interface) const override;
  [[nodiscard]] Asked<Coalescing> coalescing(const std::string& interface) const override;
  [[nodiscard]] Asked<FlowControl> flow_control(const std::string& interface) const override;
  [[nodiscard]] Asked<std::uint64_t> xdp_features(std::uint32_t index) const override;
  [[nodiscard]] Rights rights() const override;
  [[nodiscard]] std::uint64_t locked_memory_limit() const override;
  [[nodiscard]] int landlock_version() const override;

 private:
  /// 0 or errno. `command` begins with the number of what is asked, and is filled in.
  [[nodiscard]] int ask(const std::string& interface, void* command) const;

  base::FileDescriptor socket_;
};

}  // namespace ringplane::doctor
