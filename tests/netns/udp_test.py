"""Tunnels in UDP: GRE in UDP (RFC 8086) and the inner packet itself in UDP."""

import os
import socket
import struct
import sys
import threading
import unittest

sys.path.insert(0, os.path.abspath(os.path.join(os.path.dirname(__file__), "../..")))

from tests.lib import lab, packets, process, runner, traffic, wire

# name, mode, outer, options, inner families, destination port.
TUNNELS = [
    ("gre4", "gre", "4", "key 42", "46", 4754),
    ("gre6", "gre", "6", "csum seq", "46", 4754),
    ("gif4", "gif", "4", "", "46", 5555),
    ("gif6", "gif", "6", "port 6000", "46", 6000),
    ("sit4", "sit", "4", "source-port 7777", "6", 5555),
    ("ipip4", "ipip", "4", "noudpcsum", "4", 5555),
    ("ip66", "ip6ip6", "6", "", "6", 5555),
    ("tap4", "gretap", "4", "noudpcsum", "4", 4754),
    # With tunnels that send a checksum on the same ports.
    ("zgre4", "gre", "4", "key 42 noudpcsum", "46", 4754),
    ("zgif4", "gif", "4", "noudpcsum source-port 7777", "46", 5555),
]
_IP = {"4": "ip", "6": "ipv6"}
_DECODE = ("udp.port==4754,gre", "udp.port==5555,ip", "udp.port==6000,ip")
_OVERHEAD = {"4": 28, "6": 48}
_GOOD, _ABSENT = 1, 3  # udp.checksum.status
COUNT = 3


def bind_udp(space, port):
    with space.entered():
        other = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    try:
        other.bind(("0.0.0.0", port))
    except OSError:
        other.close()
        raise
    return other


