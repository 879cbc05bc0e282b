#!/usr/bin/python3
"""What a client notices when a rule blocks it, and what the log says about that."""
import base64
import hashlib
import ipaddress
import re
import socket
import time

from case import LabTest, main
from namespaces import CLIENT4, CLIENT6, SERVER4, SERVER6
from raw_frames import RawPort
from scapy.layers.inet import IP, TCP
from scapy.layers.inet6 import IPv6
from scapy.layers.l2 import Ether

RULES = """set block-policy drop
block log label "default"
block in log on lan proto { tcp, udp } to port 1000 label "silent"
block return in log on lan proto { tcp, udp } to port 1001 label "return"
block return-rst in log on lan proto tcp to port 1002 label "rst"
block return-icmp (host-unr, addr-unr) in log on lan proto { tcp, udp } to port 1003 label "icmp"
pass out quick
pass in log on lan proto tcp to port 80 label "web"
pass quick inet6 proto icmp6 icmp6-type { neighbrsol, neighbradv } no state
"""
LINE_OF = {"default": 2, "silent": 3, "return": 4, "rst": 5, "icmp": 6, "web": 8}
PAIRS = ((CLIENT4, SERVER4), (CLIENT6, SERVER6))


def community_id(source, destination, protocol, source_port, destination_port):
    """Version 1 with seed 0, from the specification at github.com/corelight/community-id-spec."""
    ends = sorted([(ipaddress.ip_address(source).packed, source_port.to_bytes(2, "big")),
                   (ipaddress.ip_address(destination).packed, destination_port.to_bytes(2, "big"))])
    data = bytes(2) + ends[0][0] + ends[1][0] + bytes([protocol, 0]) + ends[0][1] + ends[1][1]
    return "1:" + base64.b64encode(hashlib.sha1(data).digest()).decode()


