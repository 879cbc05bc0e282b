"""A lab: three network namespaces on this machine, joined by veth pairs as a bridge firewall would be placed.

    client --- c0 | rp-lan --- firewall --- rp-wan | s0 --- server
    10.9.0.1, fd09::1                              10.9.0.2, fd09::2

    with Lab(queues=2) as lab:
        lab.client.run("ping", "-c1", "10.9.0.2")
        server = lab.server.start("nc", "-lk", "8080")

Names carry the process id, so labs run side by side; everything (programs, namespaces, the folder) goes at the
end of the `with` block, at exit, and after SIGINT and SIGTERM. After SIGKILL the kernel ends the programs, and the next
lab removes the namespaces. Checksum and segmentation offload are off: a firewall on veth would otherwise see packets
that no wire carries. The ends use congestion control reno, so that runs on different machines can be compared.
Needs root. Only processes that the lab started are ended.
"""
import atexit
import contextlib
import ctypes
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time

CLIENT4, SERVER4 = "10.9.0.1", "10.9.0.2"
CLIENT6, SERVER6 = "fd09::1", "fd09::2"
PREFIX = "rplab"

_libc = ctypes.CDLL(None, use_errno=True)
_CLONE_NEWNET = 0x40000000
_PR_SET_PDEATHSIG = 1
_PR_SET_CHILD_SUBREAPER = 36


class LabError(Exception):
    """The lab itself could not be made or used."""


def wait_until(condition, what, timeout_s=10.0, interval_s=0.02):
    """Asks `condition` until it says something true, and returns that; LabError when it never does."""
    end = time.monotonic() + timeout_s
    while True:
        answer = condition()
        if answer:
            return answer
        if time.monotonic() > end:
            raise LabError(f"waited {timeout_s:g} s in vain: {what}")
        time.sleep(interval_s)


def ip(*words):
    return subprocess.run(["ip", *words], check=True, text=True, capture_output=True).stdout


def _die_with_parent():
    _libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)


def children_of(pid):
    """The processes whose parent it is now."""
    with contextlib.suppress(FileNotFoundError):
        with open(f"/proc/{pid}/task/{pid}/children", encoding="ascii") as file:
            return [int(each) for each in file.read().split()]
    return []


def cpu_seconds_of(pid):
    """User and system time so far, of all threads."""
    with open(f"/proc/{pid}/stat", encoding="ascii") as file:
        fields = file.read().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def _end_orphans(programs):
    """What a program left behind when it was killed (ringplane's data process goes on) has become ours: end it."""
    started = {program.pid for program in programs}
    for pid in children_of(os.getpid()):
        with contextlib.suppress(FileNotFoundError, ProcessLookupError, ChildProcessError):
            with open(f"/proc/{pid}/cmdline", "rb") as file:
                is_ours = b"data-process" in file.read()
            if pid not in started and is_ours:
                os.kill(pid, signal.SIGKILL)
                os.waitpid(pid, 0)


class Program:
    """A program that the lab started; its output is in a file."""

    def __init__(self, arguments, command, output_path, stdin=subprocess.DEVNULL):
        self.name = os.path.basename(arguments[0])
        self.output_path = output_path
        with open(output_path, "wb") as output:
            # Its own session: a Ctrl-C is for the lab, which then stops its programs in order.
            self.process = subprocess.Popen(command, stdin=stdin, stdout=output, stderr=subprocess.STDOUT,
                                            start_new_session=True, preexec_fn=_die_with_parent)
        self.pid = self.process.pid

    def output(self):
        with open(self.output_path, encoding="utf-8", errors="replace") as file:
            return file.read()

    def running(self):
        return self.process.poll() is None

    def signal(self, number):
        if self.running():
            self.process.send_signal(number)

    def wait(self, timeout_s=30.0):
        """The exit code; negative when a signal ended it."""
        return self.process.wait(timeout_s)

    def stop(self, timeout_s=10.0):
        """SIGTERM, and SIGKILL when that does not help. Returns the exit code."""
        self.signal(signal.SIGTERM)
        try:
            return self.wait(timeout_s)
        except subprocess.TimeoutExpired:
            self.signal(signal.SIGKILL)
            return self.wait(timeout_s)

    def cpu_seconds(self):
        return cpu_seconds_of(self.pid)


