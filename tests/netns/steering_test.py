"""Steering: the inner flows of one outer flow are spread over the workers, in order;
and what --dispatch makes of it."""

import os
import sys
import unittest

sys.path.insert(0, os.path.abspath(os.path.join(os.path.dirname(__file__), "../..")))

from tests.lib import lab, rpc, runner, traffic

FLOWS = 8
BURST = 50  # of each flow, at once


class SteeringCase(unittest.TestCase):
    FLAGS = ()
    # One outer flow: addresses and both ports are fixed.
    TUNNELS = {"s0": ("gif", "transport udp source-port 5555")}

    @classmethod
    def setUpClass(cls):
        cls.pair = lab.Pair(len(cls.TUNNELS), flags=(
            "--workers=2", "--datapath=user", *cls.FLAGS))  # the workers' rings
        cls.daemon = cls.pair.b.daemon  # of the receiving side
        cls.targets = {}
        for number, (name, (mode, options)) in enumerate(cls.TUNNELS.items(), 1):
            # The device queue holds what a daemon that waits for a CPU leaves there.
            cls.pair.create(name, number, mode, options=options + " txqueuelen 4000")
            cls.targets[name] = lab.inner(number, "4", 2)

    @classmethod
    def tearDownClass(cls):
        cls.pair.close()

    def handoffs(self):
        """Of each worker; None where there is no ring to it."""
        workers = self.daemon.json("stats -d")["workers"]
        self.assertEqual(len(workers), 2)
        return [w.get("handoff") for w in workers]

    def handed(self):
        return sum(h["packets"] for h in self.handoffs())

    def send(self, during=None, name="s0"):
        """Numbered datagrams of all flows at a steady rate, `during` meanwhile; the
        numbers that each sink got, in the order in which they came."""
        a, b = (host.space for host in self.pair.hosts)
        target = self.targets[name]
        sinks = [traffic.UdpSink(b, target) for _ in range(FLOWS)]
        sources = [traffic.UdpSource(a, target, s.port, rate=500) for s in sinks]
        try:
            for source in sources:
                source.start()
            if during:
                during()
            sent = [source.stop(more=BURST) for source in sources]
            for sink, count in zip(sinks, sent):
                sink.wait_for(count)
            return sent, [list(sink.numbers) for sink in sinks]
        finally:
            for sink in sinks:
                sink.close()

    def check_all_in_order(self, sent, numbers, name="s0"):
        for host in self.pair.hosts:
            self.assertEqual(host.daemon.stats(name)["drops"], {})
            for worker in host.daemon.json("stats -d")["workers"]:
                self.assertEqual(worker["socket_drops"], 0)
        for count, got in zip(sent, numbers):
            self.assertEqual(got, list(range(count)))

    def switch(self):
        for word in ("off", "on", "off", "on", "auto"):
            self.daemon.ctl("set s0 steering " + word)


