#!/usr/bin/env python3
"""Odd packets through the whole pipeline: captures made with scapy, played by `ringplane replay`.

Usage: odd_packets_test.py PROGRAM. Each case writes its own capture and pf.conf, and asks per packet for the verdict, the
rule, the drop reason and the flow; forwarded packets must come out byte for byte, in order, at their nanosecond.
"""
import json
import logging
import subprocess
import sys
import tempfile
import unittest
from pathlib import Path

logging.getLogger("scapy.runtime").setLevel(logging.ERROR)
from scapy.all import (ARP, ICMP, IP, TCP, UDP, Dot1Q, Ether, ICMPv6DestUnreach, ICMPv6EchoRequest, ICMPv6ND_NA,  # noqa: E402
                       ICMPv6ND_NS, ICMPv6NDOptSrcLLAddr, ICMPv6PacketTooBig, IPOption, IPOption_LSRR, IPv6,
                       IPv6ExtHdrDestOpt, IPv6ExtHdrFragment, IPv6ExtHdrHopByHop, IPv6ExtHdrRouting, Raw, RawPcapReader,
                       RawPcapWriter)

PROGRAM = ""
LAN, WAN = "02:00:00:00:00:01", "02:00:00:00:00:02"
CLIENT, SERVER = "10.0.0.5", "192.0.2.10"
CLIENT6, SERVER6 = "2001:db8::5", "2001:db8:1::10"
START_S = 1_700_000_000
PASS_ALL = 'pass label "all"\n'


def out(packet):
    """From the client to the server."""
    return Ether(src=LAN, dst=WAN) / packet


def back(packet):
    return Ether(src=WAN, dst=LAN) / packet


def v4(**fields):
    return IP(src=CLIENT, dst=SERVER, **fields)


def v4_back(**fields):
    return IP(src=SERVER, dst=CLIENT, **fields)


def v6(**fields):
    return IPv6(src=CLIENT6, dst=SERVER6, **fields)


class Replay:
    """One run: `sides` maps a port to its packets, each as bytes or (seconds, nanoseconds, bytes)."""

    def __init__(self, rules, sides, peer=None):
        self.folder = tempfile.TemporaryDirectory(prefix="ringplane-odd-")
        root = Path(self.folder.name)
        (root / "pf.conf").write_text("set limit states 1000  # small tables start quickly\n" + rules)
        command = [PROGRAM, "replay", "-f", str(root / "pf.conf"), "--out-dir", str(root / "out"), "--json"]
        self.sent = {}
        for port, packets in sides.items():
            stamped = [p if isinstance(p, tuple) else (START_S, 1000 * i, p) for i, p in enumerate(packets)]
            self.sent[port] = [(s, n, bytes(p)) for s, n, p in stamped]
            with RawPcapWriter(str(root / f"{port}.pcap"), linktype=1, nano=True) as writer:
                writer.write_header(None)
                for seconds, nanos, raw in self.sent[port]:
                    writer.write_packet(raw, sec=seconds, usec=nanos, caplen=len(raw), wirelen=len(raw))
            command += ["--in", f"{port}={root / port}.pcap"]
        if peer:
            command += ["--peer", peer]
        done = subprocess.run(command, capture_output=True, text=True, timeout=60)
        if done.returncode != 0:
            raise AssertionError(f"replay ended with {done.returncode}: {done.stderr}{done.stdout[:2000]}")
        lines = [json.loads(line) for line in done.stdout.splitlines()]
        self.summary = lines.pop()["summary"]
        self.lines = lines

    def of(self, port):
        return sorted((line for line in self.lines if line["port"] == port), key=lambda line: line["number"])

    def forwarded(self, port):
        """(seconds, nanoseconds, bytes) of what left by that port."""
        capture = RawPcapReader(str(Path(self.folder.name) / "out" / f"{port}.pcap"))
        try:
            return [(meta.sec, meta.usec, raw) for raw, meta in capture]
        finally:
            capture.close()


def one(rules, packet, port="lan"):
    """The line of a packet that came in alone."""
    return Replay(rules, {port: [bytes(packet)]}).lines[0]


