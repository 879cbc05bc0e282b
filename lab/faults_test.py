#!/usr/bin/python3
"""What docs/guide/faults.md says of a full disk, of descriptors that run out and of an interface that comes back. (Deaths of
processes: restart_test.py; readers of the log that go: outputs_test.py; a clock that is set: report/flow_exporter_test.cc.)
"""
import json
import os
import resource
import signal
import subprocess
import time
import unittest

from case import LabTest, Session, main
from firewall import Firewall
from namespaces import SERVER4, Lab, wait_until
from outputs_test import RULES, datagrams


def lowest_unused(pid):
    """The number that the next descriptor would get: with this limit there is none."""
    used = {int(each) for each in os.listdir(f"/proc/{pid}/fd")}
    return next(number for number in range(len(used) + 1) if number not in used)


class DiskFull(LabTest):
    def output(self, firewall):
        return next(each for each in firewall.show("outputs") if each["output"] == "log")

    def test_lines_wait_are_counted_and_come_back_with_room(self):
        disk = self.lab.path("disk")
        os.mkdir(disk)
        mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=128k", "none", disk], capture_output=True, text=True)
        if mounted.returncode != 0:
            raise unittest.SkipTest(f"no tmpfs can be mounted here: {mounted.stderr.strip()}")
        self.addCleanup(subprocess.run, ["umount", "-l", disk], check=False)
        ballast = os.path.join(disk, "ballast")
        with open(ballast, "wb") as file:
            file.write(bytes(64 << 10))
        path = os.path.join(disk, "eve.json")
        firewall = self.start_firewall(RULES, log=f'file = "{path}"\nper_second = 100000')
        while self.output(firewall)["why"] == "":
            datagrams(self.client, SERVER4, 7401, 50)
        self.assertEqual(self.output(firewall)["why"], "No space left on device")
        while self.output(firewall)["lost"] == 0:  # more than what may wait
            datagrams(self.client, SERVER4, 7401, 500)
        before = firewall.workers_sum("passed")
        with Session(self.client, self.server, SERVER4, 7400) as session:
            session.exchange(bytes(100_000))
        self.assertGreater(firewall.workers_sum("passed"), before + 100, "packets go on")
        os.unlink(ballast)
        wait_until(lambda: os.path.getsize(path) > 100_000, "lines come back with the room")
        self.assertEqual(self.output(firewall)["why"], "No space left on device")
        # Even if it ends like this, no half line stays.
        firewall.kill_data_process()
        with open(path, encoding="utf-8") as file:
            text = file.read()
        self.assertTrue(text.endswith("\n"))
        lines = [json.loads(line) for line in text.splitlines()]
        self.assertGreater(len(lines), 200)
        firewall.stop()


class OutOfDescriptors(LabTest):
    def take_the_last(self, pid):
        """Not one more for the process; the returned call undoes it."""
        before = resource.prlimit(pid, resource.RLIMIT_NOFILE)
        resource.prlimit(pid, resource.RLIMIT_NOFILE, (lowest_unused(pid), before[1]))
        return lambda: resource.prlimit(pid, resource.RLIMIT_NOFILE, before)

    def test_packets_go_on_and_answers_come_back(self):
        firewall = self.start_firewall(RULES)
        self.assert_reaches(SERVER4)
        data = firewall.data_pid()
        with Session(self.client, self.server, SERVER4, 7400) as session:
            undo = [self.take_the_last(firewall.program.pid), self.take_the_last(data)]
            cpu = firewall.program.cpu_seconds()
            waiting = subprocess.Popen(["nc", "-NU", firewall.socket_path], stdin=subprocess.DEVNULL,
                                       stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
            self.addCleanup(waiting.kill)
            end = time.monotonic() + 2
            while time.monotonic() < end:
                session.exchange(bytes(10_000))
            self.assertLess(firewall.program.cpu_seconds() - cpu, 0.5, "a question that cannot be taken is no reason to spin")
            os.kill(firewall.program.pid, signal.SIGUSR1)  # a log that cannot be opened
            wait_until(lambda: "Too many open files" in firewall.program.output(), "the control process says so")
            for each in undo:
                each()
            self.assertEqual(firewall.data_pid(), data)
            session.exchange()
        self.assertIn("reloaded", firewall.reload(RULES))
        firewall.stop()

    def test_a_data_process_that_dies_meanwhile_is_replaced(self):
        firewall = self.start_firewall(RULES)
        with Session(self.client, self.server, SERVER4, 7400) as session:
            session.exchange()
            wait_until(lambda: len(firewall.show("processes")) == 3, "one stands by")
            data = firewall.data_pid()
            undo = self.take_the_last(firewall.program.pid)
            os.kill(data, signal.SIGKILL)
            wait_until(lambda: "running again" in firewall.program.output(), "the one that stands by takes over")
            session.exchange(bytes(10_000))
            undo()
        firewall.stop()


class InterfaceThatComesBack(unittest.TestCase):
    def test_it_is_taken_back_by_a_restart_and_not_before(self):
        with Lab() as lab:
            firewall = Firewall(lab, RULES)
            lab.firewall.ip("link", "del", "rp-wan")
            wait_until(lambda: "interface rp-wan is gone" in firewall.program.output(), "no word about the removal")
            lab._join(lab.server, "s0", lab.firewall, "rp-wan")  # pylint: disable=protected-access
            lab.server.ip("addr", "add", f"{SERVER4}/24", "dev", "s0")
            time.sleep(1.5)
            links = {port["port"]: port["link"] for port in firewall.show("ports")}
            self.assertEqual(links, {"lan": "up", "wan": "gone"})
            self.assertNotEqual(lab.client.run("ping", "-c1", "-W1", SERVER4).returncode, 0)
            self.assertIn("egress_down", firewall.drops())
            firewall.stop()
            with Firewall(lab, RULES):
                wait_until(lambda: lab.client.run("ping", "-c1", "-W1", SERVER4).returncode == 0, "it does not pass again")


if __name__ == "__main__":
    main()
