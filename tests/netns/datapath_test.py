"""The field datapath: the kernel's programs put the same bytes on the wire as the
daemon, deliver the same and count the same; what chooses between the two, and
where that is shown."""

import os
import struct
import sys
import unittest

sys.path.insert(0, os.path.abspath(os.path.join(os.path.dirname(__file__), "../..")))

from tests.lib import lab, packets, process, runner, traffic, wire
from tests.lib.daemon import Daemon

USER, BPF = "DATAPATH_USER", "DATAPATH_BPF"
# name, mode, outer family, options.
TUNNELS = [("gif4", "gif", "4", ""), ("gif6", "gif", "6", "ttl inherit tos 40"),
           ("gre4", "gre", "4", "df inherit"), ("gre6", "gre", "6", "ecn compat"),
           ("key4", "gre", "4", "key 42 df off ttl 9"), ("key6", "gre", "6", "key 0")]
TRANSFER = 300_000
_ETHERNET, _NONE = 14, 0  # bytes of link header
_PORT = 9
_TRIES = 5


def wait_for(daemon, name, path):
    process.wait_until(lambda: daemon.show(name)["datapath_in_use"] == path,
                       what="%s is on %s" % (name, path))


def inner_packets(number, family):
    """From end 1 to end 2: sizes, ECN fields and hop limits of note, in one flow."""
    source, target = (lab.inner(number, family, end) for end in (1, 2))
    made = []
    for size in (0, 1, 64, 1200):
        for tos in (0, 1, 2, 3, 185):
            for ttl in (64, 5):
                data = packets.udp(source, target, _PORT, _PORT,
                                   struct.pack("!I", len(made)) +
                                   traffic.filler(len(made), size))
                if family == "6":
                    made.append(packets.ipv6(source, target, 17, data, tos, ttl))
                    continue
                packet = packets.ipv4(source, target, 17, data, tos, ttl,
                                      0x4000 if len(made) % 2 else 0)
                # The kernel fills in an identification that is 0, and the checksum.
                made.append(packet[:4] + struct.pack("!H", len(made) + 1) + packet[6:])
    return made


def packets_of(capture, link_header, unnumbered):
    """The IP packets of a capture. `unnumbered`: without identification and header
    checksum of an IPv4 header, which go on counting."""
    with open(capture.path, "rb") as f:
        data = f.read()
    at, found = 24, []
    while at + 16 <= len(data):
        length = struct.unpack_from("<I", data, at + 8)[0]
        packet = bytearray(data[at + 16 + link_header:at + 16 + length])
        if unnumbered and packet[0] >> 4 == 4:
            packet[4:6] = packet[10:12] = b"\0\0"
        found.append(bytes(packet))
        at += 16 + length
    return found


