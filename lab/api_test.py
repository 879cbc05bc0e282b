#!/usr/bin/python3
"""The API of a running firewall: what it answers is what openapi.json says, its metrics are what Prometheus takes, and
who may not ask is told so. Over the control socket, and over a port of loopback with a token."""
import json
import os
import re
import socket
import subprocess

import jsonschema

from case import LabTest, main
from firewall import Firewall, config_text
from namespaces import program_path, wait_until

FOLDER = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
TOKEN = "correct-horse-battery-staple"
PORT = 18080
RULES = 'pass label "all \\"in\\""\nblock in log proto tcp to port 81 label "no81"\n'


def openapi():
    with open(os.path.join(FOLDER, "docs/reference/openapi.json"), encoding="utf-8") as file:
        return json.load(file)


class Api(LabTest):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        token = cls.lab.write("token", TOKEN + "\n")
        os.chmod(token, 0o600)
        text = config_text(cls.lab.folder)
        # Of no group: the socket stays ours.
        text = text.replace("[control]\n", f'[control]\nhttp = "127.0.0.1:{PORT}"\ntoken_file = "token"\ngroup = "no such"\n')
        cls.firewall_space.ip("link", "set", "lo", "up")
        cls.firewall = Firewall(cls.lab, RULES, config=text)
        cls.addClassCleanup(cls.firewall.stop)

    def curl(self, path, *words):
        """(status, body) over TCP, by a program that nobody here wrote."""
        out = self.firewall_space.run("curl", "-sS", "-m", "10", "-w", "\n%{http_code}", *words,
                                      f"http://127.0.0.1:{PORT}{path}", check=True).stdout
        body, _, status = out.rpartition("\n")
        return int(status), body

    def test_each_answer_is_as_described(self):
        self.assert_reaches("10.9.0.2")
        description = openapi()
        for path, verbs in description["paths"].items():
            if "get" not in verbs or "{" in path or verbs["get"].get("x-stream"):
                continue
            with self.subTest(path=path):
                status, answer = self.firewall.request("GET", path)
                self.assertEqual(status, 200, answer)
                schema = verbs["get"]["responses"]["200"]["content"].get("application/json", {}).get("schema")
                if schema:
                    jsonschema.validate(answer, {**schema, "components": description["components"]})

    def test_the_description_is_served_to_everybody(self):
        self.assertEqual(self.firewall.request("GET", "/v1/openapi.json")[1], openapi())
        status, body = self.curl("/v1/openapi.json")
        self.assertEqual((status, json.loads(body)), (200, openapi()))

    def test_pages(self):
        status, page = self.firewall.request("GET", "/v1/rules?search=no81")
        self.assertEqual((status, page["total"], len(page["rules"])), (200, 1, 1))
        self.assertEqual(self.firewall.request("GET", "/v1/rules?limit=1&offset=1")[1]["rules"][0]["label"], "no81")
        by_packets = [each["packets"] for each in self.firewall.request("GET", "/v1/rules?sort=packets")[1]["rules"]]
        self.assertEqual(by_packets, sorted(by_packets, reverse=True))
        for wrong in ("rules?sort=color", "rules?limit=x", "flows?sort=x", "rules?limit=100001"):
            self.assertEqual(self.firewall.request("GET", "/v1/" + wrong)[0], 400, wrong)

    def test_explain(self):
        asked = {"packet": "in on lan proto tcp from 10.9.0.1 port 4000 to 10.9.0.2 port 81 flags S"}
        answer = self.firewall.post("/v1/explain", asked)
        self.assertEqual((answer["verdict"], answer["steps"][0]["rule"]["label"]), ("block", "no81"))
        for wrong in ({}, {"packet": 3}, {"packet": "nonsense"}, {"packet": "x" * 2000}, "{", "[]"):
            status, answer = self.firewall.request("POST", "/v1/explain", wrong)
            self.assertEqual(status, 400, wrong)
            self.assertTrue(answer["error"])

    def test_the_last_lines_of_the_log_are_remembered(self):
        for _ in range(3):
            self.client.run("nc", "-z", "-w1", "10.9.0.2", "81")
        wait_until(lambda: sum(line.get("dest_port") == 81 for line in self.firewall.eve()) >= 3, "three lines")
        answer = self.firewall.ask("/v1/logs")
        self.assertEqual([json.loads(each["line"]) for each in answer["lines"]], self.firewall.eve()[:answer["last"]])
        self.assertEqual([each["number"] for each in answer["lines"]], list(range(1, answer["last"] + 1)))
        self.assertEqual((answer["overwritten"], answer["data_pid"]), (0, self.firewall.data_pid()))
        later = self.firewall.ask(f"/v1/logs?after={answer['last']}")["lines"]  # a SYN may have been sent again
        self.assertTrue(all(each["number"] > answer["last"] for each in later), later)
        self.assertEqual(len(self.firewall.ask("/v1/logs?limit=1&search=no81")["lines"]), 1)
        for wrong in ("after=x", "limit=1001", "after=-1"):
            self.assertEqual(self.firewall.request("GET", "/v1/logs?" + wrong)[0], 400, wrong)

    def test_who_asks_is_told_what_they_may(self):
        self.assertEqual(json.loads(self.curl("/v1/access")[1]), {"known": False})
        known = json.loads(self.curl("/v1/access", "-H", f"Authorization: Bearer {TOKEN}")[1])
        self.assertEqual((known["known"], known["may_write"]), (True, False))
        self.assertTrue(self.firewall.ask("/v1/access")["may_write"])
        self.assertEqual(self.curl("/v1/access", "-H", "Authorization: Bearer wrong-horse-battery-stapl")[0], 401)

    def test_pages_from_elsewhere_may_not_ask(self):
        right = ("-H", f"Authorization: Bearer {TOKEN}")
        self.assertEqual(self.curl("/v1/ports", *right, "-H", "Host: evil.example")[0], 421)
        self.assertEqual(self.curl("/v1/ports", *right, "-H", "Origin: http://evil.example")[0], 403)
        self.assertEqual(self.curl("/v1/ports", *right, "-H", f"Origin: http://127.0.0.1:{PORT}")[0], 200)
        through_ssh = ("--unix-socket", self.firewall.socket_path)
        self.assertEqual(self.curl("/v1/ports", *through_ssh)[0], 200)
        self.assertEqual(self.curl("/v1/log/reopen", *through_ssh, "-d", "", "-H", "Origin: http://evil.example")[0], 403)

    def test_over_tcp_a_token_is_wanted_and_nothing_may_be_changed(self):
        self.assertEqual(self.curl("/v1/ports")[0], 401)
        self.assertEqual(self.curl("/metrics")[0], 401)
        self.assertEqual(self.curl("/v1/ports", "-H", "Authorization: Bearer wrong-horse-battery-stapl")[0], 401)
        right = ("-H", f"Authorization: Bearer {TOKEN}")
        self.assertEqual(self.curl("/v1/ports", *right)[0], 200)
        self.assertEqual(self.curl("/v1/explain", *right, "-d", '{"packet": "in on lan proto tcp"}')[0] // 100, 2)
        status, body = self.curl("/v1/upgrade", *right, "-X", "POST")
        self.assertEqual(status, 403)
        self.assertIn("http_writes", body)
        self.assertIn("refused", self.firewall.program.output())

    def test_the_socket_is_not_everybodys(self):
        self.assertEqual(os.stat(self.firewall.socket_path).st_mode & 0o777, 0o660)
        ended = self.firewall_space.run("setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", "curl", "-sS",
                                        "--unix-socket", self.firewall.socket_path, "http://ringplane/v1/ports")
        self.assertNotEqual(ended.returncode, 0)

    def test_metrics_are_what_prometheus_takes(self):
        self.assert_reaches("10.9.0.2")
        text = self.firewall.ask("/metrics")
        samples, problems = read_metrics(text)
        self.assertEqual(problems, [])
        ports = {each["port"]: each for each in self.firewall.show("ports")}
        for port in ("lan", "wan"):
            counted = samples["ringplane_port_receive_packets_total"][f'port="{port}",interface="rp-{port}"']
            self.assertGreater(counted, 0)
            self.assertLessEqual(counted, ports[port]["rx_packets"])
        self.assertIn('label="all \\"in\\""', samples["ringplane_rule_packets_total"])
        self.assertEqual(samples["ringplane_up"][""], 1)
        with open(os.path.join(FOLDER, "docs/reference/metrics.md"), encoding="utf-8") as file:
            page = file.read()
        described = dict(re.findall(r"^\| `(ringplane_\w+)` \| (counter|gauge)", page, re.M))
        self.assertEqual(set(described), set(samples))
        for name, kind in described.items():
            self.assertIn(f"# TYPE {name} {kind}\n", text)

    def test_the_command_line_says_what_the_daemon_says(self):
        run = subprocess.run([program_path(), "show", "flows", "--socket", self.firewall.socket_path, "--sort", "nonsense"],
                             capture_output=True, text=True, check=False)
        self.assertEqual(run.returncode, 1)
        self.assertIn("cannot be sorted by 'nonsense'", run.stderr)

    def test_a_hundred_clients_that_say_nothing_do_not_keep_us_out(self):
        idle = [socket.socket(socket.AF_UNIX) for _ in range(100)]
        for each in idle:
            each.connect(self.firewall.socket_path)
            each.send(b"GET /v1/po")
        self.assertIsNotNone(self.firewall.ask("/v1/ports"))
        for each in idle:
            each.close()


def read_metrics(text):
    """({name: {labels: value}}, problems) of the text format 0.0.4, by the rules that promtool checks."""
    samples, problems, kinds, helped, current = {}, [], {}, set(), None
    for number, line in enumerate(text.splitlines(), 1):
        if match := re.fullmatch(r"# HELP (\S+) (\S.*)", line):
            helped.add(match[1])
            continue
        if match := re.fullmatch(r"# TYPE (\S+) (counter|gauge)", line):
            name, kinds[match[1]] = match[1], match[2]
            samples[name] = {}
            if (kinds[name] == "counter") != name.endswith("_total"):
                problems.append(f"{number}: a counter, and nothing else, ends in _total")
            if not re.fullmatch(r"[a-z][a-z0-9_]*", name) or re.search(r"_(milli|micro|nano)?(ms|us|ns|kb|mb|bits)(_|$)", name):
                problems.append(f"{number}: odd name or unit {name}")
            current = name
            continue
        match = re.fullmatch(r'([a-z0-9_]+)(?:\{((?:[a-z_]+="(?:[^"\\]|\\.)*",?)*)\})? (-?[0-9.e+]+)', line)
        if not match:
            problems.append(f"{number}: cannot be read: {line}")
            continue
        name, labels, value = match[1], match[2] or "", float(match[3])
        if name != current or name not in helped:
            problems.append(f"{number}: {name} is not below its own HELP and TYPE")
        elif labels in samples[name]:
            problems.append(f"{number}: {name}{{{labels}}} twice")
        else:
            samples[name][labels] = value
    if not text.endswith("\n"):
        problems.append("no newline at the end")
    return samples, problems


if __name__ == "__main__":
    main()
