"""Conversations for the stateful oracle: TCP, UDP and echo between 10.1.0.0/24 (lan) and 10.2.0.0/24 (wan) and their
IPv6 likes, and intruders between their packets.

Each packet is (from the lan side?, layers, kind). The kind names what the packet is in its conversation, so that a
difference between two firewalls can be explained for all packets of a kind.
"""
from scapy.layers.inet import ICMP, IP, TCP, UDP
from scapy.layers.inet6 import ICMPv6DestUnreach, ICMPv6EchoReply, ICMPv6EchoRequest, IPv6


class Conversation:
    """The addresses and ports of one; `port` is the server's."""

    def __init__(self, random, number, port):
        self.random = random
        self.v4 = random.random() < 0.6
        nets = ("10.1.0.", "10.2.0.") if self.v4 else ("fd01::", "fd02::")
        self.client, self.server = nets[0] + str(random.randint(2, 5)), nets[1] + str(random.randint(2, 5))
        self.client_port, self.port = 20000 + number, port
        self.packets = []

    def ip(self, lan):
        ends = {"src": self.client, "dst": self.server} if lan else {"src": self.server, "dst": self.client}
        return IP(**ends) if self.v4 else IPv6(**ends)

    def ports(self, lan):
        return ({"sport": self.client_port, "dport": self.port} if lan else
                {"sport": self.port, "dport": self.client_port})

    def add(self, lan, layers, kind):
        self.packets.append((lan, self.ip(lan) / layers, kind))


class TcpConversation(Conversation):
    """Keeps the sequence numbers as real ends do; an offset makes a packet that does not fit."""

    def __init__(self, random, number, port=80):
        super().__init__(random, number, port)
        self.seq = {True: random.randrange(1 << 32), False: random.randrange(1 << 32)}
        self.window = 8192

    def send(self, lan, flags, kind, length=0, seq_off=0, ack_off=0, options=()):
        ack = self.seq[not lan] + ack_off if "A" in flags else 0
        self.add(lan, TCP(**self.ports(lan), flags=flags, seq=(self.seq[lan] + seq_off) % (1 << 32),
                          ack=ack % (1 << 32), window=self.window, options=list(options)) / bytes(length), kind)
        if seq_off == 0 and ack_off == 0:
            self.seq[lan] = (self.seq[lan] + length + ("S" in flags) + ("F" in flags)) % (1 << 32)

    def open(self):
        self.send(True, "S", "syn", options=[("MSS", 1460)])
        self.send(False, "SA", "syn-ack", options=[("MSS", 1460)])
        self.send(True, "A", "handshake ack")

    def exchange(self):
        for _ in range(self.random.randint(1, 3)):
            lan = self.random.random() < 0.5
            self.send(lan, "PA", "data", length=self.random.randint(1, 500))
            self.send(not lan, "A", "ack")

    def close(self):
        first = self.random.random() < 0.5
        self.send(first, "FA", "fin")
        self.send(not first, "A", "ack of fin")
        self.send(not first, "FA", "second fin")
        self.send(first, "A", "last ack")


def normal(random, number):
    talk = TcpConversation(random, number)
    talk.open()
    talk.exchange()
    talk.close()
    return talk


def reset_by_client_or_server(random, number):
    talk = TcpConversation(random, number)
    talk.open()
    talk.exchange()
    lan = random.random() < 0.5
    talk.send(lan, "RA", "exact reset")
    return talk


def refused(random, number):
    talk = TcpConversation(random, number)
    talk.send(True, "S", "syn")
    talk.add(False, TCP(**talk.ports(False), flags="RA", seq=0, ack=talk.seq[True]), "refusal")
    return talk


def reset_from_nowhere(random, number):
    """A blind reset far outside of the window, in an open connection that goes on."""
    talk = TcpConversation(random, number)
    talk.open()
    talk.exchange()
    talk.send(random.random() < 0.5, "R", "reset outside the window", seq_off=random.choice([10_000_000, -10_000_000]))
    talk.exchange()
    talk.close()
    return talk


def data_outside(random, number):
    talk = TcpConversation(random, number)
    talk.open()
    talk.exchange()
    talk.send(random.random() < 0.5, "PA", "data outside the window", length=10,
              seq_off=random.choice([10_000_000, 1_000_000_000]))
    talk.exchange()
    talk.close()
    return talk


def retransmissions(random, number):
    talk = TcpConversation(random, number)
    talk.send(True, "S", "syn", options=[("MSS", 1460)])
    talk.packets.append(talk.packets[-1][:2] + ("syn again",))
    talk.send(False, "SA", "syn-ack", options=[("MSS", 1460)])
    talk.packets.append(talk.packets[-1][:2] + ("syn-ack again",))
    talk.send(True, "A", "handshake ack")
    lan = random.random() < 0.5
    talk.send(lan, "PA", "data", length=100)
    talk.packets.append(talk.packets[-1][:2] + ("data again",))
    talk.send(not lan, "A", "ack")
    talk.packets.append(talk.packets[-1][:2] + ("ack again",))
    talk.close()
    return talk


