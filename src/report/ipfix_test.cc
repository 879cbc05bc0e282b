#include "report/ipfix.h"

#include <cstddef>
#include <cstdint>
#include <map>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <gtest/gtest.h>

#include "base/random.h"
#include "wire/ip_address.h"

namespace ringplane::report {
namespace {

wire::IpAddress host(std::string_view text) {
  return wire::parse_host_address(text)->address;
}

std::string hex(std::span<const std::uint8_t> bytes) {
  std::string text;
  for (const std::uint8_t byte : bytes) {
    constexpr std::string_view kDigits = "0123456789abcdef";
    text += kDigits[byte >> 4];
    text += kDigits[byte & 15];
  }
  return text;
}

constexpr std::uint32_t kDomain = 0x01020304;

TEST(Ipfix, AMessageOfTemplatesByteByByte) {
  IpfixMessage message(kDomain, 1400);
  message.begin(0x65432100);
  message.add_templates();
  EXPECT_EQ(hex(message.finish()),
            // version 10, length 140, export time, sequence number 0, domain
            "000a"
            "008c"
            "65432100"
            "00000000"
            "01020304"
            // set 2 of templates, length 124
            "0002"
            "007c"
            // template 256, 14 fields: element, bytes
            "0100"
            "000e"
            "00080004"
            "000c0004"
            "00070002"
            "000b0002"
            "00040001"
            "00880001"
            "003a0002"
            "00200002"
            "000a0004"
            "000e0004"
            "00020008"
            "00010008"
            "00980008"
            "00990008"
            // template 257
            "0101"
            "000e"
            "001b0010"
            "001c0010"
            "00070002"
            "000b0002"
            "00040001"
            "00880001"
            "003a0002"
            "008b0002"
            "000a0004"
            "000e0004"
            "00020008"
            "00010008"
            "00980008"
            "00990008");
}

TEST(Ipfix, RecordsOfBothFamiliesByteByByte) {
  IpfixMessage message(kDomain, 1400);
  message.begin(1);
  EXPECT_TRUE(message.add({.family = wire::Family::kIpv4,
                           .source = host("10.0.0.5"),
                           .destination = host("192.0.2.10"),
                           .source_port = 40000,
                           .destination_port = 443,
                           .protocol = 6,
                           .end_reason = FlowEndReason::kEndOfFlow,
                           .vlan = 7,
                           .ingress = 3,
                           .egress = 4,
                           .packets = 10,
                           .bytes = 0x1'0000'0001,
                           .start_ms = 0x18bcfe56800,
                           .end_ms = 0x18bcfe56bff}));
  EXPECT_TRUE(message.add({.family = wire::Family::kIpv6,
                           .source = host("2001:db8::1"),
                           .destination = host("2001:db8::2"),
                           .protocol = 58,
                           .end_reason = FlowEndReason::kIdleTimeout,
                           .icmp_type_code = 128 << 8,
                           .packets = 1,
                           .bytes = 104}));
  EXPECT_EQ(message.records(), 2U);
  EXPECT_EQ(hex(message.finish()),
            "000a"
            "00a4"
            "00000001"
            "00000000"
            "01020304"
            "0100"
            "003e"
            "0a000005"
            "c000020a"
            "9c40"
            "01bb"
            "06"
            "03"
            "0007"
            "0000"
            "00000003"
            "00000004"
            "000000000000000a"
            "0000000100000001"
            "0000018bcfe56800"
            "0000018bcfe56bff"
            "0101"
            "0056"
            "20010db8000000000000000000000001"
            "20010db8000000000000000000000002"
            "0000"
            "0000"
            "3a"
            "01"
            "0000"
            "8000"
            "00000000"
            "00000000"
            "0000000000000001"
            "0000000000000068"
            "0000000000000000"
            "0000000000000000");
  message.begin(2);
  EXPECT_EQ(hex(message.finish()).substr(16, 8), "00000002") << "the records before it";
}

/// Reads messages as RFC 7011 says, by the templates that came before; knows nothing of ipfix.cc.
class Decoder {
 public:
  using Record = std::map<std::uint16_t, std::string>;  // element -> bytes in hex

  void read(std::span<const std::uint8_t> message) {
    ASSERT_GE(message.size(), 16U);
    ASSERT_EQ(number(message, 0, 2), 10U);
    ASSERT_EQ(number(message, 2, 2), message.size());
    ASSERT_EQ(number(message, 8, 4), records.size()) << "the sequence number counts the records before";
    for (std::size_t at = 16; at < message.size();) {
      ASSERT_LE(at + 4, message.size());
      const auto id = number(message, at, 2);
      const auto length = number(message, at + 2, 2);
      ASSERT_GE(length, 4U);
      ASSERT_LE(at + length, message.size());
      const auto set = message.subspan(at + 4, length - 4);
      if (id == 2) {
        read_templates(set);
      } else {
        read_records(templates_.at(static_cast<std::uint16_t>(id)), set);
      }
      at += length;
    }
  }

  std::vector<Record> records;

