#!/usr/bin/python3
"""One of the two processes dies without goodbye (kill -9), or both do.

Flows, frames and counters lie in memory that outlives the data process: another one takes over, and no connection is
lost; an upgrade goes the same way. While no control process lives packets go on, and the next one comes to the data process that runs. When both die
the flows are gone: `pass` for TCP means `flags S/SA`, by which a packet in the middle of a connection without a flow is
blocked; `pass flags any` picks it up.
"""
import os
import shutil
import signal

from case import LabTest, Session, main
from crowd import Crowd
from firewall import config_text
from namespaces import SERVER4, SERVER6, children_of, program_path, wait_until

STRICT = 'block log\npass proto tcp label "tcp"\npass proto { icmp, icmp6 } no state\n'
PICK_UP = "block log\npass proto tcp flags any\npass proto { icmp, icmp6 } no state\n"


class DataProcessDies(LabTest):
    def test_a_thousand_connections_outlive_it(self):
        firewall = self.start_firewall(STRICT, workers=1)
        with Crowd(self.client, self.server, SERVER4, 7300, 1000) as crowd:
            self.assertTrue(crowd.wait_for_all(1), "not all connections have begun")
            for _ in range(3):
                said = firewall.kill_data_process()
                self.assertRegex(said, r"was ended by signal 9 .*another takes over")
                self.assertRegex(said, r"running again after .*: 10\d\d flows kept, \d dropped")
                self.assertTrue(crowd.wait_for_all(3), f"connections stand still: {sorted(crowd.answered)[:5]}")
                self.assertEqual(crowd.broken, [])
            self.assertEqual(firewall.workers_sum("flows_evicted"), 0)
            self.assertGreaterEqual(firewall.workers_sum("flows_total"), 1000, "counters go on")

    def test_what_was_counted_stays_counted(self):
        firewall = self.start_firewall(STRICT)
        self.assert_reaches(SERVER4)
        before = firewall.show("ports")
        passed = firewall.workers_sum("passed")
        self.assertGreater(passed, 0)
        firewall.kill_data_process()
        for port, was in zip(firewall.show("ports"), before):
            self.assertGreaterEqual(port["rx_packets"], was["rx_packets"])
        self.assertGreaterEqual(firewall.workers_sum("passed"), passed)

    def test_rules_of_a_reload_are_those_of_the_next(self):
        firewall = self.start_firewall("block\n")
        firewall.reload(STRICT)
        firewall.kill_data_process()
        self.assert_reaches(SERVER4)
        self.assertEqual([rule["label"] for rule in firewall.show("rules")].count("tcp"), 1)

    def die_again_and_again(self, firewall):
        said = ""
        for _ in range(10):
            if firewall.data_pid() is None:
                break
            said = firewall.kill_data_process()
        return said

    def test_one_that_always_dies_leaves_the_bridge_closed(self):
        firewall = self.start_firewall("pass\n")
        self.assert_reaches(SERVER4)
        self.assertIn("bridges are lan-wan closed now", self.die_again_and_again(firewall))
        self.assertNotEqual(self.client.run("ping", "-c1", "-W1", SERVER4).returncode, 0)
        self.assertIn("no data process lives", firewall.request("GET", "/v1/ports")[1]["error"])
        firewall.program.signal(signal.SIGHUP)
        self.assert_reaches(SERVER4)

    def test_or_open_where_the_configuration_says_so(self):
        # Generic XDP: a veth takes frames from another's native XDP only with GRO, which the labs switch off.
        generic = 'mode = "generic"\n'
        config = config_text(self.lab.folder, lan=generic, wan=generic).replace("[[bridge]]", '[[bridge]]\nfail = "open"')
        firewall = self.start_firewall("block\n", config=config)
        self.assertNotEqual(self.client.run("ping", "-c1", "-W1", SERVER4).returncode, 0)
        self.assertIn("bridges are lan-wan open (unfiltered) now", self.die_again_and_again(firewall))
        self.assert_reaches(SERVER4)
        firewall.program.signal(signal.SIGHUP)
        wait_until(lambda: firewall.show("drops") if firewall.data_pid() else None, "it does not come back")
        self.assertNotEqual(self.client.run("ping", "-c1", "-W1", SERVER4).returncode, 0, "filtered again")

    def test_one_that_stands_by_is_replaced_too(self):
        firewall = self.start_firewall(STRICT)

        def standby():
            return {each["process"]: each["pid"] for each in firewall.show("processes")}.get("standby")

        first = wait_until(standby, "none stands by")
        os.kill(first, signal.SIGKILL)
        wait_until(lambda: standby() not in (None, first), "no other one stands by", 20)
        self.assertIn("running again", firewall.kill_data_process())
        self.assert_reaches(SERVER4)

    def test_it_can_do_nothing_but_move_packets(self):
        firewall = self.start_firewall(STRICT)
        attempts = firewall.show("isolation")
        self.assertGreater(len(attempts), 8)
        for attempt in attempts:
            self.assertTrue(attempt["refused"], attempt)
        with open(f"/proc/{firewall.data_pid()}/status", encoding="ascii") as file:
            status = dict(line.rstrip("\n").split(":\t", 1) for line in file if ":\t" in line)
        self.assertEqual({status[key] for key in ("CapEff", "CapPrm", "CapInh", "CapBnd", "CapAmb")}, {"0" * 16})
        self.assertEqual((status["NoNewPrivs"], status["Seccomp"]), ("1", "2"))
        self.assert_reaches(SERVER4)


