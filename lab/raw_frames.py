"""Frames made and seen by hand: an AF_PACKET socket on one interface of a namespace."""
import select
import socket
import time

ETH_P_ALL = 0x0003
SOL_PACKET = 263
PACKET_AUXDATA = 8
TP_STATUS_VLAN_VALID = 1 << 4
PACKET_OUTGOING = 4


class RawPort:
    """Sends frames out of an interface and collects those that come in by it (not those it sends)."""

    def __init__(self, space, interface):
        self.socket = space.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(ETH_P_ALL))
        self.socket.setsockopt(socket.SOL_SOCKET, 33, 16 << 20)  # SO_RCVBUFFORCE
        # The kernel takes the outer VLAN tag out of the bytes and tells it aside.
        self.socket.setsockopt(SOL_PACKET, PACKET_AUXDATA, 1)
        with space.inside():
            self.socket.bind((interface, ETH_P_ALL))
        self.socket.setblocking(False)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.socket.close()

    def send(self, frame):
        self.socket.setblocking(True)
        self.socket.send(bytes(frame))
        self.socket.setblocking(False)

    def receive(self, timeout_s):
        """The next frame that came in, with its tags, or None."""
        end = time.monotonic() + timeout_s
        while True:
            left = end - time.monotonic()
            readable, _, _ = select.select([self.socket], [], [], max(0, left))
            if not readable:
                return None
            frame, ancillary, _, address = self.socket.recvmsg(70000, 256)
            if address[2] == PACKET_OUTGOING:
                continue
            return self._with_tag(frame, ancillary)

    @staticmethod
    def _with_tag(frame, ancillary):
        for level, kind, data in ancillary:
            if level == SOL_PACKET and kind == PACKET_AUXDATA and len(data) >= 20:
                status = int.from_bytes(data[0:4], "little")
                if status & TP_STATUS_VLAN_VALID:
                    tag, tpid = (int.from_bytes(data[at:at + 2], "little") for at in (16, 18))
                    return frame[:12] + (tpid or 0x8100).to_bytes(2, "big") + tag.to_bytes(2, "big") + frame[12:]
        return frame

    def receive_until(self, wanted, timeout_s):
        """Frames that came in until all of `wanted` (a set of bytes) are among them, or the time is over."""
        missing, seen = set(wanted), []
        end = time.monotonic() + timeout_s
        while missing and (frame := self.receive(end - time.monotonic())) is not None:
            seen.append(frame)
            missing.discard(frame)
        return seen

    def drain(self):
        """Forgets what has come in so far."""
        while self.receive(0) is not None:
            pass
