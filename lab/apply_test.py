#!/usr/bin/python3
"""New rules are tested, told about, taken over, confirmed or taken back; what is wrong with them changes nothing."""
import json
import os
import signal
import time

from case import LabTest, Session, main
from firewall import config_text
from namespaces import SERVER4, program_path, wait_until

OPEN = 'block log label "default"\npass proto tcp label "tcp"\npass inet proto icmp no state label "ping"\n'
NO_PING = 'block log label "default"\npass proto tcp label "tcp"\nblock inet proto icmp label "ping"\n'
PING_PASSES = "in on lan inet proto icmp from 10.9.0.1 to 10.9.0.2 icmp-type echoreq expect pass\n"


class Apply(LabTest):
    def start(self, rules=OPEN, tests=None, **named):
        """A firewall with a history of its own."""
        self.state = self.lab.path(f"state-{self._testMethodName}")
        config = config_text(self.lab.folder).replace(f'{self.lab.folder}/state"', f'{self.state}"')
        if tests is not None:
            self.lab.write("pf.tests", tests)
            config = 'tests = ["pf.tests"]\n' + config
        self.config = config
        self.firewall = self.start_firewall(rules, config=config, **named)
        return self.firewall

    def come_again(self, rules):
        self.firewall = self.start_firewall(rules, config=self.config)
        return self.firewall

    def command(self, *words, code=0):
        """What a command of ringplane prints; its exit code must be `code`, and what it says about that is self.said."""
        done = self.firewall_space.run(program_path(), *words, "--socket", self.firewall.socket_path)
        self.assertEqual(done.returncode, code, done.stdout + done.stderr)
        self.said = done.stderr
        return done.stdout

    def apply(self, rules, *words, code=0):
        self.lab.write("pf.conf", rules)
        return self.command("apply", *words, code=code)

    def history(self):
        return json.loads(self.command("history", "--json"))

    def running(self):
        version, = [each for each in self.history() if each["running"]]
        return version

    def pings(self):
        return self.client.run("ping", "-c1", "-W1", SERVER4).returncode == 0

    def assert_goes_back(self, timeout_s):
        wait_until(self.pings, "the rules before do not come back", timeout_s)
        self.assertEqual(self.running()["by"], "expiry")

    def test_without_a_confirmation_the_rules_before_come_back_and_connections_stay(self):
        firewall = self.start()
        self.assert_reaches(SERVER4)
        with Session(self.client, self.server, SERVER4, 7700) as session:
            session.exchange()
            said = self.apply(NO_PING, "--confirm", "5s")
            self.assertIn("rules: 0 added, 0 removed, 1 changed, 0 moved\n", said)
            self.assertIn("version 1 comes back in 5 s, unless you type: ringplane confirm", said)
            self.assertFalse(self.pings())
            session.exchange()
            self.assertIn("unconfirmed for", self.command("history"))
            # Neither an impatient second apply nor SIGHUP may lose the way back.
            self.apply("pass\n", code=1)
            self.assertRegex(self.said, r"version 2 of the rules waits for a confirmation, \d+ s more")
            self.assertIn("rules stay as they are", firewall.reload("pass\n"))
            self.assert_goes_back(15)
            session.exchange(bytes(1 << 20))
        self.assertIn("version 2 of the rules was not confirmed in time: version 1 comes back", firewall.program.output())
        self.assertEqual([(each["by"], each.get("same_as")) for each in self.history()],
                         [("start", None), ("apply", None), ("expiry", 1)])
        self.assertEqual(firewall.workers_sum("recheck_ended"), 0)
        self.command("confirm", code=1)
        self.assertIn("no rules wait for a confirmation", self.said)

    def test_a_confirmation_keeps_them(self):
        self.start()
        self.apply(NO_PING, "--confirm", "5s")
        self.assertEqual(self.command("confirm"), "version 2 stays\n")
        time.sleep(6)
        self.assertFalse(self.pings())
        self.assertEqual(self.running()["version"], 2)

    def test_a_rule_test_that_fails_keeps_rules_out(self):
        self.start(tests=PING_PASSES)
        self.assert_reaches(SERVER4)
        self.apply(NO_PING, code=1)
        self.assertIn("1 of 1 rule tests fail:", self.said)
        self.assertIn("pf.tests:1: expected pass, but it is blocked by", self.said)
        self.assertTrue(self.pings())
        self.assertEqual(len(self.history()), 1)
        self.assertIn("1 tests hold\n", self.apply(OPEN + "pass inet proto udp\n"))
        # A start is held to the same.
        self.firewall.stop()
        self.lab.write("pf.conf", NO_PING)
        done = self.firewall_space.run(program_path(), "run", "-c", self.firewall.config_path)
        self.assertEqual(done.returncode, 78)
        self.assertIn("1 of 1 rule tests fail", done.stderr)

    def test_every_error_is_named_and_nothing_changes(self):
        firewall = self.start()
        self.assert_reaches(SERVER4)
        counted = firewall.rule("ping")["packets"]
        self.apply('blok\npass in on dmz\ninclude "absent.conf"\n', code=1)
        for line in (1, 2, 3):
            self.assertRegex(self.said, rf"pf\.conf:{line}:\d+: error: ")
        self.assertEqual(firewall.rule("ping")["packets"], counted)
        self.lab.write("ringplane.toml", self.config.replace("[workers]", "[weather]"))
        self.apply(OPEN, code=1)
        self.assertIn("unknown key 'weather'", self.said)
        self.lab.write("ringplane.toml", self.config)
        self.assertEqual(len(self.history()), 1)
        self.assertTrue(self.pings())

    def test_a_dry_run_only_tells(self):
        self.start()
        said = self.apply(NO_PING + "pass inet proto udp\n", "--dry-run")
        self.assertRegex(said, r'~ block drop inet proto icmp all label "ping"  # .*/pf\.conf:3\n  was: pass inet proto icmp all')
        self.assertRegex(said, r"\+ pass inet proto udp all keep state  # .*/pf\.conf:4")
        self.assertIn("nothing was changed; it would be 4 rules", said)
        self.assert_reaches(SERVER4)
        self.assertEqual(len(self.history()), 1)

    def test_any_version_can_be_gone_back_to(self):
        firewall = self.start()
        self.assert_reaches(SERVER4)
        self.apply(NO_PING)
        self.apply(NO_PING + "pass inet proto udp\n")
        self.assertFalse(self.pings())
        self.assertIn("version 4 runs, with the rules of version 1", self.command("rollback", "1"))
        self.assertIn("the files on disk stay as they are", self.said)
        self.assertTrue(self.pings())
        self.assertIn("version 5 runs, with the rules of version 3", self.command("rollback"))
        self.assertFalse(self.pings())
        self.command("rollback", "1")
        table = self.command("history").splitlines()
        self.assertEqual(len(table), 7)
        self.assertIn("rollback to 1, runs", table[-1])
        self.assertIn("rules: 0 added, 0 removed, 1 changed, 0 moved", self.command("history", "2"))
        self.command("rollback", "77", code=1)
        self.assertIn("there is no version 77 of the rules: kept are 1 to 6", self.said)
        # It stays so over a death of the control process and over a stop and a start.
        firewall.program.signal(signal.SIGKILL)
        firewall.program.wait()
        firewall = self.come_again(NO_PING + "pass inet proto udp\n")
        self.assertTrue(self.pings())
        firewall.stop()
        firewall = self.come_again(NO_PING + "pass inet proto udp\n")
        self.assertIn("the rules on disk are not taken", firewall.program.output())
        self.assertTrue(self.pings())
        self.assertEqual(self.running()["version"], 6)
        self.assertIn("reloaded", firewall.reload(NO_PING + "pass inet proto udp\n"))
        self.assertFalse(self.pings())

    def test_the_control_process_dies_while_rules_wait(self):
        for late in (False, True):
            with self.subTest(late=late):
                firewall = self.start()
                self.assert_reaches(SERVER4)
                self.apply(NO_PING, "--confirm", "5s")
                applied = time.monotonic()
                firewall.program.signal(signal.SIGKILL)
                firewall.program.wait()
                if late:
                    time.sleep(6)
                self.assertFalse(self.pings(), "the data process goes on with them")
                firewall = self.come_again(NO_PING)
                if not late:
                    self.assertIn("waiting_s", self.running())
                self.assert_goes_back(3 if late else 8)
                self.assertGreater(time.monotonic() - applied, 5)
                firewall.stop()

    def test_both_die_while_rules_wait(self):
        firewall = self.start()
        self.apply(NO_PING, "--confirm", "1h")
        firewall.kill()
        self.come_again(NO_PING)
        self.assert_reaches(SERVER4)
        self.assertEqual(self.running()["by"], "expiry")
        self.apply(NO_PING)
        self.assertFalse(self.pings(), "who says so again means it")

    def test_an_upgrade_takes_the_deadline_along(self):
        self.start()
        self.assert_reaches(SERVER4)
        self.apply(NO_PING, "--confirm", "5s")
        self.command("upgrade")
        wait_until(lambda: "attached to the data process" in self.firewall.program.output(), "it does not come again")
        wait_until(lambda: self.firewall.ask("/v1/history"), "it does not answer")
        self.assertIn("waiting_s", self.running())
        self.assert_goes_back(8)

    def test_a_hundred_applies_lose_no_packet(self):
        firewall = self.start()
        self.assert_reaches(SERVER4)
        count = 2000
        ping = self.client.start("ping", "-i", "0.01", "-c", str(count), "-W", "2", SERVER4)
        with Session(self.client, self.server, SERVER4, 7701) as session:
            begin = time.monotonic()
            for i in range(100):
                more = "".join(f"block in on lan inet proto udp to port {2000 + n}\n" for n in range(i))
                self.lab.write("pf.conf", more + OPEN)
                answer = firewall.post("/v1/apply")
                self.assertEqual(answer["version"], i + 1)
                session.exchange()
            print(f"100 applies took {time.monotonic() - begin:.1f} s", flush=True)
        self.assertEqual(ping.wait(60), 0)
        self.assertIn(f"{count} packets transmitted, {count} received", ping.output())
        self.assertEqual(len(self.history()), 20, "only so many are kept")
        self.assertEqual(len([name for name in os.listdir(self.state) if name.startswith("rules-")]), 20)

    def test_a_full_disk_is_a_warning(self):
        state = self.lab.path("small")
        os.makedirs(state, exist_ok=True)
        mount = f'mount -t tmpfs -o size=64k ringplane {state} && exec "$@"'
        config = config_text(self.lab.folder).replace(f'{self.lab.folder}/state"', f'{state}"')
        self.firewall = self.start_firewall(OPEN, config=config, wrapper=("unshare", "-m", "sh", "-c", mount, "sh"))
        self.assert_reaches(SERVER4)
        inside = ("nsenter", "-t", str(self.firewall.program.pid), "-m")
        self.firewall_space.run(*inside, "dd", "if=/dev/zero", f"of={state}/filler", "bs=4096")
        self.apply(NO_PING)
        self.assertIn("version 2 of the rules cannot be written to", self.said)
        self.assertIn("No space left on device", self.said)
        self.assertFalse(self.pings(), "they run all the same")
        self.apply(NO_PING + "pass inet proto udp\n")
        self.command("rollback", "2")
        self.command("rollback", "1")
        self.assertTrue(self.pings())
        self.firewall_space.run(*inside, "rm", f"{state}/filler", check=True)
        self.apply(NO_PING)
        self.assertEqual(self.said, "")
        said = self.firewall_space.run(*inside, "ls", state).stdout.split()
        self.assertEqual(sorted(said), ["lock", "rules-1", "rules-6"])

    def test_it_brings_back_a_data_process_that_could_not_live(self):
        firewall = self.start("block\n")
        for _ in range(10):
            if firewall.data_pid() is None:
                break
            firewall.kill_data_process()
        self.assertIsNone(firewall.data_pid())
        self.apply(OPEN)
        self.assert_reaches(SERVER4)

    def test_words_that_make_no_sense_are_refused(self):
        self.start()
        for words, code in ((("--confirm", "soon"), 2), (("--confirm", "4s"), 1), (("--confirm", "2h"), 1)):
            self.apply(OPEN, *words, code=code)
        self.assertIn("from 5 to 3600 seconds", self.said)
        for body in ('{"confirm_s": -1}', '{"confirm_s": "60"}', '{"dry_run": 1}', "[]", "{"):
            status, answer = self.firewall.request("POST", "/v1/apply", body)
            self.assertEqual(status, 400, answer)
        for path, status in (("/v1/history/x", 400), ("/v1/history/99", 409)):
            self.assertEqual(self.firewall.request("GET", path)[0], status)


if __name__ == "__main__":
    main()