def forged_inside(random, number):
    """Guesses that hit the window of an open connection, though not its exact numbers (RFC 5961)."""
    talk = TcpConversation(random, number)
    talk.open()
    talk.exchange()
    lan = random.random() < 0.5
    flags, kind, off = random.choice([("R", "reset inside the window, not exact", 1000),
                                      ("S", "syn in an open connection", 1000),
                                      ("SA", "syn-ack in an open connection", 1000)])
    talk.send(lan, flags, kind, seq_off=off)
    talk.exchange()
    talk.close()
    return talk


def ack_of_the_future(random, number):
    """Acknowledges bytes that the other end never sent."""
    talk = TcpConversation(random, number)
    talk.open()
    talk.exchange()
    talk.send(random.random() < 0.5, "A", "ack of bytes never sent", ack_off=1_000_000)
    talk.exchange()
    talk.close()
    return talk


def after_the_end(random, number):
    """What comes when a reset has ended the connection."""
    talk = TcpConversation(random, number)
    talk.open()
    lan = random.random() < 0.5
    talk.send(lan, "RA", "exact reset")
    talk.send(not lan, "PA", "data after a reset", length=10)
    return talk


def opened_again(random, number):
    """The same ports once more after an orderly end."""
    talk = normal(random, number)
    talk.seq = {lan: (seq + 100_000) % (1 << 32) for lan, seq in talk.seq.items()}
    talk.send(True, "S", "syn after the end", options=[("MSS", 1460)])
    talk.send(False, "SA", "syn-ack after the end", options=[("MSS", 1460)])
    talk.send(True, "A", "handshake ack after the end")
    talk.exchange()
    return talk


def unsolicited(random, number):
    """From a conversation that nobody opened."""
    talk = TcpConversation(random, number)
    lan = random.random() < 0.5
    flags, kind = random.choice([("A", "ack of nothing"), ("PA", "data of nothing"), ("SA", "syn-ack of nothing"),
                                 ("R", "reset of nothing"), ("FA", "fin of nothing")])
    talk.send(lan, flags, kind, length=10 if flags == "PA" else 0)
    return talk


def blocked(random, number):
    talk = TcpConversation(random, number, port=22)
    talk.send(True, "S", "syn to a blocked port")
    talk.send(False, "SA", "syn-ack from a blocked port")
    talk.send(True, "A", "ack to a blocked port")
    return talk


def from_outside(random, number):
    """A connection that the server's side tries to open."""
    talk = TcpConversation(random, number)
    talk.client_port, talk.port = 80, 20000 + number
    talk.send(False, "S", "syn from outside")
    talk.send(True, "SA", "answer to a syn from outside")
    return talk


def udp(random, number):
    talk = Conversation(random, number, 53)
    if random.random() < 0.3:
        talk.add(False, UDP(**talk.ports(False)) / b"nobody asked", "udp reply without its request")
    talk.add(True, UDP(**talk.ports(True)) / b"request", "udp request")
    for _ in range(random.randint(1, 3)):
        talk.add(False, UDP(**talk.ports(False)) / b"reply", "udp reply")
    talk.add(True, UDP(**talk.ports(True)) / b"request", "udp request")
    stranger = talk.ports(False) | {"sport": 5353}
    talk.add(False, UDP(**stranger) / b"stranger", "udp from another port")
    return talk


def udp_unreachable(random, number):
    """The server's host says that nobody listens: an ICMP error about the request, and one about no request at all."""
    talk = Conversation(random, number, 53)
    request = UDP(**talk.ports(True)) / b"request"
    talk.add(True, request, "udp request")
    error = ICMP(type=3, code=3) if talk.v4 else ICMPv6DestUnreach(code=4)
    talk.add(False, error / talk.ip(True) / request, "icmp error about a flow")
    unknown = UDP(sport=talk.client_port, dport=5354) / b"request"
    talk.add(False, error.copy() / talk.ip(True) / unknown, "icmp error about nothing")
    return talk


def echo(random, number):
    talk = Conversation(random, number, 0)
    request = ICMP(type=8, id=number) if talk.v4 else ICMPv6EchoRequest(id=number)
    reply = ICMP(type=0, id=number) if talk.v4 else ICMPv6EchoReply(id=number)
    other = ICMP(type=0, id=number + 30000) if talk.v4 else ICMPv6EchoReply(id=number + 30000)
    if random.random() < 0.3:
        talk.add(False, reply, "echo reply without its request")
    talk.add(True, request, "echo request")
    talk.add(False, reply, "echo reply")
    talk.add(False, other, "echo reply of another id")
    talk.add(False, request, "echo request from outside")
    return talk


KINDS = (normal, normal, reset_by_client_or_server, refused, reset_from_nowhere, data_outside, retransmissions,
         forged_inside, forged_inside, ack_of_the_future, after_the_end, opened_again,
         unsolicited, unsolicited, blocked, from_outside, udp, udp, udp_unreachable, echo, echo)


def conversations(random, count):
    """Packets of `count` conversations, interleaved as they might be on a busy link."""
    queues = [random.choice(KINDS)(random, number).packets for number in range(count)]
    running = []
    while queues or running:
        while queues and len(running) < 8:
            running.append(queues.pop())
        packets = random.choice(running)
        yield packets.pop(0)
        if not packets:
            running.remove(packets)
