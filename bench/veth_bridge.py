#!/usr/bin/python3
"""Ringplane against the Linux bridge, over the same veth lab, in one run.

    bench/veth_bridge.py [--rounds 7] [--seconds 2] [--json FILE]

Four ways to join the same two links, taken in turn, round after round, so that a busy neighbour on the machine falls on
all of them alike:

    bridge              the Linux bridge, no rules
    bridge + nftables   with the rules below in nftables (bridge family; without connection tracking, which this family
                        has only with nf_conntrack_bridge: replies are let in by their source port)
    ringplane stateless `ringplane run` with those rules, `no state`
    ringplane           with the rules as one writes them in pf.conf: stateful, every packet looked up in the flow table

What is measured: UDP datagrams of 64-byte frames per second that arrive at the server's interface while one sender
sends as fast as it can; bits per second of one TCP connection (iperf3); round trip of ping on an idle link;
processor time
of the ringplane process and of the whole machine. Medians over the rounds, with the lowest and highest.
"""
import argparse
import json
import os
import platform
import socket
import statistics
import subprocess
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "lab"))

from firewall import Firewall
from namespaces import SERVER4, Lab, why_impossible
from servers import start_iperf3

UDP_PORT = 7000
UDP_PAYLOAD_BYTES = 18  # + 8 UDP + 20 IPv4 + 14 Ethernet (+ 4 FCS on a wire) = 64
UDP_FLOWS = 16

PF_STATEFUL = f"""block
pass out quick
pass in on lan proto tcp to port {{ 80, 443, 5201 }}
pass in on lan proto udp to port {{ 53, 123, {UDP_PORT} }}
pass in on lan inet proto icmp icmp-type echoreq
"""
PF_STATELESS = f"""block
pass out quick no state
pass in on lan proto tcp to port {{ 80, 443, 5201 }} flags any no state
pass in on lan proto udp to port {{ 53, 123, {UDP_PORT} }} no state
pass in on lan inet proto icmp icmp-type echoreq no state
pass in on wan proto tcp from port {{ 80, 443, 5201 }} flags any no state
pass in on wan proto udp from port {{ 53, 123, {UDP_PORT} }} no state
pass in on wan inet proto icmp icmp-type echorep no state
"""
NFT = f"""table bridge bench {{
chain forward {{
  type filter hook forward priority 0; policy drop;
  ether type arp accept
  iifname "rp-lan" tcp dport {{ 80, 443, 5201 }} accept
  iifname "rp-lan" udp dport {{ 53, 123, {UDP_PORT} }} accept
  iifname "rp-lan" icmp type echo-request accept
  iifname "rp-wan" tcp sport {{ 80, 443, 5201 }} accept
  iifname "rp-wan" udp sport {{ 53, 123, {UDP_PORT} }} accept
  iifname "rp-wan" icmp type echo-reply accept
}}
}}
"""


LOAD_LIMIT_S = 60


class NotLoaded(Exception):
    """Of a ruleset that nft does not load; with the reason."""


def load_nft(space, text):
    """Seconds that it took."""
    start = time.monotonic()
    try:
        loaded = space.run("nft", "-f", "-", input=text, timeout_s=LOAD_LIMIT_S)
    except subprocess.TimeoutExpired as late:
        raise NotLoaded(f"does not load in {LOAD_LIMIT_S} s") from late
    if loaded.returncode != 0:
        raise NotLoaded(f"does not load: {loaded.stderr.strip()[:200]}")
    return time.monotonic() - start


class LinuxBridge:
    def __init__(self, lab, nft=None):
        self.space = lab.firewall
        self.nft = nft
        self.load_seconds = 0.0

    def __enter__(self):
        self.space.ip("link", "add", "br0", "type", "bridge", "mcast_snooping", "0")
        for interface in ("rp-lan", "rp-wan"):
            self.space.ip("link", "set", interface, "master", "br0")
        self.space.ip("link", "set", "br0", "up")
        if self.nft:
            try:
                self.load_seconds = load_nft(self.space, self.nft)
            except NotLoaded:
                self.__exit__()
                raise
        return self

    def __exit__(self, *_):
        self.space.run("nft", "flush", "ruleset")
        self.space.ip("link", "del", "br0")

    def cpu_seconds(self):
        return 0.0  # its work is done inside the senders' system calls and softirqs: see the whole machine


