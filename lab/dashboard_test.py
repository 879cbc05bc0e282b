#!/usr/bin/python3
"""The dashboard in a real browser (apt's chromium-headless-shell, or chromium, driven by playwright-core) on a running firewall: web/tests/dashboard.mjs
looks at the page, this file makes the firewall and the traffic, and knows what the command line says.

    lab/dashboard_test.py --program build/ringplane [--pictures FOLDER]
"""
import json
import os
import shutil
import socket
import subprocess
import sys

from case import LabTest, Session, main
from firewall import Firewall, config_text
from namespaces import CLIENT4, SERVER4, program_path, wait_until

FOLDER = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
SCRIPT = os.path.join(FOLDER, "web", "tests", "dashboard.mjs")
BROWSER = shutil.which("chromium-headless-shell") or shutil.which("chromium")
TOKEN = "correct-horse-battery-staple"
PORT = 18081
# A label is text of whoever writes the rules; here it would like to be more.
HOSTILE = "<img src=x onerror=document.title=1>"
RULES = f"""table <bad> persist {{ 192.0.2.0/24 !192.0.2.7 }}
table <fixed> const {{ 198.51.100.1 }}
block return log label "nothing else"
block in log quick on lan from <bad> label "bad"
pass in on lan proto tcp to port 7400:7499 label "{HOSTILE}"
pass in on lan proto udp to port 7500
pass proto {{ icmp, icmp6 }} label "ping"
pass out quick on wan label "what came in"
"""
PACKET = f"in on lan proto tcp from {CLIENT4} port 4000 to {SERVER4} port 22 flags S"


def modules():
    """Where the build of the program has put the driver of the browser."""
    return os.path.join(os.path.dirname(program_path()), "web", "node_modules")


def missing():
    for what, there in (("chromium-headless-shell", BROWSER), ("node", shutil.which("node")), (modules(), os.path.isdir(modules()))):
        if not there:
            return f"there is no {what}: packaging/install-dependencies.sh build test, and make build"
    return None


class Dashboard(LabTest):
    pictures = None

    def start(self, extra=""):
        token = self.lab.write("token", TOKEN + "\n")
        os.chmod(token, 0o600)
        text = config_text(self.lab.folder).replace(
            "[control]\n", f'[control]\nhttp = "127.0.0.1:{PORT}"\ntoken_file = "token"\n{extra}\n')
        firewall = Firewall(self.lab, RULES, config=text)
        self.addCleanup(lambda: firewall.program.running() and firewall.stop())
        self.assert_reaches(SERVER4)
        return firewall

    def look(self, what, firewall, **facts):
        """Runs the part `what` of the script in the firewall's namespace; its findings are ours."""
        facts = {"url": f"http://127.0.0.1:{PORT}", "token": TOKEN, "hostile": HOSTILE, "packet": PACKET,
                 "modules": modules(), "browser": BROWSER, "pictures": self.pictures,
                 "ping": self.client.command("ping", "-q", "-i", "0.1", SERVER4), **facts}
        path = self.lab.write("facts.json", json.dumps(facts))
        done = self.firewall_space.run("node", SCRIPT, what, path, timeout_s=90)
        print(done.stdout, file=sys.stderr, end="")
        self.assertEqual(done.returncode, 0, f"{done.stdout}\n{done.stderr}\n{firewall.program.output()}")

    def command(self, *words):
        return subprocess.run([program_path(), *words], text=True, capture_output=True, check=False, timeout=30).stdout

    def test_what_is_shown_is_what_is_and_nothing_is_changed(self):
        firewall = self.start()
        with self.client.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
            for _ in range(5):
                sender.sendto(b"x", (SERVER4, 9))  # blocked, and logged
        self.client.run("nc", "-z", "-w1", SERVER4, "22")
        firewall.wait_for_eve(lambda line: line.get("dest_port") == 22, "the blocked connection")
        with Session(self.client, self.server, SERVER4, 7400) as session:
            session.exchange(b"x" * 5000)
            explained = self.command("explain", "-c", firewall.config_path, PACKET)
            self.look("reading", firewall, explained=explained.strip(), client=CLIENT4, server=SERVER4)
            session.exchange()  # the data process was killed meanwhile

    def test_where_writes_are_allowed_tables_and_rules_are_changed(self):
        firewall = self.start("http_writes = true")
        with open(firewall.rules_path, "a", encoding="utf-8") as file:
            file.write('pass in on lan proto udp to port 7501 label "fresh"\n')
        self.look("writing", firewall, entry="203.0.113.0/24")
        shown = self.command("table", "bad", "show", "--socket", firewall.socket_path).split()
        self.assertIn("203.0.113.0/24", shown)
        self.assertNotIn("192.0.2.0/24", shown, "was deleted at the page")
        labels = {rule["label"] for rule in firewall.show("rules")}
        wait_until(lambda: "fresh" in labels, "the rules were not applied")


if __name__ == "__main__":
    if "--pictures" in sys.argv:
        at = sys.argv.index("--pictures")
        Dashboard.pictures = os.path.abspath(sys.argv[at + 1])
        del sys.argv[at:at + 2]
    main(why_not=missing)
