#!/usr/bin/python3
"""`ringplane top` on a terminal (a real pty, read by a terminal emulator) while real traffic passes: what is on the screen
is what the API says, keys work, and the terminal is left as it was."""
import fcntl
import os
import pty
import re
import select
import signal
import socket
import struct
import subprocess
import termios
import time

import pyte

from case import LabTest, Session, main
from namespaces import SERVER4, program_path, wait_until

RULES = """pass label "all"
block in proto udp to port 9 label "nine"
pass in proto tcp to port 7001 label "\x1b[31mred\x1b]0;owned\x07"
pass in proto tcp to port 7002 label "plain"
"""


class Screen(pyte.Screen):
    """With what pyte 0.8 leaves out and ncurses makes use of: scrolling (SU, SD), and back to the tab stop before (CBT)."""

    def _at_the_top(self, do, count):
        place = self.cursor.x, self.cursor.y
        self.cursor.y = self.margins.top if self.margins else 0
        do(count or 1)
        self.cursor.x, self.cursor.y = place

    def scroll_up(self, count=1):
        self._at_the_top(self.delete_lines, count)

    def scroll_down(self, count=1):
        self._at_the_top(self.insert_lines, count)

    def cursor_back_tab(self, count=1):
        for _ in range(count or 1):
            self.cursor.x = max((stop for stop in self.tabstops if stop < self.cursor.x), default=0)


class Stream(pyte.ByteStream):
    csi = pyte.ByteStream.csi | {"S": "scroll_up", "T": "scroll_down", "Z": "cursor_back_tab"}
    events = pyte.ByteStream.events | {"scroll_up", "scroll_down", "cursor_back_tab"}


class Terminal:
    """A `ringplane top` at a terminal of its own."""

    def __init__(self, socket_path, *words, columns=80, lines=24, environment=None):
        self.screen = Screen(columns, lines)
        self.stream = Stream(self.screen)
        self.bytes = b""
        self.outer, inner = pty.openpty()
        self.resize(columns, lines)
        self.before = termios.tcgetattr(inner)
        values = {"TERM": "screen-256color", "LC_ALL": "C.UTF-8", "PATH": os.environ["PATH"]} | (environment or {})
        self.process = subprocess.Popen([program_path(), "top", "--socket", socket_path, *words], stdin=inner, stdout=inner,
                                        stderr=inner, env=values, start_new_session=True,
                                        preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0))
        self.inner = inner

    def resize(self, columns, lines):
        self.screen.resize(lines, columns)
        fcntl.ioctl(self.outer, termios.TIOCSWINSZ, struct.pack("HHHH", lines, columns, 0, 0))

    def read(self, seconds=0.0):
        """Takes what comes within so many seconds."""
        end = time.monotonic() + seconds
        while select.select([self.outer], [], [], max(0.0, end - time.monotonic()))[0]:
            data = os.read(self.outer, 65536)
            self.bytes += data
            self.stream.feed(data)

    def text(self):
        return "\n".join(line.rstrip() for line in self.screen.display)

    def wait_for(self, condition, what, timeout_s=8.0):
        """The screen's text, as soon as condition(text) holds."""
        end = time.monotonic() + timeout_s
        while not condition(self.text()):
            if time.monotonic() > end:
                raise AssertionError(f"never seen: {what}\n{self.text()}")
            self.read(0.05)
        return self.text()

    def wait_for_text(self, pattern):
        self.wait_for(lambda text: re.search(pattern, text), pattern)
        return re.search(pattern, self.text())

    def press(self, keys):
        os.write(self.outer, keys.encode())

    def rows(self, heading):
        """The lines below the one that begins with `heading`, until another pane's, as lists of words."""
        lines = self.text().splitlines()
        at = next(i for i, line in enumerate(lines) if line.startswith(heading))
        rows = []
        for line in lines[at + 1:]:
            if re.match(r"(PORT|PROTO|  +RULE|DROP REASON|WORKER|q quit|no answer)\b", line) or not line:
                break
            rows.append(line.split())
        return rows

    def end(self):
        """Waits for its end; the exit code."""
        try:
            code = self.process.wait(10)
            self.read(0.1)
            return code
        finally:
            self.close()

    def close(self):
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()