class Malformed(unittest.TestCase):
    def dropped(self, packet, reason):
        """Dropped for `reason`, never forwarded, no flow, and no rule was asked."""
        run = Replay(PASS_ALL, {"lan": [bytes(packet)]})
        line = run.lines[0]
        self.assertEqual((line["verdict"], line["drop_reason"], line["rule"], line["flow"]), ("drop", reason, None, None))
        self.assertEqual(run.forwarded("wan"), [])
        self.assertEqual(run.summary["dropped"], 1)

    def test_a_packet_cut_anywhere_is_dropped_with_a_reason(self):
        whole = bytes(out(v4() / TCP(sport=40000, dport=80, flags="S")))
        run = Replay(PASS_ALL, {"lan": [whole[:n] for n in range(1, len(whole))]})
        self.assertEqual(len(run.lines), len(whole) - 1)
        for line in run.lines:
            self.assertEqual(line["verdict"], "drop", line)
            self.assertIsNotNone(line["drop_reason"], line)
        self.assertEqual(run.forwarded("wan"), [])

    def test_ipv6_cut_anywhere_is_dropped_with_a_reason(self):
        whole = bytes(out(v6() / IPv6ExtHdrHopByHop() / UDP(sport=1, dport=2)))
        run = Replay(PASS_ALL, {"lan": [whole[:n] for n in range(1, len(whole))]})
        self.assertEqual({line["verdict"] for line in run.lines}, {"drop"})
        self.assertNotIn(None, {line["drop_reason"] for line in run.lines})

    def test_ipv4_headers_that_lie(self):
        udp = UDP(sport=1, dport=2) / b"payload"
        self.dropped(out(v4(chksum=1) / udp), "ipv4_bad_checksum")
        self.dropped(out(v4(ihl=4) / udp), "ipv4_bad_header_length")
        self.dropped(out(v4(ihl=15) / udp), "ipv4_bad_header_length")
        self.dropped(out(v4(len=1000) / udp), "ipv4_bad_total_length")
        self.dropped(out(v4(len=10) / udp), "ipv4_bad_total_length")
        self.dropped(Ether(src=LAN, dst=WAN, type=0x0800) / v6() / udp, "ipv4_bad_version")

    def test_ipv6_headers_that_lie(self):
        udp = UDP(sport=1, dport=2) / b"payload"
        self.dropped(out(v6(plen=900) / udp), "ipv6_bad_length")
        self.dropped(Ether(src=LAN, dst=WAN, type=0x86DD) / v4() / (b"x" * 40), "ipv6_bad_version")
        self.dropped(out(v6(nh=60) / Raw(b"\x11\xff" + b"\0" * 6)), "ipv6_bad_extension")
        chain = v6()
        for _ in range(30):
            chain = chain / IPv6ExtHdrDestOpt()
        self.dropped(out(chain / udp), "ipv6_bad_extension")
        self.dropped(out(v6() / IPv6ExtHdrDestOpt() / IPv6ExtHdrHopByHop() / udp), "ipv6_bad_extension")

    def test_a_malformed_option_list(self):
        self.dropped(out(v4(options=IPOption(b"\x83\x01\x00\x00")) / UDP(sport=1, dport=2)), "ipv4_bad_option")

    def test_transport_headers_that_lie(self):
        self.dropped(out(v4() / TCP(sport=1, dport=2, dataofs=4, flags="S")), "tcp_bad_header")
        self.dropped(out(v4() / TCP(sport=1, dport=2, dataofs=15, flags="S")), "tcp_bad_header")
        self.dropped(out(v4() / UDP(sport=1, dport=2, len=100) / b"x"), "udp_bad_length")
        self.dropped(out(v4() / UDP(sport=1, dport=2, len=7) / b"x"), "udp_bad_length")
        self.dropped(out(v4(proto=1) / Raw(b"\x08\0")), "icmp_bad_header")

    def test_flags_that_no_tcp_sends(self):
        for flags in ("", "SF", "SR", "FSRPAU", "FPU"):
            self.dropped(out(v4() / TCP(sport=1, dport=2, flags=flags)), "tcp_bad_flags")

    def test_the_land_attack_and_impossible_sources(self):
        self.dropped(out(IP(src=SERVER, dst=SERVER) / TCP(sport=80, dport=80, flags="S")), "bad_address")
        self.dropped(out(IP(src="127.0.0.1", dst=SERVER) / UDP(sport=1, dport=2)), "bad_address")
        self.dropped(out(IP(src="224.0.0.1", dst=SERVER) / UDP(sport=1, dport=2)), "bad_address")
        self.dropped(out(IPv6(src="ff02::1", dst=SERVER6) / UDP(sport=1, dport=2)), "bad_address")

    def test_fragments_that_cannot_be_right(self):
        self.dropped(out(v4(flags="MF", proto=6) / Raw(b"x" * 8)), "fragment_malformed")
        self.dropped(out(v4(frag=8190, proto=17) / Raw(b"x" * 32)), "fragment_malformed")
        self.dropped(out(v4(frag=1, proto=6) / Raw(b"x" * 8)), "fragment_malformed")
        self.dropped(out(v4(flags="MF", frag=2, proto=17) / Raw(b"x" * 13)), "fragment_malformed")

    def test_three_vlan_tags(self):
        tags = Dot1Q(vlan=1) / Dot1Q(vlan=2) / Dot1Q(vlan=3)
        self.dropped(out(tags / v4() / UDP(sport=1, dport=2)), "vlan_too_deep")

    def test_a_packet_longer_than_any_frame(self):
        line = one(PASS_ALL, bytes(out(v4() / UDP(sport=1, dport=2) / (b"x" * 9500))))
        self.assertEqual((line["verdict"], line["drop_reason"]), ("drop", "frame_too_long"))
        self.assertEqual(line["length"], 14 + 20 + 8 + 9500)

    def test_long_packets_are_told_in_their_place_wherever_they_stand(self):
        long = bytes(out(v4() / UDP(sport=1, dport=2) / (b"x" * 9500)))
        short = bytes(out(v4() / UDP(sport=1, dport=2)))
        run = Replay(PASS_ALL, {"lan": [long, short, long, long, short, long]})
        self.assertEqual([line["number"] for line in run.lines], [1, 2, 3, 4, 5, 6])
        self.assertEqual([line["verdict"] for line in run.lines], ["drop", "pass", "drop", "drop", "pass", "drop"])
        self.assertEqual((run.summary["packets"], run.summary["dropped"]), (6, 4))


