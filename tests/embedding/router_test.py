"""The example router: two of them between two hosts, judged by tshark.

  host a -- router a == GRE, key 42 == router b -- host b
"""

import os
import sys
import unittest

sys.path.insert(0, os.path.abspath(os.path.join(os.path.dirname(__file__), "..", "..")))

from tests.lib import process, runner
from tests.lib.namespace import Namespace, connect
from tests.lib.wire import Capture

PROGRAM = "docs/examples/router/router"


def program():
    for place in (os.environ.get("TUNNELD_BIN_DIR", "."), "."):
        path = os.path.abspath(os.path.join(place, PROGRAM))
        if os.path.isfile(path):
            return path
    raise FileNotFoundError(PROGRAM + " is not built")


class Site:
    """A host and its router; net 10.N.0.0/24 and fd00:N::/64."""

    def __init__(self, number):
        self.number = number
        self.host = Namespace("Bhost%d" % number)
        self.router = Namespace("Brouter%d" % number)
        connect(self.host, "eth0", self.router, "inner")
        self.gateway = "10.%d.0.1" % number
        mac = self.router.mac("inner")
        self.host.batch([
            "address add 10.%d.0.2/24 dev eth0" % number,
            "address add fd00:%d::2/64 dev eth0 nodad" % number,
            "neighbour replace %s lladdr %s dev eth0" % (self.gateway, mac),
            "neighbour replace fd00:%d::1 lladdr %s dev eth0" % (number, mac),
            "route add default via %s" % self.gateway,
            "route add default via fd00:%d::1" % number])

    def start(self, peer):
        argv = [program(), "inner", self.host.mac("eth0"), self.gateway, "outer",
                peer.router.mac("outer"), "192.0.2.%d" % self.number,
                "192.0.2.%d" % peer.number, "42"]
        self.out = open(os.path.join(process.temp_dir(),
                                     "router%d.log" % self.number), "w+")
        self.process = self.router.spawn(argv, stdout=self.out)
        process.wait_until(lambda: "ready" in self.log(), what="the router is ready")

    def log(self):
        self.out.flush()
        with open(self.out.name) as f:
            return f.read()

    def stop(self):
        process.stop(self.process)
        return dict((k, int(v)) for k, v in (
            l.split() for l in self.log().splitlines() if " " in l))


def ping(site, to, count, size=56, options=()):
    return site.host.run(["ping", "-n", "-i", "0.02", "-c", count, "-W", "2", "-s", size,
                          *options, to], check=False, timeout=60)


class Router(unittest.TestCase):
    def test_forwards_both_ways(self):
        one, two = Site(1), Site(2)
        connect(one.router, "outer", two.router, "outer")
        one.start(two)
        two.start(one)
        wire = Capture(one.router, "outer", "ip proto 47")
        inner = Capture(two.host, "eth0", "icmp or icmp6")
        for site, other in ((one, two), (two, one)):
            for to in ("10.%d.0.2" % other.number, "fd00:%d::2" % other.number):
                done = ping(site, to, 20)
                self.assertIn(" 20 received", done.out, str(done))
        self.too_big_is_answered(one)
        self.large_packets_are_cut(one)
        self.outer_packets(wire.stop())
        self.inner_packets(inner.stop())
        for site in (one, two):
            counts = site.stop()
            self.assertGreaterEqual(counts["none"], 160, counts)
            self.assertEqual(set(counts) - {"none", "too_big", "unknown_protocol"},
                             set(), counts)

    def too_big_is_answered(self, site):
        # 1500 less 20 and 8 is 1472: what the inner sender learns.
        done = ping(site, "10.2.0.2", 2, 1472, ["-M", "do"])
        self.assertIn("mtu = 1472", done.out, str(done))
        route = site.host.ip("route get 10.2.0.2").out
        self.assertIn("mtu 1472", route)
        self.assertIn(" 2 received", ping(site, "10.2.0.2", 2, 1444,
                                          ["-M", "do"]).out)

    def large_packets_are_cut(self, site):
        # Two fragments of the host, of which the tunnel cuts the first again.
        done = ping(site, "10.2.0.2", 3, 2000, ["-M", "dont"])
        self.assertIn(" 3 received", done.out, str(done))

    def outer_packets(self, capture):
        frames = capture.frames()
        self.assertGreaterEqual(len(frames), 160)
        self.assertEqual(capture.bad(), [])
        for frame in frames:
            self.assertEqual(frame.number("ip.proto"), 47)
            self.assertIn(frame.first("ip.src"), ("192.0.2.1", "192.0.2.2"))
            self.assertEqual(frame.number("gre.key"), 42)
            self.assertEqual(frame.number("ip.ttl"), 64)
            self.assertLessEqual(frame.number("ip.len"), 1500)
        inner = {f.number("gre.proto") for f in frames}
        self.assertEqual(inner, {0x0800, 0x86dd})

    def inner_packets(self, capture):
        """Whole, and two hops further than they were sent."""
        self.assertEqual(capture.bad(), [])
        frames = capture.frames("icmp.type == 8 and ip.src == 10.1.0.2")
        self.assertGreaterEqual(len(frames), 20)
        self.assertEqual({f.number("ip.ttl") for f in frames}, {62})
        frames = capture.frames("icmpv6.type == 128 and ipv6.src == fd00:1::2")
        self.assertEqual(len(frames), 20)
        self.assertEqual({f.number("ipv6.hlim") for f in frames}, {62})


if __name__ == "__main__":
    runner.main()
