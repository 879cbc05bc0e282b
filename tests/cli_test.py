#!/usr/bin/env python3
"""The program from outside: every sub-command's help, JSON, exit codes and error messages.

Usage: cli_test.py PROGRAM. Needs no privileges; the data plane itself is tried in lab/.
"""
import hashlib
import json
import os
import re
import struct
import subprocess
import sys
import tempfile
import unittest
from pathlib import Path

PROGRAM = ""
ROOT = Path(__file__).resolve().parent.parent
EXAMPLE = ROOT / "examples" / "bridge"
FINE, FAILED, USAGE, INCOMPLETE, BAD_CONFIGURATION = 0, 1, 2, 3, 78
COMMANDS = ["run", "check", "explain", "test", "replay", "show", "top", "apply", "confirm", "rollback", "history", "import", "doctor"]
WEB = "in on lan proto tcp from 10.9.0.1 port 40000 to 10.9.0.2 port 80 flags S"
SSH = "in on lan proto tcp from 10.9.0.1 port 40000 to 10.9.0.2 port 22 flags S"


def run(*words, cwd=None):
    return subprocess.run([PROGRAM, *map(str, words)], capture_output=True, text=True, timeout=60, cwd=cwd,
                          stdin=subprocess.DEVNULL)


def contents(folder):
    """Every file below `folder` with a digest: two of them are equal if nothing was written."""
    return {str(p.relative_to(folder)): hashlib.sha256(p.read_bytes()).hexdigest()
            for p in sorted(Path(folder).rglob("*")) if p.is_file()}


