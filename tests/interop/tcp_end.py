"""The TCP end inside the peer: answers on port 5001 until it is killed.

A client sends 8 bytes, the number of bytes that it wants back, then its data and
the end of its stream. It gets the SHA-256 of that data, and the bytes it wanted
with their own SHA-256 behind them.
"""

import hashlib
import os
import socket
import struct
import threading

PORT = 5001


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


def main():
    listener = socket.socket(socket.AF_INET6)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listener.bind(("::", PORT))
    listener.listen(16)
    while True:
        connection, _ = listener.accept()
        threading.Thread(target=serve, args=(connection,), daemon=True).start()


if __name__ == "__main__":
    main()
