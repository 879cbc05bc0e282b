#!/usr/bin/python3
"""The kernel keeps its network: sessions to the host itself, on the same interface, while the firewall blocks all."""
import os
import socket

from case import LabTest, Session, main
from namespaces import SERVER4, SERVER6, wait_until

HOST4, HOST6 = "10.9.0.254", "fd09::fe"
KEPT = f"""addresses = ["{HOST4}/24", "{HOST6}/64"]
kernel = {{ tcp = [22, 7600], udp = [7601] }}
"""
BLOCK_ALL = 'block log label "all"\n'


class HostServices(LabTest):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        host = cls.firewall_space
        host.ip("addr", "add", f"{HOST4}/24", "dev", "rp-lan")
        host.ip("-6", "addr", "add", f"{HOST6}/64", "dev", "rp-lan", "nodad")
        cls.key = cls.start_sshd()

    @classmethod
    def start_sshd(cls):
        """sshd with keys of its own; /run is the lab's own inside the namespace, so the machine's stays as it is."""
        lab = cls.lab
        os.chmod(lab.folder, 0o755)
        for name in ("host_key", "user_key"):
            cls.client.run("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", lab.path(name), check=True)
        config = lab.write("sshd_config", f"""
            Port 22
            HostKey {lab.path("host_key")}
            AuthorizedKeysFile {lab.path("user_key.pub")}
            PidFile none
            UsePAM no
            StrictModes no
            PermitRootLogin prohibit-password
            """)
        sshd = cls.firewall_space.start("sh", "-c", "mount -t tmpfs tmpfs /run && mkdir -m 755 /run/sshd && "
                                        f"exec /usr/sbin/sshd -D -e -f {config}")
        wait_until(lambda: "Server listening" in sshd.output(), "sshd does not start")
        return lab.path("user_key")

    def ssh(self, host, command):
        return self.client.run("ssh", "-i", self.key, "-o", "StrictHostKeyChecking=no", "-o",
                               "UserKnownHostsFile=/dev/null", "-o", "ConnectTimeout=3", "-o", "BatchMode=yes",
                               f"root@{host}", command, timeout_s=20)

    def start_blocking(self):
        return self.start_firewall(BLOCK_ALL, lan=KEPT)

    def test_a_session_to_the_host_begun_before_goes_on_and_new_ones_are_made(self):
        for address in (HOST4, HOST6):
            with self.subTest(address=address), \
                    Session(self.client, self.firewall_space, address, 7600, 5) as session:
                session.exchange()
                firewall = self.start_blocking()
                session.exchange(bytes(1 << 20))
                self.client.run("ip", "neigh", "flush", "all")  # ARP and neighbour discovery have to work as well
                session.exchange(bytes(1 << 20))
                firewall.stop()
                session.exchange()

    def test_ssh_works_while_everything_else_is_blocked(self):
        firewall = self.start_blocking()
        self.client.run("ip", "neigh", "flush", "all")
        for host in (HOST4, HOST6):
            with self.subTest(host=host):
                scan = self.client.run("ssh-keyscan", "-T", "3", "-t", "ed25519", host)
                self.assertIn("ssh-ed25519", scan.stdout)
                result = self.ssh(host, "echo through the firewall; seq 100000 | tail -1")
                self.assertEqual(result.stdout, "through the firewall\n100000\n", result.stderr)
                self.assertIn(" 0% packet loss", self.client.run("ping", "-c3", "-i0.1", "-W2", host).stdout)
        for server in (SERVER4, SERVER6):
            self.assertNotEqual(self.client.run("ping", "-c1", "-W1", server).returncode, 0)
        self.assertGreater(firewall.drops().get("rule_block", 0), 0)

    def test_a_port_that_is_not_kept_is_the_rules_business(self):
        firewall = self.start_blocking()
        with self.assertRaises(TimeoutError):
            Session(self.client, self.firewall_space, HOST4, 7602, 1)
        line = firewall.wait_for_eve(lambda each: each.get("dest_port") == 7602, "port 7602")
        self.assertEqual((line["verdict"], line["firewall"]["label"]), ("drop", "all"))

    def test_udp_to_the_host(self):
        self.start_blocking()
        for port, kept in ((7601, True), (7602, False)):
            with self.firewall_space.socket(socket.AF_INET, socket.SOCK_DGRAM) as host, \
                    self.client.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
                host.bind((HOST4, port))
                host.settimeout(1)
                client.sendto(b"hello", (HOST4, port))
                if kept:
                    self.assertEqual(host.recv(100), b"hello")
                else:
                    self.assertRaises(TimeoutError, host.recv, 100)


if __name__ == "__main__":
    main()
