// A TCP connection through the rig, for tests that speak of connections rather than of packets.
#pragma once

#include <cstddef>
#include <cstdint>

#include <gtest/gtest.h>

#include "base/drop_reason.h"
#include "base/ids.h"
#include "flow/flow_table.h"
#include "wire/compose.h"
#include "wire/decode.h"
#include "wire/ip_address.h"
#include "wire/packet.h"
#include "worker/test_rig.h"
#include "worker/worker_tables.h"

namespace ringplane::worker {

inline wire::Envelope between(std::uint32_t source, std::uint32_t destination) {
  return {.ethernet = {.destination = {2, 0, 0, 0, 0, 2}, .source = {2, 0, 0, 0, 0, 1}},
          .source = wire::IpAddress::from_ipv4(source),
          .destination = wire::IpAddress::from_ipv4(destination)};
}

inline constexpr std::uint32_t kClient = 0x0a000005;
inline constexpr std::uint32_t kServer = 0xc000020a;

/// A TCP connection from the client on lan to the server on wan, seen from both ends.
struct Connection {
  std::uint16_t client_port = 40000;
  std::uint16_t server_port = 80;
  std::uint32_t client = kClient;

  [[nodiscard]] TestRig::Bytes from_client(std::uint8_t flags, std::uint32_t seq, std::uint32_t ack,
                                           std::size_t bytes = 0) const {
    return wire::compose_tcp(between(client, kServer),
                             {.source_port = client_port,
                              .destination_port = server_port,
                              .seq = seq,
                              .ack = ack,
                              .flags = flags,
                              .window = 65535},
                             {}, TestRig::Bytes(bytes, 'c'));
  }
  [[nodiscard]] TestRig::Bytes from_server(std::uint8_t flags, std::uint32_t seq, std::uint32_t ack,
                                           std::size_t bytes = 0) const {
    return wire::compose_tcp(between(kServer, client),
                             {.source_port = server_port,
                              .destination_port = client_port,
                              .seq = seq,
                              .ack = ack,
                              .flags = flags,
                              .window = 65535},
                             {}, TestRig::Bytes(bytes, 's'));
  }
  [[nodiscard]] TestRig::Bytes syn() const { return from_client(wire::tcp_flag::kSyn, 100, 0); }
  /// Sends the three segments of the handshake; how many of them pass.
  std::size_t shake_hands(TestRig& rig) const {
    return rig.through(kLan, syn()).size() +
           rig.through(kWan, from_server(wire::tcp_flag::kSyn | wire::tcp_flag::kAck, 900, 101)).size() +
           rig.through(kLan, from_client(wire::tcp_flag::kAck, 101, 901)).size();
  }
  void establish(TestRig& rig) const { ASSERT_EQ(shake_hands(rig), 3U); }
  /// Its flow in the first worker, which must be there.
  [[nodiscard]] flow::FlowDetails details(TestRig& rig) const {
    const WorkerTables& tables = rig.worker().tables();
    wire::Packet packet;
    EXPECT_EQ(wire::decode(syn(), 1, packet), base::DropReason::none);
    const base::FlowId id = tables.flows->find(packet.key, packet.key.hash(tables.secret));
    EXPECT_TRUE(id.valid());
    return id.valid() ? tables.flows->details(id, rig.now_ns) : flow::FlowDetails{};
  }
};

}  // namespace ringplane::worker
