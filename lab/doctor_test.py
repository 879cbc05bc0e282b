#!/usr/bin/python3
"""`ringplane doctor`: what it tells to type is typed, word for word, and the finding is gone; and it changes nothing itself."""
import json
import os
import shutil
import stat

from case import LabTest, Session, main
from firewall import config_text
from namespaces import SERVER4, program_path, wait_until

FINE, BROKEN, USAGE, BAD_CONFIGURATION = 0, 1, 2, 78


class Doctor(LabTest):
    queues = 2

    def doctor(self, *words, program=None, wrapper=()):
        """Exit code, and findings by subject and what was looked at."""
        done = self.firewall_space.run(*wrapper, program or program_path(), "doctor", "--json", *words)
        self.assertIn(done.returncode, (FINE, BROKEN), done.stderr)
        findings = json.loads(done.stdout)
        broken = [f"{each['subject']} {each['what']}" for each in findings if each["level"] == "broken"]
        self.assertEqual(done.returncode, BROKEN if broken else FINE)
        for name in broken:
            self.assertIn(name, done.stderr)
        return done.returncode, {(each["subject"], each["what"]): each for each in findings}

    def type_advice_about(self, findings, *subjects):
        """Every command for these subjects; what was looked at where one was given."""
        typed = set()
        for (subject, what), finding in findings.items():
            if subject in subjects and finding["advice"].startswith("type: "):
                done = self.firewall_space.run("sh", "-ec", finding["advice"].removeprefix("type: "))
                self.assertEqual(done.returncode, 0, f"{finding}\n{done.stderr}")
                typed.add((subject, what))
        return typed

    def config(self, workers=2, **words):
        return self.lab.write("doctor.toml", config_text(self.lab.folder, workers=workers, **words))

    def state_of_interfaces(self):
        outputs = [self.firewall_space.ip("-d", "link", "show")]
        for name in ("rp-lan", "rp-wan"):
            for question in ("-k", "-l"):
                outputs.append(self.firewall_space.run("ethtool", question, name).stdout)
        return outputs

    def add_pair(self, *words):
        """veth ends v0 and v1 as the kernel makes them; they go with the test."""
        self.firewall_space.ip("link", "add", "v0", *words, "type", "veth", "peer", "name", "v1", *words)
        self.addCleanup(self.firewall_space.ip, "link", "del", "v0")

    def test_what_it_tells_to_type_helps(self):
        self.add_pair()
        self.firewall_space.ip("link", "set", "v1", "up")
        self.firewall_space.ip("link", "set", "v0", "mtu", "9000")
        self.firewall_space.run("ethtool", "-K", "v0", "gro", "on", check=True)
        self.firewall_space.run("ethtool", "-K", "v1", "tx", "on", "tso", "on", "gso", "on", check=True)
        code, findings = self.doctor("v0")
        self.assertEqual(code, BROKEN)
        for what, level, command in (("link", "broken", "type: ip link set v0 up"),
                                     ("mtu", "broken", "ip link set v0 mtu 1770"),
                                     ("gro", "slow", "type: ethtool -K v0 gro off"),
                                     ("other end", "broken", "type: ethtool -K v1 tx off tso off gso off txvlan off")):
            finding = findings["v0", what]
            self.assertEqual(finding["level"], level, finding)
            self.assertIn(command, finding["advice"])
        self.firewall_space.ip("link", "set", "v0", "mtu", "1770")  # one of the two ways that are given
        typed = self.type_advice_about(findings, "v0")
        self.assertEqual(typed, {("v0", "link"), ("v0", "gro"), ("v0", "other end")})
        wait_until(lambda: self.firewall_space.addresses_of("v0")["operstate"] == "UP", "v0 does not come up")
        _, after = self.doctor("v0")
        for key in typed | {("v0", "mtu")}:
            self.assertEqual(after[key]["level"], "ok", after[key])
        self.assertEqual({key for key, each in after.items() if key[0] == "v0" and each["level"] == "broken"}, set())

    def test_segments_and_tags_of_the_other_end(self):
        self.add_pair()
        for offloads, level in ((("txvlan", "on", "tx", "off", "gso", "off"), "broken"),
                                (("txvlan", "off", "tx", "off", "gso", "on"), "slow")):
            self.firewall_space.run("ethtool", "-K", "v1", *offloads, check=True)
            _, findings = self.doctor("v0")
            self.assertEqual(findings["v0", "other end"]["level"], level, findings["v0", "other end"])
            self.firewall_space.run("sh", "-ec", findings["v0", "other end"]["advice"].removeprefix("type: "), check=True)
            self.assertEqual(self.doctor("v0")[1]["v0", "other end"]["level"], "ok")

    def test_queues_that_do_not_go_with_the_workers(self):
        self.firewall_space.run("ethtool", "-L", "rp-lan", "rx", "1", "tx", "1", check=True)
        code, findings = self.doctor("-c", self.config(workers=2))
        self.assertEqual(code, BROKEN)
        self.assertEqual(findings["lan", "queues"]["level"], "broken")
        self.assertEqual(self.type_advice_about(findings, "lan"), {("lan", "queues")})
        self.assertEqual(self.doctor("-c", self.config(workers=2))[1]["lan", "queues"]["level"], "ok")

    def test_a_bridge_of_two_sizes(self):
        self.firewall_space.ip("link", "set", "rp-wan", "mtu", "1400")
        self.addCleanup(self.firewall_space.ip, "link", "set", "rp-wan", "mtu", "1500")
        _, findings = self.doctor("-c", self.config())
        self.assertEqual(findings["lan-wan", "mtu"]["advice"], "type: ip link set rp-lan mtu 1400")
        self.addCleanup(self.firewall_space.ip, "link", "set", "rp-lan", "mtu", "1500")
        self.type_advice_about(findings, "lan-wan")
        self.assertEqual(self.doctor("-c", self.config())[1]["lan-wan", "mtu"]["level"], "ok")

    def test_where_it_finds_nothing_broken_ringplane_runs(self):
        before = self.state_of_interfaces()
        config = self.config()
        code, findings = self.doctor("-c", config)
        self.assertEqual(code, FINE, findings)
        self.assertEqual(findings["lan", "xdp"]["level"], "ok")
        self.assertEqual(self.state_of_interfaces(), before, "it has changed something")
        self.start_firewall(workers=2)
        code, findings = self.doctor("-c", config)
        self.assertEqual(code, FINE, findings)
        self.assertIn("ringplane runs", findings["lan", "xdp"]["finding"])
        self.assert_reaches(SERVER4)

    def test_what_it_calls_broken_is_broken(self):
        self.start_firewall(workers=2)
        self.assert_reaches(SERVER4)
        self.client.run("ethtool", "-K", "c0", "tx", "on", check=True)
        with self.assertRaises(OSError):  # receivers throw away what has no checksum
            Session(self.client, self.server, SERVER4, 8080, timeout_s=1.5)
        finding = self.doctor("-c", self.config())[1]["lan", "other end"]
        self.assertEqual(finding["level"], "unknown", "it is in another namespace")
        self.client.run("sh", "-ec", finding["advice"].removeprefix("there: ").replace("OTHER-END", "c0"), check=True)
        with Session(self.client, self.server, SERVER4, 8080) as session:
            session.exchange()

    def test_an_ordinary_user_is_told_what_only_root_may_see(self):
        program = shutil.copy(program_path(), self.lab.path("ringplane"))
        os.chmod(self.lab.folder, 0o755)
        self.addCleanup(os.chmod, self.lab.folder, 0o700)
        nobody = ("setpriv", "--reuid", "65534", "--regid", "65534", "--clear-groups")
        code, findings = self.doctor("rp-lan", program=program, wrapper=nobody)
        self.assertEqual(code, FINE, findings)
        self.assertEqual(findings["kernel", "rights"]["level"], "unknown")
        jit = "/proc/sys/net/core/bpf_jit_enable"
        if os.path.exists(jit) and not stat.S_IMODE(os.stat(jit).st_mode) & stat.S_IROTH:
            self.assertEqual(findings["kernel", "bpf jit"]["finding"], "only root may look at it")
        _, as_root = self.doctor("rp-lan")
        for what in ("link", "driver", "mtu", "queues", "gro"):
            self.assertEqual(findings["rp-lan", what], as_root["rp-lan", what], "every user may ask that")

    def test_without_names_it_looks_at_what_could_be_a_port(self):
        _, findings = self.doctor()
        subjects = {subject for subject, _ in findings}
        self.assertLessEqual({"rp-lan", "rp-wan", "kernel", "memory", "cpu"}, subjects)
        self.assertNotIn("lo", subjects)

    def test_lines_for_people(self):
        done = self.firewall_space.run(program_path(), "doctor", "rp-lan")
        for line in done.stdout.splitlines():
            self.assertRegex(line, r"^(ok|slow|broken|unknown) +\S|^ {10}", line)
            if "type: " not in line:
                self.assertLessEqual(len(line), 80, line)

    def test_what_is_wrong_with_the_question(self):
        def fails(code, *words):
            done = self.firewall_space.run(program_path(), "doctor", *words)
            self.assertEqual(done.returncode, code, done.stderr)
            return done

        fails(USAGE, "--nonsense")
        self.assertIn("either", fails(USAGE, "-c", self.config(), "rp-lan").stderr)
        self.assertIn("cannot", fails(BAD_CONFIGURATION, "-c", self.lab.path("gone.toml")).stderr)
        self.assertIn("there is no interface gone0", fails(BROKEN, "gone0").stdout)
        self.assertIn("there is no interface", fails(BROKEN, "x" * 40).stdout)


if __name__ == "__main__":
    main()
