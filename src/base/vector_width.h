// Which vectors the processor has, for the few loops that are compiled for several widths; the same results by all.
#pragma once

#include <cstdint>

namespace ringplane::base {

/// kPlain: what every machine that the program is built for has.
enum class VectorWidth : std::uint8_t { kPlain, kAvx2, kAvx512 };

/// The widest that this machine has; asks the processor, so ask once.
[[nodiscard]] VectorWidth widest_vectors() noexcept;

}  // namespace ringplane::base
