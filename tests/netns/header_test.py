"""Fields of the outer header on the wire, and ECN on the way back in (RFC 6040)."""

import os
import socket
import sys
import unittest

sys.path.insert(0, os.path.abspath(os.path.join(os.path.dirname(__file__), "../..")))

from tests.lib import lab, packets, runner, traffic, wire
from tests.lib.process import wait_until

# name, mode, outer, options, inner family, of ping, outer fields expected.
# A TOS of 185 is DSCP 46 with ECT(1).
CASES = [
    ("TtlDefault", "gre", "4", "", "4", dict(ttl=7), {"ttl": 64, "df": 1}),
    ("TtlFixed", "gif", "4", "ttl 9", "4", dict(ttl=7), {"ttl": 9}),
    ("TtlInherit", "gre", "4", "ttl inherit", "4", dict(ttl=33), {"ttl": 33}),
    ("TtlInheritFrom6", "gif", "4", "ttl inherit", "6", dict(ttl=34), {"ttl": 34}),
    ("HopLimitFixed", "gre", "6", "ttl 255", "6", {}, {"ttl": 255}),
    ("HopLimitInherit", "gif", "6", "ttl inherit", "4", dict(ttl=35), {"ttl": 35}),
    ("TosInherit", "gre", "4", "", "4", dict(tos=185), {"tos": 185}),
    ("TosInheritFrom6", "gif", "4", "", "6", dict(tos=185), {"tos": 185}),
    ("ClassInherit", "gre", "6", "", "4", dict(tos=185), {"tos": 185}),
    ("ClassInheritFrom6", "gif", "6", "tos inherit", "6", dict(tos=185), {"tos": 185}),
    ("TosFixedKeepsEcn", "gre", "4", "tos 40", "4", dict(tos=186), {"tos": 42}),
    ("ClassFixedKeepsEcn", "gif", "6", "tos 40", "4", dict(tos=185), {"tos": 41}),
    ("TosFixedZero", "gif", "4", "tos 0", "4", dict(tos=184), {"tos": 0}),
    ("EctZeroNormal", "gif", "4", "ecn normal", "4", dict(tos=2), {"tos": 2}),
    ("CeNormal", "gre", "4", "", "4", dict(tos=3), {"tos": 3}),
    ("EcnCompat", "gif", "4", "ecn compat", "4", dict(tos=186), {"tos": 184}),
    ("EcnCompatClass", "gre", "6", "ecn compat", "6", dict(tos=187), {"tos": 184}),
    ("DfOn", "gif", "4", "df on", "4", dict(df="dont"), {"df": 1}),
    ("DfOff", "gre", "4", "df off", "4", dict(df="do"), {"df": 0}),
    ("DfInheritSet", "gif", "4", "df inherit", "4", dict(df="do"), {"df": 1}),
    ("DfInheritClear", "gif", "4", "df inherit", "4", dict(df="dont"), {"df": 0}),
    ("DfInheritFrom6", "gre", "4", "df inherit", "6", {}, {"df": 1}),
    ("TapInherits", "gretap", "4", "ttl inherit", "4", dict(ttl=36, tos=185),
     {"ttl": 36, "tos": 185}),
    ("TapClass", "gretap", "6", "", "6", dict(tos=184), {"tos": 184}),
]
_FIELDS = {"4": {"ttl": "ip.ttl", "tos": "ip.dsfield", "df": "ip.flags.df"},
           "6": {"ttl": "ipv6.hlim", "tos": "ipv6.tclass"}}


