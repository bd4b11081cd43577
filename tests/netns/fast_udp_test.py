"""Tunnels in UDP on the kernel's fast path: who owns the port, and packets that the
kernel makes larger than the wire carries."""

import os
import sys
import time
import unittest

sys.path.insert(0, os.path.abspath(os.path.join(os.path.dirname(__file__), "../..")))

from tests.lib import lab, namespace, process, rpc, runner, traffic
from tests.lib.fast_case import FastCase, workers

ZERO = "transport udp noudpcsum "
_BYTES = 4 << 20
_RUN, _SIZE = 10, 1000


def send_runs(test, near, far, target, times):
    """Runs of datagrams and a single one behind each: all come, once and in order."""
    sink = traffic.UdpSink(far, target)
    source = traffic.UdpSource(near, target, sink.port, size=_SIZE, run=_RUN)
    for _ in range(times):
        source.send(_RUN + 1)
        test.assertEqual(sink.wait_for(source.sent), source.sent)
    source.stop()
    sink.close()
    test.assertEqual(sink.numbers, list(range(source.sent)))
    test.assertEqual(sink.bad, 0)


class Port(FastCase):
    def test_tunnels_of_both_paths_share_a_port(self):
        for name, number, mode, options in (
                ("fast", 1, "gre", ZERO + "datapath bpf"),
                ("keyed", 2, "gre", ZERO + "key 5 datapath bpf"),
                ("direct", 3, "gif", ZERO + "port 4754 datapath bpf"),
                ("summed", 4, "gre", "transport udp datapath auto"),
                ("slow", 5, "gre", ZERO + "datapath user")):
            self.pair.create(name, number, mode, options=options, carries="4")
        # Of the pair of one that is fast: the key tells them apart.
        for host in self.hosts:
            host.daemon.ctl("create beside mode gre local %s remote %s key 6 %s address %s/24 "
                            "datapath user" % (
                                lab.outer(2, "4", host.end), lab.outer(2, "4", 3 - host.end),
                                ZERO, lab.inner(6, "4", host.end)))
        names = ("fast", "keyed", "direct", "summed", "slow", "beside")
        for number in range(1, 7):
            self.assertEqual(self.ping(number, count=1), 1, names[number - 1])
        for number, name in enumerate(names, 1):
            workers = self.workers()
            self.assertEqual(self.ping(number), 3, name)
            # Out and in at both ends, requests and replies.
            self.assertEqual(self.workers() - workers, 0 if number <= 3 else 12, name)
            for host in self.hosts:
                stats = host.daemon.stats(name)
                self.assertEqual((stats["receive_packets"], stats["drops"]), (4, {}), name)

    def test_a_checksum_that_comes_is_summed_by_the_workers(self):
        """One end sends checksums, the other none, and each takes both."""
        self.pair.create("t", 1, "gre", options=ZERO + "datapath bpf",
                         options_b="transport udp datapath user", carries="4")
        workers = self.workers()
        self.assertEqual(self.ping(1), 3)
        traffic.tcp_transfer(self.b.space, self.a.space, lab.inner(1, "4", 1), _BYTES)
        self.assertGreater(self.workers(), workers)
        self.assert_fast("t")
        for host in self.hosts:
            self.assertEqual(host.daemon.stats("t")["drops"], {})
        self.assertEqual(self.a.space.snmp("Tcp", "InCsumErrors"), 0)

    def test_inner_packets_to_the_port_are_looked_at(self):
        """They may be those of the tunnel that has the port."""
        self.pair.create("t", 1, "gre", options="datapath bpf", carries="4")
        self.assertEqual(self.ping(1), 3)

        def send(seen):
            """What the workers have of three datagrams to the port."""
            workers = self.workers()
            received = self.b.daemon.stats("t")["receive_packets"]
            source = traffic.UdpSource(self.a.space, lab.inner(1, "4", 2), 4000)
            source.send(3)
            source.stop()
            process.wait_until(lambda: self.b.daemon.stats("t")["receive_packets"] ==
                               received + 3, what="they arrive")
            self.assertEqual(self.workers() - workers, seen)
        # Nobody listens: the answers are errors of ICMP, which the kernel carries.
        self.b.space.sysctl("net/ipv4/icmp_ratelimit", 0)
        send(0)
        for name, number in (("u", 2), ("v", 3)):
            self.a.daemon.ctl("create %s mode gre local %s remote %s %s port 4000" % (
                name, lab.outer(number, "4", 1), lab.outer(number, "4", 2), ZERO))
        send(3)
        self.a.daemon.ctl("delete u")
        send(3)
        self.a.daemon.ctl("set v port 4001")
        send(0)


