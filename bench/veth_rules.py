#!/usr/bin/python3
"""Ringplane against the Linux bridge with nftables, over the same veth lab, by the number of rules.

    bench/veth_rules.py [--rounds 3] [--seconds 1] [--sizes 1 1000 100000] [--flows 250000] [--json FILE]

The ruleset is the same in all: N rules "block UDP from address to address and port", all different, none of which the
traffic matches, and then "pass". So each packet that is looked up is decided by the last rule. Two measurements, the
systems taken in turn, round after round, so that a busy neighbour on the machine falls on all of them alike:

Packets: UDP datagrams of 64-byte frames per second that arrive at the server while one sender sends as fast as it can,
16 flows, one direction.
    bridge                the Linux bridge, no rules
    nftables linear N     nftables, bridge family, N rules one after another; without connection tracking
    nftables set N        one rule with a set of N triples
    ringplane no state N  `ringplane run`: every packet is looked up in the rules
    ringplane N           with state: the first packet of a flow is

New connections: UDP datagrams each of its own source address and port, --flows of them as fast as the sender can; flows
that were made (`ringplane show workers`, nf_conntrack_count) per second. Conntrack looks up every such packet in the
rules too.
    bridge, no flows      the Linux bridge, no rules: what the sender can; counted as packets that arrived
    route + conntrack     routed namespace (proxy ARP), nftables with `ct state`; linear N and set N
    bridge + conntrack    bridge, handed to the same rules by br_netfilter (nf_conntrack_bridge is not in every kernel)
    ringplane N           with state

A ruleset that takes more than 60 s to load, or lets fewer than 100 packets per second pass, is given up after that: the
output says which, and why.
"""
import argparse
import contextlib
import json
import os
import socket
import struct
import sys
import time

from veth_bridge import (LinuxBridge, NotLoaded, Ringplane, compile_blast, load_nft, machine, measure_udp, open_sink,
                         received_frames, run_blast, summarise, table, wait_until_joined)

from namespaces import CLIENT4, SERVER4, Lab, LabError, why_impossible

PACKETS_LIMIT_PER_S = 100
FIRST_SOURCE = "10.9.0.100"  # of new connections; nobody has it
NEW_FLOWS_SECONDS = 5  # at most


class GivenUp(Exception):
    """Of a system that cannot do it; the sentence is for the report."""


def triples(count):
    """(source, destination, port): none is of the lab."""
    return [(f"10.{100 + (i >> 16)}.{i >> 8 & 255}.{i & 255}", f"192.168.{i * 7 >> 8 & 255}.{i * 7 & 255}", 1024 + i % 60000)
            for i in range(count)]


def nft_linear(count):
    return "\n".join(f"ip saddr {a} ip daddr {b} udp dport {port} drop" for a, b, port in triples(count)), ""


def nft_set(count):
    elements = ",\n".join(f"{a} . {b} . {port}" for a, b, port in triples(count))
    return ("ip saddr . ip daddr . udp dport @blocked drop",
            f"set blocked {{\ntype ipv4_addr . ipv4_addr . inet_service\nelements = {{ {elements} }}\n}}\n")


def nft_table(family, first, rules):
    lines, sets = rules
    return (f"table {family} bench {{\n{sets}chain forward {{\ntype filter hook forward priority 0; policy drop\n"
            f"{first}\n{lines}\naccept\n}}\n}}\n")


def nft_stateless(rules):
    return nft_table("bridge", "ether type arp accept", rules)


def nft_conntrack(rules):
    return nft_table("ip", "ct state established,related accept", rules)


def pf(count, state, flows):
    blocks = "\n".join(f"block in quick on lan inet proto udp from {a} to {b} port {port}" for a, b, port in triples(count))
    return f"set limit states {2 * flows}\n{blocks}\npass {state}\n"


