"""tunnelctl capture: the packets as they are on the wire, read by other programs."""

import decimal
import os
import signal
import subprocess
import sys

sys.path.insert(0, os.path.abspath(os.path.join(os.path.dirname(__file__), "../..")))

from tests.lib import daemon, lab, runner, traffic, wire
from tests.lib.process import wait_until
from tests.lib.tap import Tap, packet_bytes, packets, tshark


class CaptureTest(lab.PairCase):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.ctl = cls.a.daemon.ctl

    def setUp(self):
        self.pair.create("t", 1, "gre", options="key 42", carries="4")
        self.assertEqual(self.ping(), 3)

    def ping(self, count=3, **words):
        return traffic.ping(self.pair.a.space, lab.inner(1, "4", 2), count, **words)

    def capture(self, words):
        tap = Tap(self.pair.a, words)
        self.addCleanup(tap.close)
        self.assertTrue(tap.live, tap.first)
        return tap

    def captured_one(self):
        """Whether a capture of one packet can be made now."""
        tap = Tap(self.pair.a, "t -c 1", os.devnull)
        try:
            if not tap.live:
                return False
            self.ping(1)
            return tap.finish(stop=None)[0] == 0
        finally:
            tap.close()

    def test_outer_side_is_what_the_underlay_saw(self):
        seen = wire.Capture(self.pair.a.space, lab.LINK, "ip proto 47")
        capture = self.capture("t -c 40")
        self.assertEqual(self.ping(20, size=300), 20)
        code, said = capture.finish(stop=None)
        self.assertEqual(code, 0, said)
        self.assertIn("40 packets captured", said)
        self.assertIn("0 packets lost by the capture", said)
        seen.stop()
        ours = packet_bytes(capture.path, "ip proto 47")
        self.assertEqual(len(ours), 40)
        self.assertEqual(sorted(ours), sorted(packet_bytes(seen.path, "ip proto 47")))
        # Direction and interface, as Wireshark tells them.
        rows = tshark(capture.path, "frame.packet_flags_direction", "frame.interface_name",
                      "gre.key")
        self.assertEqual(sorted(row[1] for row in rows), ["t outer"] * 40)
        self.assertEqual(sorted(int(row[0], 0) for row in rows), [1] * 20 + [2] * 20)
        self.assertEqual({int(row[2], 0) for row in rows}, {42})

    def test_inner_side_and_count(self):
        capture = self.capture("t --side inner -c 6")
        self.assertEqual(self.ping(), 3)
        code, said = capture.finish(stop=None)
        self.assertEqual(code, 0)
        self.assertIn("6 packets captured", said)
        rows = tshark(capture.path, "frame.packet_flags_direction", "icmp.type", "ip.src")
        self.assertEqual(sorted((int(row[0], 0), row[1]) for row in rows),
                         [(1, "0")] * 3 + [(2, "8")] * 3)
        info = subprocess.run(["capinfos", "-M", capture.path], capture_output=True,
                              text=True, check=True).stdout
        self.assertIn("pcapng", info)

    def test_both_sides_in_one_file(self):
        capture = self.capture("t --side all -c 4")
        self.assertEqual(self.ping(1), 1)
        self.assertEqual(capture.finish(stop=None)[0], 0)
        # In the order of their time: the worker that gets the answer may have written
        # it before the one that sent the question comes to it.
        rows = sorted(tshark(capture.path, "frame.time_epoch", "frame.interface_name",
                             "icmp.type"), key=lambda row: decimal.Decimal(row[0]))
        self.assertEqual([row[1:] for row in rows], [
            ["t inner", "8"], ["t outer", "8"], ["t outer", "0"], ["t inner", "0"]])

    def test_drops_have_their_reason(self):
        capture = self.capture("t --side drop")
        self.ctl("set t fragment none mtu 1400")
        self.pair.a.space.ip("route replace 198.18.1.0/24 dev %s src 198.18.1.1 mtu 1000" %
                             lab.LINK)

        def refused():
            self.ping(1, size=1200, df="do", wait=0.1)
            stats = self.pair.a.daemon.stats("t")
            return stats["drops"].get("too_big", 0) > 0

        wait_until(refused, what="a packet is refused")
        wait_until(lambda: os.path.getsize(capture.path) > 1200, what="drops are written")
        code, said = capture.finish()
        self.assertEqual(code, 0, said)
        rows = tshark(capture.path, "frame.comment", "frame.interface_name", "ip.len")
        self.assertGreater(len(rows), 0)
        self.assertEqual({tuple(row) for row in rows}, {("drop: too_big", "t inner", "1228")})

    def test_snap_length_and_pipe(self):
        capture = self.capture("t -s 24 -c 2")
        self.assertEqual(self.ping(1, size=500), 1)
        capture.finish(stop=None)
        rows = tshark(capture.path, "frame.cap_len", "frame.len")
        self.assertEqual(rows, [["24", "556"]] * 2)
        line = ("%s --target=%s capture t -c 2 | tcpdump -n -r - 2>/dev/null" % (
            daemon.binary("tunnelctl"), self.pair.a.daemon.target))
        reader = subprocess.Popen(["ip", "netns", "exec", self.pair.a.space.name, "sh",
                                   "-c", line], stdout=subprocess.PIPE,
                                  stderr=subprocess.PIPE, text=True)
        self.assertIn("capturing", reader.stderr.readline())
        self.assertEqual(self.ping(1), 1)
        out, _ = reader.communicate(timeout=60)
        self.assertEqual(out.count("GREv0"), 2)

    def test_a_tunnel_in_the_kernel_comes_out_of_it_and_goes_back(self):
        def in_use():
            shown = self.pair.a.daemon.show("t")
            return shown["datapath_in_use"], shown.get("datapath_reason", "")

        fast = ("DATAPATH_BPF", "")
        self.ctl("set t datapath bpf")
        wait_until(lambda: in_use() == fast, what="the tunnel is in the kernel")
        capture = self.capture("t -c 6")
        self.assertEqual(in_use(), ("DATAPATH_USER", "a capture runs"))
        self.assertEqual(self.ping(), 3)
        code, said = capture.finish(stop=None)
        self.assertEqual(code, 0, said)
        wait_until(lambda: in_use() == fast, what="the tunnel is back in the kernel")
        self.assertEqual(self.ping(), 3)

    def test_ctrl_c_loses_nothing_that_was_captured(self):
        for _ in range(5):
            capture = self.capture("t")
            before = self.pair.a.daemon.stats("t")
            self.assertEqual(self.ping(20, interval=0), 20)

            def counted(before=before):
                now = self.pair.a.daemon.stats("t")
                return all(now[way] - before[way] == 20
                           for way in ("transmit_packets", "receive_packets"))

            wait_until(counted, what="all are sent, received and captured")
            code, said = capture.finish(signal.SIGINT)
            self.assertEqual(code, 0, said)
            self.assertIn("40 packets captured", said)
            self.assertEqual(len(packets(capture.path)), 40)

    def test_limits_and_errors(self):
        captures = [self.capture("t") for _ in range(4)]
        fifth = self.ctl("capture t -w /dev/null --json", check=False)
        self.assertIn("CAPTURE_LIMIT", fifth.err)
        captures[0].finish(signal.SIGKILL)
        # Its place is free when its tap has been taken out.
        wait_until(self.captured_one, what="a free place")
        nobody = self.ctl("capture nobody -w /dev/null --json", check=False)
        self.assertIn("TUNNEL_NOT_FOUND", nobody.err)
        short = self.ctl("capture t -s 3 -w /dev/null", check=False)
        self.assertIn("snap_length", short.err)
        self.ctl("delete t")
        for capture in captures[1:]:
            code, said = capture.finish(stop=None)
            self.assertNotEqual(code, 0)
            self.assertIn("deleted", said)
        self.assertIn('operation="Capture t"', self.pair.a.daemon.log_text())


if __name__ == "__main__":
    runner.main()
