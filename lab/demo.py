#!/usr/bin/python3
"""make demo: real clients and servers through `ringplane run` with the rules of examples/bridge/, and an account.

Exits 0 when all that should pass passed and all that should be blocked was blocked, 1 otherwise. Leaves the machine as
it found it, also after Ctrl-C. The program is build/ringplane, or the one that RINGPLANE= names.
"""
import hashlib
import json
import os
import sys
import threading
import time

from firewall import Firewall
from namespaces import CLIENT4, CLIENT6, SERVER4, SERVER6, Lab, LabError, program_path, why_impossible
from servers import FILE_BYTES, start_iperf3, start_listener, start_nginx

EXAMPLE = os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "examples", "bridge")


def example_rules():
    with open(os.path.join(EXAMPLE, "pf.conf"), encoding="utf-8") as file:
        return file.read()


def example_config(lab):
    """The example's own configuration; only the socket and the log go to the lab's folder."""
    with open(os.path.join(EXAMPLE, "ringplane.toml"), encoding="utf-8") as file:
        text = file.read()
    socket_line, log_line = 'socket = "/run/ringplane/ringplane.sock"', 'file = "-"'
    assert socket_line in text and log_line in text
    return text.replace(socket_line, f'socket = "{lab.path("control.sock")}"\nstate = "{lab.path("state")}"').replace(
        log_line, f'file = "{lab.path("eve.json")}"')


class FlowWatch(threading.Thread):
    """Asks for the number of flows ten times a second and keeps the highest."""

    def __init__(self, firewall):
        super().__init__(daemon=True)
        self.firewall = firewall
        self.peak = 0
        self.done = threading.Event()

    def run(self):
        while not self.done.wait(0.1):
            workers = self.firewall.ask("/v1/workers") or []
            self.peak = max(self.peak, sum(worker["flows"] for worker in workers))

    def stop(self):
        self.done.set()
        self.join()


