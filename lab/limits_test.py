#!/usr/bin/python3
"""State limits of rules: max, max-src-conn, max-src-conn-rate with overload and flush.

Workers share nothing, so each has its part of a limit: with two workers and an uneven spread of flows a limit can be
reached a little early, never late. These tests therefore ask for "not before half, not beyond the whole".
"""
import contextlib
import socket
import time

from case import LabTest, Session, main
from namespaces import CLIENT4, CLIENT6, SERVER4, SERVER6

HEAD = """block log label "default"
pass out quick
pass quick inet6 proto icmp6 icmp6-type { neighbrsol, neighbradv } no state
"""


class Limits(LabTest):
    workers = 1

    def start(self, rules):
        return self.start_firewall(HEAD + rules, workers=self.workers)

    def open_sessions(self, stack, count, port, address=SERVER4):
        """Tries `count` connections one after the other; the sessions that were made, in order."""
        made = []
        listener = self.server.socket(socket.AF_INET6 if ":" in address else socket.AF_INET, socket.SOCK_STREAM)
        stack.callback(listener.close)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((address, port))
        listener.listen(128)
        for _ in range(count):
            client = self.client.socket(listener.family, socket.SOCK_STREAM)
            stack.callback(client.close)
            client.settimeout(0.25)
            with contextlib.suppress(TimeoutError):
                client.connect((address, port))
                made.append(client)
        return made

    def assert_limit(self, made, limit):
        self.assertLessEqual(made, limit)
        self.assertGreaterEqual(made, limit if self.workers == 1 else limit // 2)

    def test_max_states_of_a_rule(self):
        firewall = self.start('pass in on lan proto tcp to port 7700 keep state (max 6) label "few"\n'
                              "pass in on lan proto tcp to port 7701\n")
        with contextlib.ExitStack() as stack:
            made = self.open_sessions(stack, 14, 7700)
            self.assert_limit(len(made), 6)
            self.assertGreater(firewall.drops().get("state_limit", 0), 0)
            self.assertEqual(firewall.rule("few")["states"], len(made))
            for client in made:
                client.send(b"still fine")
            with Session(self.client, self.server, SERVER4, 7701) as other:
                other.exchange()

    def test_max_src_states_counts_each_source_for_itself(self):
        firewall = self.start('pass in on lan proto tcp to port 7710 '
                              'keep state (source-track rule, max-src-states 4)\n')
        for address in (SERVER4, SERVER6):
            with contextlib.ExitStack() as stack:
                self.assert_limit(len(self.open_sessions(stack, 10, 7710, address)), 4)
        self.assertGreater(firewall.drops().get("source_limit", 0), 0)

    def test_max_src_conn(self):
        firewall = self.start("pass in on lan proto tcp to port 7720 keep state (max-src-conn 4)\n")
        with contextlib.ExitStack() as stack:
            self.open_sessions(stack, 12, 7720)
            # As in pf the limit is looked at when the handshake is complete: the client has seen a SYN-ACK, but its
            # connection is gone again.
            time.sleep(0.2)
            flows = [flow for flow in firewall.show("flows") if flow["destination"].endswith(":7720")]
            self.assert_limit(len(flows), 4)
        self.assertGreater(firewall.drops().get("source_limit", 0), 0)

    def check_overload(self, server, client_address):
        rules = ('table <bad> persist\n'
                 'block in log quick on lan from <bad> label "bad"\n'
                 'pass in on lan proto tcp to port 7730 keep state (max-src-conn 50, max-src-conn-rate 8/30, '
                 'overload <bad> flush global)\n'
                 'pass in on lan proto tcp to port 7731 label "quiet"\n')
        firewall = self.start(rules)
        with Session(self.client, self.server, server, 7731, 1) as quiet, contextlib.ExitStack() as stack:
            quiet.exchange()
            made = self.open_sessions(stack, 20, 7730, server)
            self.assertGreaterEqual(len(made), 8 if self.workers == 1 else 4)
            self.assertLess(len(made), 20)
            # Its other connections are flushed, on every worker.
            end = time.monotonic() + 5
            while firewall.workers_sum("flows") > 0 and time.monotonic() < end:
                time.sleep(0.05)
            self.assertEqual([flow for flow in firewall.show("flows") if "icmp" not in flow["proto"]], [])
            self.assertRaises(TimeoutError, quiet.exchange)
        # And it is blocked from now on, also where it was welcome.
        self.assertRaises(TimeoutError, Session, self.client, self.server, server, 7731, 1)
        line = firewall.wait_for_eve(lambda each: each.get("firewall", {}).get("label") == "bad", "the table's rule")
        self.assertEqual(line["src_ip"], client_address)
        self.assertGreaterEqual(firewall.workers_sum("overloaded"), 1)
        # A reload keeps what overload has put in.
        firewall.reload(HEAD + rules + "# again\n")
        self.assertRaises(TimeoutError, Session, self.client, self.server, server, 7731, 1)

    def test_a_source_that_connects_too_fast_is_blocked_over_ipv4(self):
        self.check_overload(SERVER4, CLIENT4)

    def test_a_source_that_connects_too_fast_is_blocked_over_ipv6(self):
        self.check_overload(SERVER6, CLIENT6)


class LimitsWithTwoWorkers(Limits):
    queues = 2
    workers = 2


if __name__ == "__main__":
    main()
