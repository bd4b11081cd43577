"""The field datapath: the kernel's programs put the same bytes on the wire as the
daemon, deliver the same and count the same; what chooses between the two, and
where that is shown."""

import os
import socket
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
           ("key4", "gre", "4", "key 42 df off ttl 9"), ("key6", "gre", "6", "key 0"),
           ("udp4", "gre", "4", "transport udp noudpcsum"),
           ("port4", "gre", "4", "transport udp noudpcsum port 6000 key 7 df inherit tos 40"),
           ("fou4", "gif", "4", "transport udp noudpcsum source-port 7777 ttl inherit")]
TRANSFER = 300_000
_ETHERNET = 14  # bytes of link header
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


def packets_of(capture):
    """The IP packets of a capture without identification and header checksum of an
    outer IPv4 header, which go on counting."""
    with open(capture.path, "rb") as f:
        data = f.read()
    at, found = 24, []
    while at + 16 <= len(data):
        length = struct.unpack_from("<I", data, at + 8)[0]
        packet = bytearray(data[at + 16 + _ETHERNET:at + 16 + length])
        if packet[0] >> 4 == 4:
            packet[4:6] = packet[10:12] = b"\0\0"
        found.append(bytes(packet))
        at += 16 + length
    return found


def by_flow(found):
    """Packets by their addresses, in the order in which they came."""
    flows = {}
    for packet in found:
        ends = packet[12:20] if packet[0] >> 4 == 4 else packet[8:40]
        flows.setdefault(ends, []).append(packet)
    return flows


class Sink:
    """What arrives at an address: payload, traffic class and hop limit."""

    def __init__(self, space, address):
        self._socket = traffic.open_socket(space, address, socket.SOCK_DGRAM)
        # IP_RECVTOS and IP_RECVTTL, IPV6_RECVTCLASS and IPV6_RECVHOPLIMIT.
        level, options = ((socket.IPPROTO_IPV6, (66, 51)) if ":" in address else
                          (socket.IPPROTO_IP, (13, 12)))
        for option in options:
            self._socket.setsockopt(level, option, 1)
        self._socket.settimeout(20)
        self._socket.bind((address, _PORT))

    def read(self, count):
        found = []
        for _ in range(count):
            data, more, _, _ = self._socket.recvmsg(2048, 256)
            found.append((data, sorted(more)))
        self._socket.close()
        return found


