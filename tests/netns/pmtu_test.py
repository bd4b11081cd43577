"""Path MTU: a router in mid-path that carries less than the links at the ends.

Host a (198.18.1.1) and host b (198.18.2.2) have a router between them, whose
links are as wide as theirs but whose routes carry 1400 bytes. Tunnels of both
outer families carry both inner ones.
"""

import os
import re
import socket
import struct
import sys
import time
import unittest

sys.path.insert(0, os.path.abspath(os.path.join(os.path.dirname(__file__), "../..")))

from tests.lib import lab, namespace, packets, runner, traffic, wire
from tests.lib.daemon import Daemon
from tests.lib.process import wait_until

NARROW = 1400
OUTER = {"4": ("198.18.1.1", "198.18.2.2", 24, 32), "6": ("fd18:1::1", "fd18:2::2", 64, 128)}
NOWHERE = {"4": "198.18.3.2", "6": "fd18:3::2"}  # the router refuses to go there
# By name: number, mode, outer family, options, outer header bytes.
TUNNELS = {"g4": (1, "gre", "4", "", 24), "f6": (2, "gif", "6", "", 40),
           "k4": (3, "gre", "4", "key 7", 28), "t4": (4, "gretap", "4", "key 9", 42),
           "u4": (5, "gre", "4", "transport udp", 32)}
DF = 0x4000
BURST = 400


class Path:
    """Hosts a and b with a daemon each, and the router."""

    def __init__(self):
        self.a, self.b = lab.Host("a", 1), lab.Host("b", 2)
        self.router = namespace.Namespace("r")
        for version in ("4/ip_forward", "6/conf/all/forwarding"):
            self.router.sysctl("net/ipv" + version, 1)
        for host, side in ((self.a, "ra"), (self.b, "rb")):
            namespace.connect(host.space, lab.LINK, self.router, side)
        for family, (one, two, length, whole) in OUTER.items():
            nodad = " nodad" if family == "6" else ""
            for host, side, address, other in ((self.a, "ra", one, two),
                                               (self.b, "rb", two, one)):
                gate = re.sub("[12]$", "fe" if family == "6" else "254", address)
                self.router.ip("addr add %s/%d dev %s%s" % (gate, length, side, nodad))
                host.space.ip("addr add %s/%d dev %s%s" % (
                    address, length, lab.LINK, nodad))
                host.space.ip("-%s route add default via %s" % (family, gate))
                self.router.ip("-%s route add %s/%d dev %s mtu lock %d" % (
                    family, address, whole, side, NARROW))
            self.router.ip("-%s route add unreachable %s" % (family, NOWHERE[family]))
        for host in (self.a, self.b):
            host.daemon = Daemon(host.space)

    def create(self, name, number, mode, family, options, remote=None):
        one, two = OUTER[family][:2]
        for host, local, far in ((self.a, one, two), (self.b, two, one)):
            host.daemon.ctl("create %s mode %s local %s remote %s %s %s" % (
                name, mode, local, remote or far,
                lab.inner_words(number, "46", host.end), options))
            if remote:
                return

    def close(self):
        for host in (self.a, self.b):
            if host.daemon and host.daemon.child:
                host.daemon.stop()
            host.space.delete()
        self.router.delete()


def mtu_of(space, address):
    """The MTU that the kernel of `space` knows of the way to `address`; None
    when it knows of no other than the interface's."""
    match = re.search(r" mtu (\d+)", space.ip("route get " + address).out)
    return int(match.group(1)) if match else None


def too_big(family, mtu, quote):
    """An ICMP error from its type on; that of ICMPv6 without checksum."""
    if family == "4":
        head = struct.pack("!BBHHH", 3, 4, 0, 0, mtu)
        return head[:2] + struct.pack("!H", packets.checksum(head + quote)) + head[4:] + quote
    return struct.pack("!BBHI", 2, 0, 0, mtu) + quote


class Stranger:
    """Sends ICMP to host a from the router."""

    def __init__(self, path):
        self._raw = packets.RawSender(path.router)

    def send(self, family, message, source=None):
        target = OUTER[family][0]
        if family == "4":
            return self._raw.send(packets.ipv4(source or "198.18.1.254", target, 1, message))
        source = source or "fd18:1::fe"
        pseudo = (socket.inet_pton(socket.AF_INET6, source) +
                  socket.inet_pton(socket.AF_INET6, target) +
                  struct.pack("!II", len(message), 58))
        value = packets.checksum(pseudo + message)
        self._raw.send(packets.ipv6(source, target, 58, message[:2] +
                                    struct.pack("!H", value) + message[4:]))

    def close(self):
        self._raw.close()