class Hybrid(SteeringCase):
    TUNNELS = {**SteeringCase.TUNNELS, "raw": ("gre", "key 7 steering on")}

    def check_spread(self, name):
        before = self.handed()
        sent, numbers = self.send(name=name)
        self.check_all_in_order(sent, numbers, name)
        handed = self.handed() - before
        # Not nothing, and not all: the flows belong to both workers.
        self.assertGreater(handed, 0)
        self.assertLess(handed, sum(sent))
        for handoff in self.handoffs():
            self.assertEqual(handoff["drops"], 0)
            self.assertLessEqual(handoff["wakeups"], handoff["pushes"])
            self.assertEqual(sum(handoff["batch_histogram"]), handoff["pushes"])
            self.assertEqual(sum(handoff["depth_histogram"]), handoff["visits"])

    def test_auto_spreads_one_outer_flow(self):
        self.check_spread("s0")

    def test_on_spreads_one_raw_outer_flow(self):
        self.check_spread("raw")

    def test_a_switch_under_traffic_keeps_order_and_packets(self):
        self.check_all_in_order(*self.send(self.switch))

    def test_rings_are_resized_under_traffic(self):
        """Up and down, hundreds of times: nothing is lost, no flow out of order."""
        client = rpc.Client(self.daemon.target)
        self.addCleanup(client.close)
        default = self.handoffs()[1]["capacity"]
        # None so small that a worker which waits for a CPU loses something.
        sizes = [16384, 1024, 4096, 2048, 8192, 1000]

        def resize():
            before = default
            for i in range(300):
                request = client.messages.ResizeHandoffRequest(packets=sizes[i % len(sizes)])
                reply = client.config.ResizeHandoff(request)
                self.assertEqual(reply.before, before)
                before = reply.packets
            self.assertEqual(before, 1024, "rounded up")

        self.check_all_in_order(*self.send(resize))
        self.assertEqual([h["capacity"] for h in self.handoffs()], [1024, 1024])
        said = self.daemon.ctl("resize-handoff 50").out
        self.assertEqual(said, "each ring holds 64 packets, 1024 before\n")
        [top] = [h for h in self.daemon.json("top --once --interval 10ms")["handoffs"]
                 if h["worker"] == 1]
        self.assertEqual(top["capacity"], 64)
        self.daemon.ctl("resize-handoff %d" % default)
        refused = self.daemon.ctl("resize-handoff 15", check=False)
        self.assertEqual(refused.code, 2)
        self.assertIn("want 16 to 16384", refused.err)
        self.assertIn('operation="ResizeHandoff 15"', self.daemon.log_text())

    def test_off_hands_nothing_over(self):
        self.daemon.ctl("set s0 steering off")
        try:
            self.send()
            before = self.handed()
            self.check_all_in_order(*self.send())
            self.assertEqual(self.handed(), before)
        finally:
            self.daemon.ctl("set s0 steering auto")

    def test_top_shows_the_rates(self):
        shown = []
        self.send(lambda: shown.append(self.daemon.json("top --once --interval 500ms")))
        [top] = shown
        self.assertEqual(top["tunnels"][0]["name"], "s0")
        self.assertGreater(top["tunnels"][0]["receive_packets_per_second"], 0)
        self.assertGreater(top["tunnels"][0]["receive_bits_per_second"], 0)
        self.assertGreater(sum(h["packets_per_second"] for h in top["handoffs"]), 0)
        for handoff in top["handoffs"]:
            if handoff["packets_per_second"]:
                self.assertGreaterEqual(handoff["batch"], 1)
                self.assertGreater(handoff["syncs_per_packet"], 0)


class Deferred(SteeringCase):
    FLAGS = ("--dispatch=deferred",)

    def test_every_packet_goes_through_a_ring_in_order(self):
        before = self.handed()
        sent, numbers = self.send(self.switch)
        self.check_all_in_order(sent, numbers)
        for handoff in self.handoffs():
            self.assertGreater(handoff["packets"], 0)
        self.assertGreaterEqual(self.handed() - before, sum(sent))

    def test_tcp_does_not_overrun_the_ring_of_a_worker_to_itself(self):
        self.daemon.ctl("set s0 steering off")
        try:
            traffic.tcp_transfer(
                self.pair.a.space, self.pair.b.space, self.targets["s0"], 4 << 20)
            self.assertNotIn("queue_full", self.daemon.stats("s0")["drops"])
        finally:
            self.daemon.ctl("set s0 steering auto")


class Direct(SteeringCase):
    FLAGS = ("--dispatch=direct",)

    def test_there_are_no_rings(self):
        self.check_all_in_order(*self.send(self.switch))
        self.assertEqual(self.handoffs(), [None, None])
        refused = self.daemon.ctl("resize-handoff 64 --json", check=False)
        self.assertIn("INVALID_STATE", refused.err)


if __name__ == "__main__":
    runner.main()
