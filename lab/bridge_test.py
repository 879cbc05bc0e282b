#!/usr/bin/python3
"""What a bridge owes its users: every frame that the rules let pass arrives, unchanged, whatever its size and kind."""
import hashlib
import os
import socket

from case import LabTest, in_thread, main, receive_all, seeded_random
from namespaces import SERVER4, SERVER6
from raw_frames import RawPort
from scapy.layers.inet import ICMP, IP, TCP, UDP
from scapy.layers.inet6 import IPv6, IPv6ExtHdrDestOpt, IPv6ExtHdrFragment
from scapy.layers.l2 import ARP, Dot1AD, Dot1Q, Ether
from scapy.packet import Raw

from servers import start_nginx

BIG_BYTES = 64 << 20


class RealPrograms(LabTest):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.file = start_nginx(cls.server, file_bytes=BIG_BYTES)

    def setUp(self):
        self.firewall = self.start_firewall()

    def test_ping_of_every_size_is_answered_over_ipv4_and_ipv6(self):
        for host in (SERVER4, SERVER6):
            self.assert_reaches(host)
            # 1472 and 1452 fill an MTU of 1500; the last is fragmented by the sender.
            for size in (0, 1, 17, 18, 19, 1000, 1452 if ":" in host else 1472, 4000):
                with self.subTest(host=host, size=size):
                    result = self.client.run("ping", "-c3", "-i0.05", "-W2", "-s", size, host)
                    self.assertIn(" 0% packet loss", result.stdout)

    def test_a_big_download_arrives_intact(self):
        for host in (SERVER4, f"[{SERVER6}]"):
            with self.subTest(host=host):
                copy = self.lab.path("copy")
                self.client.run("curl", "-gsS", "--max-time", 60, "-o", copy, f"http://{host}/file", check=True)
                self.assertEqual(digest(copy), digest(self.file))

    def test_a_big_upload_arrives_intact(self):
        for name, host in (("up4", SERVER4), ("up6", f"[{SERVER6}]")):
            with self.subTest(host=host):
                self.client.run("curl", "-gsS", "--fail", "--max-time", 60, "-T", self.file, f"http://{host}/{name}",
                                check=True)
                self.assertEqual(digest(self.lab.path(f"www/{name}")), digest(self.file))
                os.unlink(self.lab.path(f"www/{name}"))

    def test_both_directions_of_one_connection_at_once(self):
        data = seeded_random("both directions").randbytes(16 << 20)
        for address in (SERVER4, SERVER6):
            with self.subTest(address=address):
                one, other = connection(self.client, self.server, address, 7000)
                with one, other:
                    sends = [in_thread(lambda end=end: end.sendall(data)) for end in (one, other)]
                    receives = [in_thread(lambda end=end: receive_all(end, len(data))) for end in (one, other)]
                    for send in sends:
                        send()
                    for receive in receives:
                        self.assertEqual(hashlib.sha256(receive()).digest(), hashlib.sha256(data).digest())

    def test_udp_datagrams_of_every_size_arrive_unchanged(self):
        random = seeded_random("udp sizes")
        for address, most in ((SERVER4, 1472), (SERVER6, 1452)):
            family = socket.AF_INET6 if ":" in address else socket.AF_INET
            with self.server.socket(family, socket.SOCK_DGRAM) as receiver, \
                    self.client.socket(family, socket.SOCK_DGRAM) as sender:
                receiver.bind((address, 7001))
                receiver.settimeout(3)
                sender.connect((address, 7001))
                sender.settimeout(3)
                for size in [*range(0, 64), most - 1, most, most + 1, 9000, 60000]:
                    data = random.randbytes(size)
                    sender.send(data)
                    got, back = receiver.recvfrom(65536)
                    self.assertEqual(got, data)
                    receiver.sendto(got, back)
                    self.assertEqual(sender.recv(65536), data)


def digest(path):
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def connection(client_space, server_space, address, port):
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    with server_space.socket(family, socket.SOCK_STREAM) as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((address, port))
        listener.listen()
        client = client_space.socket(family, socket.SOCK_STREAM)
        client.settimeout(30)
        client.connect((address, port))
        server, _ = listener.accept()
        server.settimeout(30)
        return client, server