class Wire(unittest.TestCase):
    """All of them at once; each carries traffic, and tshark judges the bytes."""

    @classmethod
    def setUpClass(cls):
        cls.pair = lab.Pair(len(TUNNELS))
        for number, (name, mode, outer, options, carries, _) in enumerate(TUNNELS, 1):
            cls.pair.create(name, number, mode, outer, "transport udp " + options,
                            carries=carries)
        capture = wire.Capture(cls.pair.b.space, lab.LINK, "udp or ip6",
                               decode=_DECODE)
        cls.answers = {}
        a, b = (host.space for host in cls.pair.hosts)
        for number, (name, _, _, _, carries, _) in enumerate(TUNNELS, 1):
            for family in carries:
                target = lab.inner(number, family, 2)
                cls.answers[name, family] = (
                    traffic.ping(a, target, 2) + traffic.ping(a, target, 2, size=1300))
                for _ in range(2):  # two flows
                    traffic.tcp_transfer(a, b, target, 16 * 1024)
        cls.capture = capture.stop()
        cls.frames = cls.capture.frames("udp")

    @classmethod
    def tearDownClass(cls):
        cls.pair.close()

    def test_every_family_is_carried(self):
        self.assertEqual(set(self.answers.values()), {4}, self.answers)
        for host in self.pair.hosts:
            for name, *_ in TUNNELS:
                self.assertEqual(host.daemon.stats(name)["drops"], {}, name)

    def test_no_frame_is_bad(self):
        self.assertEqual(self.capture.bad(), [])

    def check(self, number, mode, outer, options, carries, port):
        frames = [f for f in self.frames if f.first(_IP[outer] + ".src") in (
            lab.outer(number, outer, 1), lab.outer(number, outer, 2))]
        self.assertGreater(len(frames), 20)
        start = "eth:ethertype:%s:udp:%s" % (
            _IP[outer], "gre:" if mode.startswith("gre") else "ip:")
        wanted = _ABSENT if "noudpcsum" in options else _GOOD
        for frame in frames:
            self.assertTrue(frame.first("frame.protocols").startswith(start), frame)
            self.assertEqual(frame.number("udp.dstport"), port)
            self.assertEqual(frame.number("udp.checksum.status"), wanted)
        ports = {frame.number("udp.srcport") for frame in frames}
        if "source-port" in options:
            self.assertEqual(ports, {7777})
        else:
            self.assertGreaterEqual(min(ports), 49152)
            # Two TCP flows and the echoes, each way.
            self.assertGreaterEqual(len(ports), 4 if len(carries) == 1 else 8)

    def test_overhead_counts_the_udp_header(self):
        for name, mode, outer, _, _, _ in TUNNELS:
            shown = self.pair.a.daemon.show(name)
            if mode in ("gif", "sit", "ipip", "ip6ip6"):
                self.assertEqual(shown["overhead"], _OVERHEAD[outer], name)
                self.assertEqual(shown["effective_mtu"], 1500 - _OVERHEAD[outer])

    def test_forged_packets_are_dropped_once(self):
        sender = packets.RawSender(self.pair.b.space)
        number4, number6 = 3, 4  # gif4, gif6

        def over(family, number, port, wrong):
            source, target = (lab.outer(number, family, e) for e in (2, 1))
            inside = packets.ipv4(lab.inner(number, "4", 2), lab.inner(number, "4", 1),
                                  59, b"")
            data = bytearray(packets.udp(source, target, 50000, port, inside))
            data[6:8] = wrong(data[6:8])
            make = {"4": packets.ipv4, "6": packets.ipv6}[family]
            return make(source, target, 17, bytes(data))

        def changed(field):
            return bytes([field[0] ^ 1, field[1]])

        def zero(_):
            return b"\0\0"

        def matched():
            return sum(host.get("bad_outer_checksum", 0) for host in (
                self.pair.a.daemon.stats("gif4")["drops"],
                self.pair.a.daemon.stats("gif6")["drops"]))
        received = self.pair.a.daemon.stats("gif4")["receive_packets"]
        for _ in range(COUNT):
            sender.send(over("4", number4, 5555, changed))
            sender.send(over("6", number6, 6000, changed))
            sender.send(over("4", number4, 5555, zero))  # taken (RFC 8086 3.1)
            sender.send(over("6", number6, 6000, zero))  # not for any tunnel
        process.wait_until(lambda: matched() == 2 * COUNT, what="drops are counted")
        process.wait_until(
            lambda: self.pair.a.daemon.stats("gif4")["receive_packets"] ==
            received + COUNT, what="a checksum of zero is taken over IPv4")
        metrics = self.pair.a.daemon.ctl("metrics").out
        self.assertRegex(metrics, r'bad_outer_checksum"} %d\b' % COUNT)
        sender.close()

    def test_outer_ipv6_fragments_are_put_together(self):
        """Those of another program's UDP are let go, and count nowhere."""
        sender = packets.RawSender(self.pair.b.space)
        source, target = lab.outer(4, "6", 2), lab.outer(4, "6", 1)
        inside = packets.ipv4(lab.inner(4, "4", 2), "10.200.0.1", 59, b"x" * 600)

        def send(port, name):
            data = packets.udp(source, target, 50000, port, inside)
            for offset, more, part in ((320, 0, data[320:]), (0, 1, data[:320])):
                sender.send(packets.ipv6(source, target, 44, struct.pack(
                    "!BBHI", 17, 0, offset | more, name) + part))

        def seen():
            stats = self.pair.a.daemon.stats("gif6")
            return stats["receive_packets"], stats["drops"]
        before, drops = seen()

        def nobodys():
            return [line for line in self.pair.a.daemon.ctl("metrics").out.splitlines()
                    if "no_tunnel" in line or "reassembly_failed" in line or
                    "bad_version" in line]
        elsewhere = nobodys()
        for name in range(COUNT):
            send(53, 1000 + name)
            send(6000, name)
        process.wait_until(lambda: seen() == (before + COUNT, drops),
                           what="fragments are put together")
        self.assertEqual(nobodys(), elsewhere)
        sender.close()


def _add_cases():
    for number, (name, mode, outer, options, carries, port) in enumerate(TUNNELS, 1):
        setattr(Wire, "test_" + name, lambda self, c=(
            number, mode, outer, options, carries, port): self.check(*c))


_add_cases()