class Demo:
    """Runs attempts one by one; each prints a line of the account."""

    def __init__(self, lab, firewall):
        self.lab = lab
        self.firewall = firewall
        self.surprises = []
        print(f"\n  {'what':<46}{'should':<8}{'did':<8}{'by rule':<22}notes")

    def attempt(self, what, should_pass, attempt):
        """`attempt()` returns (passed, note)."""
        log_before = len(self.firewall.eve())
        states_before = self._states()
        passed, note = attempt()
        rule = self._passing_rule(states_before) if passed else self._blocking_rule(log_before)
        print(f"  {what:<46}{'pass' if should_pass else 'block':<8}{'pass' if passed else 'block':<8}{rule:<22}{note}",
              flush=True)
        if passed != should_pass:
            self.surprises.append(what)

    def _states(self):
        states = {}
        for rule in self.firewall.show("rules"):
            states[rule["label"]] = states.get(rule["label"], 0) + rule["states_total"]
        return states

    def _passing_rule(self, before):
        grown = [label for label, states in self._states().items() if states > before.get(label, 0) and label != "out"]
        return ", ".join(grown) or "?"

    def _blocking_rule(self, log_before):
        end = time.monotonic() + 2
        while time.monotonic() < end:
            labels = {line["firewall"].get("label", line["firewall"]["rule"]): line["firewall"]["rule"]
                      for line in self.firewall.eve()[log_before:]
                      if "firewall" in line and line["dest_ip"] in (CLIENT4, CLIENT6, SERVER4, SERVER6)}
            if labels:
                return ", ".join(f"{label} (line {rule.rsplit(':', 1)[1]})" for label, rule in labels.items())
            time.sleep(0.05)
        return "?"

    def curl(self, host, file, repeat=1):
        with open(file, "rb") as reference:
            wanted = hashlib.sha256(reference.read()).hexdigest()
        copy = self.lab.path("copy")
        result = self.lab.client.run("curl", "-gsS", "-o", copy, "-w", "%{speed_download}", "--max-time", 30,
                                     f"http://{host}/file")
        if result.returncode != 0:
            return False, result.stderr.strip()
        with open(copy, "rb") as got:
            same = hashlib.sha256(got.read()).hexdigest() == wanted
        return same, f"{FILE_BYTES >> 20} MiB {'intact' if same else 'DAMAGED'}, {rate(float(result.stdout) * 8)}"

    def many_curls(self, host, count):
        result = self.lab.client.run("curl", "-sS", "-Z", "--parallel-immediate", "--parallel-max", count, "-o",
                                     "/dev/null", "--max-time", 30, f"http://{host}/slow?[1-{count}]")
        return result.returncode == 0, f"{count} at once"

    def iperf3(self, host, *words):
        overflows_before = self._receiver_lost()
        passed_before = self.firewall.workers_sum("passed")
        result = self.lab.client.run("iperf3", "-c", host, "-J", "-t", 3, *words)
        report = json.loads(result.stdout or "{}")
        if result.returncode != 0 or "error" in report:
            return False, report.get("error", result.stderr.strip())
        end = report["end"]
        if "-u" not in words:
            received = end["sum_received"]
            packets = (self.firewall.workers_sum("passed") - passed_before) / received["seconds"]
            return received["bytes"] > 0, f"{packets:,.0f} packets/s, {rate(received['bits_per_second'])}"
        total = end["sum"]
        # iperf3's socket overflows when its process waits for a processor; that is no loss on the way.
        lost = max(0, total["lost_packets"] - (self._receiver_lost() - overflows_before))
        return total["packets"] > lost, (f"{total['packets'] / total['seconds']:,.0f} packets/s, "
                                         f"{rate(total['bits_per_second'])}, {lost} lost on the way")

    def _receiver_lost(self):
        lines = self.lab.server.run("nstat", "-asz", "UdpRcvbufErrors", "Udp6RcvbufErrors").stdout.splitlines()
        return sum(int(line.split()[1]) for line in lines if "RcvbufErrors" in line)

    def ping(self, host):
        result = self.lab.client.run("ping", "-c", 5, "-i", 0.1, "-W", 1, host)
        lines = result.stdout.strip().splitlines()
        return result.returncode == 0, lines[-1].replace("rtt ", "") if result.returncode == 0 else "no answer"

    def connect(self, space, host, port, udp=False):
        result = space.run("nc", "-zv", "-w", 1, *(["-u"] if udp else []), host, port)
        note = result.stderr.strip().splitlines()[-1] if result.stderr.strip() else "no answer"
        if result.returncode == 0:
            return True, "connected"
        if udp:  # nc asks several times and fails only when the kernel has heard "unreachable"
            return False, "refused at once, by a port unreachable"
        return False, "refused at once, by a reset" if "refused" in note else "no answer"

    def keyscan(self, host):
        result = self.lab.client.run("ssh-keyscan", "-T", 1, host)
        return bool(result.stdout.strip()), "no key seen"


def rate(bits_per_second):
    return f"{bits_per_second / 1e9:.2f} Gbit/s" if bits_per_second > 1e9 else f"{bits_per_second / 1e6:.0f} Mbit/s"


