#!/usr/bin/python3
"""What can be wrong at a start: one clear sentence, exit 78 for what the configuration says and 1 for the rest, and
nothing left behind. Errors in files are all told at once, each with its place."""
import os
import shutil

from case import LabTest, main, needs_plain_build
from firewall import Firewall, config_text
from namespaces import Lab, program_path


class Errors(LabTest):
    def fails(self, code, *sentence_has, one_line=True, **words):
        """Starts a daemon that has to refuse; its output is one line with all the given words in it."""
        firewall = Firewall(self.lab, wait=False, **words)
        self.assertEqual(firewall.program.wait(30), code, firewall.program.output())
        said = firewall.program.output()
        if one_line:
            self.assertEqual(len(said.splitlines()), 1, said)
            self.assertTrue(said.startswith("ringplane: "), said)
        for part in sentence_has:
            self.assertIn(part, said)
        return said

    def tearDown(self):
        self.assert_no_xdp_program()
        self.assertFalse(os.path.exists(self.lab.path("control.sock")), "the socket was left behind")

    def test_missing_privilege(self):
        # A user may not look into every folder that root builds in.
        program = shutil.copy(program_path(), self.lab.path("ringplane"))
        os.chmod(self.lab.folder, 0o777)
        os.environ["RINGPLANE"], before = program, os.environ.get("RINGPLANE")
        try:
            self.fails(1, "privilege", "root", wrapper=("setpriv", "--reuid", "65534", "--regid", "65534",
                                                        "--clear-groups"))
        finally:
            os.environ.pop("RINGPLANE") if before is None else os.environ.update(RINGPLANE=before)
            os.chmod(self.lab.folder, 0o700)
            os.unlink(program)

    def test_root_without_capabilities(self):
        self.fails(1, "privilege", wrapper=("setpriv", "--bounding-set", "-all", "--inh-caps", "-all"))

    def test_absent_interface(self):
        config = config_text(self.lab.folder).replace("rp-wan", "rp-gone")
        self.fails(78, "rp-gone", "ip link", config=config)

    def test_interface_that_is_down(self):
        self.firewall_space.ip("link", "set", "rp-wan", "down")
        try:
            self.fails(1, "rp-wan is down", "ip link set rp-wan up")
        finally:
            self.firewall_space.ip("link", "set", "rp-wan", "up")

    def test_mtu_that_no_frame_holds(self):
        self.firewall_space.ip("link", "set", "rp-wan", "mtu", "9000")
        try:
            self.fails(78, "rp-wan", "9000", "memory.frame_bytes")
        finally:
            self.firewall_space.ip("link", "set", "rp-wan", "mtu", "1500")

    def test_more_workers_than_queues(self):
        self.fails(78, "rp-lan", "queue", "ethtool", workers=2)

    def test_fewer_workers_than_queues(self):
        """Packets of a queue that nobody reads would go past the firewall."""
        with Lab(queues=2) as lab:
            firewall = Firewall(lab, wait=False, workers=1)
            self.assertEqual(firewall.program.wait(30), 78, firewall.program.output())
            self.assertIn("set workers.count = 2, or type: ethtool -L rp-lan combined 1", firewall.program.output())

    def test_interface_taken_by_another_xdp_program(self):
        first = self.start_firewall()
        other = config_text(self.lab.folder).replace("control.sock", "other.sock").replace("/state", "/other-state")
        # Without its locks an instance is like any program that has attached something.
        ours = f"interface-{os.stat(f'/run/netns/{self.firewall_space.name}').st_ino}-"
        for name in os.listdir("/run/ringplane"):
            if name.startswith(ours):
                os.unlink(os.path.join("/run/ringplane", name))
        program = self.lab.firewall.start(program_path(), "run", "-c", self.lab.write("other.toml", other))
        self.assertEqual(program.wait(), 1)
        self.assertEqual(len(program.output().splitlines()), 1)
        for part in ("rp-lan", "taken", "ip link set rp-lan xdp off"):
            self.assertIn(part, program.output())
        self.assertFalse(os.path.exists(self.lab.path("other.sock")))
        self.assert_first_still_works(first)

    def test_socket_in_use(self):
        first = self.start_firewall()
        program = self.lab.firewall.start(program_path(), "run", "-c", first.config_path)
        self.assertEqual(program.wait(), 1)
        self.assertIn("another ringplane answers", program.output())
        self.assert_first_still_works(first)

    def assert_first_still_works(self, first):
        self.assert_reaches("10.9.0.2")
        first.stop()

    def test_socket_path_that_is_a_file(self):
        path = self.lab.write("file", "not a socket")
        config = config_text(self.lab.folder).replace(f"{self.lab.folder}/control.sock", path)
        self.fails(78, path, "no socket", config=config)
        with open(path, encoding="utf-8") as file:
            self.assertEqual(file.read(), "not a socket")

    def test_log_that_cannot_be_written(self):
        self.fails(78, "log.file", "/nowhere", log='file = "/nowhere/eve.json"')

    @needs_plain_build
    def test_too_little_memory_for_flows(self):
        self.fails(1, "flow", "memory", extra="[flows]\nlimit = 100000000\n",
                   wrapper=("prlimit", f"--as={2 << 30}"))

    @needs_plain_build
    def test_too_little_memory_for_frames(self):
        config = config_text(self.lab.folder) + "[memory]\nframes = 4000000\n"
        self.fails(1, "memory", config=config, wrapper=("prlimit", f"--as={2 << 30}"))

    def test_every_error_of_the_configuration(self):
        config = config_text(self.lab.folder, workers=0).replace('name = "wan"', 'name = "wan"\ncolour = "red"')
        said = self.fails(78, "colour", "'count'", "'frames'", one_line=False,
                          config=config + '[memory]\nframes = "many"\n')
        self.assertEqual(said.count("ringplane.toml:"), 3, said)
        self.assertIn("^", said)

    def test_every_error_of_the_rules(self):
        said = self.fails(78, "pf.conf:1:", "pf.conf:2:", "pf.conf:4:", one_line=False,
                          rules="pass in on nowhere\nblok all\npass\npass in proto tcp to port 99999\n")
        self.assertIn("^", said)

    def test_no_configuration_at_all(self):
        program = self.lab.firewall.start(program_path(), "run", "-c", "/nowhere/ringplane.toml")
        self.assertEqual(program.wait(), 78)
        self.assertIn("/nowhere/ringplane.toml", program.output())


if __name__ == "__main__":
    main()
