#!/usr/bin/python3
"""Two queues, two workers: a flow has one owner wherever its frames come in, and no frame is lost on the way there."""
import hashlib
import json

from case import LabTest, in_thread, main
from namespaces import SERVER4, SERVER6
from servers import start_iperf3, start_nginx

RULES = """block log label "default"
pass out quick
pass in on lan proto { tcp, udp } label "in"
pass in on lan inet proto icmp icmp-type echoreq
pass in on lan inet6 proto icmp6 icmp6-type echoreq
pass quick inet6 proto icmp6 icmp6-type { neighbrsol, neighbradv } no state
"""


class TwoWorkers(LabTest):
    queues = 2

    def setUp(self):
        self.firewall = self.start_firewall(RULES, workers=2)

    def test_flows_are_shared_and_frames_are_handed_over(self):
        file = start_nginx(self.server, file_bytes=4 << 20)
        start_iperf3(self.server)
        with open(file, "rb") as data:
            wanted = hashlib.sha256(data.read()).hexdigest()
        for host in (SERVER4, f"[{SERVER6}]"):
            copies = [self.lab.path(f"copy{i}") for i in range(12)]
            downloads = [in_thread(lambda copy=copy: self.client.run(
                "curl", "-gsS", "--fail", "--max-time", 60, "-o", copy, f"http://{host}/file", check=True))
                for copy in copies]
            for download in downloads:
                download()
            for copy in copies:
                with open(copy, "rb") as data:
                    self.assertEqual(hashlib.sha256(data.read()).hexdigest(), wanted)
        for words in (["-P", "8"], ["-P", "8", "-R"], ["-u", "-b", "20M", "-P", "4"]):
            with self.subTest(iperf3=words):
                result = self.client.run("iperf3", "-J", "-c", SERVER4, "-t", 2, *words)
                self.assertEqual(result.returncode, 0, result.stdout[-500:])
                self.assertNotIn("error", json.loads(result.stdout))
        for host in (SERVER4, SERVER6):
            self.assertIn(" 0% packet loss", self.client.run("ping", "-c20", "-i0.01", "-W2", host).stdout)

        for port in self.firewall.show("ports"):
            self.assertIn("2 queues", port["description"])
        workers = self.firewall.show("workers")
        self.assertEqual(len(workers), 2)
        for worker in workers:
            self.assertGreater(worker["packets"], 0)
            self.assertGreater(worker["flows_total"], 5, "all flows fell to the other worker")
        # Client and kernel choose the queue of either direction on their own, so about half comes to the wrong one.
        self.assertGreater(self.firewall.workers_sum("handed_over"), 1000)
        self.assertEqual({reason: count for reason, count in self.firewall.drops().items()
                          if reason.startswith("tcp_") or reason in ("wrong_side", "no_egress")}, {})
        self.firewall.stop()  # says that all frames are home, or fails


if __name__ == "__main__":
    main()
