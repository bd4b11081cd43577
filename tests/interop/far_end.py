"""The end of the traffic inside the peer; serves until it is killed.

Port 5001, TCP both ways: a client sends 8 bytes, the number of bytes that it wants
back, then its data and the end of its stream. It gets the SHA-256 of that data, and
the bytes it wanted with their own SHA-256 behind them.

Port 5002, ping from the peer: a client sends an address and the end of its stream.
It gets one byte, the number of replies to three echo requests.
"""

import hashlib
import os
import socket
import struct
import threading

PORT, PING_PORT = 5001, 5002


def read_to_end(connection):
    parts = []
    while True:
        part = connection.recv(1 << 16)
        if not part:
            return b"".join(parts)
        parts.append(part)


def serve(connection):
    with connection:
        data = read_to_end(connection)
        wanted = os.urandom(struct.unpack("!Q", data[:8])[0])
        connection.sendall(hashlib.sha256(data[8:]).digest() + wanted +
                           hashlib.sha256(wanted).digest())


def ping(address, count=3):
    """Number of echo requests that are answered; needs net.ipv4.ping_group_range.
    Now and then the device of this kernel keeps a packet that has arrived until the
    next one does. So more requests follow, which are not counted."""
    six = ":" in address
    family = socket.AF_INET6 if six else socket.AF_INET
    protocol = socket.IPPROTO_ICMPV6 if six else socket.IPPROTO_ICMP
    answered = set()
    with socket.socket(family, socket.SOCK_DGRAM, protocol) as echo:
        echo.settimeout(0.2)
        for number in range(count + 50):
            if len(answered) == count:
                break
            head = struct.pack("!BBHHH", 128 if six else 8, 0, 0, 0, number)
            try:
                echo.sendto(head + b"tunnel" * 20, (address, 0))
                data = echo.recv(1 << 16)
            except OSError:
                continue
            reply = struct.unpack("!H", data[6:8])[0]
            if reply < count and data[8:] == b"tunnel" * 20:
                answered.add(reply)
    return len(answered)


def serve_ping(connection):
    with connection:
        connection.sendall(bytes([ping(read_to_end(connection).decode())]))


def ask_ping(connection, peer, address):
    """The client: replies that the peer at `peer` gets to pings of `address`."""
    with connection:
        connection.settimeout(60)
        connection.connect((peer, PING_PORT))
        connection.sendall(address.encode())
        connection.shutdown(socket.SHUT_WR)
        return connection.recv(1)[0]


def exchange(connection, address, size):
    """The client: `size` random bytes each way. Raises when one differs."""
    data = os.urandom(size)
    with connection:
        connection.settimeout(20)
        connection.connect((address, PORT))
        connection.sendall(struct.pack("!Q", size) + data)
        connection.shutdown(socket.SHUT_WR)
        answer = read_to_end(connection)
    if len(answer) != size + 64:
        raise AssertionError("%d of %d bytes came back" % (len(answer), size + 64))
    if answer[:32] != hashlib.sha256(data).digest():
        raise AssertionError("the peer received other bytes than were sent")
    if answer[-32:] != hashlib.sha256(answer[32:-32]).digest():
        raise AssertionError("other bytes arrived than the peer sent")


def listen(port, serve_one):
    listener = socket.socket(socket.AF_INET6)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listener.bind(("::", port))
    listener.listen(16)
    while True:
        connection, _ = listener.accept()
        threading.Thread(target=serve_one, args=(connection,), daemon=True).start()


def main():
    threading.Thread(target=listen, args=(PING_PORT, serve_ping), daemon=True).start()
    listen(PORT, serve)


if __name__ == "__main__":
    main()