class Unusual(unittest.TestCase):
    def passes(self, packet, rules=PASS_ALL):
        raw = bytes(packet)
        run = Replay(rules, {"lan": [raw]})
        self.assertEqual((run.lines[0]["verdict"], run.lines[0]["drop_reason"]), ("pass", None), run.lines[0])
        self.assertEqual(run.forwarded("wan"), [(START_S, 0, raw)])
        return run.lines[0]

    def test_vlan_and_qinq_are_filtered_inside_the_tags(self):
        udp = v4() / UDP(sport=1, dport=2)
        self.assertIsNotNone(self.passes(out(Dot1Q(vlan=7) / udp))["flow"])
        self.passes(Ether(src=LAN, dst=WAN, type=0x88A8) / Dot1Q(vlan=7, type=0x8100) / Dot1Q(vlan=8) / udp)
        line = one('pass\nblock proto udp to port 2 label "two"\n', bytes(out(Dot1Q(vlan=7) / udp)))
        self.assertEqual((line["verdict"], line["label"], line["drop_reason"]), ("drop", "two", "rule_block"))

    def test_arp_lldp_and_unknown_ethertypes_cross_a_bridge(self):
        self.passes(out(ARP(op=1, hwsrc=LAN, psrc=CLIENT, pdst="10.0.0.1")), "block\n")
        self.passes(Ether(src=LAN, dst="01:80:c2:00:00:0e", type=0x88CC) / Raw(b"\x02\x07\x04" + b"\0" * 43), "block\n")
        self.passes(Ether(src=LAN, dst=WAN, type=0x88B5) / Raw(b"x" * 46), "block\n")

    def test_neighbour_discovery(self):
        ask = IPv6(src="fe80::1", dst="ff02::1:ff00:10", hlim=255) / ICMPv6ND_NS(tgt="fe80::10") / \
            ICMPv6NDOptSrcLLAddr(lladdr=LAN)
        rules = 'block\npass quick inet6 proto icmp6 icmp6-type { neighbrsol, neighbradv } no state label "nd"\n'
        line = self.passes(out(ask), rules)
        self.assertEqual((line["label"], line["flow"]), ("nd", None))
        self.passes(out(IPv6(src="fe80::1", dst="fe80::10", hlim=255) / ICMPv6ND_NA(tgt="fe80::1", R=0)), rules)

    def test_ipv4_options_need_allow_opts(self):
        packet = out(v4(options=IPOption_LSRR(routers=["198.51.100.1"])) / UDP(sport=1, dport=2))
        line = one(PASS_ALL, bytes(packet))
        self.assertEqual((line["verdict"], line["drop_reason"]), ("drop", "ip_options"))
        self.passes(packet, "pass allow-opts\n")

    def test_ipv6_extension_chains_are_followed_to_the_transport_header(self):
        line = self.passes(out(v6() / IPv6ExtHdrDestOpt() / UDP(sport=1, dport=2)), "block\npass proto udp to port 2 label \"found\"\n")
        self.assertEqual(line["label"], "found")

    def test_an_ipv6_routing_header_needs_allow_opts(self):
        packet = out(v6() / IPv6ExtHdrRouting(type=4, addresses=["2001:db8::9"]) / UDP(sport=1, dport=2))
        self.assertEqual(one(PASS_ALL, bytes(packet))["drop_reason"], "ip_options")

    def test_fragments_are_seen_by_the_rules_without_ports(self):
        fragment = out(v4(frag=10, id=9, proto=17) / Raw(b"x" * 64))
        self.passes(fragment)
        line = one('pass\nblock fragment label "no-fragments"\n', bytes(fragment))
        self.assertEqual((line["verdict"], line["label"]), ("drop", "no-fragments"))
        self.passes(out(v6() / IPv6ExtHdrFragment(offset=10, id=9, nh=17) / Raw(b"x" * 64)))

    def test_overlapping_fragments_never_pass_a_rule_that_names_ports(self):
        first = out(v4(flags="MF", id=9) / UDP(sport=1, dport=80, len=72) / (b"x" * 24))
        overlap = out(v4(frag=1, id=9, proto=17) / Raw(b"y" * 64))
        run = Replay("block\npass proto udp to port 80\n", {"lan": [bytes(first), bytes(overlap)]})
        self.assertEqual(run.of("lan")[1]["verdict"], "drop")

    def test_a_bad_transport_checksum_is_the_receivers_business(self):
        self.passes(out(v4() / UDP(sport=1, dport=2, chksum=1) / b"x"))

    def test_ethernet_padding_stays(self):
        self.passes(bytes(out(v4() / TCP(sport=1, dport=2, flags="S"))) + b"\0" * 6)

    def test_a_jumbo_frame_passes_a_replay(self):
        self.passes(out(v4() / UDP(sport=1, dport=2) / (b"x" * 3700)))

    def test_other_protocols_make_flows_of_addresses_alone(self):
        self.assertIsNotNone(self.passes(out(v4(proto=47) / Raw(b"\0\0\x08\0")))["flow"])


