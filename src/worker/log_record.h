// LogRecord: one logged packet as plain values, small enough to leave the worker through a ring. The control thread
// makes a line of text of it (report/eve_log.h).
#pragma once

#include <cstdint>

#include "base/drop_reason.h"
#include "base/ids.h"
#include "wire/ip_address.h"
#include "worker/packet_burst.h"

namespace ringplane::worker {

struct LogRecord {
  std::uint64_t now_ns = 0;  ///< the worker's clock (monotonic; in a replay the capture's)
  wire::IpAddress source;
  wire::IpAddress destination;
  std::uint16_t source_port = 0;
  std::uint16_t destination_port = 0;
  std::uint16_t length = 0;      ///< bytes of the frame
  std::uint16_t generation = 0;  ///< of the snapshot that `rule` is of
  base::RuleId rule;
  base::PortId port;
  wire::Family family = wire::Family::kNone;
  std::uint8_t protocol = 0;
  std::uint8_t icmp_type = 0;
  std::uint8_t icmp_code = 0;
  Verdict verdict = Verdict::kDrop;
  base::DropReason reason = base::DropReason::none;
};

}  // namespace ringplane::worker
