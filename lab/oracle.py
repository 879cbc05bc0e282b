"""What the tests share that have the kernel as their oracle: packets known by a number, both raw ends of a lab, the
kernel as a router between them, `ringplane replay`, and the differences that are right."""
import json
import subprocess

from case import LabTest
from namespaces import program_path
from raw_frames import RawPort
from scapy.layers.inet import ICMP, IP, TCP, UDP
from scapy.layers.inet6 import ICMPv6EchoRequest, ICMPv6Unknown, IPv6
from scapy.layers.l2 import Ether
from scapy.utils import PcapWriter

CLIENT_MAC, SERVER_MAC = "02:00:00:00:00:01", "02:00:00:00:00:02"
FENCE_PORT = 9
FENCE_ID = 0xFFFF
ROUTER_HOST = 254  # the last byte of its addresses

# Ringplane drops these whatever the rules say; the bridge forwards any bytes (docs/reference/drop-reasons.md).
EXPLAINED_STATELESS = {
    "tcp_bad_flags": "flags that no TCP sends together",
    "icmp_bad_header": "an ICMP error that quotes no usable packet",
}

# (kind of packet, who dropped it): why. The kinds are those of conversations.py.
EXPLAINED_STATEFUL = {
    ("reset inside the window, not exact", "ringplane"):
        "RFC 5961 3.2: such a reset is answered by a challenge ACK or ignored; a middlebox drops it (tcp_bad_rst). "
        "conntrack takes any reset inside the window.",
    ("syn in an open connection", "ringplane"):
        "RFC 5961 4.2: a SYN cannot belong here (tcp_bad_syn). conntrack leaves it to the ends.",
    ("syn-ack in an open connection", "ringplane"): "as for the SYN",
}


class Packet:
    """`lan`: sent from the client's side. `layers` begins with IP or IPv6 without identification."""

    def __init__(self, number, lan, layers, kind=""):
        self.number = number
        self.lan = lan
        self.kind = kind
        self.layers = layers.copy()
        if IP in layers:
            self.layers[IP].id = number
        else:
            self.layers[IPv6].fl = number

    def frame(self, destination_mac):
        return bytes(Ether(src=CLIENT_MAC if self.lan else SERVER_MAC, dst=destination_mac) / self.layers)

    def __str__(self):
        return f"#{self.number} {'lan' if self.lan else 'wan'} {self.kind} {self.layers.summary()}"


def number_of(frame):
    """None: no packet of ours. The router's own are its errors, whose identification is any number."""
    if frame[12:14] == b"\x08\x00" and frame[29] != ROUTER_HOST:
        return int.from_bytes(frame[18:20], "big")
    if frame[12:14] == b"\x86\xdd" and frame[37] != ROUTER_HOST:
        return int.from_bytes(frame[16:18], "big")
    return None


class Wire:
    """Both raw ends of the lab; sends packets in order and tells which arrived."""

    def __init__(self, lab, macs):
        self.ends = {True: RawPort(lab.client, "c0"), False: RawPort(lab.server, "s0")}
        self.macs = macs  # destination by Packet.lan
        fence = UDP(sport=FENCE_PORT, dport=FENCE_PORT)
        self.fences = {lan: Packet(FENCE_ID, lan, IP(src="10.1.0.9" if lan else "10.2.0.9",
                                                     dst="10.2.0.9" if lan else "10.1.0.9") / fence)
                       for lan in (True, False)}

    def __enter__(self):
        return self

    def __exit__(self, *_):
        for end in self.ends.values():
            end.socket.close()

    def arrivals(self, packets, fence_every):
        """The numbers of those that came out at the other side. A fence is a packet that always passes: when it is
        there, all before it are through."""
        arrived = set()
        since = 0
        for i, packet in enumerate(packets):
            self.ends[packet.lan].send(packet.frame(self.macs[packet.lan]))
            since += 1
            turns = i + 1 == len(packets) or packets[i + 1].lan != packet.lan
            if turns or since == fence_every:
                since = 0
                arrived |= self._fence(packet.lan)
        return arrived

    def _fence(self, lan):
        numbers = set()
        self.ends[lan].send(self.fences[lan].frame(self.macs[lan]))
        while True:
            frame = self.ends[not lan].receive(3)
            if frame is None:
                raise AssertionError("a fence packet did not arrive")
            number = number_of(frame)
            if number == FENCE_ID:
                return numbers
            if number is not None and frame[6:12] != b"\xff" * 6:
                numbers.add(number)


