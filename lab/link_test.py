#!/usr/bin/python3
"""Links go down and come back, devices go for good: a message, and the rest goes on."""
from case import LabTest, main
from firewall import Firewall
from namespaces import SERVER4, SERVER6, wait_until


class Link(LabTest):
    def wait_for_word(self, firewall, text):
        wait_until(lambda: text in firewall.program.output(), f"ringplane does not say '{text}'")

    def link_of(self, firewall, name):
        return next(port["link"] for port in firewall.show("ports") if port["port"] == name)

    def test_a_cable_that_is_pulled_and_put_back(self):
        firewall = self.start_firewall()
        self.assert_reaches(SERVER4)
        self.server.ip("link", "set", "s0", "down")
        self.wait_for_word(firewall, "port wan: interface rp-wan is down")
        self.assertEqual(self.link_of(firewall, "wan"), "down")
        self.assertNotEqual(self.client.run("ping", "-c2", "-i0.2", "-W1", SERVER4).returncode, 0)
        self.server.ip("link", "set", "s0", "up")
        self.server.run("ip", "-6", "addr", "replace", f"{SERVER6}/64", "dev", "s0", "nodad")
        self.wait_for_word(firewall, "port wan: interface rp-wan is up")
        self.assertEqual(self.link_of(firewall, "wan"), "up")
        self.assert_reaches(SERVER4)
        self.assert_reaches(SERVER6)

    def test_an_interface_that_is_set_down_and_up(self):
        firewall = self.start_firewall()
        self.assert_reaches(SERVER4)
        self.firewall_space.ip("link", "set", "rp-lan", "down")
        self.wait_for_word(firewall, "port lan: interface rp-lan is down")
        self.firewall_space.ip("link", "set", "rp-lan", "up")
        self.wait_for_word(firewall, "port lan: interface rp-lan is up")
        self.assert_reaches(SERVER4)


class Removal(LabTest):
    def test_a_device_that_is_removed_under_traffic(self):
        firewall = Firewall(self.lab)
        self.assert_reaches(SERVER4)
        flood = self.client.start("ping", "-f", "-s", "1000", SERVER4)
        wait_until(lambda: firewall.workers_sum("passed") > 1000, "no traffic")
        self.firewall_space.ip("link", "del", "rp-wan")
        wait_until(lambda: "interface rp-wan is gone" in firewall.program.output(), "no word about the removal")
        flood.stop()
        ports = {port["port"]: port["link"] for port in firewall.show("ports")}
        self.assertEqual(ports["wan"], "gone")
        self.assertEqual(ports["lan"], "up")
        self.assertGreaterEqual(firewall.show("workers")[0]["turns"], 1)
        firewall.stop()  # well, and every frame at home
        self.assertNotIn("prog/xdp", self.firewall_space.run("ip", "-d", "link", "show", "dev", "rp-lan").stdout)


if __name__ == "__main__":
    main()
