"""Traffic through tunnels: ping, TCP with a content check, numbered UDP."""

import hashlib
import os
import select
import socket
import struct
import threading
import time

from tests.lib import process


# Python has no names for them.
_SO_RCVBUFFORCE = 33
_UDP_SEGMENT = 103


def family_of(address):
    return socket.AF_INET6 if ":" in address else socket.AF_INET


_MTU_DISCOVER = {"4": (socket.IPPROTO_IP, 10), "6": (socket.IPPROTO_IPV6, 23)}
_DF = {"do": 2, "dont": 0}


def _echo_socket(space, address, ttl, tos, df):
    six = ":" in address
    with space.entered():
        echo = socket.socket(family_of(address), socket.SOCK_DGRAM,
                             socket.IPPROTO_ICMPV6 if six else socket.IPPROTO_ICMP)
    level = socket.IPPROTO_IPV6 if six else socket.IPPROTO_IP
    if ttl is not None:
        echo.setsockopt(level, socket.IPV6_UNICAST_HOPS if six else socket.IP_TTL, ttl)
    if tos is not None:
        echo.setsockopt(level, socket.IPV6_TCLASS if six else socket.IP_TOS, tos)
    if df is not None:
        echo.setsockopt(*_MTU_DISCOVER["6" if six else "4"], _DF[df])
    return echo


def ping(space, address, count=3, size=56, interval=0.005, wait=10, ttl=None, tos=None,
         df=None, more=False):
    """Sends `count` echo requests with `size` bytes of data from `space`; the number
    that is answered, byte for byte, at most `wait` seconds after the last one.
    Unlike ping(8) it waits that long for each of them, also on a busy machine. With
    `more` further requests follow meanwhile, which are not counted."""
    kind = 128 if ":" in address else 8
    answered = set()
    with _echo_socket(space, address, ttl, tos, df) as echo:
        echo.setblocking(False)

        def receive(until):
            while len(answered) < count:
                left = until - time.monotonic()
                if left <= 0 or not select.select([echo], [], [], left)[0]:
                    return
                try:
                    data = echo.recv(65535)
                except OSError:  # an ICMP error
                    continue
                number = struct.unpack("!H", data[6:8])[0]
                if number < count and data[8:] == filler(number, size):
                    answered.add(number)

        def request(number):
            head = struct.pack("!BBHHH", kind, 0, 0, 0, number)
            try:
                echo.sendto(head + filler(number, size), (address, 0))
            except OSError:
                pass

        for number in range(count):
            request(number)
            receive(time.monotonic() + interval)
        end = time.monotonic() + wait
        for number in range(count, 1 << 16):
            receive(min(time.monotonic() + 0.2, end) if more else end)
            if len(answered) == count or time.monotonic() >= end:
                break
            request(number)
    return len(answered)


def open_socket(space, address, kind):
    with space.entered():
        return socket.socket(family_of(address), kind)


def _receive_all(listener, outcome, timeout):
    try:
        connection, _ = listener.accept()
        connection.settimeout(timeout)
        digest = hashlib.sha256()
        size = 0
        while True:
            data = connection.recv(1 << 16)
            if not data:
                break
            digest.update(data)
            size += len(data)
        connection.sendall(digest.digest())
        connection.close()
        outcome["size"], outcome["digest"] = size, digest.digest()
    except OSError as error:
        outcome["error"] = error


def tcp_transfer(sender, receiver, address, size=256 * 1024, timeout=60):
    """Sends `size` random bytes over TCP to `address` in `receiver`; seconds
    taken. Raises when it does not end in time or one byte differs."""
    payload = os.urandom(size)
    listener = open_socket(receiver, address, socket.SOCK_STREAM)
    client = open_socket(sender, address, socket.SOCK_STREAM)
    outcome = {}
    with listener, client:
        listener.settimeout(timeout)
        listener.bind((address, 0))
        listener.listen(1)
        thread = threading.Thread(target=_receive_all,
                                  args=(listener, outcome, timeout), daemon=True)
        thread.start()
        begin = time.monotonic()
        client.settimeout(timeout)
        client.connect((address, listener.getsockname()[1]))
        client.sendall(payload)
        client.shutdown(socket.SHUT_WR)
        answer = b""
        while len(answer) < 32:
            part = client.recv(32 - len(answer))
            if not part:
                break
            answer += part
        thread.join(timeout)
        elapsed = time.monotonic() - begin
    if "error" in outcome:
        raise AssertionError("TCP to %s: %s" % (address, outcome["error"]))
    expected = hashlib.sha256(payload).digest()
    if outcome["size"] != size or outcome["digest"] != expected or answer != expected:
        raise AssertionError("TCP to %s: %d of %d bytes, content differs" %
                             (address, outcome["size"], size))
    return elapsed


