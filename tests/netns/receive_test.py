"""Receiving what kernels really send: merged segments, partial checksums,
fragments, more than a queue holds."""

import os
import signal
import socket
import struct
import sys
import unittest

sys.path.insert(0, os.path.abspath(os.path.join(os.path.dirname(__file__), "../..")))

from tests.lib import lab, namespace, packets, rpc, runner, traffic
from tests.lib.process import wait_until

TUNNELS = [("gif4", "gif", "4", ""), ("gif6", "gif", "6", ""), ("gre4", "gre", "4", ""),
           ("gre6", "gre", "6", ""), ("sum4", "gre", "4", "key 1 csum"),
           ("tap4", "gretap", "4", ""), ("tap6", "gretap", "6", "")]
_UDP_SEGMENT = 103
_OFFLOADS = ("tx", "sg", "tso", "gso", "gro")
TRANSFER = 2 << 20


class Offloads(unittest.TestCase):
    """TCP both ways with the offloads of the link, and of the tunnel devices, as
    they come and go: not one segment may arrive with a bad checksum."""

    @classmethod
    def setUpClass(cls):
        cls.pair = lab.Pair(len(TUNNELS), offload=True)
        for number, tunnel in enumerate(TUNNELS, 1):
            cls.pair.create(tunnel[0], number, *tunnel[1:])

    @classmethod
    def tearDownClass(cls):
        cls.pair.close()

    def set_offloads(self, **values):
        for host in self.pair.hosts:
            words = sum(([k, values.get(k, "off")] for k in _OFFLOADS), [])
            host.space.run(["ethtool", "-K", lab.LINK, *words], check=False)

    def counters(self):
        return [(h.space.snmp("Tcp", "InCsumErrors"),
                 h.space.snmp("Udp", "InCsumErrors"),
                 h.space.snmp("Icmp", "OutDestUnreachs"),
                 h.space.snmp6("Icmp6OutDestUnreachs"),
                 h.space.snmp6("Icmp6OutParmProblems")) for h in self.pair.hosts]

    def transfer_all(self, **offloads):
        self.set_offloads(**offloads)
        before = self.counters()
        a, b = (h.space for h in self.pair.hosts)
        for number, (name, *_) in enumerate(TUNNELS, 1):
            for family in "46":
                traffic.tcp_transfer(a, b, lab.inner(number, family, 2), TRANSFER)
            traffic.tcp_transfer(b, a, lab.inner(number, "4", 1), TRANSFER)
        self.assertEqual(self.counters(), before)
        for number, (name, *_) in enumerate(TUNNELS, 1):
            for host in self.pair.hosts:
                drops = host.daemon.stats(name)["drops"]
                self.assertEqual(drops, {}, name)

    def test_no_offloads(self):
        self.transfer_all()

    def test_receiver_merges(self):
        self.transfer_all(gro="on")

    def test_super_packets_cross_the_link(self):
        self.transfer_all(tx="on", sg="on", tso="on", gso="on", gro="on")

    def test_checksums_left_to_the_link(self):
        self.transfer_all(tx="on", sg="on")

    def test_every_datagram_once(self):
        self.set_offloads(tx="on", sg="on", tso="on", gso="on", gro="on")
        for number in (1, 4, 6):
            target = lab.inner(number, "4", 2)
            sink = traffic.UdpSink(self.pair.b.space, target)
            source = traffic.UdpSource(self.pair.a.space, target, sink.port, size=1000)
            for _ in range(50):
                source.send(40)
                sink.wait_for(source.sent)
            self.assertEqual(sorted(sink.numbers), list(range(2000)))
            self.assertEqual(sink.bad, 0)
            source.stop()
            sink.close()


    def test_every_segment_of_an_application(self):
        """UDP_SEGMENT: 500 sends of 40 datagrams of 1,000 bytes are 20,000 of these,
        whether they cross the link one by one, are merged behind it, or cross it as
        they were sent. The next send waits for the last one's datagrams."""
        sends, pieces, size = 500, 40, 1000
        body = [traffic.filler(i, size - 8) for i in range(pieces)]
        target = lab.inner(3, "4", 2)
        a, b = self.pair.hosts
        for offloads in ({}, {"gro": "on"}, dict.fromkeys(_OFFLOADS, "on")):
            with self.subTest(offloads=offloads):
                self.set_offloads(**offloads)
                counted = lambda: (a.daemon.stats("gre4")["transmit_packets"],
                                   b.daemon.stats("gre4")["receive_packets"])
                expected = tuple(n + sends * pieces for n in counted())
                with traffic.open_socket(b.space, target, socket.SOCK_DGRAM) as sink, \
                        traffic.open_socket(a.space, target, socket.SOCK_DGRAM) as source:
                    sink.settimeout(60)
                    sink.bind((target, 0))
                    source.setsockopt(socket.IPPROTO_UDP, _UDP_SEGMENT, size)
                    source.connect(sink.getsockname())
                    for number in range(sends):
                        sent = [struct.pack("!II", number, i) + body[i]
                                for i in range(pieces)]
                        source.send(b"".join(sent))
                        self.assertEqual([sink.recv(65535) for _ in sent], sent)
                    sink.setblocking(False)
                    self.assertRaises(BlockingIOError, sink.recv, 1)
                wait_until(lambda: counted() == expected, what="each is counted once")
        for host in self.pair.hosts:
            self.assertEqual(host.daemon.stats("gre4")["drops"], {})
        self.assertEqual(b.space.snmp("Udp", "InCsumErrors"), 0)


