"""Super-packets through tunnels: what leaves is what single packets would have
been, what arrives is what was sent, and counters tell what is on the wire."""

import os
import socket
import struct
import sys
import time
import unittest

sys.path.insert(0, os.path.abspath(os.path.join(os.path.dirname(__file__), "../..")))

from tests.lib import lab, runner, traffic, wire
from tests.lib.process import wait_until

TUNNELS = [("gif4", "gif", "4", ""), ("gif6", "gif", "6", ""), ("gre4", "gre", "4", ""),
           ("gre6", "gre", "6", ""), ("seq4", "gre", "4", "key 1 csum seq"),
           ("tap4", "gretap", "4", ""), ("tap6", "gretap", "6", ""),
           ("udp4", "gre", "4", "transport udp")]
TRANSFER = 150_000
_UDP_SEGMENT = 103
_LINK_HEADER = 14
_TRIES = 5


class _Walk:
    """All tunnels side by side over a link that carries finished packets only, with
    a capture on it. Subclasses say how the daemons are started."""

    FLAGS = ()
    mtu = 1500  # of the link

    @classmethod
    def setUpClass(cls):
        cls.pair = lab.Pair(len(TUNNELS), flags=cls.FLAGS)
        for number, tunnel in enumerate(TUNNELS, 1):
            cls.pair.create(tunnel[0], number, *tunnel[1:])
        # No packets but those of the test: neighbours are asked for once.
        for host in cls.pair.hosts:
            for path in ("ipv4/neigh/tap4", "ipv4/neigh/tap6", "ipv6/neigh/tap4",
                         "ipv6/neigh/tap6"):
                host.space.sysctl("net/%s/base_reachable_time_ms" % path, 3_600_000)

    @classmethod
    def tearDownClass(cls):
        cls.pair.close()

    def counts(self):
        """Packets that each end has counted: (tunnel, end, "transmit") to number."""
        return {(name, host.end, way): host.daemon.stats(name)["%s_packets" % way]
                for name, *_ in TUNNELS for host in self.pair.hosts
                for way in ("transmit", "receive")}

    def rest(self):
        """The counts once they do not change any more."""
        last, counts = None, self.counts()
        while counts != last:
            time.sleep(0.2)
            last, counts = counts, self.counts()
        return counts

    def transfer_all(self):
        """TCP both ways in all tunnels; the frames on the wire, each of which must
        fit it, by tunnel and end that has sent them. Once more where the kernel
        itself (a TAP reports its groups) speaks while the capture begins or ends."""
        a, b = (h.space for h in self.pair.hosts)
        for _ in range(_TRIES):
            before = self.counts()
            capture = wire.Capture(b, lab.LINK,
                                   "(net 198.18.0.0/16 or net fd18::/16) and not icmp6")
            quiet = self.counts() == before
            for number in range(1, len(TUNNELS) + 1) if quiet else ():
                for family in "46":
                    traffic.tcp_transfer(a, b, lab.inner(number, family, 2), TRANSFER)
                    traffic.tcp_transfer(b, a, lab.inner(number, family, 1), TRANSFER)
            after = self.rest()
            capture.stop()
            if quiet and self.counts() == after:
                break
        else:
            self.fail("the kernel's own packets do not end")
        counted = {k: n - before[k] for k, n in after.items()}
        self.assertEqual(capture.bad(), [])
        ends = {lab.outer(n, t[2], end): (t[0], end)
                for n, t in enumerate(TUNNELS, 1) for end in (1, 2)}
        sent = {end: [] for end in ends.values()}
        for frame in capture.frames():
            self.assertLessEqual(frame.number("frame.len"), self.mtu + _LINK_HEADER)
            # The outer address: that of an inner packet is none of these.
            for source in (frame.first("ip.src"), frame.first("ipv6.src")):
                if source in ends:
                    sent[ends[source]].append(frame)
        return sent, counted

    def test_tcp_both_ways(self):
        sent, counted = self.transfer_all()
        for (name, end), frames in sent.items():
            self.assertGreater(len(frames), 2 * TRANSFER // self.mtu, name)
            self.assertEqual(counted[name, end, "transmit"], len(frames), name)
            self.assertEqual(counted[name, 3 - end, "receive"], len(frames), name)
            if name.startswith("seq"):
                first = frames[0].number("gre.sequence_number")
                self.assertEqual([f.number("gre.sequence_number") for f in frames],
                                 list(range(first, first + len(frames))))
        for host in self.pair.hosts:
            self.assertEqual(host.space.snmp("Tcp", "InCsumErrors"), 0)
            for name, *_ in TUNNELS:
                self.assertEqual(host.daemon.stats(name)["drops"], {}, name)

    def test_segmented_datagrams(self):
        """UDP_SEGMENT of an application: one datagram for each piece."""
        a, b = self.pair.hosts
        sizes = []
        for number in (1, 4, 6):
            for family in "46":
                target = lab.inner(number, family, 2)
                sink = traffic.open_socket(b.space, target, socket.SOCK_DGRAM)
                source = traffic.open_socket(a.space, target, socket.SOCK_DGRAM)
                with sink, source:
                    sink.setsockopt(socket.SOL_SOCKET, 33, 8 << 20)
                    sink.settimeout(20)
                    sink.bind((target, 0))
                    source.setsockopt(socket.IPPROTO_UDP, _UDP_SEGMENT, 1000)
                    pieces = [struct.pack("!I", i) + traffic.filler(i, 996)
                              for i in range(40)]
                    pieces.append(b"the last one is short")
                    source.sendto(b"".join(pieces), (target, sink.getsockname()[1]))
                    received = [sink.recv(65535) for _ in pieces]
                    self.assertEqual(received, pieces)
                    sizes += [len(p) for p in received]
        self.assertEqual(len(sizes), 6 * 41)
        self.assertEqual(b.space.snmp("Udp", "InCsumErrors"), 0)


class WithOffload(_Walk, unittest.TestCase):

    def test_super_packets_are_read(self):
        """The devices do hand over more than one packet at a time: far fewer are
        counted by the device than by the tunnel."""
        a, b = self.pair.hosts
        device = lambda: int(a.space.ip("-s -j link show dev gre4").out.split(
            '"tx":')[1].split('"packets":')[1].split(",")[0])
        count = lambda: a.daemon.stats("gre4")["transmit_packets"]
        before, sent = device(), count()
        traffic.tcp_transfer(a.space, b.space, lab.inner(3, "4", 2), 8 << 20)
        passed, sent = device() - before, count() - sent
        self.assertGreater(sent, (8 << 20) // self.mtu)
        self.assertLess(passed, sent // 2)

    def test_adopted_devices_have_it_too(self):
        a, b = self.pair.hosts
        a.daemon.stop()
        a.daemon.start()
        wait_until(lambda: traffic.ping(b.space, lab.inner(3, "4", 1), 1, wait=0.5) == 1,
                   what="the tunnel is back")
        features = a.space.run(["ethtool", "-k", "gre4"]).out
        self.assertIn("tcp-segmentation-offload: on", features)
        self.assertIn("tx-checksum-ip-generic: on", features)
        traffic.tcp_transfer(a.space, b.space, lab.inner(3, "4", 2), TRANSFER)


class WithoutOffload(_Walk, unittest.TestCase):
    FLAGS = ("--tun_offload=off",)

    def test_the_devices_have_none(self):
        features = self.pair.a.space.run(["ethtool", "-k", "gre4"]).out
        self.assertIn("tcp-segmentation-offload: off", features)


class BusyPoll(unittest.TestCase):
    """A worker that polls sees packets and commands as soon as one that sleeps."""

    def test_commands_and_packets_get_through(self):
        pair = lab.Pair(1, flags=["--busy_poll=20ms"])
        pair.create("t", 1, "gre")
        a, b = pair.hosts
        self.assertEqual(traffic.ping(a.space, lab.inner(1, "4", 2), 20), 20)
        for _ in range(5):
            a.daemon.ctl("pause t")
            a.daemon.ctl("resume t")
            self.assertEqual(traffic.ping(a.space, lab.inner(1, "4", 2), 1), 1)
        pair.close()


if __name__ == "__main__":
    runner.main()
