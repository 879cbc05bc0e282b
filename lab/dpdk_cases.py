"""What has to hold for `ringplane run` over any transport of DPDK between it and dpdk-testpmd; the transports are in
dpdk_memif_test.py and dpdk_vhost_test.py.

    testpmd (lan side) == transport == ringplane == transport == testpmd (wan side)
"""
import os
import sys
import unittest

from scapy.layers.inet import ICMP, IP, TCP, UDP
from scapy.layers.inet6 import IPv6
from scapy.layers.l2 import ARP, Dot1Q, Ether
from scapy.utils import rdpcap, wrpcap

import testpmd
from case import seeded_random
from firewall import Firewall
from namespaces import program_path, wait_until

RULES = """block label "blocked"
pass in on lan proto tcp to port 80 label "web"
pass in on lan proto udp to port 53 label "dns"
pass out quick
"""


def packets(random):
    """(frame, whether RULES let it pass), in the order of sending. What is no IP passes the bridge."""
    made = []
    for i in range(200):
        kind = random.choice(["web", "ssh", "dns", "echo", "web6", "arp", "tagged", "long"])
        ether = Ether(src="02:00:00:00:00:01", dst="02:00:00:00:00:02")
        ip = IP(src=f"10.{random.randrange(4)}.0.{1 + i}", dst="192.0.2.1", id=random.randrange(65536))
        port = random.randrange(1024, 60000)
        packet, passes = {
            "web": lambda: (ether / ip / TCP(sport=port, dport=80, flags="S", seq=i), True),
            "ssh": lambda: (ether / ip / TCP(sport=port, dport=22, flags="S", seq=i), False),
            "dns": lambda: (ether / ip / UDP(sport=port, dport=53) / bytes(random.randrange(18, 200)), True),
            "echo": lambda: (ether / ip / ICMP(id=i) / bytes(40), False),
            "web6": lambda: (ether / IPv6(src=f"2001:db8::{i + 1:x}", dst="2001:db8:1::1") /
                             TCP(sport=port, dport=80, flags="S", seq=i), True),
            "arp": lambda: (ether / ARP(psrc=f"10.0.0.{1 + i}", pdst="10.0.0.254") / bytes(18), True),
            "tagged": lambda: (ether / Dot1Q(vlan=5) / ip / UDP(sport=port, dport=53) / bytes(30), True),
            "long": lambda: (ether / ip / UDP(sport=port, dport=53), True),
        }[kind]()
        frame = bytes(packet)
        if kind == "long":
            payload = bytes(random.randrange(256) for _ in range(1472))
            frame = bytes(ether / ip / UDP(sport=port, dport=53) / payload)
        made.append((frame.ljust(60, b"\0"), passes))
    return made


