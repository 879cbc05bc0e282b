#include "bench/classbench.h"

#include <lzma.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <charconv>
#include <cstddef>
#include <cstdint>
#include <fstream>
#include <ios>
#include <iterator>
#include <string>
#include <string_view>
#include <system_error>
#include <vector>

#include "base/result.h"
#include "wire/packet.h"

namespace ringplane::bench {
namespace {

constexpr std::size_t kMaxBytes = std::size_t{1} << 30;

base::Result<std::string> decompressed(const std::string& path, const std::string& packed) {
  lzma_stream stream = LZMA_STREAM_INIT;
  if (lzma_stream_decoder(&stream, kMaxBytes, LZMA_CONCATENATED) != LZMA_OK) return base::fail("liblzma has no memory");
  stream.next_in = reinterpret_cast<const std::uint8_t*>(packed.data());
  stream.avail_in = packed.size();
  std::string text;
  std::array<std::uint8_t, 65536> piece;
  lzma_ret state = LZMA_OK;
  while (state == LZMA_OK && text.size() <= kMaxBytes) {
    stream.next_out = piece.data();
    stream.avail_out = piece.size();
    state = lzma_code(&stream, LZMA_FINISH);
    text.append(reinterpret_cast<const char*>(piece.data()), piece.size() - stream.avail_out);
  }
  lzma_end(&stream);
  if (state != LZMA_STREAM_END) return base::fail(path + " is not a whole .xz file of at most 1 GiB");
  return text;
}

/// Reads a line from left to right; once something is not as expected it stays bad.
class Reader {
 public:
  explicit Reader(std::string_view line) : rest_(line) {}

  void skip_blanks() noexcept {
    const std::size_t at = rest_.find_first_not_of(" \t\r");
    rest_.remove_prefix(at == std::string_view::npos ? rest_.size() : at);
  }
  void expect(std::string_view text) noexcept {
    skip_blanks();
    ok_ = ok_ && rest_.starts_with(text);
    if (ok_) rest_.remove_prefix(text.size());
  }
  template <class Number>
  void number(Number& value, std::uint64_t max, int base = 10) noexcept {
    skip_blanks();
    std::uint64_t read = 0;
    const auto [end, error] = std::from_chars(rest_.data(), rest_.data() + rest_.size(), read, base);
    ok_ = ok_ && error == std::errc{} && read <= max;
    if (!ok_) return;
    value = static_cast<Number>(read);
    rest_.remove_prefix(static_cast<std::size_t>(end - rest_.data()));
  }
  void prefix(std::uint32_t& address, std::uint8_t& length) noexcept {
    address = 0;
    for (int i = 0; i < 4; ++i) {
      if (i > 0) expect(".");
      std::uint32_t byte = 0;
      number(byte, 255);
      address = (address << 8) | byte;
    }
    expect("/");
    number(length, 32);
  }
  void range(std::uint16_t& low, std::uint16_t& high) noexcept {
    number(low, 0xffff);
    expect(":");
    number(high, 0xffff);
    ok_ = ok_ && low <= high;
  }
  [[nodiscard]] bool at_end() noexcept {
    skip_blanks();
    return rest_.empty();
  }
  [[nodiscard]] bool ok() const noexcept { return ok_; }
  [[nodiscard]] bool take(std::string_view text) noexcept {
    skip_blanks();
    if (!rest_.starts_with(text)) return false;
    rest_.remove_prefix(text.size());
    return true;
  }