class Blocked(LabTest):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        # Listeners everywhere, so that only the firewall can be the cause.
        cls.listeners = []
        for _, server in PAIRS:
            family = socket.AF_INET6 if ":" in server else socket.AF_INET
            for port in (80, 1000, 1001, 1002, 1003):
                listener = cls.server.socket(family, socket.SOCK_STREAM)
                listener.bind((server, port))
                listener.listen()
                cls.listeners.append(listener)
                cls.addClassCleanup(listener.close)

    def setUp(self):
        self.firewall = self.start_firewall(RULES)

    def connect(self, server, port, timeout_s):
        """None when it connects, else the error; and the client's own port."""
        family = socket.AF_INET6 if ":" in server else socket.AF_INET
        with self.client.socket(family, socket.SOCK_STREAM) as client:
            client.settimeout(timeout_s)
            try:
                client.connect((server, port))
            except OSError as error:
                return error, client.getsockname()[1]
            return None, client.getsockname()[1]

    def send_udp(self, server, port, timeout_s):
        family = socket.AF_INET6 if ":" in server else socket.AF_INET
        with self.client.socket(family, socket.SOCK_DGRAM) as client:
            client.connect((server, port))
            client.settimeout(timeout_s)
            client.send(b"anybody?")
            try:
                client.recv(100)
            except OSError as error:
                return error
        return None

    def line_of(self, label, proto, server):
        return self.firewall.wait_for_eve(
            lambda line: line.get("firewall", {}).get("label") == label and line["proto"] == proto and
            line["dest_ip"] == server, f"{label} {proto} {server}")

    def test_drop_lets_a_connection_time_out(self):
        for _, server in PAIRS:
            with self.subTest(server=server):
                error, _ = self.connect(server, 1000, 1.2)
                self.assertIsInstance(error, TimeoutError)
                self.assertIsInstance(self.send_udp(server, 1000, 0.3), TimeoutError)
                self.assertEqual(self.line_of("silent", "tcp", server)["verdict"], "drop")
                self.assertEqual(self.line_of("silent", "udp", server)["verdict"], "drop")
        self.assertEqual(self.firewall.workers_sum("rejected"), 0)

    def test_block_return_answers_tcp_with_a_reset_at_once(self):
        for _, server in PAIRS:
            for port, label in ((1001, "return"), (1002, "rst")):
                with self.subTest(server=server, port=port):
                    start = time.monotonic()
                    error, _ = self.connect(server, port, 5)
                    self.assertIsInstance(error, ConnectionRefusedError)
                    self.assertLess(time.monotonic() - start, 0.9, "that was not the first SYN's answer")
                    self.assertEqual(self.line_of(label, "tcp", server)["verdict"], "reject")

    def test_block_return_answers_udp_with_port_unreachable(self):
        for _, server in PAIRS:
            with self.subTest(server=server):
                self.assertIsInstance(self.send_udp(server, 1001, 5), ConnectionRefusedError)
                self.assertEqual(self.line_of("return", "udp", server)["verdict"], "reject")

    def test_block_return_icmp_answers_with_the_code_of_the_rule(self):
        for _, server in PAIRS:
            with self.subTest(server=server):
                # Host unreachable and address unreachable are both EHOSTUNREACH to a connected UDP socket.
                error = self.send_udp_until_error(server, 1003)
                self.assertEqual(error.errno, 113, error)

    def send_udp_until_error(self, server, port):
        """The kernel reports such a soft error only to a socket that asks for it."""
        family, level, option = ((socket.AF_INET6, socket.IPPROTO_IPV6, 25) if ":" in server else
                                 (socket.AF_INET, socket.IPPROTO_IP, 11))  # IPV6_RECVERR, IP_RECVERR
        with self.client.socket(family, socket.SOCK_DGRAM) as client:
            client.setsockopt(level, option, 1)
            client.connect((server, port))
            client.settimeout(3)
            client.send(b"anybody?")
            with self.assertRaises(OSError) as raised:
                client.recv(100)
            return raised.exception

    def test_what_the_rules_pass_passes_and_is_logged_too(self):
        for client, server in PAIRS:
            with self.subTest(server=server):
                error, port = self.connect(server, 80, 5)
                self.assertIsNone(error)
                line = self.line_of("web", "tcp", server)
                self.assertEqual((line["event_type"], line["verdict"]), ("pass", "pass"))
                self.assertEqual((line["src_ip"], line["src_port"]), (client, port))
                self.assertNotIn("drop", line)

    def test_a_log_line_has_every_field(self):
        for client, server in PAIRS:
            with self.subTest(server=server):
                before = time.time()
                _, port = self.connect(server, 1001, 5)
                line = self.line_of("return", "tcp", server)
                self.assertRegex(line["timestamp"], r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}\+0000$")
                stamp = time.mktime(time.strptime(line["timestamp"][:19], "%Y-%m-%dT%H:%M:%S")) - time.timezone
                self.assertLess(abs(stamp - before), 5)
                self.assertEqual(line["event_type"], "drop")
                self.assertEqual(line["in_iface"], "rp-lan")
                self.assertEqual((line["src_ip"], line["src_port"]), (client, port))
                self.assertEqual((line["dest_ip"], line["dest_port"]), (server, 1001))
                self.assertEqual(line["proto"], "tcp")
                self.assertEqual(line["community_id"], community_id(client, server, 6, port, 1001))
                self.assertEqual(line["drop"]["reason"], "rule_block")
                self.assertEqual(line["firewall"]["label"], "return")
                self.assertTrue(line["firewall"]["rule"].endswith(f"pf.conf:{LINE_OF['return']}"), line)

    def test_each_label_comes_with_its_line_of_the_rules(self):
        for label, port in (("silent", 1000), ("return", 1001), ("rst", 1002), ("icmp", 1003), ("default", 5000)):
            with self.subTest(label=label):
                self.connect(SERVER4, port, 0.2)
                line = self.line_of(label, "tcp", SERVER4)
                self.assertEqual(re.search(r":(\d+)$", line["firewall"]["rule"]).group(1), str(LINE_OF[label]))

    def test_both_directions_have_the_same_community_id(self):
        ends = ((self.client, "c0", self.server.mac("s0")), (self.server, "s0", self.client.mac("c0")))
        for layer, addresses in ((IP, PAIRS[0]), (IPv6, PAIRS[1])):
            for (space, interface, mac), forth in zip(ends, (True, False)):
                one, other = addresses if forth else reversed(addresses)
                ports = (40000, 7777) if forth else (7777, 40000)
                with RawPort(space, interface) as port:
                    port.send(Ether(dst=mac) / layer(src=one, dst=other) /
                              TCP(sport=ports[0], dport=ports[1], flags="S"))
            lines = [self.firewall.wait_for_eve(lambda line: line.get("src_ip") == source and
                                                40000 in (line.get("src_port"), line.get("dest_port")), source)
                     for source in addresses]
            self.assertEqual({line["in_iface"] for line in lines}, {"rp-lan", "rp-wan"})
            self.assertEqual(len({line["community_id"] for line in lines}), 1, lines)


if __name__ == "__main__":
    main()
