"""tunneld against the tunnels of an unmodified Linux kernel: ping from both ends,
TCP with its content checked both ways, bytes judged by tshark."""

import os
import socket
import sys
import time
import unittest

sys.path.insert(0, os.path.abspath(os.path.join(os.path.dirname(__file__), "../..")))

from tests.interop import far_end
from tests.interop.linux_peer import LinuxPeer
from tests.lib import lab, namespace, runner, traffic, wire
from tests.lib.daemon import Daemon
from tests.lib.process import wait_until

ALL = "key 305419896 csum seq"
GRE_OPTIONS = [("plain", ""), ("key", "key 42"), ("csum", "csum"), ("seq", "seq"),
               ("all", ALL)]
# name, our mode, outer family, our options, Linux's type and options, carries
CASES = [
    ("ipip", "ipip", "4", "", "ipip", "4"),
    ("sit", "sit", "4", "", "sit", "6"),
    ("gif4", "gif", "4", "", "sit mode any", "46"),
    ("ipip6", "ipip", "6", "", "ip6tnl mode ipip6 encaplimit none", "4"),
    ("ip6ip6", "ip6ip6", "6", "", "ip6tnl mode ip6ip6 encaplimit none", "6"),
    ("gif6", "gif", "6", "", "ip6tnl mode any encaplimit none", "46"),
    # Linux's default: a destination option in front of the payload (RFC 2473 4.1.1).
    ("limit6", "gif", "6", "", "ip6tnl mode any", "46"),
    ("limitgre", "gre", "6", "key 9", "ip6gre key 9", "46"),
]
CASES += [("gre_" + n, "gre", "4", o, "gre " + o, "46") for n, o in GRE_OPTIONS]
CASES += [("gre6_" + n, "gre", "6", o, "ip6gre encaplimit none " + o, "46")
          for n, o in GRE_OPTIONS]
CASES += [("tap_" + n, "gretap", "4", o, "gretap " + o, "46") for n, o in GRE_OPTIONS]
CASES += [("tap6_" + n, "gretap", "6", o, "ip6gretap encaplimit none " + o, "46")
          for n, o in (GRE_OPTIONS[0], GRE_OPTIONS[4])]
CASES += [("keys", "gre", "4", "ikey 1 okey 2", "gre ikey 2 okey 1", "46"),
          ("ttl", "gre", "4", "ttl 9 tos 40", "gre ttl inherit tos inherit", "46")]
# Linux takes these out of UDP and answers in plain ones (this peer's kernel only
# receives in UDP): name, our mode, UDP port, what its packets hold, Linux's type,
# carries.
FOU_CASES = [("fou_gre", "gre", 4754, 47, "gre", "46"),
             ("fou_ipip", "ipip", 5555, 4, "ipip", "4"),
             ("fou_sit", "sit", 5556, 41, "sit", "6")]
SIZE = 96 * 1024