class Top(LabTest):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.server_program = cls.server.start("iperf3", "-s")
        cls.server.wait_for_listener(5201)

    def start_top(self, firewall, *words, **named):
        terminal = Terminal(firewall.socket_path, "--interval", "0.2", *words, **named)
        self.addCleanup(terminal.close)
        return terminal

    def assert_left_as_it_was(self, terminal):
        self.assertEqual(terminal.end(), 0)
        self.assertEqual(termios.tcgetattr(terminal.inner), terminal.before, "echo, line mode and all else")
        self.assertIn(b"\x1b[?1049h", terminal.bytes)
        self.assertGreater(terminal.bytes.rfind(b"\x1b[?1049l"), terminal.bytes.rfind(b"\x1b[?1049h"), "the other screen again")
        self.assertGreater(terminal.bytes.rfind(b"\x1b[?25h"), terminal.bytes.rfind(b"\x1b[?25l"), "a cursor again")

    def test_figures_are_those_of_the_api(self):
        """Steady traffic: rates on the screen are those of the counters; after it, totals are equal."""
        firewall = self.start_firewall(RULES)
        self.assert_reaches(SERVER4)
        terminal = self.start_top(firewall)
        load = self.client.start("iperf3", "-c", SERVER4, "-u", "-b", "16M", "-l", "1000", "-t", "3")
        terminal.wait_for_text(r"up +[12]\d\d\d ")
        begin, ports = time.monotonic(), firewall.show("ports")
        rates = []
        while time.monotonic() < begin + 1.5:
            terminal.read(0.2)
            lan = next(row for row in terminal.rows("PORT") if row[0] == "lan")
            rates.append(float(lan[2]))
        seconds, now = time.monotonic() - begin, firewall.show("ports")
        true_rate = (now[0]["rx_packets"] - ports[0]["rx_packets"]) / seconds
        self.assertLess(abs(sorted(rates)[len(rates) // 2] - true_rate), 0.15 * true_rate, rates)
        busiest = terminal.rows("PROTO")[0]
        self.assertEqual((busiest[0], busiest[2]), ("udp", SERVER4 + ":5201"))
        self.assertLess(abs(float(busiest[3]) - true_rate), 0.3 * true_rate, busiest)
        load.wait()
        with self.client.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
            for _ in range(7):
                sender.sendto(b"x", (SERVER4, 9))
        drops, flows = wait_until(firewall.drops, "nothing is dropped"), firewall.show("flows")
        terminal.wait_for_text(rf"rule_block +\S+ +{drops['rule_block']} ")
        flow = max(flows, key=lambda each: each["bytes_out"])
        terminal.press("s")
        terminal.press("s")  # by bytes, so that it stays on top
        packets = flow["packets_out"] + flow["packets_back"]
        terminal.resize(160, 40)
        terminal.wait_for_text(rf"udp +\S+ +{SERVER4}:5201 .* {packets} .*MULTIPLE")
        terminal.wait_for(lambda text: re.search(rf"\n +0 +\d+ % +\S+ +{firewall.show('workers')[0]['flows']} ", text),
                          "as many flows as the worker has")
        rule = next(each for each in firewall.show("rules") if each["label"] == "nine")
        terminal.wait_for_text(rf"\n +{rule['rule']} .* {rule['packets']} .* nine ")
        terminal.press("q")
        self.assert_left_as_it_was(terminal)

    def test_keys(self):
        firewall = self.start_firewall(RULES)
        self.assert_reaches(SERVER4)
        with Session(self.client, self.server, SERVER4, 7001) as one, Session(self.client, self.server, SERVER4, 7002) as two:
            for _ in range(20):
                one.exchange(b"x" * 1000)
            two.exchange(b"x")
            terminal = self.start_top(firewall)
            terminal.wait_for(lambda text: ":7001" in text and ":7002" in text, "both flows")
            self.assertNotIn(b"owned\x07", terminal.bytes, "what a label says is no command to the terminal")

            def order():
                ports = [row[2][-4:] for row in terminal.rows("PROTO") if row[0] == "tcp"]
                return ports if sorted(ports) == ["7001", "7002"] else None

            terminal.press("s")
            terminal.press("s")
            terminal.wait_for_text(r"BYTES▼|▼BYTES")
            terminal.wait_for(lambda _: order() == ["7001", "7002"], "by bytes, the larger first")
            terminal.press("r")
            terminal.wait_for(lambda _: order() == ["7002", "7001"], "the other way round")
            terminal.press("/:7002\r")
            terminal.wait_for(lambda text: ":7002" in text and ":7001" not in text, "only what the filter finds")
            self.assertIn("filter :7002", terminal.text())
            terminal.press("\x1b")
            terminal.wait_for(lambda text: ":7001" in text, "no filter any more")
            terminal.press("?")
            terminal.wait_for(lambda text: "leaves it" in text and ":7001" not in text, "help")
            terminal.press("q")
            terminal.wait_for(lambda text: "leaves it" not in text and ":7001" in text, "no help")
            terminal.press("3")
            terminal.wait_for_text(r" \?\[31mred\?\]0")
            terminal.press("/plain\r")
            terminal.wait_for(lambda text: "plain" in text and "nine" not in text, "one rule")
            terminal.press("\x1b ")
            terminal.wait_for_text("PAUSED")
            terminal.press(" +")
            terminal.wait_for_text(r"every 0\.5 s")
            for columns, lines in ((60, 15), (200, 50), (80, 24)):
                terminal.resize(columns, lines)
                terminal.wait_for(lambda text: re.search(r"every 0\.5 s$", text.splitlines()[0]) and "quit" in text.splitlines()[-1],
                                  f"the whole of {columns} x {lines}")
                self.assertEqual(len(terminal.text().splitlines()[0]), columns)
            terminal.resize(30, 5)
            terminal.wait_for_text("too small: 30 x 5")
            terminal.process.send_signal(signal.SIGINT)
            self.assert_left_as_it_was(terminal)

    def test_goes_on_while_others_die(self):
        firewall = self.start_firewall(RULES)
        self.assert_reaches(SERVER4)
        terminal = self.start_top(firewall, environment={"NO_COLOR": "1"})
        terminal.wait_for_text(r"lan +up +\d")
        firewall.kill_data_process()
        self.assert_reaches(SERVER4)
        rx = firewall.show("ports")[0]["rx_packets"]
        self.assertGreater(rx, 0)
        terminal.wait_for_text(r"icmp +10\.9\.0\.1 +10\.9\.0\.2")
        terminal.wait_for(lambda text: "no answer" not in text, "an answer")
        self.assertNotRegex(terminal.text(), r" -\d", "a rate below zero")
        firewall.stop()
        terminal.wait_for_text("no answer, trying again: no ringplane answers at")
        again = self.start_firewall(RULES)
        self.assertTrue(again.program.running())
        terminal.wait_for(lambda text: "no answer" not in text, "the one that runs now")
        self.assertNotRegex(terminal.bytes.decode(), r"\x1b\[[0-9;]*(3[0-7]|4[0-7])m", "NO_COLOR")
        terminal.process.send_signal(signal.SIGTERM)
        self.assert_left_as_it_was(terminal)

    def test_once_and_without_a_terminal(self):
        firewall = self.start_firewall(RULES)
        self.assert_reaches(SERVER4)
        pings = self.client.start("ping", "-i", "0.02", SERVER4)
        ask = [program_path(), "top", "--socket", firewall.socket_path, "--interval", "0.5"]
        done = subprocess.run([*ask, "--once"], capture_output=True, text=True, check=True, timeout=20)
        pings.stop()
        self.assertNotIn("\x1b", done.stdout)
        self.assertLessEqual(max(map(len, done.stdout.splitlines())), 80)
        for pattern, rate in ((r"\nicmp +10\.9\.0\.1 +10\.9\.0\.2 +(\S+) ", 100), (r"\nlan +up +(\S+) ", 50)):
            self.assertLess(abs(float(re.search(pattern, done.stdout).group(1)) - rate), 0.3 * rate, done.stdout)
        self.assertEqual(subprocess.run(ask, capture_output=True, check=True, timeout=20).stdout.count(b"\x1b"), 0)
        dumb = self.start_top(firewall, environment={"TERM": "dumb"})
        self.assertEqual(dumb.end(), 0)
        self.assertNotIn(b"\x1b", dumb.bytes)
        self.assertIn(b"DROP REASON", dumb.bytes)
        unknown = self.start_top(firewall, environment={"TERM": "no-such-terminal"})
        self.assertEqual(unknown.end(), 1)
        self.assertIn(b"set TERM", unknown.bytes)


if __name__ == "__main__":
    main()