class Space:
    """One network namespace of a lab."""

    def __init__(self, lab, role):
        self.lab = lab
        self.role = role
        self.name = f"{PREFIX}-{os.getpid()}-{lab.number}-{role}"
        ip("netns", "add", self.name)
        ip("-n", self.name, "link", "set", "lo", "up")

    def command(self, *arguments):
        return ["ip", "netns", "exec", self.name, *map(str, arguments)]

    def run(self, *arguments, timeout_s=60.0, check=False, text=True, input=None):
        """Runs a program to its end; the result has returncode, stdout and stderr."""
        return subprocess.run(self.command(*arguments), timeout=timeout_s, check=check, text=text, input=input,
                              capture_output=True)

    def start(self, *arguments):
        return self.lab.start(list(map(str, arguments)), self.command(*arguments))

    def ip(self, *words):
        return ip("-n", self.name, *words)

    def addresses_of(self, interface):
        return json.loads(self.ip("-j", "addr", "show", "dev", interface))[0]

    def mac(self, interface):
        return self.addresses_of(interface)["address"]

    @contextlib.contextmanager
    def inside(self):
        """The calling thread is in the namespace; sockets made in the block stay there."""
        with open("/proc/thread-self/ns/net", "rb") as back, open(f"/run/netns/{self.name}", "rb") as here:
            if _libc.setns(here.fileno(), _CLONE_NEWNET) != 0:
                raise LabError(f"setns {self.name}: {os.strerror(ctypes.get_errno())}")
            try:
                yield
            finally:
                _libc.setns(back.fileno(), _CLONE_NEWNET)

    def socket(self, family, kind, protocol=0):
        with self.inside():
            return socket.socket(family, kind, protocol)

    def wait_for_listener(self, port, udp=False, timeout_s=10.0):
        """Until a program of the namespace listens at the port."""
        kind = "-Hlun" if udp else "-Hltn"
        wait_until(lambda: any(line.split()[3].endswith(f":{port}") for line in
                               self.run("ss", kind).stdout.splitlines()),
                   f"nobody listens at port {port} in {self.role}", timeout_s)