def random_packet(random, number):
    lan = random.random() < 0.6
    v4 = random.random() < 0.6
    nets = ("10.1.0.", "10.2.0.") if v4 else ("fd01::", "fd02::")
    source, destination = (net + str(random.choice([2, 3, 4])) for net in (nets if lan else reversed(nets)))
    ip = IP(src=source, dst=destination) if v4 else IPv6(src=source, dst=destination)
    ports = {name: random.choice([22, 53, 79, 80, 81, 443, 1023, 1024, 40000, 65535]) for name in ("sport", "dport")}
    kind = random.choice(["tcp", "tcp", "tcp", "udp", "icmp", "other"])
    if kind == "tcp":
        flags = random.choice(["S", "A", "SA", "PA", "FA", "R", "RA", random.randrange(64)])
        return Packet(number, lan, ip / TCP(**ports, flags=flags, seq=number, ack=number))
    if kind == "udp":
        return Packet(number, lan, ip / UDP(**ports) / bytes(random.randrange(40)))
    if kind == "icmp" and v4:
        return Packet(number, lan, ip / ICMP(type=random.choice([8, 0, 13, 14, 15, 3]), code=0))
    if kind == "icmp":
        echo = random.random() < 0.5
        return Packet(number, lan, ip / (ICMPv6EchoRequest() if echo else ICMPv6Unknown(
            type=random.choice([129, 133, 200]), msgbody=bytes(4))))
    layer = IP if v4 else IPv6
    ip[layer].setfieldval("proto" if v4 else "nh", 47)
    return Packet(number, lan, ip / bytes(20))


class Oracle(LabTest):
    def replay(self, packets, rules_path, ports=("lan", "wan")):
        """What `ringplane replay` says of each packet, by its number."""
        for lan in (True, False):
            with PcapWriter(self.lab.path("lan.pcap" if lan else "wan.pcap"), linktype=1, nano=True) as writer:
                writer.write_header(None)
                for i, packet in enumerate(packets):
                    if packet.lan == lan:
                        writer.write_packet(packet.frame("02:00:00:00:00:03"), sec=1000, usec=1000 * i)
        said = subprocess.run([program_path(), "replay", "-f", rules_path,
                               "--in", f"{ports[0]}={self.lab.path('lan.pcap')}",
                               "--in", f"{ports[1]}={self.lab.path('wan.pcap')}"],
                              check=True, capture_output=True, text=True)
        lines = [json.loads(line) for line in said.stdout.splitlines()]
        self.assertEqual(len(lines), len(packets))
        return {packet.number: line for packet, line in zip(packets, lines)}

    def through_ringplane(self, packets, rules, fence_every):
        firewall = self.start_firewall(rules)
        with Wire(self.lab, {True: "02:00:00:00:00:03", False: "02:00:00:00:00:03"}) as wire:
            arrived = wire.arrivals(packets, fence_every)
        firewall.stop()
        return arrived, self.replay(packets, firewall.rules_path)

    def assert_replay_agrees(self, packets, arrived, replayed):
        for packet in packets:
            self.assertEqual(packet.number in arrived, replayed[packet.number]["verdict"] == "pass",
                             f"live and replay differ: {packet}\n{replayed[packet.number]}")

    def make_router(self):
        """Of the firewall's namespace: the kernel forwards between both sides."""
        space = self.firewall_space
        for family, hosts in ((("10.1.0.", "10.2.0."), "24"), (("fd01::", "fd02::"), "64")):
            for interface, net, mac in (("rp-lan", family[0], CLIENT_MAC), ("rp-wan", family[1], SERVER_MAC)):
                gateway = "254" if hosts == "24" else "fe"
                space.ip("addr", "add", f"{net}{gateway}/{hosts}", "dev", interface,
                         *(["nodad"] if hosts == "64" else []))
                for host in range(2, 10):
                    space.ip("neigh", "replace", f"{net}{host}", "lladdr", mac, "dev", interface, "nud", "permanent")
        # The router's own ICMP would be noise; redirects and reverse path checks are no part of the question.
        for setting in ("net.ipv4.ip_forward=1", "net.ipv6.conf.all.forwarding=1", "net.ipv4.conf.all.rp_filter=0",
                        "net.ipv4.conf.rp-lan.rp_filter=0", "net.ipv4.conf.rp-wan.rp_filter=0"):
            space.run("sysctl", "-qw", setting, check=True)

    def begin_with_syn(self):
        """As Ringplane with `flags S/SA`: no connection from the middle. Once rules ask for states."""
        self.firewall_space.run("sysctl", "-qw", "net.netfilter.nf_conntrack_tcp_loose=0", check=True)

    def through_router(self, packets, fence_every):
        macs = {True: self.firewall_space.mac("rp-lan"), False: self.firewall_space.mac("rp-wan")}
        with Wire(self.lab, macs) as wire:
            return wire.arrivals(packets, fence_every)
