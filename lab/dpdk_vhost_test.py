#!/usr/bin/python3
"""DPDK ports over vhost-user: ringplane is the host (net_vhost), dpdk-testpmd the guest's driver (virtio-user)."""
import os
import unittest

from dpdk_cases import TransportCases, main


class Host(TransportCases, unittest.TestCase):
    def socket(self, number):
        return os.path.join(self.lab.folder, f"vhost{number}.sock")

    def ringplane_device(self, number, queues):
        return f"net_vhost{number},iface={self.socket(number)},queues={queues}"

    def peer_device(self, number, queues):
        return f"net_virtio_user0,path={self.socket(number)},queues={queues}"

    def test_a_peer_may_be_killed_while_packets_move(self):
        def leave(source):
            source.program.process.kill()
            source.program.wait()

        self.go_and_come_again(leave)


if __name__ == "__main__":
    main()
