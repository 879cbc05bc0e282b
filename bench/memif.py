#!/usr/bin/python3
"""Ringplane against testpmd over memif: packets per second through each, in one run (see transport_rate.py).

    bench/memif.py [--rounds 5] [--seconds 1] [--json FILE]
"""
import transport_rate


class Memif:
    """Ringplane against testpmd over memif"""

    name = "memif"

    @staticmethod
    def server(lab, number):
        return f"net_memif{number},role=server,id={number},socket={lab.path('memif.sock')},socket-abstract=no"

    @staticmethod
    def client(lab, number):
        return f"net_memif{number},role=client,id={number},socket={lab.path('memif.sock')},socket-abstract=no"


if __name__ == "__main__":
    transport_rate.main(Memif)
