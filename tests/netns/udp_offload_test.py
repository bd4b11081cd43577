"""Tunnels in UDP with super-packets: UDP_SEGMENT where they leave, UDP_GRO where
they arrive. What crosses the wire, and what comes out, is as without them."""

import os
import sys
import unittest

sys.path.insert(0, os.path.abspath(os.path.join(os.path.dirname(__file__), "../..")))

from tests.lib import lab, process, runner, traffic, wire

# name, mode, outer, options, inner families, destination port.
TUNNELS = [
    ("gre4", "gre", "4", "key 42", "46", 4754),
    ("gre6", "gre", "6", "", "46", 4754),
    ("gif4", "gif", "4", "", "46", 5555),
    ("gif6", "gif", "6", "", "46", 5555),
    ("dfoff", "gre", "4", "df off", "4", 4754),
    ("zero4", "gif", "4", "noudpcsum", "4", 5555),
    ("fixed", "gif", "4", "source-port 7777", "4", 5555),
    ("same", "gre", "4", "port 6000 source-port 6000", "4", 6000),
    ("csum", "gre", "6", "csum", "4", 4754),
]
_DECODE = ("udp.port==4754,gre", "udp.port==5555,ip", "udp.port==6000,gre")
_BYTES = 512 * 1024
_FLOWS = 3


def sockets(host):
    """UDP sockets of the daemon that hold source ports at a loopback address."""
    lines = host.space.run(["ss", "-Hunap"], check=False).out.splitlines()
    return [line for line in lines if "127.0.0.1:" in line or "[::1]:" in line]


class Transfers:
    """Cases for one kind of link; TCP both ways through each tunnel."""

    offload = None

    @classmethod
    def prepare(cls):
        """Changes the link before traffic."""

    @classmethod
    def setUpClass(cls):
        cls.pair = lab.Pair(len(TUNNELS), offload=cls.offload)
        cls.prepare()
        for number, (name, mode, outer, options, carries, _) in enumerate(TUNNELS, 1):
            cls.pair.create(name, number, mode, outer, "transport udp " + options,
                            carries=carries)

    @classmethod
    def tearDownClass(cls):
        cls.pair.close()

    def transfer(self, number, carries, size=_BYTES):
        a, b = (host.space for host in self.pair.hosts)
        for family in carries:
            for _ in range(_FLOWS):
                traffic.tcp_transfer(a, b, lab.inner(number, family, 2), size)

    def test_content_is_carried_and_nothing_is_dropped(self):
        for number, (name, _, _, _, carries, _) in enumerate(TUNNELS, 1):
            with self.subTest(name):
                self.transfer(number, carries)
                for host in self.pair.hosts:
                    self.assertEqual(host.daemon.stats(name)["drops"], {})
        for host in self.pair.hosts:
            self.assertEqual(host.space.snmp("Tcp", "InCsumErrors"), 0)
        self.assertGreater(len(sockets(self.pair.a)), 0, "runs were sent")

    def test_numbered_datagrams_keep_count_and_order(self):
        for number, (name, _, _, _, _, _) in enumerate(TUNNELS, 1):
            if name not in ("gre4", "gre6", "gif4"):
                continue
            with self.subTest(name):
                target = lab.inner(number, "4", 2)
                sink = traffic.UdpSink(self.pair.b.space, target)
                source = traffic.UdpSource(self.pair.a.space, target, sink.port)
                for _ in range(20):  # bursts: runs
                    source.send(50)
                    self.assertEqual(sink.wait_for(source.sent), source.sent)
                self.assertEqual(sink.numbers, list(range(source.sent)))
                self.assertEqual(sink.bad, 0)
                sink.close()


class OneByOne(Transfers, unittest.TestCase):
    """Every packet crosses the wire alone: the device has no offload at all, its
    checksums among them."""

    offload = False

    def test_frames_are_those_of_raw_packets(self):
        capture = wire.Capture(self.pair.b.space, lab.LINK, "udp or ip6",
                               decode=_DECODE)
        for number, (_, _, _, _, carries, _) in enumerate(TUNNELS, 1):
            self.transfer(number, carries, 128 * 1024)
        capture = capture.stop()
        self.assertEqual(capture.bad(), [])
        frames = capture.frames("udp")
        for number, (name, _, outer, options, carries, port) in enumerate(TUNNELS, 1):
            with self.subTest(name):
                ip = {"4": "ip", "6": "ipv6"}[outer]
                sent = [f for f in frames
                        if f.first(ip + ".src") == lab.outer(number, outer, 1)]
                self.assertGreater(len(sent), 200)
                self.check(sent, options, outer, port, _FLOWS * len(carries))

    def check(self, frames, options, outer, port, flows):
        self.assertEqual({f.number("udp.dstport") for f in frames}, {port})
        self.assertEqual({f.number("udp.checksum.status") for f in frames},
                         {3 if "noudpcsum" in options else 1})
        self.assertLessEqual(max(f.number("frame.len") for f in frames), 1514)
        if outer == "4":
            self.assertEqual({f.first("ip.flags.df") for f in frames},
                             {"0" if "df off" in options else "1"})
            self.assertEqual({f.number("ip.ttl") for f in frames}, {64})
        else:
            self.assertEqual({f.number("ipv6.hlim") for f in frames}, {64})
        ports = {f.number("udp.srcport") for f in frames}
        if "source-port" in options:
            self.assertEqual(ports, {port if port == 6000 else 7777})
            return
        # One for each flow, and a neighbour solicitation or two.
        self.assertGreaterEqual(min(ports), 49152)
        self.assertGreaterEqual(len(ports), flows - 1)
        self.assertLessEqual(len(ports), flows + 2)


class SuperPackets(Transfers, unittest.TestCase):
    """Super-packets cross the link whole, as between containers of one host."""

    offload = True

    def test_they_do(self):
        number = 1
        capture = wire.Capture(self.pair.b.space, lab.LINK, "udp", decode=_DECODE)
        self.transfer(number, "4")
        frames = capture.stop().frames("udp")
        self.assertGreater(max(f.number("frame.len") for f in frames), 4000)


class Merged(Transfers, unittest.TestCase):
    """Single packets on the wire; the receiver's kernel merges them."""

    offload = True

    @classmethod
    def prepare(cls):
        cls.pair.merge_on_receive()


class Ports(unittest.TestCase):
    """Who may have a port that a flow was sent from."""

    @classmethod
    def setUpClass(cls):
        cls.pair = lab.Pair(2)

    @classmethod
    def tearDownClass(cls):
        cls.pair.close()

    def test_a_source_port_can_become_the_port_of_a_tunnel(self):
        a, b = (host.space for host in self.pair.hosts)
        self.pair.create("t", 1, "gif", "4", "transport udp source-port 6100",
                         carries="4")
        traffic.tcp_transfer(a, b, lab.inner(1, "4", 2), _BYTES)
        process.wait_until(lambda: any("127.0.0.1:6100" in line for line in
                                       sockets(self.pair.a)), what="runs were sent")
        self.pair.create("u", 2, "gif", "4", "transport udp port 6100", carries="4")
        for number in (1, 2):
            traffic.tcp_transfer(a, b, lab.inner(number, "4", 2), _BYTES)


if __name__ == "__main__":
    runner.main()
