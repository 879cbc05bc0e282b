#!/usr/bin/python3
"""What the firewall tells of traffic: EVE lines that keep to their schema, rotated without a line lost or doubled, to files and
readers at unix sockets; and flows to a real IPFIX collector (nfcapd), whose sums equal the firewall's own counters.
"""
import calendar
import collections
import json
import os
import signal
import socket
import subprocess
import threading
import time

import jsonschema

from case import LabTest, Session, main
from namespaces import CLIENT4, LabError, SERVER4, SERVER6, wait_until
from raw_frames import RawPort

SCHEMA = os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "docs", "reference",
                      "eve.schema.json")
RULES = """block log label "nothing"
pass log (all) proto tcp to port 7400 label "tcp"
pass log (all) proto udp to port 7401
block return log proto tcp to port 7402
pass log proto { icmp, icmp6 }
"""


def datagrams(space, address, port, count, size=10):
    """Numbered by nobody: each is one packet, and with `log (all)` one line."""
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    with space.socket(family, socket.SOCK_DGRAM) as sender:
        for _ in range(count):
            sender.sendto(bytes(size), (address, port))


class EveLines(LabTest):
    def test_every_kind_keeps_to_the_schema(self):
        with open(SCHEMA, encoding="utf-8") as file:
            schema = json.load(file)
        jsonschema.Draft7Validator.check_schema(schema)
        validator = jsonschema.Draft7Validator(schema)
        firewall = self.start_firewall(RULES, log='file = "EVE"\nflows = true')
        for address in (SERVER4, SERVER6):
            self.assert_reaches(address)
            with Session(self.client, self.server, address, 7400) as session:
                session.exchange()
            datagrams(self.client, address, 7401, 3)
            datagrams(self.client, address, 9, 1)
            with self.assertRaises(OSError):
                Session(self.client, self.server, address, 7402)
        with RawPort(self.client, "c0") as port:
            for kind in (b"\x08\x00", b"\x86\xdd", b"\x88\xb5"):  # IPv4 and IPv6 without their headers; neither of the two
                port.send(bytes(12) + kind + bytes(8))
        firewall.wait_for_eve(lambda line: "src_ip" not in line, "a broken frame")
        firewall.stop()
        kinds = collections.Counter()
        for line in firewall.eve():
            validator.validate(line)
            kinds[line["event_type"], line.get("verdict"), line.get("proto"), ":" in line.get("src_ip", "")] += 1
        for six in (False, True):
            for proto in ("tcp", "udp", "ipv6-icmp" if six else "icmp"):
                self.assertIn(("flow", None, proto, six), kinds)
                self.assertIn(("pass", "pass", proto, six), kinds)
            self.assertIn(("drop", "drop", "udp", six), kinds)
            self.assertIn(("drop", "reject", "tcp", six), kinds)
        self.assertIn(("drop", "drop", None, False), kinds, "a frame without addresses")
        # And the schema is not one that takes everything.
        line = firewall.eve()[0]
        for wrong in ({**line, "more": 1}, {**line, "event_type": "alert"}, {**line, "timestamp": "now"},
                      {key: line[key] for key in line if key != "length"}):
            self.assertFalse(validator.is_valid(wrong), wrong)

    def test_a_flow_line_has_what_the_flow_had(self):
        firewall = self.start_firewall(RULES, log='file = "EVE"\nflows = true')
        with Session(self.client, self.server, SERVER4, 7400) as session:
            session.exchange(bytes(5000))
            shown = next(flow for flow in firewall.show("flows") if flow["destination"] == f"{SERVER4}:7400")
        firewall.stop()
        line = next(line for line in firewall.eve() if line["event_type"] == "flow" and line.get("dest_port") == 7400)
        self.assertEqual((line["src_ip"], line["dest_ip"], line["in_iface"]), (CLIENT4, SERVER4, "rp-lan"))
        self.assertEqual(line["flow"]["reason"], "shutdown")
        self.assertEqual(line["firewall"]["label"], "tcp")
        self.assertGreaterEqual(line["flow"]["pkts_toserver"], shown["packets_out"])
        self.assertGreaterEqual(line["flow"]["bytes_toclient"], shown["bytes_back"])
        self.assertLessEqual(line["flow"]["start"], line["flow"]["end"])


