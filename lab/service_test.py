#!/usr/bin/python3
"""As a service: what packaging/ringplane.service allows is enough, and systemd hears what it waits for (sd_notify(3)).

No systemd runs here: the test listens where NOTIFY_SOCKET says, and drops to the capabilities of the unit by setpriv.
"""
import os
import re
import shutil
import signal
import socket
import subprocess
import unittest

from case import LabTest, main
from namespaces import SERVER4, wait_until

UNIT = os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "packaging", "ringplane.service")
NOBODY = 65534


def unit_values(key):
    with open(UNIT, encoding="utf-8") as file:
        return [line.split("=", 1)[1].strip() for line in file if line.startswith(key + "=")]


def capabilities():
    bounding, = unit_values("CapabilityBoundingSet")
    ambient, = unit_values("AmbientCapabilities")
    assert bounding == ambient
    return ["+" + name.removeprefix("CAP_").lower() for name in bounding.split()]


def system_calls(words):
    """The calls behind a list as SystemCallFilter= has it, with the sets of this machine's systemd."""
    calls = set()
    for word in words:
        if not word.startswith("@"):
            calls.add(word)
            continue
        said = subprocess.run(["systemd-analyze", "syscall-filter", word], capture_output=True, text=True, check=True).stdout
        listed = re.findall(r"^ +([@a-z0-9_-]+)$", said, re.M)
        calls |= system_calls(each for each in listed if each != word)
    return calls


def allowed_calls():
    allowed = set()
    for line in unit_values("SystemCallFilter"):
        if line.startswith("~"):
            allowed -= system_calls(line[1:].split())
        else:
            allowed |= system_calls(line.split())
    return allowed


class Manager:
    """Where systemd would listen; the messages so far, each a dictionary."""

    def __init__(self, path):
        self.path = path
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.socket.bind(path)
        os.chmod(path, 0o777)
        self.socket.setblocking(False)
        self.messages = []

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.socket.close()
        os.unlink(self.path)

    def heard(self, key):
        try:
            while True:
                lines = self.socket.recv(4096).decode().split("\n")
                self.messages.append(dict(line.split("=", 1) for line in lines))
        except BlockingIOError:
            pass
        return [message for message in self.messages if key in message]

    def order(self):
        """The states so far, without signs of life."""
        self.heard("")
        return [next(iter(message)) for message in self.messages if "WATCHDOG" not in message]


class Service(LabTest):
    def start_as_nobody(self, manager, watchdog_us, tracer=()):
        os.chown(self.lab.folder, NOBODY, NOBODY)
        only = ",".join(["-all", *capabilities()])
        wrapper = [*tracer, "env", f"NOTIFY_SOCKET={manager.path}", f"WATCHDOG_USEC={watchdog_us}",
                   "setpriv", f"--reuid={NOBODY}", f"--regid={NOBODY}", "--clear-groups", f"--inh-caps={only}",
                   f"--ambient-caps={only}", f"--bounding-set={only}", "--no-new-privs"]
        return self.start_firewall("block\npass out quick\npass in on lan label \"in\"\n", wrapper=wrapper)

    def test_a_user_with_the_capabilities_of_the_unit_can_do_all_of_it(self):
        with Manager(self.lab.path("notify.sock")) as manager:
            firewall = self.start_as_nobody(manager, 200_000)
            wait_until(lambda: manager.heard("READY"), "the manager is not told that it is ready")
            with open(f"/proc/{firewall.program.process.pid}/status", encoding="utf-8") as status:
                self.assertRegex(status.read(), rf"Uid:\t{NOBODY}\t")
            self.assert_reaches(SERVER4)
            wait_until(lambda: len(manager.heard("WATCHDOG")) >= 5, "no signs of life")
            self.assertIn("reloaded", firewall.reload("pass\n"))
            wait_until(lambda: len(manager.heard("READY")) == 2, "the end of a reload is not told")
            self.assertIn("rules stay as they are", firewall.reload("blok\n"))
            wait_until(lambda: len(manager.heard("READY")) == 3, "the end of a reload is not told")
            self.assertIn("failed", manager.heard("READY")[-1]["STATUS"])
            self.assert_reaches(SERVER4)
            self.assertGreater(firewall.rule("")["packets"], 0)
            firewall.stop()
            self.assertEqual(manager.order(), ["READY", "RELOADING", "READY", "RELOADING", "READY", "STOPPING"])
        self.assert_no_xdp_program()

    @unittest.skipUnless(shutil.which("strace") and shutil.which("systemd-analyze"), "there is no strace or no systemd-analyze")
    def test_it_asks_for_no_system_call_that_the_unit_forbids(self):
        trace = self.lab.path("trace")
        with Manager(self.lab.path("notify.sock")) as manager:
            firewall = self.start_as_nobody(manager, 1_000_000, ["strace", "-f", "-qq", "-o", trace])
            self.assert_reaches(SERVER4)
            # Signals are for the daemon, not for strace.
            said = subprocess.run(["pgrep", "-P", str(firewall.program.process.pid)], capture_output=True, text=True, check=True)
            daemon = int(said.stdout.split()[0])
            os.kill(daemon, signal.SIGHUP)
            wait_until(lambda: "reloaded: " in firewall.program.output(), "no answer to SIGHUP")
            firewall.show("memory")
            os.kill(daemon, signal.SIGTERM)
            self.assertEqual(firewall.program.wait(), 0, firewall.program.output())
        with open(trace, encoding="utf-8") as file:
            lines = file.read().splitlines()
        start = next(i for i, line in enumerate(lines) if re.search(r'execve\("[^"]*/ringplane"', line))
        used = set(re.findall(r"^\d+ +([a-z0-9_]+)\(", "\n".join(lines[start + 1:]), re.M))
        self.assertIn("bpf", used)
        self.assertIn("sendto", used)
        self.assertEqual(used - allowed_calls(), set())


if __name__ == "__main__":
    main()
