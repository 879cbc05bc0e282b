"""What memif.py and vhost.py have in common: packets per second through a data plane between two ports of one transport.

    echo: dpdk-testpmd, one processor                data plane under test: one processor
    port 0 ======================= transport ======================= lan
    port 1 ======================= transport ======================= wan

The echo swaps addresses and ports of each packet (5tswap) and sends it back out of the port it came by. So a fixed number
of packets goes round and round: out of port 0 as a flow's original direction, out of port 1 as its replies, through the
data plane each time, and nobody has to drop anything. All data planes get the same frames (64 bytes on a wire, 256 UDP
flows) over the same transport in turn, round after round, so a busy neighbour falls on all of them alike.

What is measured: packets that arrive at the echo in a second. The echo does about what macswap does, so where the data
plane under test is as fast as the echo, the figure is that of the pair.
"""
import argparse
import json
import os
import platform
import re
import statistics
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "lab"))

import testpmd
from firewall import Firewall
from namespaces import wait_until

PACKETS_UNDER_WAY = 512
RULES = {"ringplane": "pass keep state\n"}
TESTPMD_MODES = ("macswap", "5tswap")


class Ringplane:
    def __init__(self, lab, transport, rules, cpu):
        config = lab.config(transport.server(lab, 0), transport.server(lab, 1))
        config = config.replace("count = 1", f"count = 1\ncpus = [{cpu}]\nspin_turns = 4294967295")
        self.firewall = Firewall(lab, rules, config=config)

    def wait_for_links(self):
        testpmd.wait_for_links(self.firewall)

    def check(self, least):
        """It did forward these packets, and dropped next to none."""
        lan = self.firewall.show("ports")[0]
        drops = self.firewall.drops()
        if lan["rx_packets"] < least / 4 or sum(drops.values()) > PACKETS_UNDER_WAY:
            sys.exit(f"ringplane did not forward what was measured: {lan}, {drops}")

    def stop(self):
        self.firewall.stop()


class OtherTestpmd:
    def __init__(self, lab, transport, mode, cpu):
        self.program = lab.testpmd(transport.server(lab, 0), transport.server(lab, 1), mode=mode, cpus=str(cpu))
        self.program.wait_until_forwarding()

    def wait_for_links(self):
        pass  # those of the echo are the other ends of its own

    def check(self, _least):
        pass  # it has no way to do otherwise

    def stop(self):
        self.program.stop()


def received(echo):
    """Packets that the echo got on both ports so far, and when it said so."""
    seen = echo.program.output().count("NIC statistics for port 1")
    echo.say("show port stats all")
    wait_until(lambda: echo.program.output().count("NIC statistics for port 1") > seen and
               echo.program.output().rstrip().endswith("testpmd>"), "the echo says nothing", 5, 0.001)
    now = time.monotonic()
    totals = echo.totals()
    return totals[0]["rx"] + totals[1]["rx"], now


def links_up(echo):
    echo.say("show port summary all")
    return len(re.findall(r"^[01] .* up ", echo.program.output().rsplit("Number of available ports", 1)[-1], re.M)) == 2


def measure(transport, name, seconds):
    cpus = sorted(os.sched_getaffinity(0))
    with testpmd.DpdkLab() as lab:
        if name in RULES:
            system = Ringplane(lab, transport, RULES[name], cpus[1])
        else:
            system = OtherTestpmd(lab, transport, name.split()[-1], cpus[1])
        echo = lab.testpmd(transport.client(lab, 0), transport.client(lab, 1), mode="5tswap", cpus=str(cpus[0]), held=True,
                           words=["--port-topology=loop", "--txonly-multi-flow", "--txpkts=60"])
        wait_until(lambda: "testpmd>" in echo.program.output(), "the echo does not start", 20)
        wait_until(lambda: links_up(echo), "no link", 10, 0.05)
        system.wait_for_links()
        # Both ports once, so that each has given its peer room to send into; then bursts out of port 0 alone, so that
        # only one side opens flows; then all that has come goes round.
        for words in ("start", "stop", "set portlist 0", f"start tx_first {PACKETS_UNDER_WAY // 32}", "stop",
                      "set portlist 0,1", "start"):
            echo.say(words)
            time.sleep(0.05)
        before, began = received(echo)
        time.sleep(seconds)
        after, ended = received(echo)
        if after == before:
            sys.exit(f"{name} forwards nothing:\n{echo.program.output()[-3000:]}")
        system.check(after)
        # In this order nobody polls a memif whose other end goes away, which DPDK's driver may not survive.
        echo.halt()
        system.stop()
        return (after - before) / (ended - began)


def machine():
    with open("/proc/cpuinfo", encoding="ascii") as file:
        model = next(line.split(":")[1].strip() for line in file if line.startswith("model name"))
    return f"{os.cpu_count()} processors ({model}), Linux {platform.release()}"


def main(transport):
    words = argparse.ArgumentParser(description=transport.__doc__.splitlines()[0])
    words.add_argument("--rounds", type=int, default=5)
    words.add_argument("--seconds", type=float, default=1.0, help="of each measurement")
    words.add_argument("--json", help="write the numbers to this file instead of standard output")
    options = words.parse_args()
    reason = testpmd.why_impossible()
    if reason:
        sys.exit(f"{sys.argv[0]}: {reason}")
    if len(os.sched_getaffinity(0)) < 2:
        sys.exit(f"{sys.argv[0]}: two processors are needed")
    names = [*RULES, *(f"testpmd {mode}" for mode in TESTPMD_MODES)]
    load = os.getloadavg()[0]
    rates = {name: [] for name in names}
    for turn in range(options.rounds):
        for name in names:
            rates[name].append(measure(transport, name, options.seconds))
        print(f"round {turn + 1} of {options.rounds}", file=sys.stderr)
    summary = {name: {"packets_per_s": round(statistics.median(values)), "low": round(min(values)),
                      "high": round(max(values)), "ns_per_packet": round(1e9 / statistics.median(values), 1)}
               for name, values in rates.items()}
    reference = summary["testpmd macswap"]["packets_per_s"]
    for values in summary.values():
        values["ratio_to_macswap"] = round(values["packets_per_s"] / reference, 3)
    report = json.dumps({"transport": transport.name, "machine": machine(), "load_before": load,
                         "rounds": options.rounds, "seconds": options.seconds, "results": summary}, indent=1)
    if options.json:
        with open(options.json, "w", encoding="utf-8") as file:
            file.write(report + "\n")
    else:
        print(report)
