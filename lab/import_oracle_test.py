#!/usr/bin/python3
"""The kernel as the oracle of `ringplane import`: random rules are loaded with iptables, ip6tables or nft; what
iptables-save or `nft -j list ruleset` then print is translated; the same packets go through the kernel and through
`ringplane replay` with the translation. Every rule has to be translated, and every packet has to fare the same but for
the differences in the EXPLAINED tables of oracle.py. RINGPLANE_SEED= repeats a run.
"""
import ipaddress
import subprocess

from case import main, seeded_random
from conversations import conversations
from namespaces import program_path
from oracle import EXPLAINED_STATEFUL, EXPLAINED_STATELESS, FENCE_PORT, Oracle, Packet, random_packet
from scapy.layers.inet import IP

PORTS = [22, 53, 79, 80, 81, 443, 1023, 1024, 40000, 65535]
INTERFACES = ["rp-lan", "rp-wan"]
CHAINS = ["first", "second", "third"]  # each jumps to later ones only


def addresses(random, v4):
    """A network or a host of either side."""
    base = random.choice(["10.1.0.", "10.2.0."] if v4 else ["fd01::", "fd02::"]) + str(random.choice([2, 3, 4]))
    length = random.choice([24, 31, 32] if v4 else [64, 127, 128])
    return str(ipaddress.ip_network(f"{base}/{length}", strict=False))


class IptablesRules:
    """Random rules of one family for iptables-restore. `chain_text` of a user chain leaves it only in ways that pf has."""

    def __init__(self, random, v4):
        self.random, self.v4 = random, v4

    def conditions(self):
        random, words = self.random, []
        for option in ("-s", "-d"):
            if random.random() < 0.4:
                words += (["!"] if random.random() < 0.2 else []) + [option, addresses(random, self.v4)]
        for option in ("-i", "-o"):
            if random.random() < 0.25:
                words += (["!"] if random.random() < 0.3 else []) + [option, random.choice(INTERFACES)]
        if not words and random.random() < 0.3:
            words += ["-m", "set", *(["!"] if random.random() < 0.3 else []), "--match-set",
                      "some4" if self.v4 else "some6", random.choice(["src", "dst"])]
        protocol = random.choice(["tcp", "tcp", "udp", "icmp", None])
        if protocol == "icmp":
            name = "icmp" if self.v4 else "icmpv6"
            words += ["-p", name]
            if random.random() < 0.7:
                words += [f"--{name}-type", str(random.choice([8, 0, 13, 15] if self.v4 else [128, 129, 200]))]
        elif protocol:
            words += ["-p", protocol]
            for way in ("s", "d"):
                words += self.ports(way)
            if protocol == "tcp" and random.random() < 0.4:
                mask = random.sample(["FIN", "SYN", "RST", "PSH", "ACK"], random.randint(1, 4))
                wanted = [flag for flag in mask if random.random() < 0.5] or ["NONE"]
                words += (["!"] if random.random() < 0.3 else []) + ["--tcp-flags", ",".join(mask), ",".join(wanted)]
        return words

    def ports(self, way):
        random = self.random
        kind = random.random()
        low, high = sorted(random.sample(PORTS, 2))
        negated = ["!"] if random.random() < 0.25 else []
        if kind < 0.2:
            return [*negated, f"--{way}port", str(low)]
        if kind < 0.35:
            return [*negated, f"--{way}port", f"{low}:{high}"]
        if kind < 0.5 and way == "d":  # one multiport a rule
            return ["-m", "multiport", *negated, f"--{way}ports", f"{low},{high},{random.choice(PORTS)}"]
        return []

    def rules(self, chain, later):
        """Some lines, which jump to `later` chains."""
        random, lines = self.random, []
        for _ in range(random.randint(3, 8)):
            words = self.conditions()
            kind = random.random()
            if later and kind < 0.3:
                target = ["-j", random.choice(later)]
            elif kind < 0.38 and chain == "FORWARD":
                target = ["-j", "RETURN"]
            elif kind < 0.45:
                words = [random.choice(["-s", "-d"]), addresses(random, self.v4)]
                target = ["-j", "RETURN"]
            else:
                target = random.choice([["-j", "ACCEPT"], ["-j", "DROP"], ["-j", "REJECT"], ["-m", "comment",
                                       "--comment", "counted"]])
            lines.append(" ".join(["-A", chain, *words, *target]))
        return lines

    def text(self):
        lines = ["*filter", f":FORWARD {self.random.choice(['ACCEPT', 'DROP'])} [0:0]",
                 *(f":{chain} - [0:0]" for chain in CHAINS),
                 f"-A FORWARD -p udp --dport {FENCE_PORT} -j ACCEPT"]
        lines += self.rules("FORWARD", CHAINS)
        for i, chain in enumerate(CHAINS):
            lines += self.rules(chain, CHAINS[i + 1:])
        return "\n".join([*lines, "COMMIT", ""])