class Life(lab.PairCase):
    """Identity, changes under traffic, and who owns the port."""

    def ping(self, number):
        return traffic.ping(self.pair.a.space, lab.inner(number, "4", 2))

    def create(self, name, inner_number, options, check=True):
        """Between the first pair of outer addresses."""
        for host in self.pair.hosts:
            result = host.daemon.ctl("create %s local %s remote %s %s %s" % (
                name, lab.outer(1, "4", host.end), lab.outer(1, "4", 3 - host.end),
                lab.inner_words(inner_number, "4", host.end), options), check=check)
        return result

    def test_one_pair_in_ip_and_in_udp(self):
        self.create("ip", 1, "mode gre")
        self.create("udp", 2, "mode gre transport udp")
        self.create("other", 3, "mode gre transport udp port 4000")
        for number, name in ((1, "ip"), (2, "udp"), (3, "other")):
            self.assertEqual(self.ping(number), 3, name)
            stats = self.pair.b.daemon.stats(name)
            self.assertEqual((stats["receive_packets"], stats["drops"]), (3, {}), name)
        result = self.create("again", 4, "mode gif transport udp port 4000", check=False)
        self.assertEqual(result.code, 4, result)
        self.assertIn("other", result.err)
        self.assertIn("udp port 4000", result.err)

    def test_transport_changes_under_traffic(self):
        self.create("t", 1, "mode gif")
        index = self.pair.a.space.ifindex("t")
        outcome = []

        def transfer():
            outcome.append(traffic.tcp_transfer(
                self.pair.a.space, self.pair.b.space, lab.inner(1, "4", 2),
                8 * 1024 * 1024, timeout=30))
        for words in ("transport udp", "port 5556", "source-port 9",
                      "transport ip port 0 source-port auto"):
            before = self.pair.b.daemon.stats("t")["receive_packets"]
            thread = threading.Thread(target=transfer)
            thread.start()
            # Connected: an end that has changed first refuses new connections.
            process.wait_until(
                lambda start=before: self.pair.b.daemon.stats("t")["receive_packets"] >
                start + 100, what="data flows")
            for host in self.pair.hosts:
                host.daemon.ctl("set t " + words)
            thread.join()
            self.assertEqual(self.ping(1), 3, words)
        self.assertEqual(len(outcome), 4)
        self.assertEqual(self.pair.a.space.ifindex("t"), index)
        bind_udp(self.pair.a.space, 5555).close()  # given back
        bind_udp(self.pair.a.space, 5556).close()

    def test_the_port_of_another_program(self):
        a = self.pair.a
        words = "create t mode gif local %s remote %s transport udp" % (
            lab.outer(1, "4", 1), lab.outer(1, "4", 2))
        with bind_udp(a.space, 5555):
            result = a.daemon.ctl(words, check=False)
            self.assertEqual(result.code, 1, result)
            self.assertIn("udp port 5555 over IPv4", result.err)
            self.assertNotIn("t", a.space.links())
            a.daemon.ctl(words + " port 5556")
            result = a.daemon.ctl("set t port 5555", check=False)
            self.assertEqual(result.code, 1, result)
            self.assertEqual(a.daemon.show("t")["udp_port"], 5556)
        a.daemon.ctl("set t port 5555")
        with self.assertRaises(OSError):
            bind_udp(a.space, 5555)
        a.daemon.ctl("delete t")
        bind_udp(a.space, 5555).close()

    def test_the_port_comes_back_with_the_daemon(self):
        a = self.pair.a
        self.create("t", 1, "mode gif transport udp")
        a.daemon.stop()
        a.daemon.start()
        self.assertEqual(self.ping(1), 3)
        a.daemon.stop()
        with bind_udp(a.space, 5555):
            a.daemon.start()
            shown = a.daemon.show("t")
            self.assertEqual(shown["oper_state"], "OPER_FAILED", shown)
            self.assertIn("udp port 5555", shown["oper_reason"])
        # The name and the port are free for it again.
        a.daemon.ctl("delete t")
        self.assertNotIn("t", a.space.links())
        a.daemon.ctl("create t mode gif local %s remote %s transport udp %s" % (
            lab.outer(1, "4", 1), lab.outer(1, "4", 2), lab.inner_words(1, "4", 1)))
        self.assertEqual(self.ping(1), 3)


if __name__ == "__main__":
    runner.main()
