"""Many TCP connections at once, kept busy: what an outage costs shows in which of them break."""
import contextlib
import selectors
import socket
import threading
import time


class Crowd:
    """`count` connections from one namespace to an echo server in another; each always has one question under way."""

    QUESTION_BYTES = 64

    def __init__(self, client_space, server_space, address, port, count):
        self.rounds = 0
        self.broken = []
        self.stopping = threading.Event()
        self.stack = contextlib.ExitStack()
        listener = self.stack.enter_context(server_space.socket(socket.AF_INET, socket.SOCK_STREAM))
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((address, port))
        listener.listen(4096)
        listener.setblocking(False)
        self.threads = [threading.Thread(target=self._serve, args=(listener,), daemon=True)]
        self.threads[0].start()
        self.clients = []
        for _ in range(count):
            client = self.stack.enter_context(client_space.socket(socket.AF_INET, socket.SOCK_STREAM))
            client.settimeout(10)
            client.connect((address, port))
            client.setblocking(False)
            self.clients.append(client)
        self.answered = [0] * count
        self.threads.append(threading.Thread(target=self._ask, daemon=True))
        self.threads[1].start()

    def _serve(self, listener):
        with selectors.DefaultSelector() as selector:
            selector.register(listener, selectors.EVENT_READ)
            while not self.stopping.is_set():
                for key, _ in selector.select(0.1):
                    if key.fileobj is listener:
                        end, _ = listener.accept()
                        end.setblocking(False)
                        self.stack.enter_context(end)
                        selector.register(end, selectors.EVENT_READ)
                        continue
                    with contextlib.suppress(BlockingIOError):
                        data = key.fileobj.recv(65536)
                        if data:
                            key.fileobj.send(data)
                        else:
                            selector.unregister(key.fileobj)

    def _ask(self):
        waiting = {}
        with selectors.DefaultSelector() as selector:
            for number, client in enumerate(self.clients):
                selector.register(client, selectors.EVENT_READ, number)
                waiting[number] = self._question(number)
                client.send(waiting[number])
            while not self.stopping.is_set():
                for key, _ in selector.select(0.1):
                    number = key.data
                    try:
                        answer = key.fileobj.recv(65536)
                    except BlockingIOError:
                        continue
                    except OSError as error:
                        answer, why = b"", str(error)
                    else:
                        why = "closed" if not answer else ""
                    if why or not waiting[number].startswith(answer):
                        self.broken.append(f"{number}: {why or 'other bytes'}")
                        selector.unregister(key.fileobj)
                        continue
                    waiting[number] = waiting[number][len(answer):]
                    if not waiting[number]:
                        self.answered[number] += 1
                        self.rounds += 1
                        waiting[number] = self._question(number)
                        key.fileobj.send(waiting[number])

    def _question(self, number):
        return f"{number} {self.answered[number]} ".encode().ljust(self.QUESTION_BYTES, b"?")

    def wait_for_all(self, more, timeout_s=30):
        """Until each connection has had `more` further answers; False when one has not in time."""
        wanted = [done + more for done in self.answered]
        end = time.monotonic() + timeout_s
        while time.monotonic() < end:
            if all(done >= want for done, want in zip(self.answered, wanted)):
                return True
            time.sleep(0.02)
        return False

    def close(self):
        self.stopping.set()
        for thread in self.threads:
            thread.join(5)
        self.stack.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()


class Ticker:
    """Datagrams from one namespace to another, one a millisecond; says the longest time in which none arrived."""

    def __init__(self, client_space, server_space, address, port):
        self.receiver = server_space.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.receiver.bind((address, port))
        self.receiver.settimeout(0.05)
        self.sender = client_space.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.sender.connect((address, port))
        self.stopping = threading.Event()
        self.arrivals = []
        self.threads = [threading.Thread(target=body, daemon=True) for body in (self._send, self._receive)]
        for thread in self.threads:
            thread.start()

    def _send(self):
        while not self.stopping.is_set():
            with contextlib.suppress(OSError):
                self.sender.send(b"tick")
            time.sleep(0.001)

    def _receive(self):
        while not self.stopping.is_set():
            with contextlib.suppress(OSError):
                self.receiver.recv(100)
                self.arrivals.append(time.monotonic())

    def longest_gap_s(self, since, until):
        """Of those that arrived between two times of time.monotonic()."""
        times = [since] + [each for each in list(self.arrivals) if since < each < until] + [until]
        return max(after - before for before, after in zip(times, times[1:]))

    def close(self):
        self.stopping.set()
        for thread in self.threads:
            thread.join(2)
        self.sender.close()
        self.receiver.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()