def drive(demo, file):
    lab = demo.lab
    for name, server, host in (("IPv4", SERVER4, SERVER4), ("IPv6", SERVER6, f"[{SERVER6}]")):
        demo.attempt(f"ping {server}", True, lambda: demo.ping(server))
        demo.attempt(f"curl http://{host}/file  (nginx)", True, lambda: demo.curl(host, file))
        demo.attempt(f"curl, 200 slow downloads, {name}", True, lambda: demo.many_curls(host, 200))
        demo.attempt(f"iperf3 TCP, {name}", True, lambda: demo.iperf3(server))
        demo.attempt(f"iperf3 TCP back, 4 streams, {name}", True, lambda: demo.iperf3(server, "-R", "-P", 4))
        demo.attempt(f"iperf3 UDP, 200 Mbit/s, {name}", True,
                     lambda: demo.iperf3(server, "-u", "-b", "200M", "-l", 1200))
        demo.attempt(f"nc {server} 22", False, lambda: demo.connect(lab.client, server, 22))
        demo.attempt(f"nc {server} 8080", False, lambda: demo.connect(lab.client, server, 8080))
    demo.attempt(f"ssh-keyscan {SERVER4}", False, lambda: demo.keyscan(SERVER4))
    demo.attempt(f"nc -u {SERVER4} 53", False, lambda: demo.connect(lab.client, SERVER4, 53, udp=True))
    demo.attempt(f"nc {CLIENT4} 80, from the server's side", False, lambda: demo.connect(lab.server, CLIENT4, 80))
    demo.attempt(f"nc {CLIENT6} 80, from the server's side", False, lambda: demo.connect(lab.server, CLIENT6, 80))


def account(firewall, peak, seconds):
    print("\n  rules that saw packets" + " " * 24 + f"{'packets':>12}{'bytes':>16}{'flows':>8}")
    for rule in firewall.show("rules"):
        if rule["packets"]:
            place = rule["place"].rsplit(":", 1)[1]
            print(f"    {rule['label'] or rule['text']:<14}line {place:<25}{rule['packets']:>12,}{rule['bytes']:>16,}"
                  f"{rule['states_total']:>8}")
    print("\n  dropped, by reason")
    for drop in firewall.show("drops"):
        if drop["packets"]:
            print(f"    {drop['reason']:<20}{drop['packets']:>10,}  {drop['meaning']}")
    passed, total = firewall.workers_sum("passed"), firewall.workers_sum("flows_total")
    print(f"\n  {passed:,} packets ({firewall.workers_sum('passed_bytes'):,} bytes) passed and {total:,} flows in "
          f"{seconds:.0f} s; {peak:,} flows at the peak; {firewall.cpu_seconds():.1f} s of CPU")


def run():
    with Lab() as lab:
        file = start_nginx(lab.server, ports=(80, 8080))
        start_iperf3(lab.server)
        # Somebody listens wherever it is blocked, so that only the firewall can be the cause.
        start_listener(lab.server, 22)
        start_listener(lab.server, 53, udp=True)
        start_listener(lab.client, 80)
        with Firewall(lab, rules=example_rules(), config=example_config(lab)) as firewall:
            print(f"client {CLIENT4}, {CLIENT6}  --[lan]  ringplane  [wan]--  server {SERVER4}, {SERVER6}")
            print(f"rules: {os.path.join(EXAMPLE, 'pf.conf')}")
            for port in firewall.show("ports"):
                print(f"port {port['port']}: {port['description']}")
            watch = FlowWatch(firewall)
            watch.start()
            start = time.monotonic()
            demo = Demo(lab, firewall)
            drive(demo, file)
            watch.stop()
            account(firewall, watch.peak, time.monotonic() - start)
        print("  ringplane stopped cleanly, every frame at home")
    return demo.surprises


def main():
    reason = why_impossible()
    if reason:
        print(f"demo: {reason}.\nWithout that, try a capture through the same rules:\n"
              f"  build/ringplane replay -f examples/bridge/pf.conf --in lan=YOUR.pcap\n"
              "or ask what they do with a packet:\n  build/ringplane explain -f examples/bridge/pf.conf "
              "'in on lan proto tcp from 10.9.0.1 port 40000 to 10.9.0.2 port 22 flags S'", file=sys.stderr)
        return 1
    program_path()
    try:
        surprises = run()
    except LabError as error:
        print(f"demo: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("\ndemo: interrupted; everything it made is gone again", file=sys.stderr)
        return 130
    if surprises:
        print("\nNOT AS IT SHOULD BE: " + "; ".join(surprises))
        return 1
    print("\nAll that should pass passed, all that should be blocked was blocked.")
    return 0


if __name__ == "__main__":
    sys.exit(main())
