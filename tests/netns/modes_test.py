"""Every mode over every outer family: ping and TCP both ways, bytes judged by
tshark. The wire cases look at what the traffic cases before them have sent."""

import os
import sys
import unittest

sys.path.insert(0, os.path.abspath(os.path.join(os.path.dirname(__file__), "../..")))

from tests.lib import lab, runner, traffic, wire

ALL = "key 305419896 csum seq"
OPTIONS = [("plain", ""), ("key", "key 42"), ("csum", "csum"), ("seq", "seq"),
           ("all", ALL)]
# name, mode, outer family, options, families carried
TUNNELS = [
    ("gif4", "gif", "4", "", "46"),
    ("gif6", "gif", "6", "", "46"),
    ("ipip4", "ipip", "4", "", "4"),
    ("ipip6", "ipip", "6", "", "4"),
    ("sit4", "sit", "4", "", "6"),
    ("ip6ip6", "ip6ip6", "6", "", "6"),
]
TUNNELS += [("gre%s%s" % (f, n), "gre", f, o, "46") for f in "46" for n, o in OPTIONS]
TUNNELS += [("tap%s%s" % (f, n), "gretap", f, o, "46") for f in "46"
            for n, o in (("plain", ""), ("all", ALL))]

_IP = {"4": "ip", "6": "ipv6"}
_PROTOCOL = {"4": 4, "6": 41}


def expected_stacks(mode, outer, carries):
    """Starts of frame.protocols that are right for a tunnel."""
    under = "eth:ethertype:" + _IP[outer] + ":"
    if mode == "gretap":
        return [under + "gre:eth:ethertype:" + p for p in ("ip:", "ipv6:", "arp")]
    middle = "gre:" if mode == "gre" else ""
    return [under + middle + _IP[c] + ":" for c in carries]


class Modes(unittest.TestCase):
    capture = None
    frames = None

    @classmethod
    def setUpClass(cls):
        cls.pair = lab.Pair(len(TUNNELS))
        cls.capture = wire.Capture(
            cls.pair.b.space, lab.LINK, "ip proto 4 or ip proto 41 or ip proto 47 or "
            "ip6 proto 4 or ip6 proto 41 or ip6 proto 47")
        for number, (name, mode, outer, options, carries) in enumerate(TUNNELS, 1):
            cls.pair.create(name, number, mode, outer, options, carries=carries)

    @classmethod
    def tearDownClass(cls):
        cls.pair.close()

    def carry(self, number, family):
        a, b = self.pair.hosts
        for here, there in ((a, b), (b, a)):
            target = lab.inner(number, family, there.end)
            self.assertEqual(traffic.ping(here.space, target, count=2), 2)
            # Neither the smallest packet nor the largest may differ.
            self.assertEqual(traffic.ping(here.space, target, 2, size=0), 2)
            self.assertEqual(traffic.ping(here.space, target, 2, size=1300), 2)
            traffic.tcp_transfer(here.space, there.space, target, 48 * 1024)

    def wire(self, number, mode, outer, options, carries):
        if Modes.frames is None:
            Modes.capture.stop()
            Modes.frames = Modes.capture.frames()
            Modes.bad = Modes.capture.bad()
        self.assertEqual(Modes.bad, [])
        source = _IP[outer] + ".src"
        for end in (1, 2):
            address = lab.outer(number, outer, end)
            frames = [f for f in Modes.frames if f.first(source) == address]
            self.assertGreater(len(frames), 20)
            self.check_stacks(frames, mode, outer, carries)
            self.check_outer(frames, outer)
            if mode in ("gre", "gretap"):
                self.check_gre(frames, options)

    def check_stacks(self, frames, mode, outer, carries):
        wanted = expected_stacks(mode, outer, carries)
        for frame in frames:
            stack = frame.first("frame.protocols")
            self.assertTrue(any(stack.startswith(w) for w in wanted), stack)
        for start in wanted:
            seen = [f for f in frames
                    if f.first("frame.protocols").startswith(start)]
            self.assertTrue(seen, "no frame is " + start)

    def check_outer(self, frames, outer):
        for frame in frames:
            if outer == "4":
                self.assertEqual(frame.number("ip.ttl"), 64)
                self.assertEqual(frame.number("ip.flags.df"), 1)
            else:
                self.assertEqual(frame.number("ipv6.hlim"), 64)

    def check_gre(self, frames, options):
        words = options.split()
        key = int(words[words.index("key") + 1]) if "key" in words else None
        for frame in frames:
            self.assertEqual(frame.number("gre.key"), key)
            self.assertEqual(frame.number("gre.flags.checksum"), int("csum" in words))
            self.assertEqual(frame.number("gre.flags.sequence_number"),
                             int("seq" in words))
            if "csum" in words:
                self.assertEqual(frame.number("gre.checksum.status"), 1)
        if "seq" in words:
            numbers = [f.number("gre.sequence_number") for f in frames]
            self.assertEqual(numbers, list(range(len(numbers))))


def _add_cases():
    for number, (name, mode, outer, options, carries) in enumerate(TUNNELS, 1):
        for family in carries:
            setattr(Modes, "test_traffic_%s_inner%s" % (name, family),
                    lambda self, n=number, f=family: self.carry(n, f))
        setattr(Modes, "test_wire_%s" % name,
                lambda self, n=number, m=mode, u=outer, o=options, c=carries:
                self.wire(n, m, u, o, c))


_add_cases()

if __name__ == "__main__":
    runner.main()
