// StartOrder: all that a data process must know to begin, beside what it is handed (base::Holdings). Both processes
// keep the order and the holdings, so that whichever lives can give them to a new other.
//
// Holdings by name:
//   arena, counters         memory of the frames; of the workers' counters
//   flows/N                 memory of worker N's flow table
//   rules                   the present rules (rule_files.h)
//   tables/0, tables/1      what was changed in tables since (table_journal.h)
//   rules_state, rules_before  which version they are, and those that come back without a confirmation (rulebook.h)
//   log                     where EVE lines go, if anywhere
//   listener                where control processes come to
//   port/NAME/...           an AF_XDP port (AfXdpPort::share)
#pragma once

#include <cstdint>
#include <map>
#include <string>

#include "base/hash.h"
#include "base/result.h"

namespace ringplane::control {

struct StartOrder {
  std::string version;  ///< of the program that wrote it
  std::string config_path;
  std::string config_text;
  base::HashSecret secret{};     ///< of the keys of flows
  std::uint32_t flow_limit = 0;  ///< of all workers; the size of flows/N follows from it
  std::uint32_t source_limit = 0;
  std::map<std::string, std::string> ports;  ///< by name of the port: its AfXdpFacts as text

  [[nodiscard]] std::string to_text() const;
  [[nodiscard]] static base::Result<StartOrder> parse(const std::string& text);
};

}  // namespace ringplane::control
