"""A tunnel with a rate: what comes through, what waits, and what a change of the
rate costs (nothing)."""

import json
import os
import sys
import time

sys.path.insert(0, os.path.abspath(os.path.join(os.path.dirname(__file__), "../..")))

from tests.lib import lab, runner, traffic
from tests.lib.process import wait_until

SIZE = 1000       # bytes of UDP payload
INNER = SIZE + 28  # what a datagram counts for
FLOOD = 3000      # datagrams a second: 25 Mbit/s, above every rate here
GENTLE = 300      # 2.5 Mbit/s, below


class Flow:
    """Numbered datagrams through tunnel `number`, from host a to host b."""

    def __init__(self, pair, number, rate):
        target = lab.inner(number, "4", 2)
        self.sink = traffic.UdpSink(pair.b.space, target)
        self.source = traffic.UdpSource(pair.a.space, target, self.sink.port, rate=rate,
                                        size=SIZE).start()

    def stop(self):
        return self.source.stop()


class Shaper(lab.PairCase):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.ctl = cls.a.daemon.ctl

    def setUp(self):
        self.pair.create("t", 1, "gre", carries="4")
        self.pair.create("other", 2, "gre", carries="4")
        for number in (1, 2):
            self.assertEqual(traffic.ping(self.pair.a.space,
                                          lab.inner(number, "4", 2)), 3)

    def start(self, number, rate):
        flow = Flow(self.pair, number, rate)
        self.addCleanup(flow.sink.close)
        self.addCleanup(flow.stop)
        return flow

    def ordered(self, flow):
        self.assertEqual(flow.sink.bad, 0)
        self.assertEqual(flow.sink.numbers, sorted(set(flow.sink.numbers)))

    def sends(self, rate, burst):
        """Bits a second of inner packets that the tunnel sends, once they are `rate`;
        more they never are. The daemon has counted between the moment when it was asked
        and that when it had answered."""
        for _ in range(40):
            asked, first = time.monotonic(), self.bits()
            begin = time.monotonic()
            time.sleep(1.5)
            end, last = time.monotonic(), self.bits()
            bits, most = last - first, time.monotonic() - asked
            self.assertLessEqual(bits, rate * most + 8 * (burst + INNER))
            if bits >= 0.9 * rate * (end - begin):  # the machine has let it
                return bits / (end - begin)
        self.fail("less than %d bits a second all the time" % rate)

    def bits(self):
        return 8 * self.pair.a.daemon.stats("t")["transmit_bytes"]

    def device_drops(self, name):
        shown = json.loads(self.pair.a.space.ip("-j -s link show dev " + name).out)
        return shown[0]["stats64"]["tx"]["dropped"]

    def test_the_far_end_gets_the_rate_and_what_is_too_much_is_counted(self):
        self.ctl("set t rate 4mbit burst 16kb txqueuelen 50")
        before = self.device_drops("t")
        flow = self.start(1, FLOOD)
        other = self.start(2, GENTLE)
        wait_until(lambda: self.device_drops("t") > before, what="the queue is full")
        slow = self.sends(4e6, 16384)
        self.ctl("set t rate 12mbit")
        fast = self.sends(12e6, 16384)
        print("        %.2f and %.2f Mbit/s of 4 and 12" % (slow / 1e6, fast / 1e6))
        # Each is either at the far end or in the count of the device.
        sent = flow.stop()
        dropped = self.device_drops("t") - before
        self.assertEqual(flow.sink.wait_for(sent - dropped, 2), sent - dropped)
        self.ordered(flow)
        # The tunnel beside it does not notice.
        sent = other.stop()
        self.assertEqual(other.sink.wait_for(sent), sent)
        self.ordered(other)

    def test_super_packets_are_not_ahead_of_the_rate(self):
        """TCP hands over up to 64 KB at once; each of its segments counts."""
        self.ctl("set t rate 8mbit burst 16kb")
        size = 1 << 20
        elapsed = traffic.tcp_transfer(self.pair.a.space, self.pair.b.space,
                                       lab.inner(1, "4", 2), size)
        # Ahead: the burst, and one packet as it was read.
        self.assertGreaterEqual(elapsed, (size - 16384 - 65536) * 8 / 8e6)

    def test_put_in_changed_and_taken_out_under_load(self):
        flows = [self.start(number, GENTLE) for number in (1, 2)]
        time.sleep(0.1)
        for words in ("rate 4mbit burst 1500", "rate 8mbit burst auto", "rate 3mbit",
                      "rate none", "rate 100mbit burst 64kb", "rate none burst auto",
                      "rate 5mbit ttl 9", "rate none ttl 64"):
            changed = json.loads(self.ctl("set t %s --json" % words).out)
            self.assertNotIn("packets_dropped", changed.get("timing", {}))
            time.sleep(0.1)
        for flow in flows:
            sent = flow.stop()
            self.assertEqual(flow.sink.wait_for(sent), sent, "datagrams lost")
            self.ordered(flow)

    def test_what_waits_for_credit_is_paused_and_released_at_once(self):
        self.ctl("set t rate 8kbit burst 1500")  # a datagram a second
        flow = self.start(1, GENTLE)
        time.sleep(0.3)
        sent = flow.stop()
        self.ctl("pause t")
        arrived = len(flow.sink.numbers)
        self.assertLess(arrived, 10)
        time.sleep(1.5)
        self.assertEqual(len(flow.sink.numbers), arrived, "sent while paused")
        self.ctl("set t rate 16kbit")
        self.ctl("resume t")
        self.ctl("set t rate none burst auto")
        self.assertEqual(flow.sink.wait_for(sent), sent)
        self.ordered(flow)

    def test_a_higher_rate_does_not_wait_for_the_lower_one(self):
        self.ctl("set t rate 8kbit burst 1500")
        flow = self.start(1, GENTLE)
        time.sleep(0.3)
        sent = flow.stop()
        self.ctl("set t rate 100mbit burst auto")
        self.assertEqual(flow.sink.wait_for(sent), sent)
        self.ordered(flow)

    def test_what_waits_for_credit_is_detached_and_deleted(self):
        for verb in ("detach", "delete"):
            self.ctl("set t rate 8kbit")
            flow = self.start(1, FLOOD)
            time.sleep(0.2)
            self.ctl("%s t" % verb)
            flow.stop()
            if verb == "detach":
                self.ctl("attach t")
        self.pair.a.daemon.ctl("delete other")  # the worker answers

    def test_show_and_errors(self):
        self.ctl("set t rate 12.5mbit burst 64kb")
        shown = self.pair.a.daemon.show("t")
        self.assertEqual((shown["rate"], shown["burst"]), ("12500000", 65536))
        self.assertIn(" rate 12500kbit burst 64kb", self.ctl("show t -d").out)
        for words, field in (("rate 1bit", "rate"), ("rate none", "burst"),
                             ("burst 10", "burst")):
            refused = self.ctl("set t %s --json" % words, check=False)
            self.assertNotEqual(refused.code, 0)
            self.assertIn("FIELD_INVALID", refused.err)
            self.assertIn('"%s"' % field, refused.err)


if __name__ == "__main__":
    runner.main()