class UdpSink:
    """Counts numbered datagrams that arrive at an address."""

    def __init__(self, space, address, port=0):
        self._socket = open_socket(space, address, socket.SOCK_DGRAM)
        self._socket.setsockopt(socket.SOL_SOCKET, _SO_RCVBUFFORCE, 8 << 20)
        self._socket.bind((address, port))
        self.port = self._socket.getsockname()[1]
        self.numbers = []
        self.bad = 0
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def _run(self):
        while not self._stop.is_set():
            if not select.select([self._socket], [], [], 0.05)[0]:
                continue
            data = self._socket.recv(65535)
            number = struct.unpack("!I", data[:4])[0]
            self.numbers.append(number)
            if data[4:] != filler(number, len(data) - 4):
                self.bad += 1

    def wait_for(self, count, quiet=5):
        """Waits until `count` different numbers are in, or nothing has come for
        `quiet` seconds; the number that is in."""
        seen, since = -1, time.monotonic()
        while time.monotonic() - since < quiet:
            arrived = len(self.numbers)
            if arrived != seen:
                if len(set(self.numbers)) >= count:
                    break
                seen, since = arrived, time.monotonic()
            time.sleep(0.01)
        return len(set(self.numbers))

    def close(self):
        self._stop.set()
        self._thread.join()
        self._socket.close()


def filler(number, size):
    return (b"%08x" % number * (size // 8 + 1))[:size]


class UdpSource:
    """Sends numbered datagrams at a steady rate until stopped. With `run` above 1 so
    many go to the kernel with one call, as one super-packet (UDP_SEGMENT). With a
    `sink` no more than `window` are on the way to it: on a busy machine, too, no
    queue is too short for them."""

    def __init__(self, space, address, port, rate=1000, size=100, run=1, sink=None,
                 window=128):
        self._socket = open_socket(space, address, socket.SOCK_DGRAM)
        self._target = (address, port)
        self._rate, self._size, self._run_length = rate, size, run
        self._sink, self._window = sink, window
        if run > 1:
            self._socket.setsockopt(socket.SOL_UDP, _UDP_SEGMENT, size)
        self.sent = 0
        self.errors = 0
        self._stop = threading.Event()
        self._thread = None

    def send(self, count=1):
        """Sends `count` datagrams now."""
        while count > 0:
            numbers = range(self.sent, self.sent + min(count, self._run_length))
            data = b"".join(struct.pack("!I", n) + filler(n, self._size - 4)
                            for n in numbers)
            try:
                self._socket.sendto(data, self._target)
                self.sent += len(numbers)
            except OSError:
                self.errors += 1
            count -= len(numbers)

    def _room(self, first):
        arrived = self._sink.numbers[-1] + 1 if self._sink.numbers else first
        return max(self._window - (self.sent - arrived), 0)

    def _run(self):
        begin, done, first = time.monotonic(), 0, self.sent
        while not self._stop.is_set():
            due = int((time.monotonic() - begin) * self._rate) - done
            if self._sink:
                due = min(due, self._room(first))
            due -= due % self._run_length
            self.send(due)
            done += due
            time.sleep(0.001)

    def start(self):
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()
        return self

    def stop(self, more=0):
        """Stops, sends `more` datagrams, and returns the number of those sent."""
        self._stop.set()
        if self._thread:
            self._thread.join()
        self.send(more)
        self._socket.close()
        return self.sent