class Blocked(unittest.TestCase):
    def test_block_return_answers_tcp_with_a_reset(self):
        syn = bytes(out(v4() / TCP(sport=40000, dport=22, flags="S", seq=1000)))
        run = Replay("pass\nblock return in proto tcp to port 22\n", {"lan": [syn]})
        self.assertEqual(run.lines[0]["verdict"], "reject")
        self.assertEqual(run.lines[0]["drop_reason"], "rule_block")
        self.assertTrue(run.lines[0]["rule"].endswith("pf.conf:3"), run.lines[0])
        answer = Ether(run.forwarded("lan")[0][2])
        self.assertEqual((answer.src, answer.dst), (WAN, LAN))
        self.assertEqual((answer[IP].src, answer[IP].dst), (SERVER, CLIENT))
        self.assertEqual((answer[TCP].flags, answer[TCP].ack), ("RA", 1001))
        again = IP(bytes(answer[IP]))
        del again.chksum, again[TCP].chksum
        self.assertEqual(bytes(again), bytes(answer[IP])[:len(bytes(again))])

    def test_block_return_answers_udp_with_unreachable(self):
        for packet in (v4(), v6()):
            run = Replay("block return\n", {"lan": [bytes(out(packet / UDP(sport=9, dport=53) / b"ask"))]})
            answer = Ether(run.forwarded("lan")[0][2])
            self.assertTrue((ICMP in answer and answer[ICMP].type == 3) or ICMPv6DestUnreach in answer, answer.summary())

    def test_no_answer_to_an_error_or_a_multicast(self):
        error = IP(src=SERVER, dst=CLIENT) / ICMP(type=3, code=3) / v4() / UDP(sport=1, dport=2)
        multicast = IP(src=CLIENT, dst="224.0.0.251") / UDP(sport=5353, dport=5353)
        run = Replay("block return\n", {"lan": [bytes(out(error)), bytes(out(multicast))]})
        self.assertEqual(run.forwarded("lan"), [])
        self.assertEqual({line["verdict"] for line in run.lines} & {"pass"}, set())


