#include "report/flow_exporter.h"

#include <algorithm>
#include <cerrno>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>
#include <utility>
#include <vector>

#include <netinet/in.h>
#include <nlohmann/json.hpp>
#include <sys/socket.h>

#include "base/clock.h"
#include "base/file_descriptor.h"
#include "base/ids.h"
#include "report/flow_times.h"
#include "report/ipfix.h"
#include "report/options.h"
#include "wire/flow_key.h"
#include "wire/icmp.h"
#include "wire/ip_address.h"
#include "wire/packet.h"
#include "worker/flow_record.h"

namespace ringplane::report {
namespace {

/// Headers of IPv6 and UDP.
constexpr int kLowerHeaders = 48;

/// What the path to the collector takes, as far as the kernel knows it.
std::size_t message_bytes(int socket) {
  int mtu = 0;
  socklen_t length = sizeof mtu;
  if (getsockopt(socket, IPPROTO_IP, IP_MTU, &mtu, &length) != 0 &&
      getsockopt(socket, IPPROTO_IPV6, IPV6_MTU, &mtu, &length) != 0) {
    return IpfixMessage::kLeastBytes;
  }
  return static_cast<std::size_t>(std::max(mtu - kLowerHeaders, 0));
}

FlowEndReason reason_of(worker::FlowEnd end) {
  switch (end) {
    case worker::FlowEnd::kTimeout: return FlowEndReason::kIdleTimeout;
    case worker::FlowEnd::kClosed: return FlowEndReason::kEndOfFlow;
    case worker::FlowEnd::kEvicted: return FlowEndReason::kLackOfResources;
    case worker::FlowEnd::kErased:
    case worker::FlowEnd::kStop: return FlowEndReason::kForcedEnd;
  }
  return FlowEndReason::kForcedEnd;
}

/// A flow of ICMP began with an echo (worker/recheck.cc); its type and code are not kept.
std::uint16_t icmp_type_code(const wire::FlowKey& key, wire::Direction direction) {
  const bool original = direction == wire::Direction::kOriginal;
  std::uint8_t type = 0;
  if (key.protocol == wire::protocol::kIcmp && key.family == wire::Family::kIpv4) {
    type = original ? wire::icmp_type::kEcho : wire::icmp_type::kEchoReply;
  } else if (key.protocol == wire::protocol::kIcmp6 && key.family == wire::Family::kIpv6) {
    type = original ? wire::icmp6_type::kEcho : wire::icmp6_type::kEchoReply;
  }
  return static_cast<std::uint16_t>(type << 8);
}

}  // namespace

IpfixRecord ipfix_record(const worker::FlowRecord& record, wire::Direction direction, const FlowTimes& times,
                         const std::vector<std::uint32_t>& interfaces) {
  const wire::FlowKey& key = record.key;
  const auto way = static_cast<std::size_t>(direction);
  const std::size_t from = record.original_upper == (direction == wire::Direction::kOriginal) ? 1 : 0;
  const bool ports = key.protocol == wire::protocol::kTcp || key.protocol == wire::protocol::kUdp;
  const auto index_of = [&](base::PortId port) { return port.value < interfaces.size() ? interfaces[port.value] : 0U; };
  std::uint32_t ingress = index_of(record.port);
  std::uint32_t egress = index_of(record.peer_port);
  if (direction == wire::Direction::kReply) std::swap(ingress, egress);
  return {.family = key.family,
          .source = key.address[from],
          .destination = key.address[1 - from],
          .source_port = ports ? key.port[from] : std::uint16_t{0},
          .destination_port = ports ? key.port[1 - from] : std::uint16_t{0},
          .protocol = key.protocol,
          .end_reason = reason_of(record.end),
          .vlan = static_cast<std::uint16_t>(key.zone >> 12 & 0xfff),
          .icmp_type_code = icmp_type_code(key, direction),
          .ingress = ingress,
          .egress = egress,
          .packets = record.packets[way],
          .bytes = record.bytes[way],
          .start_ms = times.wall_of(record.began) / base::kNanosPerMilli,
          .end_ms = times.wall_of(record.last_seen) / base::kNanosPerMilli};
}

FlowExporter::FlowExporter(const IpfixConfig& config, std::vector<std::uint32_t> interfaces)
    : config_(config), interfaces_(std::move(interfaces)), message_(config.domain, IpfixMessage::kLeastBytes) {}

void FlowExporter::change_to(base::FileDescriptor socket) {
  socket_ = std::move(socket);
  message_.set_most_bytes(message_bytes(socket_.get()));
  templates_due_ns_ = 0;
}

void FlowExporter::add(const worker::FlowRecord& record, const FlowTimes& times) {
  for (const wire::Direction direction : {wire::Direction::kOriginal, wire::Direction::kReply}) {
    if (record.packets[static_cast<std::size_t>(direction)] == 0) continue;
    add_one(ipfix_record(record, direction, times, interfaces_), times);
  }
}

void FlowExporter::add_one(const IpfixRecord& record, const FlowTimes& times) {
  if (message_.records() == 0) begin(times);
  if (message_.add(record)) return;
  send();
  begin(times);
  (void)message_.add(record);  // one fits always
}

void FlowExporter::begin(const FlowTimes& times) {
  message_.begin(static_cast<std::uint32_t>(times.wall_ns / base::kNanosPerSecond));
  if (times.monotonic_ns < templates_due_ns_) return;
  message_.add_templates();
  templates_due_ns_ = times.monotonic_ns + config_.template_seconds * base::kNanosPerSecond;
}

void FlowExporter::flush(const FlowTimes& times) {
  if (message_.records() > 0) {
    send();
  } else if (socket_.valid() && times.monotonic_ns >= templates_due_ns_) {
    begin(times);  // templates alone, so that a collector knows them before the first flow ends
    send();
  }
}

void FlowExporter::send() {
  const std::uint32_t records = message_.records();
  const std::span<const std::uint8_t> bytes = message_.finish();
  const auto try_to = [&] {
    return ::send(socket_.get(), bytes.data(), bytes.size(), MSG_DONTWAIT | MSG_NOSIGNAL) >= 0;
  };
  bool sent = try_to();
  if (!sent && errno == ECONNREFUSED) {
    // That was the answer to a message before: nobody was there. This one has not been sent yet.
    ++refused_;
    templates_due_ns_ = 0;
    sent = try_to();
  }
  if (sent) {
    ++messages_;
    records_ += records;
  } else {
    lost_ += records;
    templates_due_ns_ = 0;  // they may have been in it
  }
  message_.begin(0);
}

nlohmann::ordered_json FlowExporter::show() const {
  return {{"output", "ipfix"}, {"to", config_.collector}, {"written", records_}, {"waiting", message_.records()},
          {"lost", lost_},     {"messages", messages_},   {"refused", refused_}};
}

}  // namespace ringplane::report
