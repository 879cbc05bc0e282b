// What one worker counts. Written by its thread, read by anyone (`ringplane show`, metrics).
#pragma once

#include <array>

#include "base/counter.h"
#include "base/drop_reason.h"

namespace ringplane::worker {

struct WorkerCounters {
  base::Counter packets;            ///< decided here: passed + dropped + rejected
  base::Counter passed;             ///< given to the egress port's transmit ring
  base::Counter passed_bytes;       ///< of the frames
  base::Counter rejected;           ///< blocked and answered; counted under their drop reason too
  base::Counter handed_over;        ///< descriptors given to the worker that owns their flow
  base::Counter rechecked;          ///< flows judged again after a reload
  base::Counter recheck_ended;      ///< of these, ended because the new rules do not let them pass
  base::Counter overloaded;         ///< addresses put into a table by `overload`
  base::Counter overload_lost;      ///< of these, not entered because the limit of table entries is reached
  base::Counter log_lost;           ///< log records beyond the rate or the ring
  base::Counter flow_records_lost;  ///< records of ended flows beyond the ring
  base::Counter turns;              ///< of the loop
  base::Counter busy_turns;         ///< of these, with at least one packet
  base::Counter sleeps;
  base::Counter busy_ns;  ///< in turns with anything to do: packets, messages, timers that are behind
  std::array<base::Counter, base::kDropReasonCount> dropped;
};

}  // namespace ringplane::worker