class ThirdHost(unittest.TestCase):
    """Beyond one end of the tunnel, that of `via`, lies a host whose TCP it forwards."""

    via = "a"

    def setUp(self):
        self.pair = lab.Pair(1, offload=True)
        self.addCleanup(self.pair.close)
        a, b = self.pair.a.space, self.pair.b.space
        self.near, self.far = (a, b) if self.via == "a" else (b, a)
        self.far_address = lab.inner(1, "4", 2 if self.via == "a" else 1)
        self.host = namespace.Namespace("c")
        self.addCleanup(self.host.delete)
        namespace.connect(self.host, "eth0", self.near, "lan", offload=True)
        self.host.ip("addr add 10.5.0.2/24 dev eth0")
        self.host.ip("route add default via 10.5.0.1")
        self.near.ip("addr add 10.5.0.1/24 dev lan")
        self.near.sysctl("net/ipv4/ip_forward", 1)
        self.pair.create("t", 1, "gre")
        self.far.ip("route add 10.5.0.0/24 dev t")

    def transfer_both_ways(self):
        traffic.tcp_transfer(self.host, self.far, self.far_address, TRANSFER)
        traffic.tcp_transfer(self.far, self.host, "10.5.0.2", TRANSFER)
        for space in (self.host, self.far):
            self.assertEqual(space.snmp("Tcp", "InCsumErrors"), 0)


class RealSegments(ThirdHost):
    """Segments that the receive offload of the third host's link has merged go
    through the TUN device as they are."""

    def test_forwarded_tcp_is_intact(self):
        for gro in ("on", "off"):
            self.near.run(["ethtool", "-K", "lan", "gro", gro])
            self.transfer_both_ways()


class Lists(ThirdHost):
    """The link that the tunnel runs over merges packets into lists, which have no
    partial checksum, where no socket of b wants them."""

    via = "b"

    def test_lists_are_forwarded_intact(self):
        for lists in ("on", "off"):
            self.near.run(["ethtool", "-K", lab.LINK, "gro", "on", "rx-gro-list", lists])
            self.transfer_both_ways()
        self.assertEqual(self.pair.b.daemon.stats("t")["drops"], {})


class Raw(unittest.TestCase):
    """Packets made by hand towards a."""

    @classmethod
    def setUpClass(cls):
        cls.pair = lab.Pair(2)
        cls.pair.create("t4", 1, "gif", "4")
        cls.pair.create("t6", 2, "gre", "6")
        cls.sender = packets.RawSender(cls.pair.b.space)

    @classmethod
    def tearDownClass(cls):
        cls.sender.close()
        cls.pair.close()

    def receive(self, number, make_outer):
        """Sends a numbered datagram in what make_outer(inner packet) gives."""
        source, target = lab.inner(number, "4", 2), lab.inner(number, "4", 1)
        sink = traffic.UdpSink(self.pair.a.space, target)
        data = struct.pack("!I", 5) + traffic.filler(5, 1600)
        inner = packets.ipv4(source, target, 17, packets.udp(
            source, target, 9, sink.port, data))
        for packet in make_outer(inner):
            self.sender.send(packet)
        self.assertEqual(sink.wait_for(1), 1)
        self.assertEqual((sink.numbers, sink.bad), ([5], 0))
        sink.close()

    def test_outer_ipv4_fragments_are_put_together(self):
        ends = lab.outer(1, "4", 2), lab.outer(1, "4", 1)
        more = 0x2000
        fragments = lambda inner: [
            packets.ipv4(*ends, 4, inner[:800], flags=more),
            packets.ipv4(*ends, 4, inner[800:1600], flags=more | 100),
            packets.ipv4(*ends, 4, inner[1600:], flags=200)]
        self.receive(1, fragments)
        self.receive(1, lambda inner: reversed(fragments(inner)))

    def test_outer_ipv6_fragments_are_put_together(self):
        """The kernel hands IPv6 fragments to packet sockets as they come."""
        ends = lab.outer(2, "6", 2), lab.outer(2, "6", 1)

        def fragments(inner, overlap=0, number=77):
            whole = packets.gre(0x0800, inner)
            head = lambda offset, more: struct.pack("!BBHI", 47, 0, offset | more, number)
            return [packets.ipv6(*ends, 44, head(0, 1) + whole[:800]),
                    packets.ipv6(*ends, 44, head(800 - overlap, 0)
                                 + whole[800 - overlap:])]
        self.receive(2, fragments)
        self.receive(2, lambda inner: reversed(fragments(inner, number=78)))
        inner = packets.ipv4(lab.inner(2, "4", 2), lab.inner(2, "4", 1), 17, b"x" * 1600)
        for number in range(3):
            for packet in fragments(inner, 8, 80 + number):
                self.sender.send(packet)
        client = rpc.Client(self.pair.a.daemon.target)
        drops = lambda: client.telemetry.GetStats(
            client.messages.GetStatsRequest()).unmatched_drops
        wait_until(lambda: drops()["reassembly_failed"] == 6, what="six drops")
        client.close()

    def test_no_icmp_error_when_the_daemon_cannot_keep_up(self):
        space, child = self.pair.a.space, self.pair.a.daemon.child
        target = lab.inner(1, "4", 1)
        packet = packets.ipv4(
            lab.outer(1, "4", 2), lab.outer(1, "4", 1), 4,
            packets.ipv4(lab.inner(1, "4", 2), target, 1, b"\0" * 1300))
        before = space.snmp("Icmp", "OutDestUnreachs")
        os.kill(child.pid, signal.SIGSTOP)
        try:
            for _ in range(40000):
                self.sender.send(packet)
        finally:
            os.kill(child.pid, signal.SIGCONT)
        self.assertEqual(space.snmp("Icmp", "OutDestUnreachs"), before)
        wait_until(lambda: traffic.ping(self.pair.b.space, target, 1, wait=0.5) == 1,
                   what="the tunnel answers again")


if __name__ == "__main__":
    runner.main()