# mode, options, what carries it at a, at b.
_TUNNELS = [(mode, options, *ends) for mode, options in (("gre", "key 3"), ("gif", ""))
            for ends in (("bpf", "bpf"), ("bpf", "user"), ("user", "bpf"))]


class Sizes:
    """Cases for one kind of link; traffic both ways through each tunnel."""

    @classmethod
    def prepare(cls):
        """Changes the link before traffic."""

    @classmethod
    def setUpClass(cls):
        cls.pair = lab.Pair(len(_TUNNELS), offload=True)
        cls.a, cls.b = cls.pair.hosts
        cls.prepare()
        for number, (mode, options, *ends) in enumerate(_TUNNELS, 1):
            words = ["%s%s datapath %s" % (ZERO, options, end) for end in ends]
            cls.pair.create("t%d" % number, number, mode, "4", *words)
        cls.clients = [rpc.Client(host.daemon.target) for host in cls.pair.hosts]

    @classmethod
    def tearDownClass(cls):
        for client in cls.clients:
            client.close()
        cls.pair.close()

    def assert_nothing_lost(self, name):
        for host in self.pair.hosts:
            self.assertEqual(host.daemon.stats(name)["drops"], {})
            for group in ("Tcp", "Udp"):
                self.assertEqual(host.space.snmp(group, "InCsumErrors"), 0)

    def test_tcp_is_carried_whole(self):
        a, b = (host.space for host in self.pair.hosts)
        for number, tunnel in enumerate(_TUNNELS, 1):
            with self.subTest(tunnel):
                if tunnel[2:] == ("bpf", "bpf"):
                    for family in "46":  # the first packets turn it
                        traffic.ping(a, lab.inner(number, family, 2))
                before = workers(self.clients)
                for family in "46":
                    traffic.tcp_transfer(a, b, lab.inner(number, family, 2), _BYTES)
                traffic.tcp_transfer(b, a, lab.inner(number, "4", 1), _BYTES)
                self.assert_nothing_lost("t%d" % number)
                if tunnel[2:] == ("bpf", "bpf"):
                    self.assertEqual(workers(self.clients), before)

    def test_datagrams_come_once_and_in_order(self):
        """Super-packets of an application, each with a datagram behind it."""
        for number, tunnel in enumerate(_TUNNELS, 1):
            for family in "46":
                with self.subTest(tunnel, inner=family):
                    target = lab.inner(number, family, 2)
                    send_runs(self, self.a.space, self.b.space, target, 25)
            self.assert_nothing_lost("t%d" % number)


class SuperPackets(Sizes, unittest.TestCase):
    """They cross the link whole, as between containers of one host."""

    def test_datagrams_return_to_the_kernel(self):
        """Those behind a super-packet follow it to the workers, for a while."""
        target = lab.inner(1, "4", 2)
        sink = traffic.UdpSink(self.b.space, target)
        self.addCleanup(sink.close)
        source = traffic.UdpSource(self.a.space, target, sink.port, size=_SIZE, run=_RUN)
        self.addCleanup(source.stop)

        def seen(count):
            """What the workers have of so many datagrams."""
            before = workers(self.clients)
            source.send(count)
            self.assertEqual(sink.wait_for(source.sent), source.sent)
            return workers(self.clients) - before
        self.assertEqual(seen(_RUN), 1)
        process.wait_until(lambda: time.sleep(0.2) or seen(1) == 0,
                           what="they pass by the workers")