class FramesByHand(LabTest):
    """Frames as no kernel would make them; they arrive bit for bit."""

    def setUp(self):
        self.firewall = self.start_firewall("pass no state\n")

    def assert_arrive(self, frames):
        frames = [bytes(frame) for frame in frames]
        with RawPort(self.client, "c0") as client, RawPort(self.server, "s0") as server:
            for sender, receiver in ((client, server), (server, client)):
                receiver.drain()
                for frame in frames:
                    sender.send(frame)
                seen = receiver.receive_until(frames, 3)
                missing = [frame.hex() for frame in frames if frame not in seen]
                self.assertEqual(missing, [], f"drops: {self.firewall.drops()}")

    def ether(self, **words):
        return Ether(src="02:00:00:00:00:01", dst="02:00:00:00:00:02", **words)

    def test_tagged_frames(self):
        ip = IP(src="192.0.2.1", dst="192.0.2.2") / UDP(sport=1, dport=2) / Raw(b"tagged")
        ip6 = IPv6(src="2001:db8::1", dst="2001:db8::2") / TCP(sport=1, dport=2, flags="S")
        for inner in (ip, ip6):
            with self.subTest(inner=inner.name):
                self.assert_arrive([self.ether() / Dot1Q(vlan=5, prio=3) / inner,
                                    self.ether() / Dot1Q(vlan=4094) / inner,
                                    self.ether() / Dot1AD(vlan=100) / Dot1Q(vlan=7) / inner,
                                    self.ether() / Dot1Q(vlan=100) / Dot1Q(vlan=7) / inner])

    def test_frames_of_every_size(self):
        self.assert_arrive(self.ether() / IP(src="192.0.2.1", dst="192.0.2.2") / UDP(sport=size + 1, dport=9) /
                           Raw(bytes([size & 0xff]) * size) for size in [*range(0, 70), 1000, 1471, 1472])

    def test_a_full_frame_with_two_tags(self):
        full = IP(src="192.0.2.1", dst="192.0.2.2") / UDP(sport=1, dport=2) / Raw(bytes(1472))
        self.assert_arrive([self.ether() / Dot1Q(vlan=5) / full])

    def test_what_is_no_ip(self):
        self.assert_arrive([self.ether(type=0x88CC) / Raw(b"a neighbour is told about".ljust(46, b"\0")),
                            self.ether(type=0x88B5) / Raw(bytes(46)),
                            self.ether() / ARP(op=1, psrc="192.0.2.1", pdst="192.0.2.2")])

    def test_unusual_ip(self):
        ip, ip6 = IP(src="192.0.2.1", dst="192.0.2.2"), IPv6(src="2001:db8::1", dst="2001:db8::2")
        self.assert_arrive([
            self.ether() / ip / ICMP(type=13), self.ether() / ip / Raw(b"x" * 40), self.ether() / IP(
                src="192.0.2.1", dst="192.0.2.2", proto=47) / Raw(bytes(30)),
            self.ether() / ip6 / IPv6ExtHdrDestOpt() / UDP(sport=1, dport=2) / Raw(b"after options"),
            self.ether() / ip6 / IPv6ExtHdrFragment(id=7, offset=100, m=0) / Raw(bytes(64)),
            self.ether() / IP(src="192.0.2.1", dst="192.0.2.2", flags="MF", frag=0, proto=17) / UDP(
                sport=1, dport=2, len=80) / Raw(bytes(64)),
            self.ether() / IP(src="192.0.2.1", dst="239.1.2.3") / UDP(sport=1, dport=2) / Raw(b"to a group")])

    def test_malformed_packets_go_no_further_and_are_counted(self):
        good = bytes(self.ether() / IP(src="192.0.2.1", dst="192.0.2.2") / UDP(sport=1, dport=2) / Raw(b"good"))
        bad_version = good[:14] + b"\x65" + good[15:]
        bad_sum = good[:24] + b"\x00\x00" + good[26:]
        cut = good[:36]
        flags = bytes(self.ether() / IP(src="192.0.2.1", dst="192.0.2.2") / TCP(sport=1, dport=2, flags="SF"))
        with RawPort(self.client, "c0") as client, RawPort(self.server, "s0") as server:
            server.drain()
            for frame in (bad_version, bad_sum, cut, flags, good):
                client.send(frame)
            seen = server.receive_until({good}, 3)
        self.assertIn(good, seen)
        for frame in (bad_version, bad_sum, cut, flags):
            self.assertNotIn(frame, seen)
        drops = self.firewall.drops()
        for reason in ("ipv4_bad_version", "ipv4_bad_checksum", "ipv4_bad_total_length", "tcp_bad_flags"):
            self.assertEqual(drops.get(reason), 1, drops)


if __name__ == "__main__":
    main()
