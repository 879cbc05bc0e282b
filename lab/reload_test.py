#!/usr/bin/python3
"""SIGHUP: new rules between two bursts, no packet and no connection lost; wrong ones change nothing."""
import contextlib
import json
import socket
import threading
import time

from case import LabTest, Session, in_thread, main
from namespaces import SERVER4, SERVER6
from servers import start_iperf3

RULES = """block log label "default"
pass out quick
pass in on lan proto { tcp, udp } label "in"
pass quick inet6 proto icmp6 icmp6-type { neighbrsol, neighbradv } no state
"""
STREAMS = 6


class Reload(LabTest):
    workers = 1

    def test_no_connection_of_iperf3_notices_a_reload(self):
        workers = self.workers
        firewall = self.start_firewall(RULES, workers=workers)
        start_iperf3(self.server, 5201 + workers)
        join = in_thread(lambda: self.client.run("iperf3", "-J", "-c", SERVER4, "-p", 5201 + workers, "-t", 6, "-P",
                                                 STREAMS, "-i", "0.5"))
        time.sleep(1.5)
        reloads = 8
        for i in range(reloads):
            # Other rules before and behind, so that every number moves; the flows have to find theirs again.
            more = "".join(f"block in quick on lan proto udp to port {2000 + n}\n" for n in range(i * 50))
            said = firewall.reload(more + RULES + f'pass in on lan proto tcp to port {5000 + i} label "more{i}"\n')
            self.assertIn("reloaded", said)
            time.sleep(0.3)
        result = join()
        report = json.loads(result.stdout)
        self.assertEqual(result.returncode, 0, result.stdout[-500:])
        self.assertNotIn("error", report)
        streams = report["end"]["streams"]
        self.assertEqual(len(streams), STREAMS)
        # The client's last interval may be too short for anything to be sent in it.
        for interval in report["intervals"][:-1]:
            self.assertGreater(interval["sum"]["bytes"], 0, "nothing moved for half a second")
        for stream in streams:
            self.assertGreater(stream["receiver"]["bytes"], 0)
        segments = report["end"]["sum_sent"]["bytes"] / 1448
        self.assertLess(report["end"]["sum_sent"]["retransmits"], max(50, segments / 100), "a retransmission storm")
        self.assertGreaterEqual(firewall.workers_sum("rechecked"), STREAMS * reloads)
        self.assertEqual(firewall.workers_sum("recheck_ended"), 0)
        self.assertEqual([reason for reason in firewall.drops() if reason.startswith("tcp_")], [])
        # One flow each for the streams and one for iperf3's own talk; none was made anew.
        self.assertEqual(firewall.workers_sum("flows_total"), STREAMS + 1)
        labels = {rule["label"]: rule for rule in firewall.show("rules")}
        self.assertIn(f"more{reloads - 1}", labels)

    def test_rules_count_on_over_reloads_to_the_packet(self):
        firewall = self.start_firewall(RULES, workers=self.workers)
        # The second has no label: it is known by its text.
        echo = 'pass in quick on lan proto udp to port 7400 label "echo"\npass out quick on wan proto udp to port 7400\n'
        firewall.reload(echo + RULES)
        port, clients, reloads = 7400, 8, 12
        done = threading.Event()
        exchanged = 0
        with contextlib.ExitStack() as stack:
            server = stack.enter_context(self.server.socket(socket.AF_INET, socket.SOCK_DGRAM))
            server.bind((SERVER4, port))
            server.settimeout(2)
            sockets = []
            for _ in range(clients):
                client = stack.enter_context(self.client.socket(socket.AF_INET, socket.SOCK_DGRAM))
                client.connect((SERVER4, port))
                client.settimeout(2)
                sockets.append(client)

            def talk():
                nonlocal exchanged
                while not done.is_set():
                    # One question and its answer at a time: nothing can be lost but by the firewall.
                    client = sockets[exchanged % clients]
                    client.send(b"question")
                    _, address = server.recvfrom(100)
                    server.sendto(b"answer", address)
                    client.recv(100)
                    exchanged += 1

            join = in_thread(talk)
            seen = 0
            for i in range(reloads):
                more = "".join(f"block in quick on lan proto tcp to port {2000 + n}\n" for n in range(i * 7 % 30))
                self.assertIn("reloaded", firewall.reload(more + echo + RULES if i % 2 else echo + RULES + more))
                now = firewall.rule("echo")["packets"]
                self.assertGreaterEqual(now, seen)
                seen = now
                time.sleep(0.05)
            done.set()
            join()
        self.assertGreater(exchanged, 10 * reloads)
        rules = firewall.show("rules")
        out, = [rule for rule in rules if rule["text"].startswith("pass out quick on wan")]
        for rule in (firewall.rule("echo"), out):
            self.assertEqual(rule["packets"], 2 * exchanged, rule)
            self.assertEqual(rule["bytes"], exchanged * (2 * 28 + len(b"question") + len(b"answer")), rule)
            self.assertEqual(rule["states_total"], clients, "a flow is made once, however many reloads it lives through")
        firewall.reload(RULES)
        self.assertIn("reloaded", firewall.reload(echo + RULES))
        self.assertEqual(firewall.rule("echo")["packets"], 0, "a rule that was gone begins anew")

    def test_rules_with_errors_change_nothing_and_every_error_is_told(self):
        firewall = self.start_firewall(RULES, workers=self.workers)
        with Session(self.client, self.server, SERVER4, 7100) as session:
            before = firewall.show("rules")
            said = firewall.reload('pass in on nowhere\npass in proto tcp to port 80 keep stat\nblok\n'
                                   'pass in on lan from <missing_brace to any\n')
            self.assertIn("rules stay as they are", said)
            for line in (1, 2, 3, 4):
                self.assertIn(f"pf.conf:{line}:", said)
            session.exchange()
            after = firewall.show("rules")
            self.assertEqual([rule["text"] for rule in before], [rule["text"] for rule in after])
        self.assertIn("reloaded", firewall.reload(RULES))

    def test_a_reload_that_blocks_a_connection_ends_it_and_leaves_the_others(self):
        firewall = self.start_firewall(RULES, workers=self.workers)
        for server in (SERVER4, SERVER6):
            with Session(self.client, self.server, server, 7200) as ends, \
                    Session(self.client, self.server, server, 7201) as stays:
                ends.exchange()
                stays.exchange()
                firewall.reload(RULES + 'block in quick on lan proto tcp to port 7200 label "no longer"\n')
                with self.assertRaises(TimeoutError):
                    ends.client.settimeout(1)
                    ends.server.settimeout(1)
                    ends.exchange()
                stays.exchange()
                self.assertGreater(firewall.workers_sum("recheck_ended"), 0)
                self.assertFalse([flow for flow in firewall.show("flows") if flow["destination"].endswith(":7200")])
            firewall.reload(RULES)

    def test_udp_and_idle_connections_survive_too(self):
        firewall = self.start_firewall(RULES, workers=self.workers)
        with self.server.socket(socket.AF_INET, socket.SOCK_DGRAM) as server, \
                self.client.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
            server.bind((SERVER4, 7300))
            server.settimeout(2)
            client.connect((SERVER4, 7300))
            client.settimeout(2)
            client.send(b"before")
            data, address = server.recvfrom(100)
            firewall.reload(RULES + "# changed\n")
            # Only the flow lets an answer from the server's side in.
            server.sendto(b"after", address)
            self.assertEqual(client.recv(100), b"after")


class ReloadWithTwoWorkers(Reload):
    queues = 2
    workers = 2


if __name__ == "__main__":
    main()
