#!/usr/bin/python3
"""DPDK ports over vhost-user: ringplane is the host (net_vhost), dpdk-testpmd the guest's driver (virtio-user)."""
import os
import unittest

from scapy.layers.inet import IP, TCP, UDP
from scapy.layers.inet6 import IPv6
from scapy.layers.l2 import Dot1Q, Ether
from scapy.utils import rdpcap, wrpcap

from case import seeded_random
from dpdk_cases import TransportCases, main
from firewall import Firewall
from namespaces import wait_until


def frames_with_checksums(random):
    """TCP and UDP of many lengths, IPv4, IPv6 and tagged, all with right checksums."""
    frames = []
    for i in range(120):
        ether = Ether(src="02:00:00:00:00:01", dst="02:00:00:00:00:02")
        if i % 5 == 4:
            ether /= Dot1Q(vlan=5)
        ip = IP(src=f"10.0.0.{1 + i}", dst="192.0.2.1", id=i) if i % 2 else IPv6(src=f"2001:db8::{i + 1:x}", dst="2001:db8:1::1")
        port = random.randrange(1024, 60000)
        transport = TCP(sport=port, dport=80, flags="S", seq=i) if random.random() < 0.5 else UDP(sport=port, dport=53)
        payload = bytes(random.randrange(256) for _ in range(random.randrange(30, 1400)))
        frames.append(bytes(ether / ip / transport / payload))
    return frames


def behind_macs(frame):
    """testpmd's csum mode writes addresses of its own into the Ethernet header."""
    return frame[12:]


class Host(TransportCases, unittest.TestCase):
    def socket(self, number):
        return os.path.join(self.lab.folder, f"vhost{number}.sock")

    def ringplane_device(self, number, queues):
        return f"net_vhost{number},iface={self.socket(number)},queues={queues}"

    def peer_device(self, number, queues):
        return f"net_virtio_user0,path={self.socket(number)},queues={queues}"

    def capture_from_guest(self, frames, sink_device, host):
        """What `host(lan)` lets through of `frames`, which a guest sends with its checksums left to the device: testpmd's csum
        mode writes but the sum of the pseudo-header, and its virtio driver says so (VIRTIO_NET_HDR_F_NEEDS_CSUM)."""
        wrpcap(self.lab.path("in.pcap"), [Ether(frame) for frame in frames])
        host()
        sink = None
        if sink_device is not None:
            sink = self.lab.testpmd(f"net_pcap1,tx_pcap={self.lab.path('out.pcap')}", sink_device, mode="io", held=True)
            sink.wait_for_prompt()
            sink.say("start")
        # The capture is port 0 there, the virtio device port 1.
        source = self.lab.testpmd(f"net_pcap0,rx_pcap={self.lab.path('in.pcap')}", self.peer_device(0, 1), mode="csum", held=True)
        source.wait_for_prompt()
        for words in ("port stop 1", "csum set tcp hw 1", "csum set udp hw 1", "port start 1", "start"):
            source.say(words)
        return sink, source

    def captured(self):
        return [behind_macs(bytes(packet)) for packet in rdpcap(self.lab.path("out.pcap"))]

    def check_open_checksums(self, wan, sink_device):
        sent = frames_with_checksums(seeded_random("open checksums"))
        config = self.lab.config(self.ringplane_device(0, 1), wan)
        firewalls = []

        def host():
            firewalls.append(Firewall(self.lab, "pass\n", config=config))

        sink, source = self.capture_from_guest(sent, sink_device, host)
        firewall = firewalls[0]
        wait_until(lambda: self.port(firewall, "lan")["rx_packets"] >= len(sent), "not all has come in", 20)
        sink.wait_for_packets(len(sent))
        self.assertEqual(firewall.drops(), {})
        source.halt()
        sink.stop()
        firewall.stop()
        self.assertEqual(self.captured(), [behind_macs(frame) for frame in sent])

    def test_checksums_that_a_guest_leaves_open_are_right_at_another_guest(self):
        self.check_open_checksums(self.ringplane_device(1, 1), self.peer_device(1, 1))

    def test_checksums_that_a_guest_leaves_open_are_right_over_memif(self):
        socket = self.lab.path("memif.sock")
        self.check_open_checksums(f"net_memif1,role=server,socket={socket},socket-abstract=no",
                                  f"net_memif0,role=client,socket={socket},socket-abstract=no")

    def test_the_guest_of_these_cases_does_leave_them_open(self):
        """Another host that asks for them as they are (legacy-ol-flags), in Ringplane's place."""
        sent = frames_with_checksums(seeded_random("open checksums"))
        hosts = []

        def host():
            hosts.append(self.lab.testpmd(f"net_pcap1,tx_pcap={self.lab.path('out.pcap')}",
                                          self.ringplane_device(0, 1) + ",legacy-ol-flags=1", mode="io", held=True))
            hosts[0].wait_for_prompt()
            hosts[0].say("start")

        _, source = self.capture_from_guest(sent, None, host)
        hosts[0].wait_for_packets(len(sent))
        source.halt()
        hosts[0].stop()
        got = self.captured()
        self.assertEqual(len(got), len(sent))
        right = [frame for frame, before in zip(got, sent) if frame == behind_macs(before)]
        self.assertEqual(right, [], "frames whose checksum was right already")

    def test_a_file_where_a_socket_should_be_is_not_removed(self):
        with open(self.socket(0), "w", encoding="ascii") as file:
            file.write("precious")
        config = self.lab.config(self.ringplane_device(0, 1), self.ringplane_device(1, 1))
        firewall = Firewall(self.lab, "pass\n", config=config, wait=False)
        self.assertNotEqual(firewall.program.wait(), 0)
        self.assertIn("is no socket, and DPDK would remove it", firewall.program.output())
        with open(self.socket(0), encoding="ascii") as file:
            self.assertEqual(file.read(), "precious")
        os.unlink(self.socket(0))
        self.assert_nothing_left()

    def test_a_peer_may_be_killed_while_packets_move(self):
        def leave(source):
            source.program.process.kill()
            source.program.wait()

        self.go_and_come_again(leave)


if __name__ == "__main__":
    main()