class OuterHeader(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.pair = pair = lab.Pair(len(CASES))
        for number, (name, mode, outer, options, *_) in enumerate(CASES, 1):
            pair.create(name[:15], number, mode, outer, options)
        capture = wire.Capture(pair.b.space, lab.LINK)
        cls.replies = [
            traffic.ping(pair.a.space, lab.inner(number, case[4], 2), 2,
                         **case[5])
            for number, case in enumerate(CASES, 1)]
        cls.capture = capture.stop()
        # Not the neighbour solicitations that a TAP sends as well.
        cls.frames = capture.frames("icmp.type == 8 or icmpv6.type == 128")

    @classmethod
    def tearDownClass(cls):
        cls.pair.close()

    def check(self, number, outer, expected):
        source = {"4": "ip.src", "6": "ipv6.src"}[outer]
        address = lab.outer(number, outer, 1)
        echo = [f for f in self.frames if f.first(source) == address]
        self.assertEqual(len(echo), 2)
        for frame in echo:
            seen = {k: frame.number(_FIELDS[outer][k]) for k in expected}
            self.assertEqual(seen, expected)
        self.assertEqual(self.replies[number - 1], 2)

    def test_no_bad_frame(self):
        self.assertEqual(self.capture.bad(), [])


def _add_cases():
    for number, case in enumerate(CASES, 1):
        setattr(OuterHeader, "test_" + case[0],
                lambda self, n=number, u=case[2], e=case[6]: self.check(n, u, e))


_add_cases()

# RFC 6040 figure 4: (inner, outer) to what leaves the tunnel, None for a drop.
NOT_ECT, ECT1, ECT0, CE = range(4)
DECAPSULATED = {
    (NOT_ECT, NOT_ECT): NOT_ECT, (NOT_ECT, ECT0): NOT_ECT,
    (NOT_ECT, ECT1): NOT_ECT, (NOT_ECT, CE): None,
    (ECT0, NOT_ECT): ECT0, (ECT0, ECT0): ECT0, (ECT0, ECT1): ECT1, (ECT0, CE): CE,
    (ECT1, NOT_ECT): ECT1, (ECT1, ECT0): ECT1, (ECT1, ECT1): ECT1, (ECT1, CE): CE,
    (CE, NOT_ECT): CE, (CE, ECT0): CE, (CE, ECT1): CE, (CE, CE): CE,
}
# name, mode, outer family, inner family
ECN_TUNNELS = [("gif44", "gif", "4", "4"), ("gif46", "gif", "4", "6"),
               ("gre46", "gre", "4", "6"), ("gre64", "gre", "6", "4"),
               ("ip66", "ip6ip6", "6", "6")]
DSCP = 46 << 2


class Decapsulation(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.pair = lab.Pair(len(ECN_TUNNELS))
        for number, (name, mode, outer, inner) in enumerate(ECN_TUNNELS, 1):
            cls.pair.create(name, number, mode, outer, carries=inner)
        cls.sender = packets.RawSender(cls.pair.b.space)

    @classmethod
    def tearDownClass(cls):
        cls.sender.close()
        cls.pair.close()

    def listen(self, family, address):
        sink = traffic.open_socket(self.pair.a.space, address, socket.SOCK_DGRAM)
        if family == "4":
            sink.setsockopt(socket.IPPROTO_IP, socket.IP_RECVTOS, 1)
        else:
            sink.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_RECVTCLASS, 1)
        sink.bind((address, 0))
        sink.settimeout(60)
        return sink

    def inject(self, number, mode, outer, inner, inner_ecn, outer_ecn, port):
        source, target = (lab.inner(number, inner, e) for e in (2, 1))
        data = packets.udp(source, target, 9, port, bytes([inner_ecn, outer_ecn]))
        make = {"4": packets.ipv4, "6": packets.ipv6}
        packet = make[inner](source, target, 17, data, DSCP | inner_ecn)
        protocol = {"4": 4, "6": 41}[inner]
        if mode == "gre":
            protocol = 47
            packet = packets.gre({"4": 0x0800, "6": 0x86DD}[inner], packet)
        self.sender.send(make[outer](lab.outer(number, outer, 2),
                                     lab.outer(number, outer, 1), protocol, packet,
                                     outer_ecn))

    def check(self, number, name, mode, outer, inner):
        seen = {}
        with self.listen(inner, lab.inner(number, inner, 1)) as sink:
            for pair in DECAPSULATED:
                self.inject(number, mode, outer, inner, *pair,
                            sink.getsockname()[1])
            for _ in range(15):
                data, ancillary, _, _ = sink.recvmsg(16, 64)
                tos = int.from_bytes(ancillary[0][2], "little")
                self.assertEqual(tos & ~3, DSCP)
                seen[data[0], data[1]] = tos & 3
        seen[NOT_ECT, CE] = None
        self.assertEqual(seen, DECAPSULATED)
        drops = wait_until(lambda: self.pair.a.daemon.stats(name)["drops"])
        self.assertEqual(drops, {"ecn_illegal": 1})


def _add_ecn_cases():
    for number, tunnel in enumerate(ECN_TUNNELS, 1):
        setattr(Decapsulation, "test_ecn_table_" + tunnel[0],
                lambda self, n=number, t=tunnel: self.check(n, *t))


_add_ecn_cases()

if __name__ == "__main__":
    runner.main()
