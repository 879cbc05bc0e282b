#!/usr/bin/python3
"""What `ringplane trace` and `ringplane capture` see of real packets, against what was sent and what was decided."""
import json
import logging
import struct
import subprocess
import time

from scapy.layers.inet import ICMP, IP, TCP
from scapy.utils import PcapNgReader, RawPcapNgReader

from case import LabTest, main
from firewall import Firewall, UnixConnection
from namespaces import SERVER4, Lab, program_path, wait_until

RULES = 'pass label "all"\nblock return in proto tcp to port 81 label "no81"\n'


logging.getLogger("scapy.runtime").setLevel(logging.ERROR)  # comments_of() says why


class Trace(LabTest):
    def follow(self, firewall, *words):
        """A `ringplane trace` or `capture`, which has begun to look."""
        process = subprocess.Popen([program_path(), *words, "--socket", firewall.socket_path], stdout=subprocess.PIPE,
                                   stderr=subprocess.PIPE)
        self.addCleanup(lambda: (process.poll() is None and process.kill(), process.communicate()))
        time.sleep(0.5)
        return process

    def lines(self, process):
        out, err = process.communicate(timeout=20)
        self.assertEqual(process.returncode, 0, err)
        return [json.loads(line) for line in out.decode().splitlines()]

    def test_stages_of_a_ping_and_of_a_refused_connection(self):
        firewall = self.start_firewall(RULES)
        self.assert_reaches(SERVER4)
        trace = self.follow(firewall, "trace", "--json", "--count", "2", f"icmp and host {SERVER4}")
        self.assert_reaches(SERVER4)
        request, reply = self.lines(trace)
        self.assertEqual((request["port"], reply["port"]), ("lan", "wan"))
        self.assertIn(f"> {SERVER4} type 8 code 0", request["stages"]["decode"])
        self.assertEqual(request["stages"]["forward"], "to wan")
        self.assertIn("original of a flow", request["stages"]["track"])
        self.assertIn("reply of a flow", reply["stages"]["track"])
        self.assertIn("asked; in", request["stages"]["admit"])
        self.assertIn("not asked: its flow was let in; in", reply["stages"]["admit"])
        self.assertIn("pf.conf:1 'all'", reply["stages"]["admit"])

        trace = self.follow(firewall, "trace", "--count", "1", "tcp port 81")
        self.client.run("nc", "-z", "-w", "2", SERVER4, "81")
        out, err = trace.communicate(timeout=20)
        self.assertEqual(trace.returncode, 0, err)
        for part in (b"reject", b"rule_block", b"'no81'", b"answered, back to lan", b"belongs to no flow"):
            self.assertIn(part, out)

    def test_a_capture_is_what_was_sent_with_the_verdict_beside_it(self):
        firewall = self.start_firewall(RULES)
        path = self.lab.path("x.pcapng")
        capture = self.follow(firewall, "capture", "-w", path, "--seconds", "3", f"host {SERVER4}")
        self.client.run("ping", "-c", "20", "-i", "0.01", "-s", "1000", "-p", "a5", SERVER4, check=True)
        self.client.run("nc", "-z", "-w", "2", SERVER4, "81")
        _, err = capture.communicate(timeout=20)
        self.assertEqual(capture.returncode, 0, err)
        packets = list(PcapNgReader(path))
        comments = comments_of(path)
        self.assertEqual(len(comments), len(packets))
        self.assertIn(f"{len(packets)} packets".encode(), err)
        pings = [each for each in packets if ICMP in each]
        of_pings = {comment for each, comment in zip(packets, comments) if ICMP in each}
        self.assertEqual(len(pings), 40)
        self.assertEqual({bytes(each[ICMP].payload)[16:] for each in pings}, {b"\xa5" * (1000 - 16)})
        self.assertEqual(of_pings, {f"pass by {firewall.rules_path}:1 'all'"})
        refused = [each for each in packets if TCP in each]
        self.assertEqual([(each[TCP].dport, each[IP].dst) for each in refused], [(81, SERVER4)])
        self.assertIn(f"reject by {firewall.rules_path}:2 'no81' (rule_block)", comments)
        self.assertLess(abs(float(packets[0].time) - time.time()), 60)
        reader = RawPcapNgReader(path)
        next(iter(reader))
        self.assertEqual(len(reader.interfaces), 2)

    def test_a_snapshot_length_and_a_count(self):
        firewall = self.start_firewall(RULES)
        path = self.lab.path("short.pcapng")
        capture = self.follow(firewall, "capture", "-w", path, "--count", "5", "--snap", "60", "icmp")
        self.client.run("ping", "-c", "20", "-i", "0.01", "-s", "1000", SERVER4, check=True)
        _, err = capture.communicate(timeout=20)
        self.assertEqual(capture.returncode, 0, err)
        packets = list(RawPcapNgReader(path))
        self.assertEqual([len(data) for data, _ in packets], [60] * 5)
        self.assertEqual({facts.wirelen for _, facts in packets}, {1042})

    def test_what_goes_beyond_the_rate_is_counted(self):
        firewall = self.start_firewall(RULES)
        trace = self.follow(firewall, "trace", "--json", "--seconds", "3", "--per-second", "5", "icmp")
        self.client.run("ping", "-c", "50", "-i", "0.005", SERVER4, check=True)
        lines = self.lines(trace)
        shown = [line for line in lines if "missed" not in line]
        self.assertEqual(len(shown) + sum(line["missed"] for line in lines if "missed" in line), 100)
        self.assertLess(len(shown), 30)

    def test_wrong_filters_and_too_many_askers(self):
        firewall = self.start_firewall(RULES)
        for path in ("/v1/trace?filter=hos%20x", "/v1/trace?program=1,2", "/v1/trace?program=6%200%200%20x",
                     "/v1/trace?program=5%200%200%20100", "/v1/capture?snap=x", "/v1/trace?filter=" + "x" * 5000):
            status, answer = firewall.request("GET", path)
            self.assertEqual(status, 400, answer)
        run = subprocess.run([program_path(), "trace", "--socket", firewall.socket_path, "port"], capture_output=True,
                             text=True, check=False)
        self.assertEqual(run.returncode, 2)
        self.assertIn("the filter 'port' is none", run.stderr)
        for _ in range(2):  # those that have gone make room
            askers = [UnixConnection(firewall.socket_path, 10) for _ in range(8)]
            for each in askers:
                each.request("GET", "/v1/trace")
                self.assertEqual(each.getresponse().status, 200)
            self.assertEqual(firewall.request("GET", "/v1/trace")[0], 400)
            for each in askers:
                each.close()

            def has_room():
                with_room = UnixConnection(firewall.socket_path, 10)
                try:
                    with_room.request("GET", "/v1/trace")
                    return with_room.getresponse().status == 200
                finally:
                    with_room.close()

            wait_until(has_room, "those who have gone are still counted")
            time.sleep(0.3)

    def test_a_trace_goes_on_over_the_death_of_the_data_process(self):
        firewall = self.start_firewall(RULES)
        trace = self.follow(firewall, "trace", "--json", "--seconds", "6", "icmp[icmptype] = icmp-echo")
        self.client.run("ping", "-c", "3", "-i", "0.01", SERVER4, check=True)
        firewall.kill_data_process()
        time.sleep(0.3)
        self.client.run("ping", "-c", "3", "-i", "0.01", SERVER4, check=True)
        self.assertGreaterEqual(len(self.lines(trace)), 5)

    def test_two_workers(self):
        """Each packet is seen once, whichever worker it came in by."""
        with Lab(queues=2) as lab, Firewall(lab, RULES, workers=2) as firewall:
            trace = self.follow(firewall, "trace", "--json", "--seconds", "3", "udp or icmp")
            lab.client.run("ping", "-c", "20", "-i", "0.01", SERVER4, check=True)
            self.assertEqual(len([line for line in self.lines(trace) if "icmp" in line["stages"]["decode"]]), 40)

    def test_a_reader_that_does_not_read_holds_up_nobody(self):
        firewall = self.start_firewall(RULES)
        idle = UnixConnection(firewall.socket_path, 10)
        idle.request("GET", "/v1/capture")
        idle.getresponse()
        self.client.run("ping", "-f", "-c", "8000", "-s", "1400", SERVER4, check=True)
        self.assertIsNotNone(firewall.ask("/v1/ports"))
        idle.close()
        self.assert_reaches(SERVER4)


def comments_of(path):
    """The comment of each packet of a pcapng file; scapy 2.5 takes only comments with a newline."""
    with open(path, "rb") as file:
        data = file.read()
    comments = []
    while data:
        kind, length = struct.unpack_from("<II", data)
        assert struct.unpack_from("<I", data, length - 4) == (length,), "a block is as long at its end as at its head"
        if kind == 6:
            captured = struct.unpack_from("<I", data, 20)[0]
            code, size = struct.unpack_from("<HH", data, 28 + (captured + 3) // 4 * 4)
            start = 32 + (captured + 3) // 4 * 4
            comments.append(data[start:start + size].decode() if code == 1 else None)
        data = data[length:]
    return comments


if __name__ == "__main__":
    main()