class Ringplane:
    def __init__(self, lab, rules):
        self.lab = lab
        self.rules = rules

    def __enter__(self):
        start = time.monotonic()
        self.firewall = Firewall(self.lab, self.rules, log='file = ""')
        self.load_seconds = time.monotonic() - start
        return self

    def __exit__(self, *_):
        self.firewall.stop()

    def cpu_seconds(self):
        return self.firewall.cpu_seconds()


def machine_cpu_seconds():
    """Busy time of all processors since boot."""
    with open("/proc/stat", encoding="ascii") as file:
        user, nice, system, _idle, _wait, irq, softirq, *_ = map(int, file.readline().split()[1:])
    return (user + nice + system + irq + softirq) / os.sysconf("SC_CLK_TCK")


def received_frames(lab):
    statistics_of = json.loads(lab.server.ip("-j", "-s", "link", "show", "dev", "s0"))[0]["stats64"]
    return statistics_of["rx"]["packets"]


class Costs:
    """Processor time from its making to read()."""

    def __init__(self, system):
        self.system = system
        self.start = (time.monotonic(), system.cpu_seconds(), machine_cpu_seconds())

    def read(self):
        end = (time.monotonic(), self.system.cpu_seconds(), machine_cpu_seconds())
        seconds, process, machine = (b - a for a, b in zip(self.start, end))
        return seconds, process, machine


def compile_blast(lab):
    """The path of the sender."""
    path = lab.path("udp_blast")
    source = os.path.join(os.path.dirname(os.path.abspath(__file__)), "udp_blast.c")
    subprocess.run(["gcc", "-O2", "-o", path, source], check=True)
    return path


def run_blast(lab, blast, seconds, flows, *first_source):
    """Datagrams sent, and seconds."""
    words = lab.client.run(blast, SERVER4, UDP_PORT, seconds, UDP_PAYLOAD_BYTES, flows, *first_source,
                           check=True).stdout.split()
    return int(words[0]), float(words[1])


def open_sink(lab):
    """A socket that nobody reads: the server spends little on what arrives, and sends no unreachables."""
    sink = lab.server.socket(socket.AF_INET, socket.SOCK_DGRAM)
    sink.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    sink.bind((SERVER4, UDP_PORT))
    return sink


def measure_udp(lab, system, blast, seconds):
    before = received_frames(lab)
    costs = Costs(system)
    sent, sending_s = run_blast(lab, blast, seconds, UDP_FLOWS)
    took, process, machine = costs.read()
    time.sleep(0.1)  # what is still in rings
    arrived = received_frames(lab) - before
    return {"udp_sent_per_s": sent / sending_s, "udp_packets_per_s": arrived / sending_s,
            "udp_lost": max(0.0, 1 - arrived / sent),
            "udp_process_cpu": process / took, "udp_machine_cpu": machine / took,
            "udp_machine_ns_per_packet": machine / max(1, arrived) * 1e9}


def measure_tcp(lab, system, seconds):
    costs = Costs(system)
    report = json.loads(lab.client.run("iperf3", "-J", "-c", SERVER4, "-t", seconds).stdout)
    took, process, machine = costs.read()
    bits = report["end"]["sum_received"]["bits_per_second"]
    return {"tcp_bits_per_s": bits, "tcp_retransmits": report["end"]["sum_sent"]["retransmits"],
            "tcp_process_cpu": process / took, "tcp_machine_cpu": machine / took,
            "tcp_machine_ns_per_kilobyte": machine / (bits * seconds / 8 / 1000) * 1e9}


def measure_ping(lab):
    result = lab.client.run("ping", "-q", "-c", 200, "-i", 0.005, SERVER4, check=True)
    return {"ping_us": float(result.stdout.rsplit("=", 1)[1].split("/")[1]) * 1000}