class Merged(Sizes, unittest.TestCase):
    """Single packets on the wire; the receiver's kernel merges what it can."""

    @classmethod
    def prepare(cls):
        cls.pair.merge_on_receive()


class Forwarded(unittest.TestCase):
    """Beyond end b lies a host behind a link with its own offloads: the kernel of b
    cuts there what it has decapsulated whole."""

    @classmethod
    def setUpClass(cls):
        cls.pair = lab.Pair(1, offload=True)
        a, cls.b = (host.space for host in cls.pair.hosts)
        cls.host = namespace.Namespace("c")
        cls.near = a
        namespace.connect(cls.host, "eth0", cls.b, "lan", offload=True)
        cls.host.ip("addr add 10.5.0.2/24 dev eth0")
        cls.host.ip("route add default via 10.5.0.1")
        cls.b.ip("addr add 10.5.0.1/24 dev lan")
        cls.b.sysctl("net/ipv4/ip_forward", 1)
        cls.pair.create("t", 1, "gre", options=ZERO + "datapath bpf", carries="4")
        a.ip("route add 10.5.0.0/24 dev t")

    @classmethod
    def tearDownClass(cls):
        cls.host.delete()
        cls.pair.close()

    def test_both_ways(self):
        for offload in (True, False):
            with self.subTest(offload=offload):
                if not offload:
                    namespace.disable_offload(self.b, "lan")
                traffic.tcp_transfer(self.near, self.host, "10.5.0.2", _BYTES)
                traffic.tcp_transfer(self.host, self.near, lab.inner(1, "4", 1), _BYTES)
                send_runs(self, self.near, self.host, "10.5.0.2", 10)
        for space in (self.near, self.host):
            for group in ("Tcp", "Udp"):
                self.assertEqual(space.snmp(group, "InCsumErrors"), 0)


class Hub(unittest.TestCase):
    """Hosts c and d behind a, each with a tunnel to b, which forwards from one tunnel
    to the other."""

    @classmethod
    def setUpClass(cls):
        cls.pair = lab.Pair(2, offload=True)
        a, b = (host.space for host in cls.pair.hosts)
        cls.ends = []
        for number, (name, out) in enumerate((("c", "t"), ("d", "u")), 1):
            cls.pair.create(out, number, "gre", options=ZERO + "datapath bpf", carries="4")
            end = namespace.Namespace(name)
            cls.ends.append(end)
            link = "lan" + name
            namespace.connect(end, "eth0", a, link, offload=True)
            end.ip("addr add 10.5.%d.2/24 dev eth0" % number)
            end.ip("route add default via 10.5.%d.1" % number)
            a.ip("addr add 10.5.%d.1/24 dev %s" % (number, link))
            a.ip("rule add iif %s lookup %d" % (link, 100 + number))
        for number, out in enumerate(("t", "u"), 1):
            a.ip("route add 10.5.%d.0/24 dev %s table %d" % (3 - number, out, 100 + number))
            b.ip("route add 10.5.%d.0/24 dev %s" % (number, out))
        for space in (a, b):
            space.sysctl("net/ipv4/ip_forward", 1)

    @classmethod
    def tearDownClass(cls):
        for end in cls.ends:
            end.delete()
        cls.pair.close()

    def test_tcp_passes_the_hub(self):
        c, d = self.ends
        traffic.tcp_transfer(c, d, "10.5.2.2", _BYTES)
        traffic.tcp_transfer(d, c, "10.5.1.2", _BYTES)
        for host in self.pair.hosts:
            for name in ("t", "u"):
                self.assertEqual(host.daemon.stats(name)["drops"], {})
        for end in self.ends:
            self.assertEqual(end.snmp("Tcp", "InCsumErrors"), 0)


if __name__ == "__main__":
    runner.main()
