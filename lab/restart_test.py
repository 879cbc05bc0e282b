#!/usr/bin/python3
"""The daemon dies without goodbye (kill -9), and is started again.

Flows live in its memory, so they are gone. Whether a connection goes on is for the rules to say: `pass` for TCP means
`flags S/SA`, by which a packet in the middle of a connection without a flow is blocked; `pass flags any` picks it up.
"""
import os
import signal

from case import LabTest, Session, main
from namespaces import SERVER4, SERVER6

STRICT = "block log\npass proto tcp\npass proto { icmp, icmp6 } no state\n"
PICK_UP = "block log\npass proto tcp flags any\npass proto { icmp, icmp6 } no state\n"


class Restart(LabTest):
    def kill(self, firewall):
        firewall.program.signal(signal.SIGKILL)
        self.assertEqual(firewall.program.wait(), -signal.SIGKILL)

    def test_after_kill_9_nothing_is_left_on_the_interfaces_and_a_start_works(self):
        firewall = self.start_firewall(STRICT)
        self.assert_reaches(SERVER4)
        self.kill(firewall)
        self.assert_no_xdp_program()
        self.assertNotEqual(self.client.run("ping", "-c1", "-W1", SERVER4).returncode, 0, "a hole beside the firewall")
        self.assertTrue(os.path.exists(firewall.socket_path), "this test is about a socket that stays")
        self.start_firewall(STRICT)
        self.assert_reaches(SERVER4)
        self.assert_reaches(SERVER6)

    def test_connections_go_on_where_the_rules_say_flags_any(self):
        firewall = self.start_firewall(PICK_UP)
        for server in (SERVER4, SERVER6):
            with self.subTest(server=server), Session(self.client, self.server, server, 7400, 15) as session:
                session.exchange(bytes(1 << 20))
                self.kill(firewall)
                firewall = self.start_firewall(PICK_UP)
                # Larger than any window without scaling, which the new flow cannot know.
                session.exchange(bytes(4 << 20))

    def test_connections_end_where_the_rules_want_a_syn_first(self):
        firewall = self.start_firewall(STRICT)
        with Session(self.client, self.server, SERVER4, 7500, 1) as session:
            session.exchange()
            self.kill(firewall)
            firewall = self.start_firewall(STRICT)
            with self.assertRaises(TimeoutError):
                session.exchange()
        with Session(self.client, self.server, SERVER4, 7501) as session:
            session.exchange()


if __name__ == "__main__":
    main()
