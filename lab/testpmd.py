"""Labs without interfaces: `ringplane run` with DPDK ports between processes of dpdk-testpmd, joined by shared memory
(memif, vhost-user). Everything is in one temporary folder; what was started is ended, what DPDK leaves is removed.

    with DpdkLab() as lab:
        firewall = Firewall(lab, rules, config=lab.config(lan="net_memif0,...", wan="net_memif1,..."))
        sink = lab.testpmd("net_memif0,...", mode="rxonly")
"""
import atexit
import os
import re
import shutil
import subprocess
import sys
import tempfile

from namespaces import PREFIX, LabError, Program, wait_until

MEGABYTES = 192


def cpu_set():
    return ",".join(str(cpu) for cpu in sorted(os.sched_getaffinity(0)))


class Testpmd:
    """A dpdk-testpmd that forwards from its start until stop(), with a summary at its end."""

    def __init__(self, lab, devices, mode, words=(), queues=1, cpus=None, held=False):
        self.prefix = f"{PREFIX}-{os.getpid()}-{len(lab.programs)}"
        cpus = cpus or cpu_set()
        command = ["stdbuf", "-oL", "dpdk-testpmd", "--no-huge", "--no-shconf", "--no-pci", "--no-telemetry", "-m", str(MEGABYTES),
                   "--file-prefix", self.prefix, "--lcores", f"0@({cpu_set()}),1@({cpus})"]
        for device in devices:
            command += ["--vdev", device]
        # Without --no-flush-rx it throws away what has come in before it starts.
        command += ["--", "--no-flush-rx", f"--forward-mode={mode}", "--total-num-mbufs=16384", f"--rxq={queues}", f"--txq={queues}",
                    "-i" if held else "--stats-period=1", *words]
        self.held = held
        self.program = lab.start(*command, stdin=subprocess.PIPE if held else subprocess.DEVNULL)

    def say(self, words):
        """To a testpmd that was started `held`, which does not forward before it is told to: say("start")."""
        self.program.process.stdin.write(words.encode() + b"\n")
        self.program.process.stdin.flush()

    def wait_for_prompt(self):
        """A held one has started its ports."""
        wait_until(lambda: "testpmd>" in self.program.output() or not self.program.running(),
                   f"testpmd does not start:\n{self.program.output()}", timeout_s=20)

    def wait_until_forwarding(self):
        """All links are up and the forwarding has begun."""
        wait_until(lambda: "Port statistics" in self.program.output() or not self.program.running(),
                   f"testpmd does not forward:\n{self.program.output()}", timeout_s=20)
        if not self.program.running():
            raise AssertionError(self.program.output())
        return self

    def wait_for_packets(self, count):
        """Until a held one has received so many on one of its ports."""
        def asked():
            self.say("show port stats all")
            return max((port["rx"] for port in self.totals().values()), default=0) >= count

        try:
            wait_until(asked, f"testpmd has not got {count} packets", 5, 0.1)
        except LabError as error:
            raise LabError(f"{error}: {self.totals()}") from error

    def totals(self):
        """Per port what the last statistics say."""
        found = {}
        for part in self.program.output().split("NIC statistics for port ")[1:]:
            numbers = {key: int(value) for key, value in re.findall(r"([RT]X-packets): (\d+)", part)}
            if len(numbers) == 2:  # the last one may be half written
                found[int(part.split()[0])] = {"rx": numbers["RX-packets"], "tx": numbers["TX-packets"]}
        return found

    def halt(self):
        """A held one forwards no more, but stays connected; per port rx, tx and tx_dropped of the whole run."""
        self.say("stop")
        return wait_until(self._summary, "testpmd does not stop")

    def stop(self):
        """Ends it; per port rx, tx and tx_dropped of the whole run."""
        if self.held:
            if self._summary() is None:
                self.say("stop")
            self.say("quit")
            code = self.program.wait(10)
            self.program.process.stdin.close()
        else:
            code = self.program.stop()
        if "Bye..." not in self.program.output():
            raise AssertionError(f"testpmd ended with {code}:\n{self.program.output()[-3000:]}")
        return self._summary()

    def _summary(self):
        text = self.program.output()
        if "Accumulated forward statistics" not in text:
            return None
        found = {}
        for part in text.split("Forward statistics for port ")[1:]:
            numbers = {key: int(value) for key, value in re.findall(r"([RT]X-(?:packets|dropped)): (\d+)", part)[:4]}
            found[int(part.split()[0])] = {"rx": numbers["RX-packets"], "tx": numbers["TX-packets"],
                                           "tx_dropped": numbers["TX-dropped"]}
        return found


