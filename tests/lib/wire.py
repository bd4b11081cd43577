"""What is on the wire: a capture by tcpdump, judged by tshark."""

import os
import signal
import time

from tests.lib import process

# Payloads are random bytes on any port: no dissector above TCP and UDP may judge them.
_NO_PAYLOAD = ("udp.port==1-65535,data",)
_CHECK = ["-d", "tcp.port==1-65535,data",
          "-o", "ip.check_checksum:TRUE", "-o", "tcp.check_checksum:TRUE",
          "-o", "udp.check_checksum:TRUE"]
# Where the kernel itself sums TCP, it writes 0xffff for 0, as UDP must: the same
# sum, which tshark calls bad.
_BAD = " or ".join(["_ws.malformed", "(tcp.checksum.status==0 and not tcp.checksum==0xffff)"] + [
    p + ".checksum.status==0" for p in ("ip", "udp", "gre", "icmp", "icmpv6")])
_FIELDS = ["frame.number", "frame.protocols", "frame.len", "ip.src", "ip.dst",
           "ip.proto", "ip.ttl", "ip.dsfield", "ip.flags.df", "ip.id", "ip.len",
           "ipv6.src", "ipv6.dst", "ipv6.nxt", "ipv6.hlim", "ipv6.tclass",
           "gre.key", "gre.checksum.status", "gre.sequence_number", "gre.proto",
           "gre.flags.checksum", "gre.flags.key", "gre.flags.sequence_number",
           "udp.srcport", "udp.dstport", "udp.length", "udp.checksum.status"]


class Frame(dict):
    """Fields of one frame; a field that occurs in several layers is a list,
    outermost first."""

    def first(self, field):
        return self[field][0] if self[field] else None

    def number(self, field, layer=0):
        """The value as a number, None when the frame has no such layer."""
        values = self[field]
        return int(values[layer], 0) if len(values) > layer else None


class Capture:
    """Frames of one interface from construction to stop(). `decode` says what
    UDP carries, in tshark's words ("udp.port==5555,ip")."""

    _count = 0

    def __init__(self, space, interface, expression="", decode=_NO_PAYLOAD):
        Capture._count += 1
        self._check = list(_CHECK)
        for words in decode:
            self._check += ["-d", words]
        self.path = os.path.join(process.temp_dir(), "%s-%s-%d.pcap" % (
            space.short_name, interface, Capture._count))
        self._tcpdump = space.spawn(
            ["tcpdump", "-Z", "root", "-n", "-U", "--immediate-mode", "-s", "0",
             "-B", "16384", "-i", interface, "-w", self.path, expression],
            stderr=open(self.path + ".log", "w"))
        process.wait_until(self._listening, what="tcpdump listens")

    def _listening(self):
        with open(self.path + ".log") as log:
            return "listening on" in log.read()

    def stop(self):
        """Ends the capture; packets that have already passed are in the file."""
        process.wait_until(self._idle, what="the capture is idle", step=0.05)
        process.stop(self._tcpdump, signal.SIGINT)
        return self

    def _idle(self):
        before = os.path.getsize(self.path)
        time.sleep(0.1)
        return os.path.getsize(self.path) == before

    def frames(self, display_filter=""):
        """The frames that match, as Frame objects."""
        argv = ["tshark", "-n", "-r", self.path, *self._check, "-T", "fields",
                "-E", "separator=|", "-E", "occurrence=a", "-E", "aggregator=,"]
        for field in _FIELDS:
            argv += ["-e", field]
        if display_filter:
            argv += ["-Y", display_filter]
        frames = []
        for line in process.run(argv, timeout=60).out.splitlines():
            values = line.split("|")
            frames.append(Frame((f, v.split(",") if v else [])
                                for f, v in zip(_FIELDS, values)))
        return frames

    def bad(self):
        """The frames that tshark calls malformed or badly checksummed."""
        return process.run(["tshark", "-n", "-r", self.path, *self._check, "-Y", _BAD],
                           timeout=60).out.splitlines()
