#!/usr/bin/python3
"""How long forwarding stands still when the data process is killed, in the middle of many TCP connections.

    bench/failover.py [--kills 20] [--connections 1000] [--flows 100000] [--json FILE]

In a lab (three namespaces, veth, AF_XDP): --connections TCP connections that always have a question under way, and beside them
one datagram a millisecond. `kill -9` of the data process, --kills times. For each: the longest time without a datagram
arriving around it (standstill_ms; quiet_ms is the longest in the second before), what the daemon says it took, connections
that broke (must be none), and whether each connection had answers afterwards. All kills are reported.
"""
import argparse
import json
import re
import statistics
import sys
import os
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lab"))
from crowd import Crowd, Ticker  # noqa: E402
from firewall import Firewall  # noqa: E402
from namespaces import SERVER4, Lab, why_impossible  # noqa: E402

RULES = "block\npass proto tcp\npass proto udp\npass proto icmp no state\n"


def measure(firewall, crowd, ticker):
    before = time.monotonic()
    time.sleep(1)
    killed = time.monotonic()
    said = firewall.kill_data_process()
    if not crowd.wait_for_all(2):
        raise SystemExit("a connection stands still after the kill")
    time.sleep(0.5)
    took = re.search(r"after ([\d.]+) ms: (\d+) flows kept, (\d+) dropped", said)
    return {"standstill_ms": round(1000 * ticker.longest_gap_s(killed, time.monotonic()), 1),
            "quiet_ms": round(1000 * ticker.longest_gap_s(before, killed), 1),
            "daemon_ms": float(took[1]), "flows_kept": int(took[2]), "flows_dropped": int(took[3])}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--connections", type=int, default=1000)
    parser.add_argument("--flows", type=int, default=100_000, help="flows.limit")
    parser.add_argument("--json")
    options = parser.parse_args()
    if reason := why_impossible():
        raise SystemExit(reason)
    with Lab() as lab:
        firewall = Firewall(lab, RULES, log='file = ""', extra=f"[flows]\nlimit = {options.flows}\n")
        kills = []
        with Crowd(lab.client, lab.server, SERVER4, 7300, options.connections) as crowd, \
                Ticker(lab.client, lab.server, SERVER4, 7301) as ticker:
            if not crowd.wait_for_all(1):
                raise SystemExit("not all connections have begun")
            for number in range(options.kills):
                kills.append(measure(firewall, crowd, ticker))
                print(f"{number + 1:3}  {kills[-1]}", flush=True)
                time.sleep(6.5)  # five deaths in 30 s are a loop
            broken = list(crowd.broken)
        firewall.stop()
    standstill = [kill["standstill_ms"] for kill in kills]
    report = {"connections": options.connections, "flow_limit": options.flows, "connections_broken": len(broken),
              "standstill_ms_median": statistics.median(standstill), "standstill_ms_max": max(standstill), "kills": kills}
    print(json.dumps({key: value for key, value in report.items() if key != "kills"}, indent=2))
    if options.json:
        with open(options.json, "w", encoding="utf-8") as file:
            json.dump(report, file, indent=1)
            file.write("\n")
    if broken:
        raise SystemExit(f"connections broke: {broken[:5]}")


if __name__ == "__main__":
    main()
