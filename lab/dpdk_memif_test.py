#!/usr/bin/python3
"""DPDK ports over memif: shared memory between ringplane and dpdk-testpmd, ringplane as the server and as the client."""
import os
import unittest

import testpmd
from dpdk_cases import TransportCases, main
from firewall import Firewall
from namespaces import wait_until


class Server(TransportCases, unittest.TestCase):
    def socket(self, number):
        return os.path.join(self.lab.folder, f"memif{number}.sock")

    def ringplane_device(self, number, queues):
        return f"net_memif{number},role=server,id={number},socket={self.socket(number)},socket-abstract=no"

    def peer_device(self, number, queues):
        return f"net_memif0,role=client,id={number},socket={self.socket(number)},socket-abstract=no"

    def run_to_its_end(self, lan):
        self.lab.write("pf.conf", "pass\n")
        config = self.lab.write("ringplane.toml", self.lab.config(lan, self.ringplane_device(1, 1)))
        program = self.lab.start(os.environ["RINGPLANE"], "run", "-c", config)
        code = program.wait()
        self.assertEqual(program.output().count("\n"), 1, program.output())
        self.assert_nothing_left()
        return code, program.output()

    def test_errors_are_sentences(self):
        code, said = self.run_to_its_end("net_memory0")
        self.assertEqual(code, 78)
        self.assertIn("ringplane: dpdk:net_memory0 cannot be opened (", said)
        code, said = self.run_to_its_end(f"net_memif0,role=client,socket={self.socket(0)}")
        self.assertEqual(code, 1)
        self.assertIn("it does not start: check that its other end is there (", said)


class Client(unittest.TestCase):
    """Ringplane as the client must find the sockets of its peers, so these come first."""

    def test_a_flood_from_server_to_server(self):
        lab = self.enterContext(testpmd.DpdkLab())
        sockets = [lab.path(f"memif{number}.sock") for number in (0, 1)]
        source = lab.testpmd(f"net_memif0,role=server,id=0,socket={sockets[0]},socket-abstract=no", mode="txonly", held=True)
        sink = lab.testpmd(f"net_memif0,role=server,id=1,socket={sockets[1]},socket-abstract=no", mode="rxonly", held=True)
        # The sockets are there before the ports behind them are, and a client that comes between is sent away for good.
        for peer in (source, sink):
            peer.wait_for_prompt()
        config = lab.config(*(f"net_memif{i},role=client,id={i},socket={sockets[i]},socket-abstract=no" for i in (0, 1)))
        firewall = Firewall(lab, "pass\n", config=config)
        testpmd.wait_for_links(firewall)
        sink.say("start")
        source.say("start")
        wait_until(lambda: firewall.show("ports")[1]["tx_packets"] > 100_000, "too little passes", 20)
        sent = source.halt()[0]["tx"]
        wait_until(lambda: firewall.show("ports")[0]["rx_packets"] >= sent, "not all has come in", 5)
        lan, wan = firewall.show("ports")
        self.assertEqual(lan["rx_packets"], sent)
        self.assertEqual(wan["tx_packets"], sent - sum(firewall.drops().values()))
        sink.wait_for_packets(wan["tx_packets"])
        sink.halt()
        firewall.stop()


if __name__ == "__main__":
    main()