class Errors(unittest.TestCase):
    """ICMP errors belong to the flow they quote, or to nobody."""
    RULES = "block\npass in on lan proto { tcp, udp }\npass out on wan\n"

    def asked(self, error, port="wan"):
        udp = bytes(out(v4() / UDP(sport=7, dport=53) / b"ask"))
        run = Replay(self.RULES, {"lan": [(START_S, 0, udp)] + ([(START_S, 5000, bytes(error))] if port == "lan" else []),
                                  "wan": [(START_S, 5000, bytes(error))] if port == "wan" else []})
        return run.of(port)[-1]

    def test_an_error_about_a_flow_passes_with_it(self):
        line = self.asked(back(IP(src="192.0.2.1", dst=CLIENT) / ICMP(type=3, code=3) / v4() / UDP(sport=7, dport=53)))
        self.assertEqual((line["verdict"], line["drop_reason"]), ("pass", None))
        self.assertIsNotNone(line["flow"])

    def test_a_forged_error_about_no_flow_is_blocked(self):
        line = self.asked(back(IP(src="192.0.2.1", dst=CLIENT) / ICMP(type=3, code=3) / v4() / UDP(sport=8, dport=53)))
        self.assertEqual(line["verdict"], "drop")
        self.assertIsNone(line["flow"])

    def test_an_error_from_the_wrong_side_is_dropped(self):
        line = self.asked(out(IP(src="10.0.0.99", dst=CLIENT) / ICMP(type=3, code=3) / v4() / UDP(sport=7, dport=53)), "lan")
        self.assertEqual(line["verdict"], "drop", line)

    def test_an_error_about_an_impossible_sequence_number_is_dropped(self):
        syn = bytes(out(v4() / TCP(sport=7, dport=80, flags="S", seq=1000)))
        quoted = v4() / TCP(sport=7, dport=80, flags="A", seq=3_000_000_000)
        error = bytes(back(IP(src="192.0.2.1", dst=CLIENT) / ICMP(type=3, code=4, nexthopmtu=576) / quoted))
        run = Replay(self.RULES, {"lan": [(START_S, 0, syn)], "wan": [(START_S, 5000, error)]})
        self.assertEqual(run.of("wan")[0]["verdict"], "drop", run.lines)
        self.assertTrue(run.of("wan")[0]["drop_reason"].startswith("icmp_"), run.lines)

    def test_packet_too_big_for_ipv6(self):
        udp = bytes(out(v6() / UDP(sport=7, dport=53) / (b"x" * 100)))
        error = bytes(back(IPv6(src="2001:db8:1::1", dst=CLIENT6) / ICMPv6PacketTooBig(mtu=1280) /
                           v6() / UDP(sport=7, dport=53) / (b"x" * 100)))
        run = Replay(self.RULES, {"lan": [(START_S, 0, udp)], "wan": [(START_S, 5000, error)]})
        self.assertEqual(run.of("wan")[0]["verdict"], "pass", run.lines)


