"""A host that forwards from tunnel to tunnel, whichever of the two the kernel carries,
over a link that super-packets cross: nothing is lost, no flow is reordered, and what
one host has sent the next one has received, in packets and bytes."""

import os
import sys
import time
import unittest

sys.path.insert(0, os.path.abspath(os.path.join(os.path.dirname(__file__), "../..")))

from tests.lib import lab, namespace, runner, traffic
from tests.lib.daemon import Daemon
from tests.lib.process import wait_until

RUN = 15  # datagrams in a super-packet


class Hub(unittest.TestCase):
    """a --t-- hub --u-- b"""

    @classmethod
    def setUpClass(cls):
        cls.a, cls.hub, cls.b = hosts = [lab.Host(n, 0) for n in ("a", "hub", "b")]
        for number, host in ((1, cls.a), (2, cls.b)):
            near = "u%d" % number
            namespace.connect(cls.hub.space, near, host.space, lab.LINK, offload=True)
            for end, space, link in ((1, cls.hub.space, near), (2, host.space, lab.LINK)):
                space.ip("addr add %s/24 dev %s" % (lab.outer(number, "4", end), link))
        for host in hosts:
            host.daemon = Daemon(host.space, ["--datapath=auto"])
        for number, name, host in ((1, "t", cls.a), (2, "u", cls.b)):
            for end, daemon in ((1, cls.hub.daemon), (2, host.daemon)):
                daemon.ctl("create %s mode gre local %s remote %s address %s/24" % (
                    name, lab.outer(number, "4", end), lab.outer(number, "4", 3 - end),
                    lab.inner(number, "4", end)))
        cls.hub.space.sysctl("net/ipv4/ip_forward", 1)
        for number, name, host in ((2, "t", cls.a), (1, "u", cls.b)):
            host.space.ip("route add %s/24 dev %s" % (lab.inner(number, "4", 0), name))

    @classmethod
    def tearDownClass(cls):
        for host in (cls.a, cls.hub, cls.b):
            host.daemon.stop()
            host.space.delete()

    def counted(self):
        """At each end of a tunnel on the way from a to b."""
        found = []
        for host, name, way in ((self.a, "t", "transmit"), (self.hub, "t", "receive"),
                                (self.hub, "u", "transmit"), (self.b, "u", "receive")):
            stats = host.daemon.stats(name)
            self.assertEqual(stats["drops"], {})
            found.append((stats[way + "_packets"], stats[way + "_bytes"]))
        return found

    def test_all_arrives_in_order_and_is_counted(self):
        target = lab.inner(2, "4", 2)
        for paths in (("bpf", "bpf"), ("user", "bpf"), ("bpf", "user")):
            with self.subTest(hub=paths):
                for name, path in zip("tu", paths):
                    self.hub.daemon.ctl("set %s datapath %s" % (name, path))
                self.assertEqual(traffic.ping(self.a.space, target), 3)
                before = self.counted()
                sink = traffic.UdpSink(self.b.space, target)
                self.addCleanup(sink.close)
                source = traffic.UdpSource(self.a.space, target, sink.port, run=RUN)
                for _ in range(40):
                    source.send(RUN + 1)  # a super-packet, and one alone
                    time.sleep(0.001)
                sent = source.stop()
                sink.wait_for(sent)
                self.assertEqual(len(sink.numbers), sent, "lost or doubled")
                self.assertEqual([n for n, last in zip(sink.numbers[1:], sink.numbers)
                                  if n < last], [], "overtaken")
                self.assertEqual(sink.bad, 0)
                size = 20 + 8 + 100
                for now, then in zip(self.counted(), before):
                    self.assertEqual((now[0] - then[0], now[1] - then[1]),
                                     (sent, sent * size))

    def test_super_packets_leave_whole(self):
        target = lab.inner(2, "4", 2)
        for name in "tu":
            self.hub.daemon.ctl("set %s datapath bpf" % name)
        sink = traffic.UdpSink(self.b.space, target)
        self.addCleanup(sink.close)
        source = traffic.UdpSource(self.a.space, target, sink.port, run=RUN)
        self.addCleanup(source.stop)

        def ten_leave_as_about_ten():
            before = self.hub.space.sent("u2")
            for _ in range(10):
                source.send(RUN)
            sink.wait_for(source.sent)
            return self.hub.space.sent("u2") - before < 20  # each by itself: 150
        # The first one finds that its way is not yet that of super-packets.
        wait_until(ten_leave_as_about_ten, what="super-packets leave whole")
        self.assertEqual(sorted(sink.numbers), list(range(source.sent)))
        self.assertEqual(sink.bad, 0)

    def test_it_goes_back_when_no_super_packets_come(self):
        for name in "tu":
            self.hub.daemon.ctl("set %s datapath bpf" % name)
        source = traffic.UdpSource(self.a.space, lab.inner(2, "4", 2), 9, run=RUN)
        self.addCleanup(source.stop)
        source.send(RUN)

        def passed():
            return self.hub.daemon.json("stats", "u")[0].get("transmit_passed", 0)

        def taken_by_the_kernel():
            time.sleep(0.2)  # what comes within 100 ms goes the way of the last one
            before = passed()
            self.assertEqual(traffic.ping(self.a.space, lab.inner(2, "4", 2)), 3)
            return passed() == before
        wait_until(taken_by_the_kernel, what="single packets stay in the kernel")


if __name__ == "__main__":
    runner.main()
