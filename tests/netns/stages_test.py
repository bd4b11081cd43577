"""Both stages of a tunnel's output, a shaper and captures, go in and out while numbered
datagrams cross it, single ones and super-packets: each arrives, once, in order."""

import os
import signal
import struct
import sys
import time

sys.path.insert(0, os.path.abspath(os.path.join(os.path.dirname(__file__), "../..")))

from tests.lib import lab, runner, traffic
from tests.lib.process import wait_until
from tests.lib.tap import Tap, packets

SIZE = 1000          # bytes of UDP payload
INNER_HEADERS = 28   # IPv4 and UDP
RATE = 320           # datagrams a second of each flow: both need 5.3 Mbit/s
RUN = 16             # datagrams of a super-packet
FIRST_OF_SUPER = 1_000_000  # so that a number tells the flow


class Flow:
    """Numbered datagrams through tunnel t, from host a to host b."""

    def __init__(self, pair, run, first):
        target = lab.inner(1, "4", 2)
        self.first = first
        self.sink = traffic.UdpSink(pair.b.space, target)
        self.source = traffic.UdpSource(pair.a.space, target, self.sink.port, rate=RATE,
                                        size=SIZE, run=run, sink=self.sink)
        self.source.sent = first
        self.source.start()

    def numbers(self):
        return list(range(self.first, self.source.sent))


def numbers_in(payload):
    """Those of the datagrams whose payloads follow each other."""
    return [struct.unpack_from("!I", payload, at)[0]
            for at in range(0, len(payload), SIZE)]


def flow_of(numbers, flow):
    return [n for n in numbers if (n >= FIRST_OF_SUPER) == (flow.first == FIRST_OF_SUPER)]


class Stages(lab.PairCase):
    TUNNELS = 1

    def tap(self, host, words="t"):
        tap = Tap(host, words)
        self.addCleanup(tap.close)
        self.assertTrue(tap.live, tap.first)
        return tap

    def change_stages(self):
        """Rates and captures, one inside the other and in turn."""
        held = []
        for step in ("rate 20mbit burst 1500", "+", "rate 40mbit burst auto", "rate none",
                     "-", "rate 30mbit burst 64kb", "ttl 9", "+", "-",
                     "rate none burst auto", "queues 1", "+", "rate 25mbit", "queues 0",
                     "-", "rate none"):
            if step == "+":
                held += [self.tap(self.a), self.tap(self.b, "t --side all -s 64")]
            elif step == "-":
                # However a client goes, the daemon takes its tap out.
                held.pop(0).finish(signal.SIGKILL)
                held.pop(0).finish(signal.SIGINT)
            else:
                self.a.daemon.ctl("set t " + step)
            time.sleep(0.05)

    def walk(self, options):
        self.pair.create("t", 1, "gre", options=options, carries="4")
        self.assertEqual(traffic.ping(self.a.space, lab.inner(1, "4", 2)), 3)
        generation = int(self.a.daemon.show("t")["generation"])
        outer, inner = self.tap(self.a), self.tap(self.a, "t --side inner")
        flows = [Flow(self.pair, 1, 0), Flow(self.pair, RUN, FIRST_OF_SUPER)]
        for flow in flows:
            self.addCleanup(flow.sink.close)
        time.sleep(0.1)
        self.change_stages()
        for flow in flows:
            flow.source.stop()
        for flow in flows:
            sent = flow.numbers()
            flow.sink.wait_for(len(sent))
            self.assertEqual(flow.sink.numbers, sent)
            self.assertEqual((flow.sink.bad, flow.source.errors), (0, 0))
            self.assertGreater(len(sent), RATE // 4)
        # A capture is no change; each `set` was one.
        self.assertEqual(int(self.a.daemon.show("t")["generation"]), generation + 10)
        self.check_captured(outer, inner, flows)

    def check_captured(self, outer, inner, flows):
        """The captures that lasted all the time have each datagram, in order: the
        outer one as it left, the inner one as it was read."""
        def sent():
            return [n for p in packets(outer.path) if p.outbound
                    for n in numbers_in(p.data[-SIZE:])]

        def read():
            return [numbers_in(p.data[INNER_HEADERS:]) for p in packets(inner.path)
                    if p.outbound]

        everything = sum(len(flow.numbers()) for flow in flows)
        wait_until(lambda: len(sent()) >= everything, what="all that left is captured")
        wait_until(lambda: sum(map(len, read())) >= everything,
                   what="all that was read is captured")
        features = self.a.space.run(["ethtool", "-k", "t"]).out
        if "tx-udp-segmentation: on" in features:
            self.assertEqual(max(map(len, read())), RUN, "super-packets were read")
        for flow in flows:
            self.assertEqual(flow_of(sent(), flow), flow.numbers())
            self.assertEqual(flow_of(sum(read(), []), flow), flow.numbers())
        for tap in (outer, inner):
            code, said = tap.finish()
            self.assertEqual(code, 0, said)
            self.assertIn("0 packets lost by the capture", said)

    def test_nothing_is_lost_or_reordered_over_ip(self):
        self.walk("key 42")

    def test_nothing_is_lost_or_reordered_over_udp(self):
        self.walk("transport udp")


if __name__ == "__main__":
    runner.main()
