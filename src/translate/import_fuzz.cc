// Any bytes through the readers and the writer: what comes out must be a pf.conf, and its last line must count right.
// The first byte chooses the form.
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <string>
#include <string_view>
#include <utility>

#include "firewall/diagnostic.h"
#include "firewall/parser.h"
#include "translate/ipset_save.h"
#include "translate/iptables_save.h"
#include "translate/nft_json.h"
#include "translate/pf_writer.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace ringplane;  // NOLINT(google-build-using-namespace): the whole file is this function
  if (size == 0) return 0;
  const std::string_view text(reinterpret_cast<const char*>(data) + 1, size - 1);
  auto filter = data[0] % 3 == 0   ? translate::read_iptables_save("input", text)
                : data[0] % 3 == 1 ? translate::read_nft_json("input", text)
                                   : translate::read_ipset_save("input", text);
  if (!filter) return 0;
  const auto made =
      translate::write_pf_conf(std::move(*filter), {.source = "fuzz", .host_port = (data[0] & 0x80) != 0 ? "dmz" : ""});
  if (!made) return 0;
  const firewall::ParseResult parsed = firewall::parse({.name = "pf.conf", .text = made->text}, {});
  if (parsed.ok()) return 0;
  std::fprintf(stderr, "%s\n", made->text.c_str());
  for (const firewall::Diagnostic& one : parsed.diagnostics)
    std::fprintf(stderr, "%u: %s\n", one.line, one.sentence.c_str());
  std::abort();
}