class Conversation(unittest.TestCase):
    """A TCP connection over two captures, as a firewall in the middle sees it."""
    RULES = 'block label "default"\npass in on lan proto tcp to port 80 label "web"\npass out on wan\n'

    @staticmethod
    def segments():
        def there(at_ms, flags, seq, ack=0, data=b""):
            raw = bytes(out(v4() / TCP(sport=40000, dport=80, flags=flags, seq=seq, ack=ack, window=1000) / Raw(data)))
            return (START_S + at_ms // 1000, at_ms % 1000 * 1_000_000 + 7, raw)

        def here(at_ms, flags, seq, ack=0, data=b""):
            raw = bytes(back(v4_back() / TCP(sport=80, dport=40000, flags=flags, seq=seq, ack=ack, window=1000) / Raw(data)))
            return (START_S + at_ms // 1000, at_ms % 1000 * 1_000_000 + 7, raw)
        lan = [there(0, "S", 100), there(20, "A", 101, 501), there(30, "PA", 101, 501, b"GET /"),
               there(60, "PA", 900_101, 501, b"far outside the window"), there(70, "A", 106, 505)]
        wan = [here(10, "SA", 500, 101), here(40, "PA", 501, 106, b"data"), here(80, "R", 700_000)]
        return lan, wan, there, here

    def test_handshake_data_and_what_does_not_belong(self):
        lan, wan, _, _ = self.segments()
        run = Replay(self.RULES, {"lan": lan, "wan": wan})
        self.assertEqual([line["verdict"] for line in run.of("lan")], ["pass", "pass", "pass", "drop", "pass"])
        self.assertEqual([line["verdict"] for line in run.of("wan")], ["pass", "pass", "drop"])
        self.assertEqual(run.of("lan")[3]["drop_reason"], "tcp_out_of_window")
        self.assertIn(run.of("wan")[2]["drop_reason"], ("tcp_bad_rst", "tcp_out_of_window"))
        self.assertEqual(run.of("lan")[0]["label"], "web")
        self.assertEqual([line["flow"]["direction"] for line in run.of("lan")], ["original"] * 5)
        self.assertEqual([line["flow"]["direction"] for line in run.of("wan")], ["reply"] * 3)
        self.assertEqual(len({line["flow"]["community_id"] for line in run.lines}), 1)
        self.assertEqual(run.of("lan")[4]["flow"]["state"].upper(), "ESTABLISHED:ESTABLISHED")
        self.assertEqual(run.summary["flows_total"], 1)

    def test_packets_are_decided_in_the_order_of_their_times(self):
        lan, wan, _, _ = self.segments()
        run = Replay(self.RULES, {"lan": lan, "wan": wan})
        times = [line["time"] for line in run.lines]
        self.assertEqual(times, sorted(times))
        self.assertEqual(times[0], f"{START_S}.000000007")

    def test_what_is_forwarded_is_what_came_byte_for_byte_at_its_nanosecond(self):
        lan, wan, _, _ = self.segments()
        run = Replay(self.RULES, {"lan": lan, "wan": wan})
        self.assertEqual(run.forwarded("wan"), lan[:3] + lan[4:])
        self.assertEqual(run.forwarded("lan"), wan[:2])

    def test_a_reset_in_order_ends_the_flow(self):
        lan, wan, there, here = self.segments()
        run = Replay(self.RULES, {"lan": lan[:3] + [there(300, "PA", 106, 505, b"late")], "wan": wan[:2] + [here(100, "R", 505)]})
        self.assertEqual(run.of("wan")[2]["verdict"], "pass", run.of("wan")[2])
        self.assertNotEqual(run.of("lan")[3].get("flow", {}) and run.of("lan")[3]["flow"]["state"], "ESTABLISHED:ESTABLISHED")

    def test_the_answer_to_nothing_is_blocked(self):
        _, wan, _, _ = self.segments()
        run = Replay(self.RULES, {"wan": wan[:1]})
        self.assertEqual((run.lines[0]["verdict"], run.lines[0]["label"]), ("drop", "default"))

    def test_a_half_open_flow_expires_by_the_time_of_the_capture(self):
        lan, wan, _, here = self.segments()
        rules = "set timeout tcp.first 10\n" + self.RULES
        in_time = Replay(rules, {"lan": lan[:1], "wan": [here(9_000, "SA", 500, 101)]})
        self.assertEqual(in_time.of("wan")[0]["verdict"], "pass")
        too_late = Replay(rules, {"lan": lan[:1], "wan": [here(20_000, "SA", 500, 101)]})
        self.assertEqual(too_late.of("wan")[0]["verdict"], "drop")
        self.assertIsNone(too_late.of("wan")[0]["flow"])
        self.assertEqual(too_late.summary["flows_live"], 0)

    def test_a_segment_of_a_flow_that_comes_in_on_the_other_side_is_dropped(self):
        lan, wan, _, _ = self.segments()
        forged = (START_S + 1, 0, lan[2][2])
        run = Replay(self.RULES, {"lan": lan[:3], "wan": wan[:2] + [forged]})
        self.assertEqual((run.of("wan")[2]["verdict"], run.of("wan")[2]["drop_reason"]), ("drop", "wrong_side"))

    def test_echo_and_its_reply_are_one_flow(self):
        ask = bytes(out(v6() / ICMPv6EchoRequest(id=3, seq=1, data=b"x")))
        run = Replay("block\npass in on lan inet6 proto icmp6 icmp6-type echoreq\npass out on wan\n", {"lan": [ask]})
        self.assertEqual(run.lines[0]["verdict"], "pass")
        self.assertEqual(run.lines[0]["flow"]["direction"], "original")


if __name__ == "__main__":
    PROGRAM = sys.argv.pop(1)
    unittest.main(warnings="ignore")