class Equal(unittest.TestCase):
    """The same packets by both paths."""

    @classmethod
    def setUpClass(cls):
        cls.pair = lab.Pair(len(TUNNELS) + 1)
        cls.a, cls.b = cls.pair.hosts
        for number, tunnel in enumerate(TUNNELS, 1):
            cls.pair.create(tunnel[0], number, *tunnel[1:])
        cls.sender = packets.RawSender(cls.a.space)
        cls.from_a = "ether src %s and not icmp6 and not arp" % cls.a.space.mac(lab.LINK)

    @classmethod
    def tearDownClass(cls):
        cls.sender.close()
        cls.pair.close()

    def use(self, word, names=tuple(t[0] for t in TUNNELS)):
        for host in self.pair.hosts:
            for name in names:
                host.daemon.ctl("set %s datapath %s" % (name, word))
            for name in names:
                wait_for(host.daemon, name, {"user": USER, "bpf": BPF}[word])

    def counts(self):
        """{tunnel: what end 1 has sent and end 2 received}, without any drop."""
        rows = {}
        for name, *_ in TUNNELS:
            sent, got = (h.daemon.stats(name) for h in self.pair.hosts)
            self.assertEqual([sent["drops"], got["drops"]], [{}, {}], name)
            rows[name] = [sent["transmit_packets"], sent["transmit_bytes"],
                          got["receive_packets"], got["receive_bytes"]]
        return rows

    def added(self, before, done):
        """The counts since `before`, once `done` finds in them what it waits for."""
        def seen():
            return {k: [n - o for n, o in zip(v, before[k])] for k, v in self.counts().items()}
        process.wait_until(lambda: done(seen()), what="packets are counted")
        return seen()

    def send(self, family):
        """(packets on the wire, what arrives) of inner_packets() through all tunnels;
        once more where the kernel's own IPv6 speaks meanwhile."""
        sent = {t[0]: inner_packets(n, family) for n, t in enumerate(TUNNELS, 1)}
        expected = {k: [len(v), sum(map(len, v))] * 2 for k, v in sent.items()}
        for _ in range(_TRIES):
            wire_side = wire.Capture(self.a.space, lab.LINK, self.from_a)
            sinks = [Sink(self.b.space, lab.inner(n, family, 2))
                     for n in range(1, len(TUNNELS) + 1)]
            before = self.counts()
            for flow in zip(*sent.values()):
                for packet in flow:
                    self.sender.send(packet)
            counts = self.added(before, lambda now: all(
                now[k][2] >= len(v) for k, v in sent.items()))
            arrived = [s.read(len(v)) for s, v in zip(sinks, sent.values())]
            wire_side.stop()
            if counts == expected:
                break
        self.assertEqual(counts, expected)
        self.assertEqual(wire_side.bad(), [])
        return by_flow(packets_of(wire_side)), arrived

    def test_bytes_and_counters(self):
        seen = {}
        for word in ("user", "bpf"):
            self.use(word)
            seen[word] = {family: self.send(family) for family in "46"}
        for family in "46":
            by_user, by_bpf = (seen[word][family] for word in ("user", "bpf"))
            self.assertEqual(len(by_user[0]), len(TUNNELS))
            self.assertEqual(by_bpf, by_user)

    def test_super_packets(self):
        """TCP by both paths: each packet of the wire is counted once at each end."""
        for word in ("user", "bpf"):
            self.use(word)
            before = self.counts()
            capture = wire.Capture(self.a.space, lab.LINK, self.from_a)
            for number in range(1, len(TUNNELS) + 1):
                traffic.tcp_transfer(self.a.space, self.b.space,
                                     lab.inner(number, "4", 2), TRANSFER)
            capture.stop()
            self.assertEqual(capture.bad(), [], word)
            frames = {t[0]: 0 for t in TUNNELS}
            names = {lab.outer(n, t[2], 1): t[0] for n, t in enumerate(TUNNELS, 1)}
            for frame in capture.frames():
                self.assertLessEqual(frame.number("frame.len"), 1514)
                for source in (frame.first("ip.src"), frame.first("ipv6.src")):
                    if source in names:
                        frames[names[source]] += 1
            counts = self.added(before, lambda now: all(
                now[k][2] >= n for k, n in frames.items()))
            for name, number in frames.items():
                self.assertGreater(number, TRANSFER // 1500, (word, name))
                self.assertEqual([counts[name][0], counts[name][2]], [number] * 2, (word, name))
                self.assertEqual(counts[name][1], counts[name][3], (word, name))

    def test_drops(self):
        """What the daemon refuses it refuses on both paths, under the same reason."""
        number = len(TUNNELS) + 1
        self.pair.create("drops", number, "gre", options="key 42", carries="4")
        self.addCleanup(self.pair.delete, "drops")
        outer = [lab.outer(number, "4", e) for e in (1, 2)]
        target = lab.inner(number, "4", 2)
        good, martian = (packets.ipv4(source, target, 17, b"x" * 8) for source in (
            lab.inner(number, "4", 1), "127.0.0.1"))
        refused = {
            "ecn_illegal": packets.ipv4(*outer, 47, packets.gre(0x800, good, 42), tos=3),
            "martian_source": packets.ipv4(*outer, 47, packets.gre(0x800, martian, 42))}
        for times, word in enumerate(("user", "bpf"), 1):
            self.use(word, ["drops"])
            for packet in refused.values():
                self.sender.send(packet)
            process.wait_until(
                lambda: self.b.daemon.stats("drops")["drops"] == dict.fromkeys(refused, times),
                what="each is dropped once")
        self.assertEqual(self.b.daemon.stats("drops")["receive_packets"], 0)


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
                             ("rate 10mbit", "rate is set"),
                             ("transport udp", "noudpcsum is not set")):
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
        self.assertIn("    datapath in use bpf, steering cpus ",
                      self.a.daemon.ctl("show -d t").out)
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

    def masks(self, name):
        """The receive packet steering of the queues of a device."""
        return self.a.space.run(
            ["unshare", "--mount", "sh", "-c", "mount -t sysfs none /sys && "
             "cat /sys/class/net/%s/queues/rx-*/rps_cpus" % name]).out.split()

    def test_packets_are_steered_to_the_cpus_of_the_workers(self):
        self.create("t", 1, "datapath bpf")
        wait_for(self.a.daemon, "t", BPF)
        mask = sum(1 << cpu for cpu in os.sched_getaffinity(0))
        self.assertEqual({int(m.replace(",", ""), 16) for m in self.masks("t")}, {mask})
        self.assertRegex(self.a.daemon.show("t")["kernel_steering"], r"^cpus \d")
        self.a.daemon.ctl("set t steering off")
        self.assertEqual({int(m.replace(",", ""), 16) for m in self.masks("t")}, {0})
        self.assertEqual(self.a.daemon.show("t")["kernel_steering"], "off")
        self.a.daemon.ctl("set t datapath user")
        self.assertNotIn("kernel_steering", self.a.daemon.show("t"))

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