class DpdkLab:
    """The folder and the programs. Has what `Firewall` asks of a lab, without namespaces."""

    def __init__(self):
        self.programs = []
        self.folder = None
        self.firewall = self  # its programs run where we are

    def __enter__(self):
        self.folder = tempfile.mkdtemp(prefix=f"{PREFIX}-{os.getpid()}-")
        atexit.register(self.close)
        return self

    def __exit__(self, *_):
        self.close()

    def path(self, name):
        return os.path.join(self.folder, name)

    def write(self, name, text):
        with open(self.path(name), "w", encoding="utf-8") as file:
            file.write(text)
        return self.path(name)

    def start(self, *arguments, stdin=subprocess.DEVNULL):
        arguments = [str(each) for each in arguments]
        output = self.path(f"{len(self.programs):03d}-{os.path.basename(arguments[0])}.out")
        self.programs.append(Program(arguments, arguments, output, stdin))
        return self.programs[-1]

    def testpmd(self, *devices, mode="io", words=(), queues=1, cpus=None, held=False):
        return Testpmd(self, devices, mode, words, queues, cpus, held)

    def config(self, lan, wan, workers=1, extra=""):
        """Of a bridge between two DPDK devices."""
        return f"""rules = "pf.conf"
[[port]]
name = "lan"
interface = "dpdk:{lan}"
[[port]]
name = "wan"
interface = "dpdk:{wan}"
[[bridge]]
ports = ["lan", "wan"]
[workers]
count = {workers}
[control]
socket = "{self.folder}/control.sock"
state = "{self.folder}/state"
{extra}
"""

    def close(self):
        if self.folder is None:
            return
        for program in reversed(self.programs):
            if program.running():
                program.stop(timeout_s=5.0)
            if program.process.stdin is not None:
                program.process.stdin.close()
        for number in range(len(self.programs)):
            shutil.rmtree(f"/var/run/dpdk/{PREFIX}-{os.getpid()}-{number}", ignore_errors=True)
        shutil.rmtree(self.folder, ignore_errors=True)
        self.folder = None
        atexit.unregister(self.close)


def wait_for_links(firewall, names=("lan", "wan")):
    """Until the links are up and the daemon has noticed: it looks once a second, and says so when one changes."""
    def up(port):
        said = re.findall(rf"port {port['port']}: interface \S+ is (up|down)", firewall.program.output())
        return port["link"] == "up" and said[-1:] != ["down"]

    wait_until(lambda: all(up(port) for port in firewall.show("ports") if port["port"] in names),
               f"the links of {names} do not come up")


def why_impossible():
    """None when this machine has what these labs need, else one sentence."""
    if shutil.which("dpdk-testpmd") is None:
        return "there is no dpdk-testpmd (Debian package dpdk)"
    if os.geteuid() != 0:
        return "dpdk-testpmd is started as root here"
    program = os.environ.get("RINGPLANE", "")
    if program and not os.path.exists(os.path.join(os.path.dirname(program), "libringplane_dpdk.so")):
        return "this build has no DPDK (RINGPLANE_DPDK=OFF)"
    return None


def skip_if_impossible():
    reason = why_impossible()
    if reason:
        print(f"*** SKIPPED {sys.argv[0]}: {reason} ***", file=sys.stderr)
        sys.exit(77)