class Rotation(LabTest):
    def all_lines(self, firewall, keep=50):
        """Oldest first; each file must end with a whole line."""
        lines = []
        for number in range(keep, -1, -1):
            path = firewall.eve_path + (f".{number}" if number else "")
            if os.path.exists(path):
                with open(path, encoding="utf-8") as file:
                    text = file.read()
                self.assertTrue(text == "" or text.endswith("\n"), path)
                lines += [json.loads(line) for line in text.splitlines()]
        return lines

    def remove_logs(self):
        for name in os.listdir(self.lab.folder):
            if name.startswith("eve.json"):
                os.unlink(self.lab.path(name))

    def test_no_line_is_lost_or_doubled_by_rotation(self):
        self.remove_logs()
        firewall = self.start_firewall(RULES, log='file = "EVE"\nper_second = 100000\nrotate_bytes = 20000\nrotate_keep = 50')
        sent = 0
        for _ in range(40):
            datagrams(self.client, SERVER4, 7401, 25)
            sent += 25
            time.sleep(0.05)
        wait_until(lambda: firewall.workers_sum("packets") >= sent, "not all came")
        os.kill(firewall.program.pid, signal.SIGUSR1)
        firewall.stop()
        lines = [line for line in self.all_lines(firewall) if line.get("dest_port") == 7401]
        files = [name for name in os.listdir(self.lab.folder) if name.startswith("eve.json.")]
        self.assertGreater(len(files), 3, "it was rotated")
        self.assertEqual(len(lines), sent)
        times = [line["timestamp"] for line in lines]
        self.assertEqual(times, sorted(times), "in their order")

    def test_no_more_old_files_are_kept_than_told(self):
        self.remove_logs()
        firewall = self.start_firewall(RULES, log='file = "EVE"\nper_second = 100000\nrotate_bytes = 5000\nrotate_keep = 2')
        for _ in range(15):
            datagrams(self.client, SERVER4, 7401, 25)
            time.sleep(0.3)
        firewall.stop()
        names = sorted(name for name in os.listdir(self.lab.folder) if name.startswith("eve.json"))
        self.assertEqual(names, ["eve.json", "eve.json.1", "eve.json.2"])

    def test_logrotate_moves_the_file_and_asks_for_another(self):
        self.remove_logs()
        firewall = self.start_firewall(RULES, log='file = "EVE"\nper_second = 100000')
        datagrams(self.client, SERVER4, 7401, 20)
        firewall.wait_for_eve(lambda line: line.get("dest_port") == 7401, "a datagram")
        os.rename(firewall.eve_path, firewall.eve_path + ".1")
        answer = firewall.post("/v1/log/reopen")
        self.assertEqual(answer, {"reopened": firewall.eve_path})
        self.assertTrue(os.path.exists(firewall.eve_path), "at once")
        datagrams(self.client, SERVER4, 7401, 20)
        # Another way that needs no word: the file is missed.
        wait_until(lambda: firewall.eve(), "no line in the new file")
        os.unlink(firewall.eve_path)
        wait_until(lambda: os.path.exists(firewall.eve_path), "the file is not made again")
        datagrams(self.client, SERVER4, 7401, 20)
        wait_until(lambda: len(firewall.eve()) >= 20, "lines go into the new file")
        firewall.stop()

    def test_the_next_data_process_goes_on_in_the_new_file(self):
        self.remove_logs()
        firewall = self.start_firewall(RULES, log='file = "EVE"\nper_second = 100000')
        os.rename(firewall.eve_path, firewall.eve_path + ".1")
        firewall.post("/v1/log/reopen")
        firewall.kill_data_process()
        datagrams(self.client, SERVER4, 7401, 20)
        wait_until(lambda: len([x for x in firewall.eve() if x.get("dest_port") == 7401]) == 20, "lines")
        firewall.stop()


class Reader:
    """Listens at a unix socket and collects lines."""

    def __init__(self, path, kind=socket.SOCK_STREAM):
        self.path = path
        self.lines = []
        self.kind = kind
        if os.path.exists(path):
            os.unlink(path)
        self.listener = socket.socket(socket.AF_UNIX, kind)
        self.listener.bind(path)
        self.client = None
        if kind == socket.SOCK_STREAM:
            self.listener.listen()
        self.thread = threading.Thread(target=self.read, daemon=True)
        self.thread.start()

    def read(self):
        try:
            if self.kind == socket.SOCK_DGRAM:
                while line := self.listener.recv(65536):
                    self.lines.append(json.loads(line))
            while True:
                self.client, _ = self.listener.accept()
                with self.client.makefile(encoding="utf-8") as file:
                    for line in file:
                        self.lines.append(json.loads(line))
        except OSError:
            pass

    def count(self):
        return sum(line.get("dest_port") == 7401 for line in self.lines)

    def close(self):
        for each in (self.client, self.listener):
            if each is not None:
                try:
                    each.shutdown(socket.SHUT_RDWR)
                except OSError:
                    pass
                each.close()


