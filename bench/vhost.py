#!/usr/bin/python3
"""Ringplane against testpmd over vhost-user: packets per second through each, in one run (see transport_rate.py).

    bench/vhost.py [--rounds 5] [--seconds 1] [--json FILE]

The data plane under test is the host (net_vhost), the echo is the guest's driver (virtio-user).
"""
import transport_rate


class Vhost:
    """Ringplane against testpmd over vhost-user"""

    name = "vhost-user"

    @staticmethod
    def server(lab, number):
        return f"net_vhost{number},iface={lab.path(f'vhost{number}.sock')},queues=1"

    @staticmethod
    def client(lab, number):
        return f"net_virtio_user{number},path={lab.path(f'vhost{number}.sock')},queues=1,queue_size=1024"


if __name__ == "__main__":
    transport_rate.main(Vhost)