class Linux(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.space = namespace.Namespace("h")
        # Only what is asked for: ipip refuses the IPv6 chatter of its own device.
        cls.space.sysctl("net/ipv6/conf/default/addr_gen_mode", 1)
        cls.peer = LinuxPeer(cls.space)
        print("peer: Linux " + cls.peer.release, flush=True)
        numbers = range(1, len(CASES) + len(FOU_CASES) + 1)
        for family, suffix in (("4", "/24"), ("6", "/64 nodad")):
            cls.space.batch(["addr add %s%s dev peer0" % (
                lab.outer(n, family, 1), suffix) for n in numbers])
        cls.peer.run("modprobe -a ipip sit ip6_tunnel ip_gre ip6_gre fou")
        for _, _, port, protocol, _, _ in FOU_CASES:
            cls.peer.run("ip fou add port %d ipproto %d" % (port, protocol))
        lines = ["addr add %s%s dev eth0" % (lab.outer(n, f, 2), s) for n in numbers
                 for f, s in (("4", "/24"), ("6", "/64 nodad"))]
        lines += cls.link_lines()
        cls.peer.run("ip -batch - <<'END'\n%s\nEND" % "\n".join(lines))
        cls.peer.start("exec /usr/bin/python3 " + cls.peer.share(far_end.__file__))
        cls.daemon = Daemon(cls.space)
        cls.capture = wire.Capture(cls.space, "peer0")
        cls.judged = None
        wait_until(cls.far_end_answers, what="the far end answers")

    @classmethod
    def far_end_answers(cls):
        address = lab.outer(1, "4", 2)
        with traffic.open_socket(cls.space, address, socket.SOCK_STREAM) as probe:
            probe.settimeout(1)
            return probe.connect_ex((address, far_end.PORT)) == 0

    @classmethod
    def tearDownClass(cls):
        cls.daemon.stop()
        cls.peer.stop()
        cls.space.delete()

    @classmethod
    def link_lines(cls):
        """The far ends of all cases, as lines for `ip -batch`."""
        cases = CASES + [(c[0], c[1], "4", "", c[4], c[5]) for c in FOU_CASES]
        for number, (name, _, outer, _, theirs, carries) in enumerate(cases, 1):
            kind, _, rest = theirs.partition(" ")
            yield "link add %s type %s local %s remote %s %s" % (
                name, kind, lab.outer(number, outer, 2), lab.outer(number, outer, 1),
                rest)
            yield "link set %s up" % name
            for family in carries:
                yield "addr add %s%s dev %s" % (
                    lab.inner(number, family, 2),
                    "/24" if family == "4" else "/64 nodad", name)

    def create(self, number, name, mode, outer, options):
        self.daemon.ctl("create %s mode %s local %s remote %s %s" % (
            name, mode, lab.outer(number, outer, 1), lab.outer(number, outer, 2), options))

    def check(self, number, name, mode, outer, options, _, carries):
        self.create(number, name, mode, outer,
                    options + " " + lab.inner_words(number, carries, 1))
        self.check_traffic(number, name, carries)

    def check_fou(self, number, name, mode, port, _, __, carries):
        self.create(number, name, mode, "4", lab.inner_words(number, carries, 1))
        self.create(number, name + "_out", mode, "4", "transport udp port %d" % port)
        for family in carries:
            self.space.ip("-%s route replace %s dev %s_out src %s" % (
                family, lab.inner(number, family, 2), name, lab.inner(number, family, 1)))
        self.check_traffic(number, name, carries)
        sent = self.daemon.stats(name + "_out")
        self.assertGreater(sent["transmit_packets"], 10)
        self.assertEqual(sent["drops"], {})
        self.assertEqual(self.daemon.stats(name)["transmit_packets"], 0)

    def check_traffic(self, number, name, carries):
        for family in carries:
            target = lab.inner(number, family, 2)
            for size in (56, 1200):
                # The peer's device may keep a packet until the next one comes.
                replies = traffic.ping(self.space, target, 3, size, 0.02, more=True)
                if replies != 3:
                    self.fail("%d of 3 replies, IPv%s, %d bytes\n%s\n%s" % (
                        replies, family, size, self.daemon.stats(name),
                        self.peer.run("ip -s link show " + name).out))
            connection = traffic.open_socket(self.space, target, socket.SOCK_STREAM)
            far_end.exchange(connection, target, SIZE)
            ask = traffic.open_socket(self.space, target, socket.SOCK_STREAM)
            replies = far_end.ask_ping(ask, target, lab.inner(number, family, 1))
            self.assertEqual(replies, 3)
        self.assertEqual(self.daemon.stats(name)["drops"], {})

    def test_wire_holds_no_bad_packet(self):
        time.sleep(0.2)
        self.capture.stop()
        self.assertEqual(self.capture.bad(), [])
        frames = self.capture.frames("gre or ip.proto==4 or ip.proto==41 or ipv6")
        self.assertGreater(len(frames), 100)
        for frame in frames:
            if frame.number("gre.flags.checksum"):
                self.assertEqual(frame.number("gre.checksum.status"), 1)


def _add_cases():
    for number, case in enumerate(CASES, 1):
        setattr(Linux, "test_%02d_%s" % (number, case[0]),
                lambda self, n=number, c=case: self.check(n, *c))
    for number, case in enumerate(FOU_CASES, len(CASES) + 1):
        setattr(Linux, "test_%02d_%s" % (number, case[0]),
                lambda self, n=number, c=case: self.check_fou(n, *c))


_add_cases()

if __name__ == "__main__":
    runner.main()