class Lab:
    """The three namespaces, their links, and the programs in them. `queues` of every veth end."""

    _alive = []
    _count = 0

    def __init__(self, queues=1, mtu=1500):
        self.queues = queues
        self.mtu = mtu
        Lab._count += 1
        self.number = Lab._count
        self.programs = []
        self.spaces = []
        self.folder = None

    def __enter__(self):
        _arm_signals()
        _sweep()
        _libc.prctl(_PR_SET_CHILD_SUBREAPER, 1)
        Lab._alive.append(self)
        try:
            self.folder = tempfile.mkdtemp(prefix=f"{PREFIX}-{os.getpid()}-")
            for role in ("client", "firewall", "server"):
                space = Space(self, role)
                setattr(self, role, space)
                self.spaces.append(space)
            self._join(self.client, "c0", self.firewall, "rp-lan")
            self._join(self.server, "s0", self.firewall, "rp-wan")
            for space, interface, address4, address6 in ((self.client, "c0", CLIENT4, CLIENT6),
                                                         (self.server, "s0", SERVER4, SERVER6)):
                space.ip("addr", "add", f"{address4}/24", "dev", interface)
                space.ip("-6", "addr", "add", f"{address6}/64", "dev", interface, "nodad")
                space.run("sysctl", "-qw", "net.ipv4.tcp_congestion_control=reno", check=True)
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(self, *_):
        self.close()

    def _join(self, one, one_interface, other, other_interface):
        queues = ["numtxqueues", str(self.queues), "numrxqueues", str(self.queues)]
        ip("link", "add", "name", one_interface, "mtu", str(self.mtu), *queues, "netns", one.name, "type", "veth",
           "peer", "name", other_interface, "mtu", str(self.mtu), *queues, "netns", other.name)
        ends = ((one, one_interface), (other, other_interface))
        for space, interface in ends:
            space.run("ethtool", "-K", interface, "tx", "off", "rx", "off", "tso", "off", "gso", "off", "gro", "off",
                      check=True)
            # The firewall's ends are silent: no address, no router solicitations of the kernel.
            if space is self.firewall:
                space.ip("link", "set", interface, "addrgenmode", "none")
            space.ip("link", "set", interface, "up")
        for space, interface in ends:
            wait_until(lambda: space.addresses_of(interface)["operstate"] == "UP", f"{interface} does not come up")

    def path(self, name):
        """Of a file in the lab's temporary folder."""
        return os.path.join(self.folder, name)

    def write(self, name, text):
        with open(self.path(name), "w", encoding="utf-8") as file:
            file.write(text)
        return self.path(name)

    def start(self, arguments, command):
        output = self.path(f"{len(self.programs):03d}-{os.path.basename(arguments[0])}.out")
        program = Program(arguments, command, output)
        self.programs.append(program)
        return program

    def close(self):
        """Removes all of it; may be called twice."""
        with _signals_held():
            for program in reversed(self.programs):
                with contextlib.suppress(Exception):
                    program.stop(timeout_s=5.0)
            _end_orphans(self.programs)
            self.programs.clear()
            for space in self.spaces:
                subprocess.run(["ip", "netns", "del", space.name], capture_output=True, check=False)
            self.spaces.clear()
            if self.folder is not None:
                shutil.rmtree(self.folder, ignore_errors=True)
            if self in Lab._alive:
                Lab._alive.remove(self)


def _interrupt(number, _frame):
    raise KeyboardInterrupt(signal.Signals(number).name)


def _arm_signals():
    """SIGTERM ends a lab as Ctrl-C does: by an exception that passes every `finally`."""
    if signal.getsignal(signal.SIGTERM) is signal.SIG_DFL:
        signal.signal(signal.SIGTERM, _interrupt)
    # A shell gives its background jobs an ignored SIGINT.
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, _interrupt)


@contextlib.contextmanager
def _signals_held():
    """A second Ctrl-C must not stop the cleaning up."""
    held = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT, signal.SIGTERM})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, held)


def _sweep():
    """Removes the namespaces of labs whose process is gone without its goodbye."""
    for line in ip("netns", "list").splitlines():
        name = line.split()[0]
        parts = name.split("-")
        if parts[0] == PREFIX and len(parts) == 4 and not os.path.exists(f"/proc/{parts[1]}"):
            subprocess.run(["ip", "netns", "del", name], capture_output=True, check=False)


@atexit.register
def _close_all():
    for lab in list(Lab._alive):
        lab.close()


def why_impossible():
    """None when this process can make labs with AF_XDP, else one sentence."""
    if os.geteuid() != 0:
        return "labs need root, for network namespaces and AF_XDP"
    try:
        socket.socket(44, socket.SOCK_RAW).close()  # AF_XDP
    except OSError as error:
        return f"the kernel gives no AF_XDP socket ({error.strerror})"
    name = f"{PREFIX}-{os.getpid()}-0-probe"
    made = subprocess.run(["ip", "netns", "add", name], capture_output=True, text=True, check=False)
    if made.returncode != 0:
        return f"network namespaces cannot be made here ({made.stderr.strip()})"
    ip("netns", "del", name)
    return None


def program_path():
    """Of ringplane: $RINGPLANE, else build/ringplane of this repository."""
    default = os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "build", "ringplane")
    path = os.environ.get("RINGPLANE", default)
    if not os.access(path, os.X_OK):
        sys.exit(f"there is no program {path}: type `make build`, or name it with RINGPLANE=")
    return os.path.abspath(path)
