"""The daemon under test, `ringplane run`, in the firewall namespace of a lab, and questions to it."""
import http.client
import json
import os
import re
import signal
import socket

from namespaces import LabError, children_of, cpu_seconds_of, program_path, wait_until

RULES_PASS_ALL = "pass\n"


def config_text(folder, workers=1, extra="", lan="", wan="", log='file = "EVE"'):
    """A configuration of the bridge lan -- wan. `lan` and `wan` are added to their [[port]], `extra` to the whole."""
    return f"""rules = "pf.conf"
[[port]]
name = "lan"
interface = "rp-lan"
{lan}
[[port]]
name = "wan"
interface = "rp-wan"
{wan}
[[bridge]]
ports = ["lan", "wan"]
[workers]
count = {workers}
[log]
{log.replace("EVE", os.path.join(folder, "eve.json"))}
[control]
socket = "{folder}/control.sock"
state = "{folder}/state"
{extra}
"""


class UnixConnection(http.client.HTTPConnection):
    """HTTP over a unix socket."""

    def __init__(self, path, timeout_s):
        super().__init__("ringplane", timeout=timeout_s)
        self.path = path

    def connect(self):
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self.path)


class Firewall:
    """Writes configuration and rules to the lab's folder, starts the daemon, and waits until it answers."""

    def __init__(self, lab, rules=RULES_PASS_ALL, config=None, wait=True, wrapper=(), program=None, **config_words):
        self.lab = lab
        self.socket_path = lab.path("control.sock")
        self.eve_path = lab.path("eve.json")
        self.rules_path = lab.write("pf.conf", rules)
        text = config if config is not None else config_text(lab.folder, **config_words)
        self.config_path = lab.write("ringplane.toml", text)
        if os.path.exists(self.eve_path):
            os.unlink(self.eve_path)
        self.program = lab.firewall.start(*wrapper, program or program_path(), "run", "-c", self.config_path)
        if wait:
            self.wait_until_running()

    def __enter__(self):
        return self

    def __exit__(self, kind, *_):
        if kind is None and self.program.running():
            self.stop()
        else:
            self.program.stop()

    def wait_until_running(self):
        def answers():
            if not self.program.running():
                raise LabError(f"ringplane ended with {self.program.wait()}:\n{self.program.output()}")
            return self.ask("/v1/ports") is not None

        wait_until(answers, "ringplane does not answer at its control socket", timeout_s=30)

    def request(self, method, path, body=None, timeout_s=30):
        """(status, answer) of the API at the control socket; the answer is read as JSON where it says it is."""
        connection = UnixConnection(self.socket_path, timeout_s)
        try:
            text = json.dumps(body) if isinstance(body, (dict, list)) else body
            connection.request(method, path, text, {"Content-Type": "application/json"} if text else {})
            reply = connection.getresponse()
            data = reply.read()
            is_json = reply.headers.get_content_type() == "application/json"
            return reply.status, json.loads(data) if is_json else data.decode()
        finally:
            connection.close()

    def ask(self, path):
        """The daemon's answer to GET; None while it does not answer, or says no."""
        try:
            status, answer = self.request("GET", path)
        except (OSError, http.client.HTTPException):
            return None
        return answer if status == 200 else None

    def post(self, path, body=None):
        """The daemon's answer to POST; LabError if it says no."""
        status, answer = self.request("POST", path, body if body is not None else {})
        if status != 200:
            raise LabError(f"POST {path}: {status} {answer}\n{self.program.output()}")
        return answer

    def show(self, what, limit=100000):
        answer = self.ask(f"/v1/{what}?limit={limit}")
        if answer is None:
            raise LabError(f"ringplane does not show {what}\n{self.program.output()}")
        return answer[what] if isinstance(answer, dict) else answer

    def drops(self):
        return {each["reason"]: each["packets"] for each in self.show("drops") if each["packets"]}

    def workers_sum(self, counter):
        return sum(worker[counter] for worker in self.show("workers"))

    def rule(self, label):
        """The counters of the rules with that label, summed."""
        rules = [rule for rule in self.show("rules") if rule["label"] == label]
        return {key: sum(rule[key] for rule in rules) for key in ("packets", "bytes", "states", "states_total")}

    def eve(self):
        """The log's lines so far. Those of packets that are through come within a tick of the daemon."""
        if not os.path.exists(self.eve_path):
            return []
        with open(self.eve_path, encoding="utf-8") as file:
            return [json.loads(line) for line in file if line.endswith("\n")]

    def wait_for_eve(self, condition, what, timeout_s=5.0):
        """The first EVE line for which condition(line) holds."""
        return wait_until(lambda: next((line for line in self.eve() if condition(line)), None),
                          f"no EVE line: {what}", timeout_s, 0.05)

    def reload(self, rules):
        """SIGHUP with other rules; returns what the daemon said about it."""
        with open(self.rules_path, "w", encoding="utf-8") as file:
            file.write(rules)
        said = len(self.program.output())
        self.program.signal(signal.SIGHUP)
        wait_until(lambda: re.search(r"reloaded: |rules stay as they are", self.program.output()[said:]),
                   "no answer to SIGHUP")
        return self.program.output()[said:]

    def data_pid(self):
        """Of the data process; None while there is none."""
        processes = {each["process"]: each["pid"] for each in self.show("processes")}
        return processes.get("data")

    def cpu_seconds(self):
        """User and system time of both processes so far."""
        return self.program.cpu_seconds() + cpu_seconds_of(self.data_pid())

    def kill_data_process(self):
        """SIGKILL, and waits until another has taken over; returns what was said."""
        said = len(self.program.output())
        os.kill(self.data_pid(), signal.SIGKILL)
        wait_until(lambda: re.search(r"running again|Find the cause", self.program.output()[said:]),
                   "no other data process takes over")
        return self.program.output()[said:]

    def kill(self):
        """SIGKILL for all processes; one that stands by ends by itself."""
        data = self.data_pid()
        self.program.signal(signal.SIGKILL)
        self.program.wait()
        if data is not None:
            os.kill(data, signal.SIGKILL)
            wait_until(lambda: data not in children_of(os.getpid()) or os.waitpid(data, os.WNOHANG)[0] == data,
                       "the data process does not end")

    def stop(self):
        """SIGTERM; LabError unless it ends well with all frames at home."""
        code = self.program.stop()
        output = self.program.output()
        if code != 0 or not re.search(r"stopped, all \d+ frames home", output):
            raise LabError(f"ringplane ended with {code}:\n{output}")
        return output