class DataProcessOfTwoWorkersDies(LabTest):
    queues = 2

    def test_connections_and_frames_of_both_go_on(self):
        firewall = self.start_firewall(STRICT, workers=2)
        with Crowd(self.client, self.server, SERVER4, 7310, 300) as crowd:
            self.assertTrue(crowd.wait_for_all(1), "not all connections have begun")
            for worker in firewall.show("workers"):
                self.assertGreater(worker["flows"], 0, "each worker owns some of the flows")
            for _ in range(3):
                self.assertRegex(firewall.kill_data_process(), r"3\d\d flows kept, \d dropped")
                self.assertTrue(crowd.wait_for_all(3), f"connections stand still: {sorted(crowd.answered)[:5]}")
                self.assertEqual(crowd.broken, [])


class ControlProcessDies(LabTest):
    def test_packets_go_on_and_the_next_one_comes_to_the_data_process(self):
        firewall = self.start_firewall(STRICT)
        data = firewall.data_pid()
        with Session(self.client, self.server, SERVER4, 7350) as session:
            session.exchange()
            firewall.program.signal(signal.SIGKILL)
            firewall.program.wait()
            session.exchange(bytes(1 << 20))
            self.assertIn(data, children_of(os.getpid()), "it lives, as a child of the lab")
            firewall = self.start_firewall(STRICT)
            self.assertIn(f"attached to the data process {data}", firewall.program.output())
            self.assertEqual(firewall.data_pid(), data)
            session.exchange()
            # It can do all that the first one could.
            self.assertIn("reloaded", firewall.reload(STRICT + "pass proto udp\n"))
            firewall.kill_data_process()
            session.exchange()

    def test_it_brings_the_rules_that_are_on_disk_by_then(self):
        firewall = self.start_firewall("block\n")
        firewall.program.signal(signal.SIGKILL)
        firewall.program.wait()
        firewall = self.start_firewall(STRICT)
        self.assert_reaches(SERVER4)


class Upgrade(LabTest):
    def install(self):
        """The program under test as a new file where the running one was."""
        path = self.lab.path("ringplane")
        shutil.copy(program_path(), path + ".new")
        os.rename(path + ".new", path)
        return path

    def exe_of(self, pid):
        return os.readlink(f"/proc/{pid}/exe")

    def test_both_processes_become_the_new_program_and_no_connection_is_lost(self):
        path = self.install()
        firewall = self.start_firewall(STRICT, program=path)
        with Crowd(self.client, self.server, SERVER4, 7600, 200) as crowd:
            self.assertTrue(crowd.wait_for_all(1))
            for _ in range(2):
                self.install()
                before = {each["process"]: each["pid"] for each in firewall.show("processes")}
                self.assertIn("(deleted)", self.exe_of(before["data"]))
                done = firewall.lab.firewall.run(path, "upgrade", "--socket", firewall.socket_path)
                self.assertEqual((done.returncode, done.stdout), (0, f"{path} runs now\n"), done.stderr)
                wait_until(lambda: firewall.program.output().rstrip().endswith("running"), "it does not run again")
                now = {each["process"]: each["pid"] for each in firewall.show("processes")}
                self.assertEqual(now["control"], before["control"], "the service manager sees no change")
                self.assertNotEqual(now["data"], before["data"])
                self.assertEqual({self.exe_of(now[each]) for each in ("control", "data")}, {path})
                self.assertTrue(crowd.wait_for_all(3))
                self.assertEqual(crowd.broken, [])

    def test_a_program_that_is_of_no_use_changes_nothing(self):
        path = self.install()
        firewall = self.start_firewall(STRICT, program=path)
        shutil.copy("/bin/false", path + ".new")
        os.rename(path + ".new", path)
        before = firewall.data_pid()
        done = firewall.lab.firewall.run(program_path(), "upgrade", "--socket", firewall.socket_path)
        self.assertEqual(done.returncode, 1)
        self.assertIn("nothing was changed, since the new program is of no use", done.stderr)
        self.assertEqual(firewall.data_pid(), before)
        self.assert_reaches(SERVER4)


class BothDie(LabTest):
    def test_nothing_is_left_on_the_interfaces_and_a_start_works(self):
        firewall = self.start_firewall(STRICT)
        self.assert_reaches(SERVER4)
        firewall.kill()
        # The kernel frees a program a moment after its last descriptor.
        wait_until(lambda: "prog/xdp" not in self.firewall_space.run("ip", "-d", "link").stdout, "an XDP program stays")
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
                firewall.kill()
                firewall = self.start_firewall(PICK_UP)
                # Larger than any window without scaling, which the new flow cannot know.
                session.exchange(bytes(4 << 20))

    def test_connections_end_where_the_rules_want_a_syn_first(self):
        firewall = self.start_firewall(STRICT)
        with Session(self.client, self.server, SERVER4, 7500, 1) as session:
            session.exchange()
            firewall.kill()
            firewall = self.start_firewall(STRICT)
            with self.assertRaises(TimeoutError):
                session.exchange()
        with Session(self.client, self.server, SERVER4, 7501) as session:
            session.exchange()


if __name__ == "__main__":
    main()