class PathMtu(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.path = Path()
        cls.a, cls.b = cls.path.a, cls.path.b
        cls.stranger = Stranger(cls.path)

    @classmethod
    def tearDownClass(cls):
        cls.stranger.close()
        cls.path.close()

    def setUp(self):
        for name, (number, mode, family, options, _) in TUNNELS.items():
            self.path.create(name, number, mode, family, options)

    def tearDown(self):
        # The last tunnel of a pair takes along what is known of the way.
        for host in (self.a, self.b):
            host.daemon.delete_all()
            host.space.ip("route flush cache")

    def reason(self, name):
        return self.a.daemon.show(name)["mtu_reason"]

    def drops(self, name):
        return self.a.daemon.stats(name)["drops"]

    def ping(self, name, family, size, df="do", count=1, **options):
        """`size` is that of the inner packet."""
        head = 28 if family == "4" else 48
        return traffic.ping(self.a.space, lab.inner(TUNNELS[name][0], family, 2), count,
                            size=size - head, df=df, **options)

    def learn(self, name, family):
        """Large packets, which do not get through, and what they teach. The kernel
        learns only while the socket of the sender is open."""
        inner_mtu = NARROW - TUNNELS[name][4]
        target = lab.inner(TUNNELS[name][0], family, 2)

        def told():
            self.assertEqual(self.ping(name, family, 1500 - TUNNELS[name][4], wait=0.2), 0)
            return mtu_of(self.a.space, target) == inner_mtu
        wait_until(told, what="%s: the inner sender learns the size" % name)
        return inner_mtu

    def test_the_size_is_learned_and_told(self):
        for name, family in (("g4", "4"), ("g4", "6"), ("f6", "6"), ("f6", "4"),
                             ("u4", "4")):
            number, _, outer, _, overhead = TUNNELS[name]
            with self.subTest(tunnel=name, inner=family):
                inner_mtu = self.learn(name, family)
                # What fits passes, what does not is refused before it is sent.
                self.assertEqual(self.ping(name, family, inner_mtu), 1)
                self.assertEqual(self.ping(name, family, inner_mtu + 1, wait=0.1), 0)
                remote = OUTER[outer][1]
                self.assertRegex(self.reason(name), (
                    r"^%d \(path to %s, learned, (10m0|9m\d+)s left\) - %d "
                    r"\(outer headers\); interface: 1500 \(route via u0\) - %d "
                    r"\(outer headers\)$") % (NARROW, re.escape(remote), overhead, overhead))
                # The interface keeps its MTU.
                self.assertEqual(int(self.a.daemon.show(name)["effective_mtu"]),
                                 1500 - overhead)
                for one, two, address in (
                        (self.a, self.b, lab.inner(number, family, 2)),
                        (self.b, self.a, lab.inner(number, family, 1))):
                    traffic.tcp_transfer(one.space, two.space, address, 2 << 20, timeout=60)

    def test_ping_is_told(self):
        for name, family in (("g4", "4"), ("f6", "6")):
            self.learn(name, family)
            self.a.space.ip("-%s route flush cache" % family)
            before = self.drops(name).get("too_big", 0)
            target = lab.inner(TUNNELS[name][0], family, 2)
            size = 1500 - TUNNELS[name][4] - (28 if family == "4" else 48)
            said = self.a.space.run(["ping", "-%s" % family, "-n", "-c1", "-W2", "-Mdo",
                                     "-s%d" % size, target], check=False).out
            self.assertRegex(said, "From %s.*mtu ?= ?%d" % (
                target, NARROW - TUNNELS[name][4]))
            self.assertEqual(self.drops(name).get("too_big", 0), before + 1)

    def test_answers_are_rationed(self):
        self.learn("g4", "4")
        large = packets.ipv4(lab.inner(1, "4", 1), lab.inner(1, "4", 2), 253,
                             b"x" * (1476 - 20), flags=DF)
        before = self.a.space.snmp("Icmp", "InDestUnreachs")
        with self.a.space.entered():
            link = socket.socket(socket.AF_PACKET, socket.SOCK_DGRAM)
        begin = time.monotonic()
        with link:
            for _ in range(BURST):  # less than the device queue holds
                link.sendto(large, ("g4", 0x0800))
        wait_until(lambda: self.drops("g4").get("too_big", 0) == BURST, what="all are counted")
        answers = self.a.space.snmp("Icmp", "InDestUnreachs") - before
        # 100 at once and as many a second; one flow is one worker's.
        self.assertGreaterEqual(answers, 90)
        self.assertLessEqual(answers, min(BURST, 101 + 100 * (time.monotonic() - begin)))

    def test_frames_are_answered_by_frames(self):
        inner_mtu = NARROW - TUNNELS["t4"][4]
        # The first is lost on the way, the next one is answered.
        for family, refused in (("4", 1), ("6", 2)):
            target = lab.inner(4, family, 2)
            self.assertEqual(self.ping("t4", family, 1458, wait=0.5), 0)
            wait_until(lambda: "learned" in self.reason("t4"), what="the path is known")
            if mtu_of(self.a.space, target) is None:
                self.assertEqual(self.ping("t4", family, 1458, wait=1), 0)
            wait_until(lambda: mtu_of(self.a.space, target) == inner_mtu, what="it is told")
            self.assertEqual(self.ping("t4", family, inner_mtu), 1)
            self.assertEqual(self.drops("t4"), {"too_big": refused})

    def test_errors_of_strangers_change_nothing(self):
        for name, family in (("k4", "4"), ("f6", "6")):
            one, two = OUTER[family][:2]
            other = "198.18.2.77" if family == "4" else "fd18:2::77"
            inner = packets.ipv4(lab.inner(3, "4", 1), lab.inner(3, "4", 2), 253, b"x" * 1400)

            def quote(source=one, remote=two, protocol=47 if family == "4" else 4, key=7):
                if family == "4":
                    return packets.ipv4(source, remote, protocol, packets.gre(
                        0x0800, inner, key=key), flags=DF)[:100]
                return packets.ipv6(source, remote, protocol, inner)[:100]
            forged = [quote(source=other), quote(remote=other), quote(protocol=50),
                      quote(protocol=17), quote()[:12]]
            if family == "4":
                forged += [quote(key=8), quote(key=0)]
            for mtu in (0, 68, 1290):
                for one_quote in forged:
                    self.stranger.send(family, too_big(family, mtu, one_quote))
            broken = too_big(family, 1291, quote())
            if family == "4":
                self.stranger.send(family, broken[:2] + b"\1\1" + broken[4:])
            # Errors are handled in the order in which they come, and only a
            # smaller value is taken: so none of those above was.
            self.stranger.send(family, too_big(family, 1350, quote()))
            wait_until(lambda: "learned" in self.reason(name), what="the right one is taken")
            self.assertIn("1350 (path to %s, learned" % two, self.reason(name))
            self.stranger.send(family, too_big(family, 1380, quote()))
            self.stranger.send(family, too_big(family, 1340, quote()))
            wait_until(lambda: "1340 (path" in self.reason(name), what="smaller is taken")
            # The kernel has not learned for us either.
            self.assertEqual(mtu_of(self.a.space, two), None)
            floor = 68 if family == "4" else 1279
            self.stranger.send(family, too_big(family, floor, quote()))
            if family == "4":
                wait_until(lambda: "576 (path" in self.reason(name), what="the floor")
            else:
                self.stranger.send(family, too_big(family, 1300, quote()))
                wait_until(lambda: "1300 (path" in self.reason(name), what="1279 is none")

    def forge(self, family, mtu, name, quoted):
        self.stranger.send(family, too_big(family, mtu, quoted))
        wait_until(lambda: "%d (path" % mtu in self.reason(name), what="learned")

    def fragments_seen(self, send, expression):
        """The lengths of the outer packets that a sends meanwhile, without what
        a's kernel says by itself: group reports and router solicitations, which
        it repeats on each interface for a while after that has come up."""
        capture = wire.Capture(self.a.space, lab.LINK, "src host %s and (%s)" % expression)
        send()
        capture.stop()
        self.assertEqual(capture.bad(), [])
        return [int(f.first("frame.len")) - 14 for f in capture.frames(
            "not icmpv6.type in {133, 143}")]

    def test_fragmentation_policies(self):
        one, two = OUTER["4"][:2]
        gre = (one, "ip proto 47")
        inner = packets.ipv4(lab.inner(1, "4", 1), lab.inner(1, "4", 2), 253, b"")
        self.forge("4", NARROW, "g4", packets.ipv4(one, two, 47, packets.gre(0x0800, inner)))
        size = 1476
        wait_until(lambda: self.ping("g4", "4", size, "dont", wait=0.2) == 1,
                   what="b, whose answers are as large, has learned too")
        # inner: two whole outer packets, the inner ones are fragments.
        self.assertEqual(self.fragments_seen(
            lambda: self.assertEqual(self.ping("g4", "4", size, "dont"), 1), gre),
            [20 + 4 + 20 + 1352, 20 + 4 + 20 + 104])
        self.assertEqual(self.drops("g4"), {})
        # none: refused.
        self.a.daemon.ctl("set g4 fragment none")
        self.assertEqual(self.fragments_seen(
            lambda: self.assertEqual(self.ping("g4", "4", size, "dont", wait=0.1), 0), gre), [])
        self.assertEqual(self.drops("g4"), {"too_big": 1})
        # outer: one packet of 1500 bytes in two fragments, whatever is inside.
        self.a.space.ip("route flush cache")
        for host in (self.a, self.b):
            host.daemon.ctl("set g4 fragment outer df off")
        for family in "46":
            self.assertEqual(self.fragments_seen(
                lambda: self.assertEqual(self.ping("g4", family, size), 1), gre),
                [20 + 1376, 20 + 104])
        self.assertEqual(self.drops("g4"), {"too_big": 1})

    def test_ipv6_of_1280_bytes_always_passes(self):
        one, two = OUTER["6"][:2]
        inner = packets.ipv6(lab.inner(1, "6", 1), lab.inner(1, "6", 2), 59, b"")
        self.forge("6", 1280, "f6", packets.ipv6(one, two, 41, inner))

        # Where the kernel carries the tunnel, it follows what was learned a little
        # later; until then packets go whole, as before.
        def in_pieces():
            seen = self.fragments_seen(
                lambda: self.assertEqual(self.ping("f6", "6", 1280), 1), (one, "ip6 proto 44"))
            if seen:
                self.assertEqual(seen, [40 + 8 + 1232, 40 + 8 + 48])
            return bool(seen)
        wait_until(in_pieces, what="1280 bytes go in two fragments")
        self.forge("4", 1290, "g4", packets.ipv4(*OUTER["4"][:2], 47,
                                                 packets.gre(0x86dd, inner)))
        self.assertEqual(self.ping("g4", "6", 1280), 1)
        self.assertEqual((self.drops("f6"), self.drops("g4")), ({}, {}))

    def test_mss_is_clamped_both_ways(self):
        for name in ("g4", "t4"):
            self.a.daemon.ctl("set %s mss-clamp 1200" % name)
            self.assert_mss(TUNNELS[name][0], 1200)

    def assert_mss(self, number, mss):
        """`mss` is what both ends of a connection see that the other announces."""
        address = lab.inner(number, "4", 2)
        listener = traffic.open_socket(self.b.space, address, socket.SOCK_STREAM)
        with listener:
            listener.bind((address, 0))
            listener.listen(1)
            with traffic.open_socket(self.a.space, "10.0.0.0", socket.SOCK_STREAM) as client:
                client.settimeout(5)
                client.connect(listener.getsockname())
                server = listener.accept()[0]
                # Each end sends what the other announced, less 12 of time stamps.
                for end in (client, server):
                    self.assertEqual(
                        end.getsockopt(socket.IPPROTO_TCP, socket.TCP_MAXSEG), mss - 12)
                server.close()

    def test_unreachable_is_told(self):
        for name, family, number in (("d4", "4", 8), ("d6", "6", 9)):
            self.path.create(name, number, "gif", family, "", remote=NOWHERE[family])
            for inner in "46":
                target = lab.inner(number, inner, 2)
                said = self.a.space.run(
                    ["ping", "-" + inner, "-n", "-c1", "-W5", target], check=False).out
                self.assertIn("From " + target, said)
                self.assertRegex(said, "(?i)unreachable")

    def test_what_the_kernel_learns_is_not_used(self):
        remote = OUTER["4"][1]
        wait_until(lambda: traffic.ping(self.a.space, remote, 1, size=1472, df="do",
                                        wait=0.2) == 0
                   and mtu_of(self.a.space, remote) == NARROW, what="the kernel learns")
        self.a.daemon.ctl("set g4 ttl 9")  # looks at the route again
        self.assertEqual(self.reason("g4"), "1500 (route via u0) - 24 (outer headers)")
        self.assertEqual(self.ping("g4", "4", NARROW - 24), 1)

    def test_route_mtu_is_followed(self):
        self.a.space.ip("route add %s/32 via 198.18.1.254 mtu 1380" % OUTER["4"][1])
        wait_until(lambda: self.reason("g4") == "1380 (route via u0) - 24 (outer headers)",
                   what="the route's MTU is followed")
        self.assertEqual(int(self.a.daemon.show("g4")["effective_mtu"]), 1356)
        self.assertIn("mtu 1356", self.a.space.ip("link show dev g4").out)
        self.a.space.ip("route del %s/32" % OUTER["4"][1])
        wait_until(lambda: int(self.a.daemon.show("g4")["effective_mtu"]) == 1476, what="back")
        # One that is configured stays, and the way counts nevertheless.
        self.a.daemon.ctl("set g4 mtu 1476")
        self.a.space.ip("route add %s/32 via 198.18.1.254 mtu 1380" % OUTER["4"][1])
        target = lab.inner(1, "4", 2)

        def told():
            self.a.space.ip("route flush cache")
            self.ping("g4", "4", 1476, wait=0.2)
            return mtu_of(self.a.space, target)
        wait_until(lambda: told() == 1356, what="refused by the route's MTU")
        self.a.space.ip("route del %s/32" % OUTER["4"][1])


if __name__ == "__main__":
    runner.main()