class NftRules:
    """Random rules of the inet family for nft."""

    def __init__(self, random):
        self.random = random

    def set_of(self, values):
        chosen = sorted(self.random.sample(values, self.random.randint(1, 3)))
        return f"{{ {', '.join(str(value) for value in chosen)} }}"

    def conditions(self):
        random, words = self.random, []
        v4 = random.random() < 0.6
        layer, family = ("ip", "ipv4") if v4 else ("ip6", "ipv6")
        operator = ""
        for field in ("saddr", "daddr"):
            kind = random.random()
            # nft 1.0.6 takes two `!=` of neighbouring fields for one of both together.
            operator = "!= " if random.random() < 0.2 and not operator else ""
            if kind < 0.2:
                words.append(f"{layer} {field} {operator}{addresses(random, v4)}")
            elif kind < 0.3:
                words.append(f"{layer} {field} {operator}@{'some4' if v4 else 'some6'}")
            elif kind < 0.4:
                low, high = ("10.1.0.2", "10.1.0.3") if v4 else ("fd01::2", "fd01::3")
                words.append(f"{layer} {field} {operator}{low}-{high}")
        for key in ("iifname", "oifname"):
            if random.random() < 0.25:
                words.append(f"{key} {random.choice(['', '!= '])}\"{random.choice(INTERFACES)}\"")
        kind = random.random()
        if kind < 0.35:
            words.append(random.choice([
                f"tcp dport {self.set_of(PORTS)}", f"tcp sport != {self.set_of(PORTS)}",
                f"tcp dport {random.choice(['<', '>=', '!='])} {random.choice(PORTS[1:-1])}", "tcp flags syn",
                "tcp flags & (fin | syn | rst | ack) == syn", "tcp flags & (syn | ack) != ack"]))
        elif kind < 0.5:
            words.append(f"udp dport {random.choice(PORTS)}")
        elif kind < 0.6:
            words.append("meta l4proto { tcp, udp } th dport " + self.set_of(PORTS))
        elif kind < 0.7:
            words.append(random.choice(["icmp type { echo-request, timestamp-request }", "icmpv6 type echo-request"])
                         if not words else f"meta nfproto {family}")
        return " ".join(words)

    def rules(self, name, later):
        random, lines = self.random, []
        for _ in range(random.randint(3, 8)):
            kind = random.random()
            if later and kind < 0.25:
                lines.append(f"{self.conditions()} jump {random.choice(later)}")
            elif kind < 0.35:
                verdicts = [f"jump {random.choice(later)}" if later else "accept", "drop", "accept"]
                ports = random.sample(PORTS, 2)
                lines.append(f"tcp dport vmap {{ {ports[0]} : {random.choice(verdicts)}, {ports[1]} : drop }}")
            elif kind < 0.42 and name == "forward":
                lines.append(f"{self.conditions()} return")
            elif kind < 0.47:
                lines.append(f"ip saddr . tcp dport {{ 10.1.0.2 . 80, 10.2.0.3 . 22 }} {random.choice(['accept', 'drop'])}")
            else:
                lines.append(f"{self.conditions()} counter {random.choice(['accept', 'drop', 'reject'])}")
        return f"chain {name} {{\n" + "\n".join(lines) + "\n}\n"

    def text(self):
        chains = "".join(self.rules(name, CHAINS[i + 1:]) for i, name in reversed(list(enumerate(CHAINS))))
        forward = self.rules("forward", CHAINS).replace(
            "{\n", f"{{\ntype filter hook forward priority 0; policy {self.random.choice(['accept', 'drop'])};\n"
                   f"udp dport {FENCE_PORT} accept\n", 1)
        return ("table inet filter {\nset some4 { type ipv4_addr; flags interval; elements = { 10.1.0.3, 10.2.0.2-10.2.0.3 } }\n"
                "set some6 { type ipv6_addr; elements = { fd01::3, fd02::2 } }\n" + chains + forward + "}\n")