 private:
  using Template = std::vector<std::pair<std::uint16_t, std::size_t>>;

  static std::uint64_t number(std::span<const std::uint8_t> bytes, std::size_t at, std::size_t length) {
    std::uint64_t value = 0;
    for (std::size_t i = 0; i < length; ++i) value = value * 256 + bytes[at + i];
    return value;
  }
  void read_templates(std::span<const std::uint8_t> set) {
    for (std::size_t at = 0; at + 4 <= set.size();) {
      Template& fields = templates_[static_cast<std::uint16_t>(number(set, at, 2))];
      fields.clear();
      const auto count = number(set, at + 2, 2);
      at += 4;
      for (std::uint64_t i = 0; i < count; ++i, at += 4) {
        fields.emplace_back(number(set, at, 2), number(set, at + 2, 2));
      }
    }
  }
  void read_records(const Template& fields, std::span<const std::uint8_t> set) {
    for (std::size_t at = 0; at < set.size();) {
      Record& record = records.emplace_back();
      for (const auto& [element, length] : fields) {
        ASSERT_LE(at + length, set.size());
        record[element] = hex(set.subspan(at, length));
        at += length;
      }
    }
  }

  std::map<std::uint16_t, Template> templates_;
};

template <class Integer>
std::string big_endian(Integer value) {
  std::string text;
  for (std::size_t i = sizeof value; i-- > 0;) {
    const auto byte = static_cast<std::uint8_t>(value >> (8 * i));
    text += hex({&byte, 1});
  }
  return text;
}

Decoder::Record expected_of(const IpfixRecord& record) {
  const bool ipv4 = record.family == wire::Family::kIpv4;
  const std::size_t bytes = ipv4 ? 4 : 16;
  const std::uint16_t source = ipv4 ? 8 : 27;
  const std::uint16_t destination = ipv4 ? 12 : 28;
  const std::uint16_t icmp = ipv4 ? 32 : 139;
  return {{source, hex(std::span(record.source.bytes).first(bytes))},
          {destination, hex(std::span(record.destination.bytes).first(bytes))},
          {std::uint16_t{7}, big_endian(record.source_port)},
          {std::uint16_t{11}, big_endian(record.destination_port)},
          {std::uint16_t{4}, big_endian(record.protocol)},
          {std::uint16_t{136}, big_endian(static_cast<std::uint8_t>(record.end_reason))},
          {std::uint16_t{58}, big_endian(record.vlan)},
          {icmp, big_endian(record.icmp_type_code)},
          {std::uint16_t{10}, big_endian(record.ingress)},
          {std::uint16_t{14}, big_endian(record.egress)},
          {std::uint16_t{2}, big_endian(record.packets)},
          {std::uint16_t{1}, big_endian(record.bytes)},
          {std::uint16_t{152}, big_endian(record.start_ms)},
          {std::uint16_t{153}, big_endian(record.end_ms)}};
}

IpfixRecord random_record(base::Random& random) {
  IpfixRecord record{.family = random.below(3) == 0 ? wire::Family::kIpv6 : wire::Family::kIpv4,
                     .source_port = static_cast<std::uint16_t>(random()),
                     .destination_port = static_cast<std::uint16_t>(random()),
                     .protocol = static_cast<std::uint8_t>(random()),
                     .end_reason = static_cast<FlowEndReason>(1 + random.below(5)),
                     .vlan = static_cast<std::uint16_t>(random.below(4096)),
                     .icmp_type_code = static_cast<std::uint16_t>(random()),
                     .ingress = static_cast<std::uint32_t>(random()),
                     .egress = static_cast<std::uint32_t>(random()),
                     .packets = random(),
                     .bytes = random(),
                     .start_ms = random(),
                     .end_ms = random()};
  for (auto* address : {&record.source, &record.destination}) {
    for (auto& byte : address->bytes) byte = static_cast<std::uint8_t>(random());
  }
  return record;
}

TEST(Ipfix, AnyRecordsComeOutOfAnotherDecoderAsTheyWentIn) {
  for (const std::uint64_t seed : {1ULL, 2ULL, 3ULL, 4ULL}) {
    SCOPED_TRACE("seed " + std::to_string(seed));
    base::Random random(seed);
    const std::size_t most = IpfixMessage::kLeastBytes + random.below(900);
    IpfixMessage message(kDomain, most);
    Decoder decoder;
    std::vector<Decoder::Record> expected;
    message.begin(0);
    message.add_templates();
    const auto send = [&] {
      const auto bytes = message.finish();
      EXPECT_LE(bytes.size(), most);
      decoder.read(bytes);
    };
    for (int i = 0; i < 2000; ++i) {
      const IpfixRecord record = random_record(random);
      expected.push_back(expected_of(record));
      if (message.add(record)) continue;
      send();
      message.begin(static_cast<std::uint32_t>(i));
      if (random.below(5) == 0) message.add_templates();
      ASSERT_TRUE(message.add(record)) << "one fits beside the templates";
    }
    send();
    EXPECT_EQ(decoder.records, expected);
  }
}

}  // namespace
}  // namespace ringplane::report