def flush_conntrack(space):
    """As `conntrack -F`: IPCTNL_MSG_CT_DELETE without a tuple."""
    with space.socket(socket.AF_NETLINK, socket.SOCK_RAW, 12) as netlink:  # NETLINK_NETFILTER
        netlink.send(struct.pack("=IHHII4x", 20, 1 << 8 | 2, 1 | 4, 1, 0))  # NLM_F_REQUEST | NLM_F_ACK
        error = struct.unpack_from("=i", netlink.recv(4096), 16)[0]
    if error:
        raise LabError(f"conntrack cannot be flushed: {os.strerror(-error)}")


class Conntrack:
    """Of a system whose nftables rules look at `ct state`."""

    def flows_made(self):
        return int(self.space.run("sysctl", "-n", "net.netfilter.nf_conntrack_count", check=True).stdout)


class TrackingBridge(Conntrack, LinuxBridge):
    def __enter__(self):
        self.space.run("sysctl", "-qw", "net.bridge.bridge-nf-call-iptables=1", check=True)
        return super().__enter__()

    def __exit__(self, *_):
        super().__exit__()
        flush_conntrack(self.space)
        self.space.run("sysctl", "-qw", "net.bridge.bridge-nf-call-iptables=0", check=True)


class Route(Conntrack):
    """The firewall's namespace routes; proxy ARP, so that client and server stay as they are."""

    def __init__(self, lab, nft):
        self.lab = lab
        self.space = lab.firewall
        self.nft = nft

    def _switch(self, on):
        for key in ("ip_forward", "conf.rp-lan.proxy_arp", "conf.rp-wan.proxy_arp"):
            self.space.run("sysctl", "-qw", f"net.ipv4.{key}={on:d}", check=True)
        for address, interface in ((CLIENT4, "rp-lan"), (SERVER4, "rp-wan")):
            self.space.ip("route", "add" if on else "del", address, "dev", interface)
        for space in (self.lab.client, self.lab.server, self.space):
            space.ip("neigh", "flush", "all")

    def __enter__(self):
        self._switch(True)
        try:
            self.load_seconds = load_nft(self.space, self.nft)
        except NotLoaded:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_):
        self.space.run("nft", "flush", "ruleset")
        self._switch(False)
        flush_conntrack(self.space)

    def cpu_seconds(self):
        return 0.0


class UntrackedBridge(LinuxBridge):
    """Makes no flows: what arrived is counted instead."""

    def __init__(self, lab):
        super().__init__(lab)
        self.lab = lab

    def flows_made(self):
        return received_frames(self.lab)


class TrackingRingplane(Ringplane):
    def flows_made(self):
        return self.firewall.workers_sum("flows_total")


def measure_packets(lab, system, blast, options):
    result = measure_udp(lab, system, blast, options.seconds)
    if result["udp_packets_per_s"] < PACKETS_LIMIT_PER_S:
        raise GivenUp(f"lets {result['udp_packets_per_s']:.0f} packets per second pass")
    return result


def measure_new(lab, system, blast, options):
    flows, frames = system.flows_made(), received_frames(lab)
    sent, seconds = run_blast(lab, blast, NEW_FLOWS_SECONDS, options.flows, FIRST_SOURCE)
    time.sleep(0.1)  # what is still in rings
    made = system.flows_made() - flows
    if made / seconds < PACKETS_LIMIT_PER_S:
        raise GivenUp(f"makes {made / seconds:.0f} flows per second")
    return {"new_flows_per_s": made / seconds, "new_sent_per_s": sent / seconds,
            "new_arrived_per_s": (received_frames(lab) - frames) / seconds, "new_without_flow": max(0.0, 1 - made / sent)}


def packet_systems(lab, options):
    systems = {"bridge": lambda: LinuxBridge(lab)}
    for n in options.sizes:
        systems |= {f"nftables linear {n:,}": lambda n=n: LinuxBridge(lab, nft_stateless(nft_linear(n))),
                    f"nftables set {n:,}": lambda n=n: LinuxBridge(lab, nft_stateless(nft_set(n))),
                    f"ringplane no state {n:,}": lambda n=n: Ringplane(lab, pf(n, "no state", options.flows)),
                    f"ringplane {n:,}": lambda n=n: Ringplane(lab, pf(n, "", options.flows))}
    return systems