class UnixSocket(LabTest):
    def output(self, firewall):
        return next(each for each in firewall.show("outputs") if each["output"] == "log")

    def follow_readers(self, kind):
        path = self.lab.path("reader.sock")
        if os.path.exists(path):
            os.unlink(path)
        firewall = self.start_firewall(RULES, log=f'file = "unix:{path}"\nper_second = 100000')
        datagrams(self.client, SERVER4, 7401, 30)  # nobody is there yet: they wait
        wait_until(lambda: self.output(firewall)["waiting"] >= 30, "lines wait")
        for _ in range(2):
            reader = Reader(path, kind)
            wait_until(lambda: reader.count() == 30, f"the reader gets what waited, not {reader.count()}")
            datagrams(self.client, SERVER4, 7401, 20)
            wait_until(lambda: reader.count() == 50, "and what comes")
            reader.close()
            os.unlink(path)
            time.sleep(0.3)
            datagrams(self.client, SERVER4, 7401, 30)
            wait_until(lambda: self.output(firewall)["waiting"] >= 30, "lines wait again")
        # Packets go on, and what waits has a limit.
        before = firewall.workers_sum("passed")
        for _ in range(60):
            datagrams(self.client, SERVER4, 7401, 100)
            time.sleep(0.01)
        wait_until(lambda: self.output(firewall)["lost"] > 0, "lines are counted as lost")
        self.assertGreater(firewall.workers_sum("passed"), before + 1000)
        self.assertRegex(self.output(firewall)["why"], "Broken pipe|not connected|refused")
        firewall.stop()

    def test_readers_of_a_stream_come_and_go(self):
        self.follow_readers(socket.SOCK_STREAM)

    def test_readers_of_datagrams_come_and_go(self):
        self.follow_readers(socket.SOCK_DGRAM)

    def test_a_reader_that_does_not_read_holds_up_nobody(self):
        path = self.lab.path("lazy.sock")
        listener = socket.socket(socket.AF_UNIX)
        listener.bind(path)
        listener.listen()
        self.addCleanup(listener.close)
        firewall = self.start_firewall(RULES, log=f'file = "unix:{path}"\nper_second = 100000')
        for _ in range(80):
            datagrams(self.client, SERVER4, 7401, 100)
            begin = time.monotonic()
            firewall.show("workers")
            self.assertLess(time.monotonic() - begin, 1)
        wait_until(lambda: self.output(firewall)["lost"] > 0, "lines are counted as lost")
        firewall.stop()


class Collector:
    """nfcapd in the firewall's namespace, and what nfdump says it got."""

    def __init__(self, lab, address="127.0.0.1", port=4739):
        self.lab = lab
        self.folder = lab.path(f"nfcapd-{len(lab.programs)}")
        os.mkdir(self.folder)
        self.program = lab.firewall.start("nfcapd", "-w", self.folder, "-b", address, "-p", port, "-t", "3600")
        lab.firewall.wait_for_listener(port, udp=True)

    def records(self):
        """Ends the collector, which writes its file then."""
        time.sleep(0.5)  # what its socket still holds would be lost
        self.program.signal(signal.SIGTERM)
        self.program.wait()
        result = subprocess.run(["nfdump", "-R", self.folder, "-q", "-o", "json"], capture_output=True, text=True,
                                check=True)
        if "{" not in result.stdout:
            raise LabError(f"the collector has nothing: {result.stdout}\n{self.output()}")
        text, records = result.stdout.strip().strip("[],"), []
        while text:
            record, end = json.JSONDecoder().raw_decode(text)
            records.append(record)
            text = text[end:].lstrip(" ,\n")
        return records

    def output(self):
        return self.program.output()


