#!/usr/bin/python3
"""Two instances on one machine: on different ports they live side by side; what one has the other is refused, with the
name of the one that has it."""
import os
import re
import signal

from case import LabTest, main
from firewall import Firewall, config_text
from namespaces import SERVER4, ip, program_path

# A second pair of hosts in the namespaces of the first, with its own links to the firewall.
CLIENT4, OTHER4 = "10.19.0.1", "10.19.0.2"


class Instance(Firewall):
    """A firewall whose files have another name."""

    def __init__(self, lab, name, lan, wan, cpu=None, wait=True):
        text = config_text(lab.folder).replace("rp-lan", lan).replace("rp-wan", wan)
        for path in ("pf.conf", "control.sock", "state", "eve.json"):
            text = re.sub(rf'(["/]){re.escape(path)}"', rf'\1{name}-{path}"', text)
        if cpu is not None:
            text = text.replace("[workers]", f"[workers]\ncpus = [{cpu}]")
        self.lab = lab
        self.socket_path = lab.path(f"{name}-control.sock")
        self.eve_path = lab.path(f"{name}-eve.json")
        self.rules_path = lab.write(f"{name}-pf.conf", "pass\n")
        self.config_path = lab.write(f"{name}.toml", text)
        self.program = lab.firewall.start(program_path(), "run", "-c", self.config_path)
        if wait:
            self.wait_until_running()


class Instances(LabTest):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.cpus = sorted(os.sched_getaffinity(0))
        for space, mine, theirs, address in ((cls.client, "c1", "rp-lan2", CLIENT4), (cls.server, "s1", "rp-wan2", OTHER4)):
            ip("link", "add", "name", mine, "netns", space.name, "type", "veth",
               "peer", "name", theirs, "netns", cls.firewall_space.name)
            for where, interface in ((space, mine), (cls.firewall_space, theirs)):
                where.run("ethtool", "-K", interface, "tx", "off", "rx", "off", "tso", "off", "gso", "off", "gro", "off",
                          check=True)
                where.ip("link", "set", interface, "up")
            space.ip("addr", "add", f"{address}/24", "dev", mine)

    def start(self, *words, **named):
        instance = Instance(self.lab, *words, **named)

        def stop():
            if instance.program.running():
                instance.stop()

        self.addCleanup(stop)
        return instance

    def refused(self, *words, **named):
        """What an instance says that must not start."""
        instance = Instance(self.lab, *words, wait=False, **named)
        self.assertEqual(instance.program.wait(30), 1, instance.program.output())
        self.assertFalse(os.path.exists(instance.socket_path), "a socket was left behind")
        return instance.program.output()

    def holder(self, instance):
        return f"taken by ringplane, pid {instance.program.pid} ({instance.config_path}, control socket {instance.socket_path})"

    def locks(self):
        """Of this lab: those of its namespace, and those of processors that one of its configurations holds."""
        found = []
        for name in os.listdir("/run/ringplane"):
            if name.endswith(".lock"):
                with open(os.path.join("/run/ringplane", name), encoding="utf-8") as file:
                    if self.lab.folder in file.read():
                        found.append(name)
        return found

    def test_on_different_ports_both_forward_and_neither_disturbs_the_other(self):
        one = self.start("one", "rp-lan", "rp-wan", self.cpus[0])
        # One processor each, as far as there are two.
        two = self.start("two", "rp-lan2", "rp-wan2", self.cpus[1] if len(self.cpus) > 1 else None)
        self.assert_reaches(SERVER4)
        self.assert_reaches(OTHER4)
        ping = self.client.start("ping", "-i", "0.01", "-c", "300", "-W", "2", OTHER4)
        one.kill()
        self.assertNotEqual(self.client.run("ping", "-c1", "-W1", SERVER4).returncode, 0)
        self.assertEqual(ping.wait(30), 0)
        self.assertIn(" 0% packet loss", ping.output(), "the end of one is no matter of the other")
        self.assertGreater(two.workers_sum("passed"), 600)
        one = self.start("one", "rp-lan", "rp-wan", self.cpus[0])
        self.assert_reaches(SERVER4)
        two.stop()
        self.assert_reaches(SERVER4)
        one.stop()
        self.assertEqual(self.locks(), [], "a stop leaves no file")

    def test_what_is_taken_is_refused_with_the_holder(self):
        one = self.start("one", "rp-lan", "rp-wan", self.cpus[0])
        said = self.refused("two", "rp-lan2", "rp-wan", self.cpus[0])
        self.assertIn(f"interface rp-wan (port wan) is {self.holder(one)}", said)
        self.assertIn(f"processor {self.cpus[0]} (workers.cpus) is {self.holder(one)}", said)
        self.assertNotIn("rp-lan2", said)
        self.assert_reaches(SERVER4)
        one.stop()
        self.start("two", "rp-lan2", "rp-wan", self.cpus[0])

    def test_it_is_taken_as_long_as_one_of_the_two_processes_lives(self):
        one = self.start("one", "rp-lan", "rp-wan", self.cpus[0])
        data = one.data_pid()
        one.program.signal(signal.SIGKILL)
        one.program.wait()
        self.assertIn("processor", self.refused("two", "rp-lan2", "rp-wan2", self.cpus[0]))
        again = self.start("one", "rp-lan", "rp-wan", self.cpus[0])
        self.assertEqual(again.data_pid(), data)
        self.assertIn(f"pid {again.program.pid} ", self.refused("two", "rp-lan2", "rp-wan2", self.cpus[0]))
        again.kill()
        self.start("two", "rp-lan2", "rp-wan2", self.cpus[0])

    def test_memory_that_is_not_there_is_told(self):
        text = config_text(self.lab.folder, extra="[flows]\nlimit = 1000000000\n")
        firewall = Firewall(self.lab, config=text, wait=False)
        self.assertEqual(firewall.program.wait(30), 1, firewall.program.output())
        self.assertRegex(firewall.program.output(),
                         r"^ringplane: \d{6} MiB of memory are wanted \(frames \d+ MiB, flow tables \d{6} MiB\), and \d+ MiB are "
                         r"free: lower memory.frames or flows.limit")


if __name__ == "__main__":
    main()
