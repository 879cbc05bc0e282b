// The XDP program of redirect.bpf.c, compiled and embedded by the build.
#pragma once

#include <cstdint>
#include <span>

namespace ringplane::port {

/// An ELF file for bpf_object__open_mem.
[[nodiscard]] std::span<const std::uint8_t> redirect_object() noexcept;

}  // namespace ringplane::port