class Ipfix(LabTest):
    workers = 1

    def counted(self, firewall):
        """Packets and bytes of all flows, from the rules that let them in: those of a flow and no others."""
        return [sum(rule[what] for rule in firewall.show("rules") if rule["label"] == "flows") for what in ("packets", "bytes")]

    # Each packet of a flow counts at the rule of the way in, and nothing else does.
    RULES = """block
pass out
pass in proto { tcp, udp } label "flows"
pass in inet proto icmp icmp-type echoreq label "flows"
pass in inet6 proto icmp6 icmp6-type echoreq label "flows"
pass in inet6 proto icmp6 icmp6-type { neighbrsol, neighbradv }
"""

    def start(self, timeouts="", keys="domain = 7\n"):
        return self.start_firewall(timeouts + self.RULES, log='file = ""', workers=self.workers,
                                   extra=f'[ipfix]\ncollector = "127.0.0.1:4739"\n{keys}')

    def talk(self):
        for address in (SERVER4, SERVER6):
            self.assert_reaches(address)
            for number in range(5):
                with Session(self.client, self.server, address, 7500 + number) as session:
                    session.exchange(bytes(20_000))
            datagrams(self.client, address, 7600, 4, size=100)

    def output(self, firewall):
        return next(each for each in firewall.show("outputs") if each["output"] == "ipfix")

    def test_a_collector_gets_all_that_was_counted(self):
        collector = Collector(self.lab)
        firewall = self.start()
        self.talk()
        wait_until(lambda: len(firewall.show("flows")) >= 14, "flows")
        time.sleep(0.5)  # the last packets of connections that close
        packets, octets = self.counted(firewall)
        firewall.stop()
        records = collector.records()
        self.assertEqual(sum(each["in_packets"] for each in records), packets)
        self.assertEqual(sum(each["in_bytes"] for each in records), octets)
        self.assertIn("Sequence Errors: 0, Bad Packets: 0", collector.output())
        self.assertIn("Observation domain 7", collector.output())
        tcp = [each for each in records if each["proto"] == 6 and each["dst_port"] == 7500 and "src4_addr" in each]
        self.assertEqual([(each["src4_addr"], each["dst4_addr"]) for each in tcp], [(CLIENT4, SERVER4)])
        back = [each for each in records if each["proto"] == 6 and each["src_port"] == 7500 and "src4_addr" in each]
        self.assertEqual([(each["src4_addr"], each["dst_port"]) for each in back], [(SERVER4, tcp[0]["src_port"])])
        index = {name: int(self.firewall_space.run("cat", f"/sys/class/net/{name}/ifindex").stdout)
                 for name in ("rp-lan", "rp-wan")}
        self.assertEqual((tcp[0]["input_snmp"], tcp[0]["output_snmp"]), (index["rp-lan"], index["rp-wan"]))
        self.assertEqual((back[0]["input_snmp"], back[0]["output_snmp"]), (index["rp-wan"], index["rp-lan"]))
        icmp = {(each["proto"], each["icmp_type"]) for each in records if each["proto"] in (1, 58)}
        self.assertEqual(icmp, {(1, 8), (1, 0), (58, 128), (58, 129)})
        now = time.time()
        for each in records:
            first, last = (calendar.timegm(time.strptime(each[key][:19], "%Y-%m-%dT%H:%M:%S")) for key in ("first", "last"))
            self.assertTrue(now - 60 < first <= last < now + 2, each)

    def test_flows_are_told_of_when_they_end(self):
        collector = Collector(self.lab)
        firewall = self.start("set timeout { udp.first 1, udp.single 1, udp.multiple 1 }\n")
        self.assert_reaches(SERVER4)
        datagrams(self.client, SERVER4, 7600, 4, size=100)
        wait_until(lambda: self.output(firewall)["written"] >= 1, "the flow ends by its timeout")
        self.assertEqual(self.output(firewall)["lost"], 0)
        records = collector.records()
        self.assertEqual([(each["in_packets"], each["in_bytes"]) for each in records if each.get("dst_port") == 7600], [(4, 512)])
        firewall.stop()

    def test_a_collector_that_goes_and_comes(self):
        firewall = self.start("set timeout { udp.first 1, udp.single 1, udp.multiple 1 }\n", "template_seconds = 1\n")
        self.assert_reaches(SERVER4)
        wait_until(lambda: self.output(firewall)["refused"] > 1, "nobody there is noticed")
        collector = Collector(self.lab)
        wait_until(lambda: "New ipfix exporter" in collector.output(), "the collector hears of the firewall")
        datagrams(self.client, SERVER4, 7600, 1, size=100)
        wait_until(lambda: not any(flow["destination"].endswith(":7600") for flow in firewall.show("flows")),
                   "the flow ends")
        wait_until(lambda: self.output(firewall)["written"] > 0, "it is sent")
        records = collector.records()
        self.assertEqual([each["in_packets"] for each in records if each.get("dst_port") == 7600], [1])
        self.assert_reaches(SERVER4)
        firewall.stop()

    def test_the_next_data_process_goes_on_sending(self):
        collector = Collector(self.lab)
        firewall = self.start()
        self.talk()
        time.sleep(0.5)
        packets, octets = self.counted(firewall)
        firewall.kill_data_process()
        firewall.stop()
        records = collector.records()
        self.assertEqual(sum(each["in_packets"] for each in records), packets, collector.output())
        self.assertEqual(sum(each["in_bytes"] for each in records), octets)


class IpfixOfTwoWorkers(Ipfix):
    queues = 2
    workers = 2


if __name__ == "__main__":
    main()