def wait_until_joined(lab):
    while lab.client.run("ping", "-c1", "-W1", SERVER4).returncode != 0:
        pass


def run(rounds, seconds):
    with Lab() as lab:
        blast = compile_blast(lab)
        start_iperf3(lab.server)
        sink = open_sink(lab)
        systems = {"bridge": lambda: LinuxBridge(lab), "bridge + nftables": lambda: LinuxBridge(lab, NFT),
                   "ringplane stateless": lambda: Ringplane(lab, PF_STATELESS),
                   "ringplane": lambda: Ringplane(lab, PF_STATEFUL)}
        results = {name: [] for name in systems}
        for turn in range(rounds):
            for name, make in systems.items():
                with make() as system:
                    wait_until_joined(lab)
                    results[name].append(measure_udp(lab, system, blast, seconds) | measure_tcp(lab, system, seconds) |
                                         measure_ping(lab))
            print(f"round {turn + 1} of {rounds}", file=sys.stderr)
        sink.close()
        return results


def summarise(results):
    """Per system and measure: median, lowest, highest."""
    return {name: {key: {"median": statistics.median(row[key] for row in rows), "low": min(row[key] for row in rows),
                         "high": max(row[key] for row in rows)} for key in rows[0]}
            for name, rows in results.items()}


COLUMNS = (("UDP packets/s", "udp_packets_per_s", 1, ",.0f"),
           ("machine ns/packet", "udp_machine_ns_per_packet", 1, ",.0f"),
           ("own CPU", "udp_process_cpu", 1, ".2f"), ("lost", "udp_lost", 100, ".0f"),
           ("TCP Gbit/s", "tcp_bits_per_s", 1e-9, ".2f"), ("machine ns/kB", "tcp_machine_ns_per_kilobyte", 1, ",.0f"),
           ("own CPU", "tcp_process_cpu", 1, ".2f"), ("ping us", "ping_us", 1, ".0f"))


def table(summary, columns=COLUMNS):
    rows = [["", *(title for title, *_ in columns)]]
    for name, values in summary.items():
        row = [name]
        for _, key, factor, form in columns:
            numbers = {which: format(values[key][which] * factor, form) for which in ("median", "low", "high")}
            row.append(f"{numbers['median']} ({numbers['low']}-{numbers['high']})")
        rows.append(row)
    lines = ["| " + " | ".join(row) + " |" for row in rows]
    return "\n".join([lines[0], "|---" * len(rows[0]) + "|", *lines[1:]])


def machine():
    with open("/proc/cpuinfo", encoding="ascii") as file:
        model = next(line.split(":")[1].strip() for line in file if line.startswith("model name"))
    return f"{os.cpu_count()} processors ({model}), Linux {platform.release()}"


def main():
    words = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    words.add_argument("--rounds", type=int, default=7)
    words.add_argument("--seconds", type=int, default=2, help="of each measurement")
    words.add_argument("--json", help="write all numbers to this file")
    options = words.parse_args()
    reason = why_impossible()
    if reason:
        sys.exit(f"veth_bridge: {reason}")
    load = os.getloadavg()[0]
    results = run(options.rounds, options.seconds)
    summary = summarise(results)
    print(f"{machine()}; load average before the run {load:.1f}; {options.rounds} rounds of {options.seconds:g} s\n")
    print(table(summary))
    base = summary["bridge"]
    print("\nratios of medians to the bridge without rules: packets/s, TCP bits/s")
    for name, values in summary.items():
        ratios = (values[key]["median"] / base[key]["median"] for key in ("udp_packets_per_s", "tcp_bits_per_s"))
        print(f"  {name:<22}" + "".join(f"{ratio:8.2f}" for ratio in ratios))
    if options.json:
        with open(options.json, "w", encoding="utf-8") as file:
            json.dump({"machine": machine(), "load_before": load, "rounds": options.rounds, "seconds": options.seconds,
                       "results": results, "summary": summary}, file, indent=1)


if __name__ == "__main__":
    main()
