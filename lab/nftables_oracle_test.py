#!/usr/bin/python3
"""The kernel as the oracle: the same packets through Ringplane and through nftables with the same rules.

Stateless: random rules as pf.conf (`no state`) and as nftables of the bridge family on a Linux bridge. Stateful: whole
conversations and what does not belong into them, against a router with nftables and conntrack. What arrives at the
other side is compared packet by packet; a packet is known by its IPv4 identification or IPv6 flow label.
`ringplane replay` gets
the packets as well: it has to say of each what the live firewall did, and gives the reasons of drops.
Every difference needs its entry in one of the two EXPLAINED tables, else the test fails.
RINGPLANE_SEED= repeats a run.
"""
import json
import subprocess

from case import LabTest, main, seeded_random
from conversations import conversations
from namespaces import program_path
from raw_frames import RawPort
from scapy.layers.inet import ICMP, IP, TCP, UDP
from scapy.layers.inet6 import ICMPv6EchoRequest, ICMPv6Unknown, IPv6
from scapy.layers.l2 import Ether
from scapy.utils import PcapWriter

CLIENT_MAC, SERVER_MAC = "02:00:00:00:00:01", "02:00:00:00:00:02"
FENCE_PORT = 9
FENCE_ID = 0xFFFF

# Ringplane drops these whatever the rules say; the bridge forwards any bytes (docs/reference/drop-reasons.md).
EXPLAINED_STATELESS = {
    "tcp_bad_flags": "flags that no TCP sends together",
    "icmp_bad_header": "an ICMP error that quotes no usable packet",
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
    if frame[12:14] == b"\x08\x00":
        return int.from_bytes(frame[18:20], "big")
    if frame[12:14] == b"\x86\xdd":
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


class Rule:
    """One random stateless rule, written for both firewalls."""

    def __init__(self, random):
        self.passes = random.random() < 0.5
        self.quick = random.random() < 0.25
        self.way = random.choice(["in", "in", "out"])
        self.port = random.choice(["lan", "wan"])
        self.family = random.choice([4, 4, 6, None])
        self.protocol = random.choice(["tcp", "tcp", "udp", "icmp", None])
        if self.protocol == "icmp" and self.family is None:
            self.family = random.choice([4, 6])
        self.pf, self.nft = [], []
        if self.family is not None:
            self.both("inet" if self.family == 4 else "inet6", f"meta protocol {'ip' if self.family == 4 else 'ip6'}")
        if self.protocol is not None:
            v6_icmp = self.protocol == "icmp" and self.family == 6
            self.both(f"proto {'icmp6' if v6_icmp else self.protocol}",
                      f"meta l4proto {'ipv6-icmp' if v6_icmp else self.protocol}")
        self.ends(random)
        if self.protocol == "tcp" and random.random() < 0.5:
            self.flags(random)
        if self.protocol == "icmp" and random.random() < 0.7:
            kind = random.choice([8, 0, 13] if self.family == 4 else [128, 129])
            self.both(f"{'icmp' if self.family == 4 else 'icmp6'}-type {kind}",
                      f"{'icmp' if self.family == 4 else 'icmpv6'} type {kind}")

    def both(self, pf, nft):
        self.pf.append(pf)
        self.nft.append(nft)

    def ends(self, random):
        for word, field in (("from", "s"), ("to", "d")):
            address, port = "any", ""
            if self.family is not None and random.random() < 0.5:
                base = random.choice(["10.1.0", "10.2.0"] if self.family == 4 else ["fd01:", "fd02:"])
                length = random.choice([24, 31, 32] if self.family == 4 else [64, 127, 128])
                address = f"{base}.2/{length}" if self.family == 4 else f"{base}:2/{length}"
                negated = random.random() < 0.2
                layer = "ip" if self.family == 4 else "ip6"
                self.nft.append(f"{layer} {field}addr {'!= ' if negated else ''}{address}")
                address = f"! {address}" if negated else address
            if self.protocol in ("tcp", "udp") and random.random() < 0.5:
                low, high = sorted(random.sample([22, 53, 79, 80, 81, 443, 1024, 40000], 2))
                pf, nft = random.choice([(f"{low}", f"{low}"), (f"!= {low}", f"!= {low}"), (f"< {high}", f"< {high}"),
                                         (f">= {low}", f">= {low}"), (f"> {low}", f"> {low}"),
                                         (f"<= {low}", f"<= {low}"), (f"{low}:{high}", f"{low}-{high}"),
                                         (f"{low} <> {high}", f"!= {low}-{high}"),
                                         (f"{low - 1} >< {high + 1}", f"{low}-{high}")])
                port = f" port {pf}"
                self.nft.append(f"{self.protocol} {field}port {nft}")
            self.pf.append(f"{word} {address}{port}")

    def flags(self, random):
        names = {"F": "fin", "S": "syn", "R": "rst", "P": "psh", "A": "ack"}
        mask = random.sample("FSRPA", random.randint(1, 4))
        wanted = [flag for flag in mask if random.random() < 0.5]
        self.both(f"flags {''.join(wanted)}/{''.join(mask)}",
                  f"tcp flags & ({' | '.join(names[flag] for flag in mask)}) == "
                  f"{'(' + ' | '.join(names[flag] for flag in wanted) + ')' if wanted else '0x0'}")

    def pf_text(self):
        quick = " quick" if self.quick else ""
        return (f"{'pass' if self.passes else 'block'} {self.way}{quick} on {self.port} {' '.join(self.pf)}" +
                (" no state" if self.passes else ""))

    def nft_text(self):
        return f"{' '.join(self.nft)} {'return' if self.passes else 'drop'}"


def nft_of(rules):
    """pf: the last match decides, or the first quick one. nftables: the first. So the quick ones come first in their
    order, then the others from the last to the first; and each side of the way has a chain."""
    text = "table bridge oracle {\n"
    for way, port in (("in", "lan"), ("in", "wan"), ("out", "lan"), ("out", "wan")):
        mine = [rule for rule in rules if (rule.way, rule.port) == (way, port)]
        ordered = [rule for rule in mine if rule.quick] + [rule for rule in reversed(mine) if not rule.quick]
        text += f"chain {way}_{port} {{\n" + "".join(f"  {rule.nft_text()}\n" for rule in ordered) + "}\n"
    return text + f"""chain forward {{
  type filter hook forward priority 0; policy accept;
  udp dport {FENCE_PORT} accept
  iifname "rp-lan" jump in_lan
  iifname "rp-wan" jump in_wan
  oifname "rp-lan" jump out_lan
  oifname "rp-wan" jump out_wan
}}
}}
"""


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
    def replay(self, packets, rules_path):
        """What `ringplane replay` says of each packet, by its number."""
        for lan in (True, False):
            with PcapWriter(self.lab.path("lan.pcap" if lan else "wan.pcap"), linktype=1, nano=True) as writer:
                writer.write_header(None)
                for i, packet in enumerate(packets):
                    if packet.lan == lan:
                        writer.write_packet(packet.frame("02:00:00:00:00:03"), sec=1000, usec=1000 * i)
        said = subprocess.run([program_path(), "replay", "-f", rules_path, "--in", f"lan={self.lab.path('lan.pcap')}",
                               "--in", f"wan={self.lab.path('wan.pcap')}"], check=True, capture_output=True, text=True)
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


class Stateless(Oracle):
    ROUNDS = 8
    RULES = 25
    PACKETS = 400

    def through_bridge(self, packets, rules):
        space = self.firewall_space
        space.ip("link", "add", "br0", "type", "bridge", "mcast_snooping", "0")
        try:
            for interface in ("rp-lan", "rp-wan"):
                space.ip("link", "set", interface, "master", "br0")
            space.ip("link", "set", "br0", "up")
            loaded = space.run("nft", "-f", "-", input=nft_of(rules))
            self.assertEqual(loaded.returncode, 0, loaded.stderr + nft_of(rules))
            with Wire(self.lab, {True: SERVER_MAC, False: CLIENT_MAC}) as wire:
                return wire.arrivals(packets, 32)
        finally:
            space.run("nft", "flush", "ruleset")
            space.ip("link", "del", "br0")

    def test_random_rules_on_random_packets(self):
        random = seeded_random("stateless oracle")
        passed = 0
        for turn in range(self.ROUNDS):
            rules = [Rule(random) for _ in range(self.RULES)]
            packets = [random_packet(random, number + 1) for number in range(self.PACKETS)]
            text = "\n".join(rule.pf_text() for rule in rules)
            text = f"pass quick proto udp to port {FENCE_PORT} no state\n{text}\n"
            with self.subTest(turn=turn):
                ours, replayed = self.through_ringplane(packets, text, 32)
                theirs = self.through_bridge(packets, rules)
                self.assert_replay_agrees(packets, ours, replayed)
                for packet in packets:
                    if (packet.number in ours) == (packet.number in theirs):
                        continue
                    reason = replayed[packet.number]["drop_reason"]
                    self.assertTrue(packet.number not in ours and reason in EXPLAINED_STATELESS,
                                    f"differs: {packet}\nringplane: {replayed[packet.number]}\nrules:\n{text}")
                passed += len(ours)
        share = passed / (self.ROUNDS * self.PACKETS)
        self.assertTrue(0.1 < share < 0.9, f"{share:.0%} passed: such rules test little")


STATEFUL_PF = f"""block
pass quick proto udp to port {FENCE_PORT} no state
pass out
pass in on lan proto tcp to port 80
pass in on lan proto udp to port 53
pass in on lan inet proto icmp icmp-type echoreq
pass in on lan inet6 proto icmp6 icmp6-type echoreq
block in on wan
"""

STATEFUL_NFT = f"""table inet oracle {{
chain forward {{
  type filter hook forward priority 0; policy drop;
  udp dport {FENCE_PORT} accept
  ct state established,related accept
  ct state invalid drop
  iifname "rp-lan" tcp dport 80 tcp flags & (syn | ack) == syn accept
  iifname "rp-lan" udp dport 53 accept
  iifname "rp-lan" icmp type 8 accept
  iifname "rp-lan" icmpv6 type 128 accept
}}
}}
"""

# (kind of packet, who dropped it): why. The kinds are those of conversations.py.
EXPLAINED_STATEFUL = {
    ("reset inside the window, not exact", "ringplane"):
        "RFC 5961 3.2: such a reset is answered by a challenge ACK or ignored; a middlebox drops it (tcp_bad_rst). "
        "conntrack takes any reset inside the window.",
    ("syn in an open connection", "ringplane"):
        "RFC 5961 4.2: a SYN cannot belong here (tcp_bad_syn). conntrack leaves it to the ends.",
    ("syn-ack in an open connection", "ringplane"): "as for the SYN",
}


class Stateful(Oracle):
    CONVERSATIONS = 200

    def make_router(self):
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
        loaded = space.run("nft", "-f", "-", input=STATEFUL_NFT)
        self.assertEqual(loaded.returncode, 0, loaded.stderr)
        # As Ringplane with `flags S/SA`: no connection from the middle.
        space.run("sysctl", "-qw", "net.netfilter.nf_conntrack_tcp_loose=0", check=True)

    def through_router(self, packets):
        self.make_router()
        macs = {True: self.firewall_space.mac("rp-lan"), False: self.firewall_space.mac("rp-wan")}
        with Wire(self.lab, macs) as wire:
            return wire.arrivals(packets, 1)

    def test_conversations_and_what_does_not_belong_to_them(self):
        random = seeded_random("stateful oracle")
        packets = []
        for lan, layers, kind in conversations(random, self.CONVERSATIONS):
            packets.append(Packet(len(packets) + 1, lan, layers, kind))
        ours, replayed = self.through_ringplane(packets, STATEFUL_PF, 1)
        theirs = self.through_router(packets)
        self.assert_replay_agrees(packets, ours, replayed)
        surprises = []
        for packet in packets:
            if (packet.number in ours) == (packet.number in theirs):
                continue
            who = "kernel" if packet.number in ours else "ringplane"
            if (packet.kind, who) not in EXPLAINED_STATEFUL:
                line = replayed[packet.number]
                surprises.append(f"only {who} drops {packet}: {line['drop_reason']} {line['flow']}")
        self.assertEqual(surprises, [], "\n".join(surprises))
        self.assertGreater(len(ours), len(packets) // 3)
        self.assertLess(len(ours), len(packets))


if __name__ == "__main__":
    main()
