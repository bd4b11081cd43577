"""tunnelctl capture, and what its files hold."""

import os
import signal
import struct
import subprocess
import time
from collections import namedtuple

from tests.lib import daemon, process


class Tap:
    """A running `tunnelctl capture` on `host`, live when made: `words` are NAME and
    options. Ended with close() at the latest."""

    def __init__(self, host, words, path=None):
        self.path = path or os.path.join(process.temp_dir(),
                                         "tap%d.pcapng" % time.monotonic_ns())
        self.child = host.space.spawn(
            [daemon.binary("tunnelctl"), "--target=" + host.daemon.target, "capture",
             *words.split(), "-w", self.path], stderr=subprocess.PIPE, text=True)
        self.first = self.child.stderr.readline()

    @property
    def live(self):
        return "capturing" in self.first

    def finish(self, stop=signal.SIGINT):
        """Ends it, or waits for its end; (exit code, what it has said at the end)."""
        if stop is not None:
            self.child.send_signal(stop)
        said = self.child.stderr.read()
        return self.child.wait(60), said

    def close(self):
        self.child.kill()
        self.child.wait()
        self.child.stderr.close()


_PACKET = 6  # kind of block
_FLAGS = 2  # option of a packet

Packet = namedtuple("Packet", "interface outbound data")


def packets(path):
    """The packets of a pcapng file of this machine's byte order, in its order; whole
    blocks only, so that it may be read while it grows."""
    found = []
    with open(path, "rb") as f:
        data = f.read()
    at = 0
    while at + 8 <= len(data):
        kind, length = struct.unpack_from("=II", data, at)
        if at + length > len(data):
            break
        if kind == _PACKET:
            interface, kept = struct.unpack_from("=I8xI", data, at + 8)
            option = at + 28 + (kept + 3) // 4 * 4
            flags = 0
            while option < at + length - 4:
                code, size = struct.unpack_from("=HH", data, option)
                if code == _FLAGS:
                    flags = struct.unpack_from("=I", data, option + 4)[0]
                option += 4 + (size + 3) // 4 * 4
            found.append(Packet(interface, flags & 3 == 2,
                                data[at + 28:at + 28 + kept]))
        at += length
    return found


def tshark(path, *fields, where=""):
    """One list of these fields for each packet of the file."""
    command = ["tshark", "-n", "-r", path, "-T", "fields", "-E", "separator=|"]
    for field in fields:
        command += ["-e", field]
    if where:
        command += ["-Y", where]
    out = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    return [line.split("|") for line in out.splitlines()]


def packet_bytes(path, where):
    """Each packet that matches, from its IP header on."""
    out = subprocess.run(["tcpdump", "-r", path, "-x", "-n", "-q", where],
                         capture_output=True, text=True, check=True).stdout
    packets = []
    for line in out.splitlines():
        if line.startswith("\t"):
            packets[-1] += bytes.fromhex(line.split(":", 1)[1].replace(" ", ""))
        else:
            packets.append(b"")
    return packets