class Case(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory(prefix="ringplane-cli-")
        self.addCleanup(folder.cleanup)
        self.folder = Path(folder.name)

    def write(self, name, text):
        path = self.folder / name
        path.write_text(text) if isinstance(text, str) else path.write_bytes(text)
        return path

    def exits(self, code, *words, cwd=None):
        done = run(*words, cwd=cwd)
        self.assertEqual(done.returncode, code, f"{words}\n{done.stdout}\n{done.stderr}")
        self.assertNotIn("terminate called", done.stderr)
        if code != FINE:
            self.assertTrue((done.stderr + done.stdout).strip(), f"{words} failed in silence")
        return done


class Help(Case):
    def test_every_command_explains_itself(self):
        whole = self.exits(FINE, "--help").stdout
        for command in COMMANDS:
            self.assertRegex(whole, rf"\b{command}\b")
            self.assertIn("--help", self.exits(FINE, command, "--help").stdout)

    def test_what_prints_data_has_json(self):
        for command in ("check", "explain", "test", "replay", "show", "apply", "confirm", "rollback", "history", "doctor"):
            self.assertIn("--json", self.exits(FINE, command, "--help").stdout)

    def test_the_version(self):
        self.assertRegex(self.exits(FINE, "--version").stdout, r"^ringplane \d+\.\d+")

    def test_usage_errors(self):
        for words in ([], ["dance"], ["check", "--nonsense"], ["check"], ["explain", "-f", EXAMPLE / "pf.conf"],
                      ["show", "weather"], ["replay"], ["run"], ["import"], ["test", "-f", EXAMPLE / "pf.conf"],
                      ["check", "-f", EXAMPLE / "pf.conf", "-c", EXAMPLE / "ringplane.toml"],
                      ["show", "flows", "--limit", "many"], ["rollback", "first"], ["rollback", "0"], ["history", "-1"],
                      ["apply", "--confirm", "soon"], ["top", "--interval", "0.1"], ["top", "--interval", "61"], ["top", "--interval", "often"],
                      ["doctor", "--nonsense"], ["doctor", "-c", EXAMPLE / "ringplane.toml", "eth0"]):
            with self.subTest(words=words):
                self.exits(USAGE, *words)

    def test_import_classbench_makes_rules_that_check_accepts(self):
        with tempfile.TemporaryDirectory() as folder:
            rules = Path(folder) / "set"
            rules.write_text("@10.1.2.0/24\t192.0.2.1/32\t0 : 65535\t80 : 80\t0x06/0xFF\t0x0000/0x0200\n")
            made = self.exits(FINE, "import", "classbench", rules)
            self.assertEqual(made.stdout, "pass quick inet proto 6 from 10.1.2.0/24 to 192.0.2.1/32 port 80\n")
            self.assertIn("1 of 1 translated", made.stderr)
            (Path(folder) / "pf.conf").write_text(made.stdout)
            self.exits(FINE, "check", "-f", Path(folder) / "pf.conf")
            rules.write_text("@10.1.2.0/24\n")
            self.assertIn("set:1:", self.exits(FAILED, "import", "classbench", rules).stderr)
            self.exits(FAILED, "import", "classbench", Path(folder) / "none")

    def test_every_measurement_prints_the_keys_that_scripts_rely_on(self):
        short = ["--repeat", "1", "--seconds", "0.01"]
        for words, keys in (
                (["firewall", "--flows", "1k", *short], ["mpps", "probe_mpps", "bytes_per_flow", "cycles_per_packet"]),
                (["connect", "--flows", "4k", *short], ["connections_per_s", "churn_connections_per_s"]),
                (["classify", "--rules", "synth:1k", "--trace", "x", *short],
                 ["mlookups_per_s", "mismatches", "bytes_per_rule"]),
                (["compile", "--rules", "synth:1k", "--table", "1k", "--repeat", "1"],
                 ["compile_seconds", "table_seconds", "rule_change_us", "table_change_us"]),
                (["reload", "--rules", "synth:1k", "--flows", "2k", "--repeat", "1"],
                 ["packets_lost", "longest_gap_us"]),
                (["latency", "--flows", "1k", *short], ["p50_us", "p99_us", "p999_us", "packets_left_out"]),
                (["flood", "--flows", "2k", *short], ["mpps", "established_rate_kept", "established_evicted"])):
            with self.subTest(words=words):
                if words[0] == "latency" and (os.cpu_count() or 1) < 2:
                    self.skipTest("latency is measured from a second processor, and there is one")
                report = json.loads(self.exits(FINE, "bench", *words).stdout)
                self.assertEqual(report["bench"], words[0])
                self.assertLessEqual(set(keys + ["machine"]), set(report))
                self.assertEqual(report.get("mismatches", 0), 0)
                self.assertEqual(report.get("packets_lost", 0), 0)
        self.exits(FAILED, "bench", "classify", "--rules", "no-such-set")
        self.exits(USAGE, "bench", "firewall", "--flows", "many")

    def test_import_of_what_other_firewalls_print(self):
        cases = ROOT / "tests" / "import_cases"
        for form, file, code in (("iptables-save", "iptables.save", INCOMPLETE), ("nft-json", "nft.json", INCOMPLETE),
                                 ("iptables-save", "ip6tables.save", FINE), ("ipset", "ipset.save", INCOMPLETE)):
            with self.subTest(file=file), tempfile.TemporaryDirectory() as folder:
                made = self.exits(code, "import", form, cases / file)
                last = made.stdout.splitlines()[-1]
                self.assertRegex(last, r"^# \d+ of \d+ translated$")
                self.assertIn(last[2:], made.stderr)
                self.assertEqual(code == FINE, "# not translated: " not in made.stdout)
                (Path(folder) / "pf.conf").write_text(made.stdout)
                self.exits(FINE, "check", "-f", Path(folder) / "pf.conf")

    def test_import_of_a_host_and_of_nonsense(self):
        rules = self.write("rules", "*filter\n:INPUT DROP [0:0]\n-A INPUT -p udp -m udp --dport 53 -j ACCEPT\nCOMMIT\n")
        self.exits(INCOMPLETE, "import", "iptables-save", rules)
        self.assertIn("pass out quick on dmz inet proto udp", self.exits(FINE, "import", "iptables-save", "--host", "dmz", rules).stdout)
        self.exits(USAGE, "import", "iptables-save", "--host", "d z", rules)
        self.exits(USAGE, "import", "ipfw", rules)
        self.assertIn("rules:2:", self.exits(FAILED, "import", "iptables-save", self.write("rules", "*filter\nx\n")).stderr)
        self.exits(FAILED, "import", "nft-json", self.folder / "absent")


class Check(Case):
    def test_the_example_is_fine(self):
        self.assertIn("fine", self.exits(FINE, "check", "-c", EXAMPLE / "ringplane.toml").stdout)
        self.assertIn("fine", self.exits(FINE, "check", "-f", EXAMPLE / "pf.conf").stdout)

    def test_every_error_of_the_rules_has_its_place_and_a_caret(self):
        path = self.write("pf.conf", "pass in\nblock quikc proto tcp\npass proto tcp to port 99999\n")
        errors = self.exits(BAD_CONFIGURATION, "check", "-f", path).stderr
        self.assertRegex(errors, r"pf\.conf:2:7: ")
        self.assertRegex(errors, r"pf\.conf:3:\d+: ")
        lines = errors.splitlines()
        at = next(i for i, line in enumerate(lines) if ":2:7:" in line)
        self.assertIn("block quikc", lines[at + 1])
        self.assertEqual(lines[at + 2].index("^"), lines[at + 1].index("quikc"))

    def test_errors_of_the_configuration_and_of_its_rules_come_together(self):
        self.write("pf.conf", "pass in on nowhere\n")
        path = self.write("ringplane.toml", 'rules = "pf.conf"\nwrong = 1\n[[port]]\nname = "lan"\ninterface = "a"\n'
                          '[[port]]\nname = "wan"\ninterface = "b"\n[[bridge]]\nports = ["lan", "wan"]\n'
                          '[workers]\ncount = 0\n')
        errors = self.exits(BAD_CONFIGURATION, "check", "-c", path).stderr
        self.assertRegex(errors, r"ringplane\.toml:2:1: .*'wrong'")
        self.assertRegex(errors, r"ringplane\.toml:12:9: .*'count'")
        self.assertRegex(errors, r"pf\.conf:1:\d+: .*nowhere")

    def test_broken_toml_an_absent_file_and_a_folder(self):
        broken = self.write("ringplane.toml", 'rules = "pf.conf\n')
        self.assertRegex(self.exits(BAD_CONFIGURATION, "check", "-c", broken).stderr, r"ringplane\.toml:1:\d+: ")
        for option in ("-c", "-f"):
            self.assertIn("absent", self.exits(BAD_CONFIGURATION, "check", option, self.folder / "absent").stderr)
            self.exits(BAD_CONFIGURATION, "check", option, self.folder)

    def test_a_feature_of_later_says_so(self):
        path = self.write("pf.conf", "pass out on wan nat-to 192.0.2.1\n")
        self.assertIn("not yet", self.exits(BAD_CONFIGURATION, "check", "-f", path).stderr)

    def test_json(self):
        report = json.loads(self.exits(FINE, "check", "--json", "-f", EXAMPLE / "pf.conf").stdout)
        self.assertTrue(report["ok"])
        self.assertGreater(report["rules"], 5)
        path = self.write("pf.conf", "pass in\nblock quikc\n")
        report = json.loads(self.exits(BAD_CONFIGURATION, "check", "--json", "-f", path).stdout)
        self.assertFalse(report["ok"])
        first = report["diagnostics"][0]
        self.assertEqual((first["line"], first["column"], first["severity"]), (2, 7, "error"))

    def test_a_macro_from_outside_wins(self):
        path = self.write("pf.conf", 'port = "80"\npass proto tcp to port $port\n')
        self.exits(BAD_CONFIGURATION, "check", "-f", path, "-D", "port=none-such")

    def test_nothing_is_written(self):
        for name in ("pf.conf", "ringplane.toml", "tests.pf"):
            self.write(name, (EXAMPLE / name).read_text())
        before = contents(self.folder)
        for words in (["check", "-c", "ringplane.toml"], ["check", "-f", "pf.conf"], ["test", "-f", "pf.conf", "tests.pf"],
                      ["explain", "-f", "pf.conf", WEB]):
            self.exits(FINE, *words, cwd=self.folder)
        self.assertEqual(contents(self.folder), before)


class Explain(Case):
    def test_a_packet_that_passes(self):
        text = self.exits(FINE, "explain", "-f", EXAMPLE / "pf.conf", WEB).stdout
        self.assertIn("pass", text)
        self.assertIn('label "web"', text)
        self.assertRegex(text, r"pf\.conf:\d+")

    def test_a_packet_that_is_blocked(self):
        text = self.exits(FAILED, "explain", "-f", EXAMPLE / "pf.conf", SSH).stdout
        self.assertIn("no-ssh", text)

    def test_json_names_the_rule_and_why_the_others_did_not_decide(self):
        for packet, code, verdict, label in ((WEB, FINE, "pass", "web"), (SSH, FAILED, "block", "no-ssh")):
            report = json.loads(self.exits(code, "explain", "--json", "-f", EXAMPLE / "pf.conf", packet).stdout)
            self.assertEqual(report["verdict"], verdict)
            step = report["steps"][0]
            self.assertEqual(step["rule"]["label"], label)
            self.assertTrue(step["overridden"])
            self.assertTrue(all(each["why"] for each in step["not_matching"]))

    def test_json_of_both_sides_though_no_rule_names_the_second_port(self):
        packet = WEB.replace("in on lan", "in on lan out on wan", 1)
        report = json.loads(self.exits(FINE, "explain", "--json", "-f", EXAMPLE / "pf.conf", packet).stdout)
        self.assertEqual([(step["way"], step["port"]) for step in report["steps"]], [("in", "lan"), ("out", "")])

    def test_a_packet_that_is_none(self):
        error = self.exits(USAGE, "explain", "-f", EXAMPLE / "pf.conf", "in on lan proto tcp frm 10.0.0.1").stderr
        self.assertIn("^", error)

    def test_bad_rules(self):
        self.exits(BAD_CONFIGURATION, "explain", "-f", self.write("pf.conf", "pass quikc\n"), WEB)


class Test(Case):
    def test_the_example_holds(self):
        self.exits(FINE, "test", "-c", EXAMPLE / "ringplane.toml", EXAMPLE / "tests.pf")

    def test_failing_expectations_are_named(self):
        tests = self.write("tests.pf", f'{WEB} expect block\n{WEB} expect pass by "ssh"\n{WEB} expect pass\n')
        done = self.exits(FAILED, "test", "-f", EXAMPLE / "pf.conf", tests)
        self.assertRegex(done.stdout, r"tests\.pf:1: ")
        self.assertRegex(done.stdout, r"tests\.pf:2: ")
        self.assertNotRegex(done.stdout, r"tests\.pf:3: ")
        self.assertIn("1 of 3", done.stdout)
        report = json.loads(self.exits(FAILED, "test", "--json", "-f", EXAMPLE / "pf.conf", tests).stdout)
        self.assertEqual((report["tests"], report["failed"]), (3, 2))
        self.assertEqual([each["line"] for each in report["failures"]], [1, 2])

    def test_check_runs_those_that_the_configuration_names(self):
        config = 'rules = "pf.conf"\ntests = ["tests.pf"]\n' + "".join(
            f'[[port]]\nname = "{name}"\ninterface = "{name}0"\n' for name in ("lan", "wan")
        ) + '[[bridge]]\nports = ["lan", "wan"]\n'
        path = self.write("ringplane.toml", config)
        self.write("pf.conf", 'block in on lan proto tcp to port 22 label "ssh"\npass in on lan proto tcp to port 80\n')
        self.write("tests.pf", f'{WEB} expect pass\n{SSH} expect block by "ssh"\n')
        self.assertIn("2 tests hold", self.exits(FINE, "check", "-c", path).stdout)
        self.write("tests.pf", f"{WEB} expect block\n{SSH} expect pass\n")
        said = self.exits(BAD_CONFIGURATION, "check", "-c", path).stderr
        self.assertIn("tests.pf:1: expected block", said)
        self.assertIn("tests.pf:2: expected pass", said)
        report = json.loads(self.exits(BAD_CONFIGURATION, "check", "--json", "-c", path).stdout)
        self.assertEqual((report["ok"], report["tests"], len(report["test_failures"])), (False, 2, 2))

    def test_files_that_are_no_tests(self):
        self.exits(FAILED, "test", "-f", EXAMPLE / "pf.conf", self.write("empty.pf", "# nothing\n"))
        self.exits(USAGE, "test", "-f", EXAMPLE / "pf.conf", self.folder / "absent.pf")
        done = self.exits(BAD_CONFIGURATION, "test", "-f", EXAMPLE / "pf.conf", self.write("odd.pf", "what is this\n"))
        self.assertRegex(done.stderr, r"odd\.pf:1:\d+: ")
        self.exits(BAD_CONFIGURATION, "test", "-f", EXAMPLE / "pf.conf", self.write("half.pf", WEB + "\n"))


def pcap(packets, linktype=1):
    header = struct.pack("<IHHiIII", 0xA1B2C3D4, 2, 4, 0, 0, 65535, linktype)
    return header + b"".join(struct.pack("<IIII", 1, i, len(p), len(p)) + p for i, p in enumerate(packets))


class Replay(Case):
    FRAME = bytes.fromhex("020000000002020000000001" "0806" "0001080006040001" "020000000001" "0a000005"
                          "000000000000" "0a000001")

    def setUp(self):
        super().setUp()
        self.rules = self.write("pf.conf", "set limit states 1000\npass\n")

    def replay(self, code, *words):
        return self.exits(code, "replay", "-f", self.rules, *words)

    def test_lines_and_summary_are_json(self):
        capture = self.write("a.pcap", pcap([self.FRAME, self.FRAME]))
        done = self.replay(FINE, "--in", f"lan={capture}", "--json")
        lines = [json.loads(line) for line in done.stdout.splitlines()]
        self.assertEqual([line.get("number") for line in lines], [1, 2, None])
        self.assertEqual(lines[-1]["summary"]["packets"], 2)
        quiet = self.replay(FINE, "--in", f"lan={capture}", "--json", "--quiet").stdout
        self.assertEqual(len(quiet.splitlines()), 1)

    def test_an_empty_capture_is_fine(self):
        self.replay(FINE, "--in", f"lan={self.write('a.pcap', pcap([]))}")

    def test_inputs_that_cannot_be_read(self):
        self.assertIn("absent.pcap", self.replay(FAILED, "--in", f"lan={self.folder}/absent.pcap").stderr)
        self.assertIn("a.txt", self.replay(FAILED, "--in", f"lan={self.write('a.txt', 'not a capture at all, sorry')}").stderr)
        self.replay(FAILED, "--in", f"lan={self.write('empty', '')}")
        wireless = self.write("w.pcap", pcap([self.FRAME], linktype=105))
        self.assertIn("Ethernet", self.replay(FAILED, "--in", f"lan={wireless}").stderr)
        self.replay(FAILED, "--in", f"lan={self.folder}")

    def test_a_capture_that_breaks_off_tells_after_what_it_has(self):
        broken = self.write("a.pcap", pcap([self.FRAME, self.FRAME])[:-5])
        done = self.replay(FAILED, "--in", f"lan={broken}")
        self.assertEqual(json.loads(done.stdout.splitlines()[0])["number"], 1)
        self.assertIn("a.pcap", done.stderr)

    def test_bad_words(self):
        capture = self.write("a.pcap", pcap([self.FRAME]))
        for words in (["--in", "lan"], ["--in", f"={capture}"], ["--in", "lan="]):
            with self.subTest(words=words):
                self.replay(USAGE, *words)
        self.replay(FAILED, "--in", f"lan={capture}", "--in", f"lan={capture}")
        self.replay(FAILED, *(["--in", f"lan={capture}"] * 3))
        self.replay(FAILED, "--in", f"lan={capture}", "--out-dir", "/proc/nowhere")

    def test_bad_rules_write_nothing(self):
        self.rules = self.write("pf.conf", "pass quikc\n")
        capture = self.write("a.pcap", pcap([self.FRAME]))
        self.replay(BAD_CONFIGURATION, "--in", f"lan={capture}", "--out-dir", self.folder / "out")
        self.assertFalse((self.folder / "out").exists())


class Show(Case):
    def test_without_a_daemon(self):
        for what in ("ports", "rules", "flows", "drops", "workers", "memory"):
            error = self.exits(FAILED, "show", what, "--socket", self.folder / "none.sock").stderr
            self.assertIn("none.sock", error)
        for words in (["apply"], ["apply", "--confirm", "60s"], ["confirm"], ["rollback", "3"], ["history"], ["history", "2"]):
            self.assertIn("none.sock", self.exits(FAILED, *words, "--socket", self.folder / "none.sock").stderr)

    def test_a_socket_path_that_no_socket_can_have(self):
        self.exits(FAILED, "show", "ports", "--socket", "/tmp/" + "x" * 200)

    def test_a_configuration_that_cannot_be_read(self):
        self.exits(BAD_CONFIGURATION, "show", "ports", "-c", self.folder / "absent.toml")


class Doctor(Case):
    """What it says depends on the machine; lab/doctor_test.py has machines of its own."""

    def test_interfaces_that_are_not_there_and_json(self):
        done = self.exits(FAILED, "doctor", "--json", "no-such-one")
        self.assertIn("no-such-one link", done.stderr)
        findings = json.loads(done.stdout)
        self.assertEqual([each["what"] for each in findings if each["subject"] == "no-such-one"], ["link"])
        self.assertLessEqual({"kernel", "memory", "cpu"}, {each["subject"] for each in findings})
        for finding in findings:
            self.assertEqual(list(finding), ["level", "subject", "what", "finding", "advice"])
            self.assertIn(finding["level"], ("ok", "slow", "broken", "unknown"))

    def test_every_line_is_described(self):
        page = (ROOT / "docs" / "reference" / "doctor.md").read_text()
        source = (ROOT / "src" / "doctor" / "doctor.cc").read_text()
        checks = re.findall(r'^    \{(?:"\w+", )?"([^"]+)", check_', source, re.M)
        self.assertGreater(len(checks), 40)
        for what in checks:
            self.assertIn(f"`{what}`", page)

    def test_a_configuration_with_errors_has_them_told(self):
        config = self.write("ringplane.toml", "rules = 1\nnonsense = 2\n")
        self.assertIn("nonsense", self.exits(BAD_CONFIGURATION, "doctor", "-c", config).stderr)

    def test_the_limit_of_states_in_the_rules_counts(self):
        def wanted(rules):
            self.write("pf.conf", rules)
            config = self.write("ringplane.toml", 'rules = "pf.conf"\n[[port]]\ninterface = "rp-none0"\n[[port]]\n'
                                'interface = "rp-none1"\n[[bridge]]\nports = ["rp-none0", "rp-none1"]\n')
            findings = json.loads(self.exits(FAILED, "doctor", "--json", "-c", config).stdout)
            return next(int(each["finding"].split()[0]) for each in findings if each["what"] == "free")

        few, many = wanted("pass\n"), wanted("set limit states 2000000\npass\n")
        self.assertGreater(many, few + 1_800_000 * 128 // (1 << 20))


class Run(Case):
    """Only what needs no privileges: a start that must fail leaves one sentence and nothing behind."""

    def test_a_bad_configuration(self):
        self.assertIn("absent.toml", self.exits(BAD_CONFIGURATION, "run", "-c", self.folder / "absent.toml").stderr)

    def test_bad_rules_name_every_error(self):
        self.write("pf.conf", "pass quikc\nblok all\n")
        config = self.write("ringplane.toml", (EXAMPLE / "ringplane.toml").read_text())
        errors = self.exits(BAD_CONFIGURATION, "run", "-c", config).stderr
        self.assertIn("pf.conf:1:", errors)
        self.assertIn("pf.conf:2:", errors)

    def test_an_interface_that_is_not_there(self):
        self.write("pf.conf", "pass\n")
        text = (EXAMPLE / "ringplane.toml").read_text().replace("/run/ringplane/ringplane.sock", f"{self.folder}/s/r.sock")
        config = self.write("ringplane.toml", text.replace("rp-lan", "rp-none-such"))
        done = run("run", "-c", config)
        self.assertIn(done.returncode, (FAILED, BAD_CONFIGURATION), done.stderr)
        self.assertTrue(done.stderr.strip())
        self.assertFalse(os.path.exists(f"{self.folder}/s/r.sock"))


if __name__ == "__main__":
    PROGRAM = os.path.abspath(sys.argv.pop(1))
    unittest.main()
