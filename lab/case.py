"""The base of the lab tests. A test file ends with `main()`; it can be run alone:

    lab/bridge_test.py [--program build/ringplane] [unittest's own words, such as -v or Class.test_name]

Where labs are impossible it says so loudly and exits with 77, which ctest shows as skipped.
"""
import os
import random
import socket
import sys
import threading
import time
import unittest

from firewall import Firewall
from namespaces import Lab, why_impossible

SKIPPED = 77
# A sanitizer reserves terabytes of addresses and multiplies the work.
needs_plain_build = unittest.skipIf(os.environ.get("RINGPLANE_SANITIZE"), "not with sanitizers")


class LabTest(unittest.TestCase):
    """One lab for the tests of a class; self.start_firewall() for a daemon that lives as long as the test."""

    queues = 1

    @classmethod
    def setUpClass(cls):
        cls.lab = cls.enterClassContext(Lab(queues=cls.queues))
        cls.client, cls.firewall_space, cls.server = cls.lab.client, cls.lab.firewall, cls.lab.server

    def start_firewall(self, *words, **named):
        """Stopped at the end of the test, which fails unless it stopped well with every frame at home."""
        firewall = Firewall(self.lab, *words, **named)

        def stop():
            if firewall.program.running():
                firewall.stop()

        self.addCleanup(stop)
        return firewall

    def assert_no_xdp_program(self):
        for interface in ("rp-lan", "rp-wan"):
            details = self.firewall_space.run("ip", "-d", "link", "show", "dev", interface).stdout
            self.assertNotIn("prog/xdp", details)
            self.assertNotIn("promiscuity 1", details)

    def assert_reaches(self, host=None, timeout_s=5.0):
        """A first packet has to be answered: ARP or neighbour discovery, then ICMP."""
        end = time.monotonic() + timeout_s
        while self.client.run("ping", "-c1", "-W1", host).returncode != 0:
            self.assertLess(time.monotonic(), end, f"{host} does not answer")


class Session:
    """A TCP connection between programs of this process, one end in each namespace, that echoes."""

    def __init__(self, client_space, server_space, address, port, timeout_s=3.0):
        family = socket.AF_INET6 if ":" in address else socket.AF_INET
        self.listener = server_space.socket(family, socket.SOCK_STREAM)
        self.listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self.listener.bind((address, port))
        self.listener.listen()
        self.client = client_space.socket(family, socket.SOCK_STREAM)
        self.client.settimeout(timeout_s)
        self.server = None
        try:
            self.client.connect((address, port))
            self.listener.settimeout(timeout_s)
            self.server, _ = self.listener.accept()
            self.server.settimeout(timeout_s)
        except OSError:
            self.close()
            raise

    def exchange(self, data=b"still here\n"):
        """Both directions work; OSError (TimeoutError, ConnectionResetError) when they do not."""
        for sender, receiver in ((self.client, self.server), (self.server, self.client)):
            sent = in_thread(lambda end=sender: end.sendall(data))
            got = receive_all(receiver, len(data))
            sent()
            if len(got) < len(data):
                raise ConnectionError("the other end closed")
            if got != data:
                raise ConnectionError("other bytes came than were sent")

    def close(self):
        for each in (self.client, self.server, self.listener):
            if each is not None:
                each.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()


def receive_all(end, count):
    """So many bytes of a socket; fewer when the other end closes before."""
    data = bytearray()
    while len(data) < count:
        part = end.recv(1 << 20)
        if not part:
            break
        data += part
    return bytes(data)


def in_thread(function):
    """Starts function() in a thread; the returned call joins it and gives its result or raises its exception."""
    outcome = {}

    def body():
        try:
            outcome["result"] = function()
        except BaseException as error:  # pylint: disable=broad-except
            outcome["error"] = error

    thread = threading.Thread(target=body, daemon=True)
    thread.start()

    def join(timeout_s=60):
        thread.join(timeout_s)
        if "error" in outcome:
            raise outcome["error"]
        if "result" not in outcome:
            raise TimeoutError("the thread did not end")
        return outcome["result"]

    return join


def seeded_random(what):
    """RINGPLANE_SEED= repeats a run."""
    seed = int(os.environ.get("RINGPLANE_SEED", str(random.SystemRandom().randrange(1 << 32))))
    print(f"{what}: seed {seed}", file=sys.stderr)
    return random.Random(seed)


def main(why_not=lambda: None):
    """Runs the tests of the program's own file; skips all, loudly, where `why_not` or the machine has a reason."""
    if "--program" in sys.argv:
        at = sys.argv.index("--program")
        os.environ["RINGPLANE"] = sys.argv[at + 1]
        del sys.argv[at:at + 2]
    reason = why_impossible() or why_not()
    if reason:
        print(f"*** SKIPPED {sys.argv[0]}: {reason} ***", file=sys.stderr)
        sys.exit(SKIPPED)
    unittest.main(module="__main__")