class TransportCases:
    """Mixed into a TestCase, which says ringplane_device(number, queues) and peer_device(number, queues)."""

    def setUp(self):
        self.lab = self.enterContext(testpmd.DpdkLab())

    def start_firewall(self, rules=RULES, queues=1, extra=""):
        config = self.lab.config(self.ringplane_device(0, queues), self.ringplane_device(1, queues), queues, extra)
        return Firewall(self.lab, rules, config=config)

    def start_peer(self, number, mode, more=(), **words):
        return self.lab.testpmd(*more, self.peer_device(number, words.get("queues", 1)), mode=mode, **words)

    def wait_for_link(self, firewall, *names):
        testpmd.wait_for_links(firewall, names)

    def port(self, firewall, name):
        return next(port for port in firewall.show("ports") if port["port"] == name)

    def assert_nothing_left(self):
        left = [name for name in os.listdir(self.lab.folder) if name.endswith(".sock")]
        self.assertEqual(left, [], "sockets")

    def test_what_passes_is_what_came_byte_for_byte(self):
        sent = packets(seeded_random("dpdk bytes"))
        wanted = [frame for frame, passes in sent if passes]
        wrpcap(self.lab.path("in.pcap"), [Ether(frame) for frame, _ in sent])
        firewall = self.start_firewall()
        sink = self.start_peer(1, "io", [f"net_pcap1,tx_pcap={self.lab.path('out.pcap')}"], held=True)
        self.wait_for_link(firewall, "wan")
        sink.wait_for_prompt()
        sink.say("start")
        source = self.start_peer(0, "io", [f"net_pcap0,rx_pcap={self.lab.path('in.pcap')}"], held=True)
        self.wait_for_link(firewall, "lan")
        source.say("start")
        wait_until(lambda: self.port(firewall, "lan")["rx_packets"] >= len(sent), "not all has come in", 20)
        wait_until(lambda: self.port(firewall, "wan")["tx_packets"] >= len(wanted), "not all has gone out", 5)
        self.assertEqual(firewall.drops(), {"rule_block": len(sent) - len(wanted)})
        self.assertEqual(firewall.rule("blocked")["packets"], len(sent) - len(wanted))
        source.halt()
        sink.wait_for_packets(len(wanted))
        sink.stop()  # closes the capture; ringplane is idle
        firewall.stop()
        got = [bytes(packet) for packet in rdpcap(self.lab.path("out.pcap"))]
        self.assertEqual(len(got), len(wanted))
        self.assertEqual(got, wanted)
        self.assert_nothing_left()

    def flood(self, queues):
        """A multi-flow flood from lan to wan for a second or so; every packet is accounted for. The peers are told to
        halt before anybody goes: DPDK's memif driver may crash the end that polls while the other one hangs up."""
        rules = "block in quick on lan from 198.18.0.0/26 label \"part\"\npass label \"rest\"\n"
        firewall = self.start_firewall(rules, queues)
        sink = self.start_peer(1, "rxonly", queues=queues, held=True)
        source = self.start_peer(0, "txonly", queues=queues, words=["--txonly-multi-flow"], held=True)
        self.wait_for_link(firewall, "lan", "wan")
        # The driver of a virtio guest throws away, uncounted, what was put into its rings before it had started
        # (virtio_dev_start() in DPDK); the link is up before that.
        sink.wait_for_prompt()
        sink.say("start")
        source.say("start")
        wait_until(lambda: self.port(firewall, "wan")["tx_packets"] > 100_000, "too little passes", 20)
        sent = source.halt()[0]["tx"]
        wait_until(lambda: self.port(firewall, "lan")["rx_packets"] >= sent, "not all has come in", 5)
        lan, wan = self.port(firewall, "lan"), self.port(firewall, "wan")
        drops = firewall.drops()
        workers = firewall.show("workers")
        sink.wait_for_packets(wan["tx_packets"])
        received = sink.halt()[0]["rx"]
        firewall.stop()
        self.assertEqual(lan["rx_packets"], sent)
        self.assertEqual(received, wan["tx_packets"])
        self.assertEqual(lan["rx_packets"], wan["tx_packets"] + sum(drops.values()))
        self.assertGreater(drops["rule_block"], 0)
        self.assertLessEqual(set(drops), {"rule_block", "tx_ring_full", "mailbox_full"})
        self.assert_nothing_left()
        return workers

    def test_a_flood_is_accounted_for_to_the_packet(self):
        self.flood(1)

    def test_two_queues_for_two_workers(self):
        workers = self.flood(2)
        self.assertEqual(len(workers), 2)
        for worker in workers:
            self.assertGreater(worker["flows"], 0, "each worker owns some of the flows")

    def test_a_data_process_that_is_killed_is_replaced(self):
        """Its devices go with it, so peers find the transport gone and come again; packets pass afterwards."""
        firewall = self.start_firewall("pass\n")
        sink = self.start_peer(1, "rxonly", held=True)
        self.wait_for_link(firewall, "wan")
        sink.stop()
        self.assertIn("running again", firewall.kill_data_process())
        sink = self.start_peer(1, "rxonly", held=True)
        source = self.start_peer(0, "txonly", held=True)
        self.wait_for_link(firewall, "lan", "wan")
        sink.wait_for_prompt()
        sink.say("start")
        source.say("start")
        wait_until(lambda: self.port(firewall, "wan")["tx_packets"] > 1000, "nothing passes", 20)
        source.halt()
        sink.halt()
        firewall.stop()
        self.assert_nothing_left()

    def go_and_come_again(self, leave):
        """The peer of lan leaves by leave(source) and another comes, twice."""
        firewall = self.start_firewall("pass\n")
        sink = self.start_peer(1, "rxonly", held=True)
        self.wait_for_link(firewall, "wan")
        sink.say("start")
        for _ in range(2):
            before = self.port(firewall, "wan")["tx_packets"]
            source = self.start_peer(0, "txonly", held=True)
            self.wait_for_link(firewall, "lan")
            source.say("start")
            wait_until(lambda: self.port(firewall, "wan")["tx_packets"] > before + 1000, "nothing passes", 20)
            leave(source)
            wait_until(lambda: self.port(firewall, "lan")["link"] == "down", "the link of lan stays up")
        sink.halt()
        firewall.stop()

    def test_a_peer_may_go_and_come_again(self):
        def leave(source):
            source.halt()
            source.stop()

        self.go_and_come_again(leave)


def main():
    if "--program" in sys.argv:
        at = sys.argv.index("--program")
        os.environ["RINGPLANE"] = sys.argv[at + 1]
        del sys.argv[at:at + 2]
    os.environ["RINGPLANE"] = program_path()
    testpmd.skip_if_impossible()
    unittest.main(module="__main__")
