#!/usr/bin/python3
"""What a packet notices of an attack on the API: the time through the firewall, quiet and under attack, in turn.

    bench/api_attack.py [--rounds 5] [--packets 2000] [--clients 1000] [--json FILE]

In a lab (three namespaces, veth, AF_XDP). The worker and the probe have one processor, the control process, the rest of the
data process and the attackers the other. The probe sends a datagram a millisecond and waits for it behind the firewall: the time
holds both veth pairs and both sockets. The attack, at the control socket: a third of the clients send a byte now and then, a third
half a request and then nothing, the others ask and send bodies that are too large as fast as they are answered. --rounds pairs;
medians of the pairs' p50 and p99, their spread, and the ratio. Nobody of the attack may reach the workers' processor: what is
measured is what the program lets through, not that two programs share a processor.
"""
import argparse
import json
import multiprocessing
import os
import random
import selectors
import socket
import statistics
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lab"))
from firewall import Firewall  # noqa: E402
from namespaces import SERVER4, Lab, why_impossible  # noqa: E402

WORKER_CPU, OTHER_CPU = 1, 0
PORT = 7400
ASK = b"GET /v1/flows?limit=1000&sort=bytes HTTP/1.1\r\nHost: ringplane\r\n\r\n"
OVERSIZED = b"POST /v1/explain HTTP/1.1\r\nHost: ringplane\r\nContent-Length: 99999999999\r\n\r\n" + b"x" * 4096
NONSENSE = bytes(random.Random(1).randrange(256) for _ in range(2000))


class Attack:
    """--clients clients in a process of their own, until stop()."""

    def __init__(self, path, clients):
        self.count = multiprocessing.Value("Q", 0)
        self.stopping = multiprocessing.Event()
        self.process = multiprocessing.Process(target=self._run, args=(path, clients))
        self.process.start()

    def stop(self):
        self.stopping.set()
        self.process.join(30)
        return self.count.value

    def _run(self, path, clients):
        os.sched_setaffinity(0, {OTHER_CPU})
        selector = selectors.DefaultSelector()
        fresh, slow = [], {}

        def begin(kind):
            client = socket.socket(socket.AF_UNIX)
            client.setblocking(False)
            try:
                client.connect(path)
                client.send({"slow": b"G", "half": ASK[:20], "busy": random.choice((ASK, OVERSIZED, NONSENSE))}[kind])
            except OSError:
                client.close()
                fresh.append(kind)
                return
            self.count.value += 1
            if kind == "slow":
                slow[client] = time.monotonic()
            selector.register(client, selectors.EVENT_READ, kind)

        for number in range(clients):
            begin(("slow", "half", "busy")[number % 3])
        while not self.stopping.is_set():
            for key, _ in selector.select(0.05):
                try:
                    ended = not key.fileobj.recv(1 << 20)
                except BlockingIOError:
                    continue
                except OSError:
                    ended = True
                if key.data == "busy" and not ended:
                    try:
                        key.fileobj.send(ASK)
                        self.count.value += 1
                        continue
                    except OSError:
                        pass
                if ended or key.data == "busy":
                    selector.unregister(key.fileobj)
                    slow.pop(key.fileobj, None)
                    key.fileobj.close()
                    fresh.append(key.data)
            now = time.monotonic()
            for client, last in slow.items():
                if now - last > 0.5:
                    slow[client] = now
                    try:
                        client.send(b"x")
                    except OSError:
                        pass
            again, fresh[:] = fresh[:], []
            for kind in again:
                begin(kind)


class Probe:
    def __init__(self, lab):
        self.sender = lab.client.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.receiver = lab.server.socket(socket.AF_INET, socket.SOCK_DGRAM)
        with lab.server.inside():
            self.receiver.bind((SERVER4, PORT))
        self.receiver.settimeout(1)
        with lab.client.inside():
            self.sender.connect((SERVER4, PORT))

    def times_us(self, packets):
        times = []
        for number in range(packets):
            data = number.to_bytes(8, "big")
            begin = time.perf_counter_ns()
            self.sender.send(data)
            while self.receiver.recv(64) != data:
                pass
            times.append((time.perf_counter_ns() - begin) / 1000)
            time.sleep(0.001)
        return sorted(times)


def percentile(times, share):
    return times[min(len(times) - 1, int(len(times) * share))]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--packets", type=int, default=2000)
    parser.add_argument("--clients", type=int, default=1000)
    parser.add_argument("--json")
    options = parser.parse_args()
    if reason := why_impossible():
        raise SystemExit(reason)
    if os.cpu_count() < 2:
        raise SystemExit("this needs two processors")
    rounds = []
    with Lab() as lab:
        config = {"log": 'file = ""', "extra": ""}
        firewall = Firewall(lab, "pass\n", wait=False, **config)
        text = open(firewall.config_path, encoding="utf-8").read()
        firewall.program.stop()
        firewall = Firewall(lab, "pass\n", config=text.replace("count = 1\n", f"count = 1\ncpus = [{WORKER_CPU}]\n"))
        os.sched_setaffinity(firewall.program.pid, {OTHER_CPU})
        for process in firewall.show("processes"):
            os.sched_setaffinity(process["pid"], {OTHER_CPU})
        os.sched_setaffinity(0, {WORKER_CPU})
        probe = Probe(lab)
        probe.times_us(200)
        for number in range(options.rounds):
            quiet = probe.times_us(options.packets)
            attack = Attack(firewall.socket_path, options.clients)
            time.sleep(0.5)
            attacked = probe.times_us(options.packets)
            answers = firewall.ask("/v1/ports") is not None
            requests = attack.stop()
            rounds.append({"quiet_p50_us": percentile(quiet, 0.5), "attacked_p50_us": percentile(attacked, 0.5),
                           "quiet_p99_us": percentile(quiet, 0.99), "attacked_p99_us": percentile(attacked, 0.99),
                           "requests": requests, "others_are_answered": answers})
            print(f"{number + 1:3}  {rounds[-1]}", flush=True)
        firewall.stop()
    report = {"clients": options.clients, "packets": options.packets}
    for key in ("quiet_p50_us", "attacked_p50_us", "quiet_p99_us", "attacked_p99_us"):
        report[key] = round(statistics.median(each[key] for each in rounds), 1)
    for share in ("p50", "p99"):
        ratios = [each[f"attacked_{share}_us"] / each[f"quiet_{share}_us"] for each in rounds]
        report[f"{share}_ratio"] = round(statistics.median(ratios), 3)
        report[f"{share}_ratio_from_to"] = [round(min(ratios), 3), round(max(ratios), 3)]
    report["rounds"] = rounds
    print(json.dumps({key: value for key, value in report.items() if key != "rounds"}, indent=2))
    if options.json:
        with open(options.json, "w", encoding="utf-8") as file:
            json.dump(report, file, indent=1)
            file.write("\n")


if __name__ == "__main__":
    main()