def new_systems(lab, options):
    systems = {"bridge, no flows": lambda: UntrackedBridge(lab)}
    for n in options.sizes:
        systems |= {f"route + conntrack linear {n:,}": lambda n=n: Route(lab, nft_conntrack(nft_linear(n))),
                    f"route + conntrack set {n:,}": lambda n=n: Route(lab, nft_conntrack(nft_set(n))),
                    f"bridge + conntrack set {n:,}": lambda n=n: TrackingBridge(lab, nft_conntrack(nft_set(n))),
                    f"ringplane {n:,}": lambda n=n: TrackingRingplane(lab, pf(n, "", options.flows))}
    return systems


def take(lab, name, make, measure, blast, options, rows, given_up):
    """One measurement of one system, into rows[name]; a system that cannot do it, into given_up."""
    if name in given_up:
        return
    try:
        with make() as system:
            wait_until_joined(lab)
            rows.setdefault(name, []).append(measure(lab, system, blast, options) | {"load_s": system.load_seconds})
        return
    except (NotLoaded, GivenUp) as reason:
        given_up[name] = str(reason)
    print(f"given up: {name}: {given_up[name]}", file=sys.stderr)


def run(options):
    """Of packets and of new connections: (rows by system, reasons of those given up)."""
    results = {"packets": ({}, {}), "new": ({}, {})}
    with Lab() as lab, contextlib.closing(open_sink(lab)):
        blast = compile_blast(lab)
        for turn in range(options.rounds):
            for kind, systems, measure in (("packets", packet_systems(lab, options), measure_packets),
                                           ("new", new_systems(lab, options), measure_new)):
                for name, make in systems.items():
                    take(lab, name, make, measure, blast, options, *results[kind])
            print(f"round {turn + 1} of {options.rounds}", file=sys.stderr)
    return results


COLUMNS = {"packets": (("packets/s", "udp_packets_per_s", 1, ",.0f"), ("lost %", "udp_lost", 100, ".0f"),
                       ("machine ns/packet", "udp_machine_ns_per_packet", 1, ",.0f"),
                       ("own CPU", "udp_process_cpu", 1, ".2f"), ("load s", "load_s", 1, ".2f")),
           "new": (("flows/s", "new_flows_per_s", 1, ",.0f"), ("sent/s", "new_sent_per_s", 1, ",.0f"),
                   ("without flow %", "new_without_flow", 100, ".0f"), ("load s", "load_s", 1, ".2f"))}


def main():
    words = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    words.add_argument("--rounds", type=int, default=3)
    words.add_argument("--seconds", type=int, default=1, help="of each measurement of packets")
    words.add_argument("--sizes", type=int, nargs="+", default=[1, 1000, 100000], help="numbers of rules")
    words.add_argument("--flows", type=int, default=250000, help="new connections a measurement; conntrack has a limit")
    words.add_argument("--json", help="write all numbers to this file")
    options = words.parse_args()
    reason = why_impossible()
    if reason:
        sys.exit(f"veth_rules: {reason}")
    load, start = os.getloadavg()[0], time.monotonic()
    results = run(options)
    print(f"{machine()}; load average before the run {load:.1f}; {options.rounds} rounds, "
          f"{time.monotonic() - start:.0f} s in all")
    report = {"machine": machine(), "load_before": load, **vars(options)}
    del report["json"]
    for kind, (rows, given_up) in results.items():
        summary = summarise(rows)
        key = COLUMNS[kind][0][1]
        base = next(iter(summary.values()))[key]["median"]
        for values in summary.values():
            ratio = values[key]["median"] / base
            values["ratio"] = {"median": ratio, "low": values[key]["low"] / base, "high": values[key]["high"] / base}
        columns = (*COLUMNS[kind], ("to the first row", "ratio", 1, ".3f"))
        print(f"\n{table(summary, columns)}")
        for name, why in given_up.items():
            print(f"given up: {name}: {why}")
        report[kind] = {"results": rows, "given_up": given_up, "summary": summary}
    if options.json:
        with open(options.json, "w", encoding="utf-8") as file:
            json.dump(report, file, indent=1)


if __name__ == "__main__":
    main()