class Equal(unittest.TestCase):
    """The same packets by both paths."""

    @classmethod
    def setUpClass(cls):
        cls.pair = lab.Pair(len(TUNNELS))
        cls.a, cls.b = cls.pair.hosts
        for number, tunnel in enumerate(TUNNELS, 1):
            cls.pair.create(tunnel[0], number, *tunnel[1:])
        cls.sender = packets.RawSender(cls.a.space)

    @classmethod
    def tearDownClass(cls):
        cls.sender.close()
        cls.pair.close()

    def use(self, name, word):
        for host in self.pair.hosts:
            host.daemon.ctl("set %s datapath %s" % (name, word))
            wait_for(host.daemon, name, {"user": USER, "bpf": BPF}[word])

    def counts(self, name):
        """What end 1 has sent and end 2 received, and their drops."""
        sent, got = (h.daemon.stats(name) for h in self.pair.hosts)
        return ([sent["transmit_packets"], sent["transmit_bytes"],
                 got["receive_packets"], got["receive_bytes"]],
                [sent["drops"], got["drops"]])

    def added(self, name, before, packets_sent):
        """The counts since `before`, once so many packets are counted."""
        def seen():
            return [n - o for n, o in zip(self.counts(name)[0], before[0])]
        process.wait_until(lambda: seen()[2] >= packets_sent, 10, "packets are counted")
        self.assertEqual(self.counts(name)[1], before[1])
        return seen()

    def send(self, name, number, family, outer):
        """(packets on the wire, packets out of the tunnel, counts) of one round of
        inner_packets(); another one where the kernel's own IPv6 speaks meanwhile."""
        sent = inner_packets(number, family)
        expected = [len(sent), sum(map(len, sent))] * 2
        ends = "src host %s and dst host %s and not icmp6 and not arp"
        for _ in range(_TRIES):
            captures = [
                wire.Capture(self.a.space, lab.LINK, ends % tuple(
                    lab.outer(number, outer, e) for e in (1, 2))),
                wire.Capture(self.b.space, name, ends % tuple(
                    lab.inner(number, family, e) for e in (1, 2)))]
            before = self.counts(name)
            for packet in sent:
                self.sender.send(packet)
            counts = self.added(name, before, len(sent))
            for capture in captures:
                capture.stop()
            if counts == expected:
                break
        self.assertEqual(counts, expected, name)
        self.assertEqual(captures[0].bad(), [])
        return (packets_of(captures[0], _ETHERNET, True),
                packets_of(captures[1], _NONE, False))

    def test_bytes_and_counters(self):
        for number, (name, _, outer, _) in enumerate(TUNNELS, 1):
            for family in "46":
                with self.subTest(tunnel=name, inner=family):
                    seen = []
                    for word in ("user", "bpf"):
                        self.use(name, word)
                        seen.append(self.send(name, number, family, outer))
                    by_user, by_bpf = seen
                    self.assertEqual(len(by_user[0]), len(by_user[1]))
                    self.assertEqual(by_bpf, by_user)

    def test_super_packets(self):
        """TCP by both paths: each packet of the wire is counted once at each end."""
        for number, (name, _, outer, _) in enumerate(TUNNELS, 1):
            for word in ("user", "bpf"):
                with self.subTest(tunnel=name, datapath=word):
                    self.use(name, word)
                    before = self.counts(name)
                    capture = wire.Capture(
                        self.a.space, lab.LINK,
                        "src host %s and not icmp6 and not arp" %
                        lab.outer(number, outer, 1))
                    traffic.tcp_transfer(self.a.space, self.b.space,
                                         lab.inner(number, "4", 2), TRANSFER)
                    frames = capture.stop().frames()
                    counts = self.added(name, before, len(frames))
                    self.assertEqual(capture.bad(), [])
                    self.assertGreater(len(frames), TRANSFER // 1500)
                    self.assertLessEqual(max(f.number("frame.len") for f in frames), 1514)
                    self.assertEqual([counts[0], counts[2]], [len(frames)] * 2)
                    self.assertEqual(counts[1], counts[3])

    def test_drops(self):
        """What the daemon refuses it refuses on both paths, under the same reason."""
        number = 1 + [t[0] for t in TUNNELS].index("key4")
        outer = [lab.outer(number, "4", e) for e in (1, 2)]
        inner = packets.ipv4(lab.inner(number, "4", 1), lab.inner(number, "4", 2), 17, b"x" * 8)
        martian = packets.ipv4("127.0.0.1", lab.inner(number, "4", 2), 17, b"x" * 8)
        refused = {
            "ecn_illegal": packets.ipv4(*outer, 47, packets.gre(0x800, inner, 42), tos=3),
            "martian_source": packets.ipv4(*outer, 47, packets.gre(0x800, martian, 42)),
            "unknown_protocol": packets.ipv4(*outer, 47, packets.gre(0x1234, inner, 42)),
            "unsupported_flags": packets.ipv4(
                *outer, 47, packets.gre(0x800, inner, 42, flags=0x4000))}
        for word in ("user", "bpf"):
            self.use("key4", word)
            before = self.b.daemon.stats("key4")
            for packet in refused.values():
                self.sender.send(packet)
            def added():
                now = self.b.daemon.stats("key4")["drops"]
                return {r: n - before["drops"].get(r, 0) for r, n in now.items()}
            process.wait_until(lambda: sum(added().values()) >= len(refused), 10)
            self.assertEqual(added(), dict.fromkeys(refused, 1), word)
            self.assertEqual(self.b.daemon.stats("key4")["receive_packets"],
                             before["receive_packets"], word)


class Field(lab.PairCase):
    """Where datapath is said, refused and shown."""

    TUNNELS = 4

    def create(self, name, number, words, check=True):
        return self.a.daemon.ctl(
            "create %s mode gre local %s remote %s %s" % (
                name, lab.outer(number, "4", 1), lab.outer(number, "4", 2), words),
            check=check)

    def in_use(self, name):
        shown = self.a.daemon.show(name)
        return shown["datapath_in_use"], shown.get("datapath_reason", "")

    def test_what_the_programs_do_not_carry_is_refused(self):
        for words, cause in (("csum", "checksum is on"), ("mss-clamp auto", "mss-clamp is set"),
                             ("rate 10mbit", "rate is set")):
            done = self.create("t", 1, "datapath bpf " + words, check=False)
            self.assertEqual(done.code, 2, done.err)
            self.assertIn(cause, done.err)
        self.assertEqual(self.a.daemon.json("list"), [])
        self.create("t", 1, "datapath bpf")
        done = self.a.daemon.ctl("set t csum", check=False)
        self.assertEqual(done.code, 2, done.err)
        self.assertNotIn("checksum", self.a.daemon.show("t"))
        wait_for(self.a.daemon, "t", BPF)
        # Both in one change.
        self.a.daemon.ctl("set t csum datapath auto")
        self.assertEqual(self.in_use("t")[0], USER)

    def test_shown_with_its_reason(self):
        self.create("t", 1, "datapath bpf")
        wait_for(self.a.daemon, "t", BPF)
        self.assertEqual(self.in_use("t"), (BPF, ""))
        self.assertIn("    datapath in use bpf\n", self.a.daemon.ctl("show -d t").out)
        self.a.daemon.ctl("set t datapath user")
        state, reason = self.in_use("t")
        self.assertEqual(state, USER)
        self.assertIn("    datapath in use user (%s)\n" % reason,
                      self.a.daemon.ctl("show -d t").out)
        self.assertIn('tunnel_datapath_info{tunnel="t",datapath="user",reason="%s"} 1' % reason,
                      self.a.daemon.ctl("metrics").out)
        self.a.daemon.ctl("set t datapath bpf")
        self.a.daemon.ctl("down t")
        self.assertEqual(self.in_use("t"), (USER, "administratively down"))
        self.a.daemon.ctl("up t")
        wait_for(self.a.daemon, "t", BPF)

    def test_kept_in_files_and_in_the_store(self):
        self.create("t", 1, "datapath bpf")
        self.create("u", 2, "datapath user")
        self.create("v", 3, "")
        text = self.a.daemon.ctl("show -o toml").out
        self.assertIn('datapath = "bpf"', text)
        self.assertEqual(text.count("datapath"), 2)
        path = os.path.join(process.temp_dir(), "datapath.toml")
        with open(path, "w") as f:
            f.write(text)
        self.assertEqual(self.a.daemon.ctl("diff -f " + path).code, 0)
        self.a.daemon.stop()
        self.a.daemon.start()
        self.assertEqual(self.a.daemon.ctl("diff -f " + path).code, 0)
        wait_for(self.a.daemon, "t", BPF)


class DaemonOption(unittest.TestCase):
    """--datapath is what `auto` of a tunnel means, and nothing else."""

    def test_each_value(self):
        pair = lab.Pair(3, start=False)
        self.addCleanup(pair.close)
        a = pair.a
        for word, auto in (("user", USER), ("auto", BPF), ("bpf", BPF)):
            a.daemon = Daemon(a.space, ["--datapath=" + word])
            for number, (name, field) in enumerate(
                    (("t", "auto"), ("u", "user"), ("v", "bpf")), 1):
                a.daemon.ctl("create %s mode gre local %s remote %s datapath %s" % (
                    name, lab.outer(number, "4", 1), lab.outer(number, "4", 2), field))
            wait_for(a.daemon, "t", auto)
            wait_for(a.daemon, "u", USER)
            wait_for(a.daemon, "v", BPF)
            if auto == USER:
                self.assertIn("--datapath", a.daemon.show("t")["datapath_reason"])
            # What it can not carry it leaves to the daemon.
            a.daemon.ctl("set t csum")
            wait_for(a.daemon, "t", USER)
            self.assertEqual(a.daemon.show("t")["datapath_reason"],
                             "checksum is on" if auto == BPF else
                             "the daemon is told --datapath=user")
            a.daemon.delete_all()
            a.daemon.stop()
            a.daemon.child = None


if __name__ == "__main__":
    runner.main()