 private:
  std::string_view rest_;
  bool ok_ = true;
};

bool read_rule(std::string_view line, ClassBenchRule& rule) noexcept {
  Reader reader(line);
  reader.expect("@");
  reader.prefix(rule.source, rule.source_length);
  reader.prefix(rule.destination, rule.destination_length);
  reader.range(rule.source_port_low, rule.source_port_high);
  reader.range(rule.destination_port_low, rule.destination_port_high);
  std::uint8_t mask = 0;
  reader.expect("0x");
  reader.number(rule.protocol, 0xff, 16);
  reader.expect("/");
  reader.expect("0x");
  reader.number(mask, 0xff, 16);
  rule.any_protocol = mask == 0;
  if (!reader.ok() || (mask != 0 && mask != 0xff)) return false;
  if (reader.at_end()) return true;
  std::uint16_t unused = 0;
  reader.expect("0x");
  reader.number(unused, 0xffff, 16);
  reader.expect("/");
  reader.expect("0x");
  reader.number(unused, 0xffff, 16);
  return reader.ok() && reader.at_end();
}

bool read_header(std::string_view line, TraceHeader& header) noexcept {
  Reader reader(line);
  reader.number(header.source, 0xffffffff);
  reader.number(header.destination, 0xffffffff);
  reader.number(header.source_port, 0xffff);
  reader.number(header.destination_port, 0xffff);
  reader.number(header.protocol, 0xff);
  header.match = -1;
  if (!reader.take("-1")) reader.number(header.match, 0xffffffff);
  return reader.ok() && reader.at_end();
}

template <class Item, class Read>
base::Result<std::vector<Item>> parse_lines(const std::string& name, std::string_view text, const char* form,
                                            Read&& read) {
  std::vector<Item> items;
  for (std::size_t line = 1; !text.empty(); ++line) {
    const std::size_t end = std::min(text.find('\n'), text.size());
    if (end > 0) {
      Item item;
      if (!read(text.substr(0, end), item)) {
        return base::fail(name + ":" + std::to_string(line) + ": not of the form '" + form + "'");
      }
      items.push_back(item);
    }
    text.remove_prefix(std::min(end + 1, text.size()));
  }
  if (items.empty()) return base::fail(name + " is empty; it should hold lines of the form '" + form + "'");
  return items;
}

std::string text_of(std::uint32_t address, std::uint8_t length) {
  if (length == 0) return "any";
  std::string text;
  for (int shift = 24; shift >= 0; shift -= 8) {
    text += std::to_string((address >> shift) & 0xff);
    if (shift > 0) text += '.';
  }
  return text + "/" + std::to_string(length);
}

std::string port_text(std::uint16_t low, std::uint16_t high) {
  if (low == 0 && high == 0xffff) return "";
  return low == high ? " port " + std::to_string(low) : " port " + std::to_string(low) + ":" + std::to_string(high);
}

bool holds(std::uint32_t address, std::uint32_t prefix, std::uint8_t length) noexcept {
  return length == 0 || ((address ^ prefix) >> (32 - length)) == 0;
}

}  // namespace

base::Result<std::string> read_text(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  if (!file) return base::fail("cannot read " + path + ": " + std::generic_category().message(errno));
  std::string bytes{std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()};
  if (file.bad()) return base::fail("cannot read " + path);
  if (path.ends_with(".xz")) return decompressed(path, bytes);
  return bytes;
}

base::Result<std::vector<ClassBenchRule>> parse_classbench(const std::string& name, std::string_view text) {
  return parse_lines<ClassBenchRule>(name, text, "@SRC/LEN DST/LEN LOW : HIGH LOW : HIGH 0xPROTO/0xMASK 0xFLAGS/0xMASK",
                                     read_rule);
}

base::Result<std::vector<TraceHeader>> parse_trace(const std::string& name, std::string_view text) {
  return parse_lines<TraceHeader>(name, text, "SRC DST SPORT DPORT PROTO MATCH", read_header);
}

base::Result<std::string> pf_conf_of(const std::vector<ClassBenchRule>& rules) {
  std::string text;
  text.reserve(rules.size() * 90);
  for (std::size_t i = 0; i < rules.size(); ++i) {
    const ClassBenchRule& rule = rules[i];
    const std::string source_port = port_text(rule.source_port_low, rule.source_port_high);
    const std::string destination_port = port_text(rule.destination_port_low, rule.destination_port_high);
    const bool has_ports =
        !rule.any_protocol && (rule.protocol == wire::protocol::kTcp || rule.protocol == wire::protocol::kUdp);
    if (!has_ports && (!source_port.empty() || !destination_port.empty())) {
      return base::fail("rule " + std::to_string(i + 1) +
                        " restricts ports, but not to TCP or UDP, which pf.conf cannot say");
    }
    text += "pass quick inet";
    if (!rule.any_protocol) text += " proto " + std::to_string(rule.protocol);
    text += " from " + text_of(rule.source, rule.source_length) + source_port + " to " +
            text_of(rule.destination, rule.destination_length) + destination_port + "\n";
  }
  return text;
}

bool matches(const ClassBenchRule& rule, const TraceHeader& header) noexcept {
  return holds(header.source, rule.source, rule.source_length) &&
         holds(header.destination, rule.destination, rule.destination_length) &&
         header.source_port >= rule.source_port_low && header.source_port <= rule.source_port_high &&
         header.destination_port >= rule.destination_port_low &&
         header.destination_port <= rule.destination_port_high &&
         (rule.any_protocol || header.protocol == rule.protocol);
}

std::int64_t first_match(const std::vector<ClassBenchRule>& rules, const TraceHeader& header) noexcept {
  for (std::size_t i = 0; i < rules.size(); ++i) {
    if (matches(rules[i], header)) return static_cast<std::int64_t>(i);
  }
  return -1;
}

}  // namespace ringplane::bench