class ImportOracle(Oracle):
    ROUNDS = 6
    PACKETS = 400

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.make_router(cls)

    def setUp(self):
        super().setUp()
        self.addCleanup(self.flush)

    def in_kernel(self, *words, text):
        done = self.firewall_space.run(*words, input=text)
        self.assertEqual(done.returncode, 0, f"{done.stderr}\n{text}")

    def printed(self, *words):
        done = self.firewall_space.run(*words)
        self.assertEqual(done.returncode, 0, done.stderr)
        return done.stdout

    def flush(self):
        self.in_kernel("nft", "-f", "-", text="flush ruleset\n")

    def imported(self, form, text):
        """The path of the translation, which has to be whole."""
        done = subprocess.run([program_path(), "import", form], input=text, capture_output=True, text=True, check=False)
        self.assertEqual(done.returncode, 0, f"{done.stderr}\n{text}\n{done.stdout}")
        return done.stdout

    def compare(self, packets, pf, explained, fence_every=32):
        path = self.lab.path("imported.conf")
        with open(path, "w", encoding="ascii") as file:
            file.write(pf)
        theirs = self.through_router(packets, fence_every)
        replayed = self.replay(packets, path, INTERFACES)
        ours = {number for number, line in replayed.items() if line["verdict"] == "pass"}
        differences = []
        for packet in packets:
            if (packet.number in ours) == (packet.number in theirs):
                continue
            line = replayed[packet.number]
            if not explained(packet, packet.number in ours, line):
                differences.append(f"{packet}\n  kernel {'passes' if packet.number in theirs else 'drops'}, ours: {line}")
        self.assertEqual(differences, [], "\n".join(differences[:10]) + "\n" + pf)
        return len(ours)

    def assert_tests_something(self, passed):
        share = passed / (self.ROUNDS * self.PACKETS)
        self.assertTrue(0.05 < share < 0.95, f"{share:.0%} passed: such rules test little")

    @staticmethod
    def explained_stateless(_, ours_passes, line):
        return not ours_passes and line["drop_reason"] in EXPLAINED_STATELESS


class Stateless(ImportOracle):
    def sets(self, pf, v4):
        """The sets in the kernel, and as `import ipset` prints them, in the place of the empty ones."""
        made = self.imported("ipset", self.printed("ipset", "save"))
        kept = [line for line in pf.splitlines() if not line.startswith("table <")]
        return made + "\n".join(kept) + "\n"

    def iptables(self, v4):
        random = seeded_random(f"import of {'iptables' if v4 else 'ip6tables'}")
        program = "iptables" if v4 else "ip6tables"
        self.in_kernel("ipset", "restore", "-exist", text="create some4 hash:net family inet\nadd some4 10.1.0.3\n"
                       "add some4 10.2.0.2/31\nadd some4 10.2.0.3 nomatch\n"
                       "create some6 hash:ip family inet6\nadd some6 fd01::3\nadd some6 fd02::2\n")
        passed = 0
        for turn in range(self.ROUNDS):
            self.in_kernel(f"{program}-restore", text=IptablesRules(random, v4).text())
            saved = self.printed(f"{program}-save")
            packets = []
            while len(packets) < self.PACKETS:
                packet = random_packet(random, len(packets) + 1)
                if (IP in packet.layers) == v4:
                    packets.append(packet)
            with self.subTest(turn=turn):
                pf = self.sets(self.imported(f"{program}-save", saved), v4)
                passed += self.compare(packets, pf, self.explained_stateless)
        self.assert_tests_something(passed)

    def test_iptables(self):
        self.iptables(True)

    def test_ip6tables(self):
        self.iptables(False)

    def test_nft(self):
        random = seeded_random("import of nft")
        passed = 0
        for turn in range(self.ROUNDS):
            self.in_kernel("nft", "-f", "-", text="flush ruleset\n" + NftRules(random).text())
            packets = [random_packet(random, number + 1) for number in range(self.PACKETS)]
            with self.subTest(turn=turn):
                pf = self.imported("nft-json", self.printed("nft", "-j", "list", "ruleset"))
                passed += self.compare(packets, pf, self.explained_stateless)
        self.assert_tests_something(passed)


IPTABLES_STATEFUL = f"""*filter
:FORWARD DROP [0:0]
:new - [0:0]
-A FORWARD -p udp --dport {FENCE_PORT} -j ACCEPT
-A FORWARD -m conntrack --ctstate ESTABLISHED,RELATED -j ACCEPT
-A FORWARD -m conntrack --ctstate INVALID -j DROP
-A FORWARD -i rp-lan -j new
-A FORWARD -j REJECT
-A new -p tcp -m conntrack --ctstate NEW -m tcp --dport 80 --tcp-flags SYN,ACK SYN -j ACCEPT
-A new -p udp -m udp --dport 53 -j ACCEPT
ICMP
COMMIT
"""

NFT_STATEFUL = f"""table inet filter {{
chain forward {{
  type filter hook forward priority 0; policy drop;
  udp dport {FENCE_PORT} accept
  ct state vmap {{ established : accept, related : accept, invalid : drop }}
  iifname "rp-lan" ct state new tcp dport 80 tcp flags & (syn | ack) == syn accept
  iifname "rp-lan" udp dport 53 accept
  iifname "rp-lan" icmp type echo-request accept
  iifname "rp-lan" icmpv6 type echo-request accept
}}
}}
"""


class Stateful(ImportOracle):
    """A lab for each test: conntrack remembers the conversations of the one before."""

    CONVERSATIONS = 100

    def packets(self):
        random = seeded_random("import of states")
        packets = []
        for lan, layers, kind in conversations(random, self.CONVERSATIONS):
            packets.append(Packet(len(packets) + 1, lan, layers, kind))
        return packets

    @staticmethod
    def explained(packet, ours_passes, _):
        return (packet.kind, "kernel" if ours_passes else "ringplane") in EXPLAINED_STATEFUL

    def assert_same(self, packets, pf):
        passed = self.compare(packets, pf, self.explained, 1)
        self.assertGreater(passed, len(packets) // 3)
        self.assertLess(passed, len(packets))


class StatefulIptables(Stateful):
    def test_iptables_and_ip6tables(self):
        for program, icmp in (("iptables", "-A new -p icmp --icmp-type 8 -j ACCEPT"),
                              ("ip6tables", "-A new -p icmpv6 --icmpv6-type 128 -j ACCEPT")):
            self.in_kernel(f"{program}-restore", text=IPTABLES_STATEFUL.replace("ICMP\n", icmp + "\n"))
        self.begin_with_syn()
        pf = "".join(self.imported(f"{program}-save", self.printed(f"{program}-save"))
                     for program in ("iptables", "ip6tables"))
        self.assert_same(self.packets(), pf)


class StatefulNft(Stateful):
    def test_nft(self):
        self.in_kernel("nft", "-f", "-", text=NFT_STATEFUL)
        self.begin_with_syn()
        self.assert_same(self.packets(), self.imported("nft-json", self.printed("nft", "-j", "list", "ruleset")))


if __name__ == "__main__":
    main()
