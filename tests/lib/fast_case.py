"""Test cases on tunnels that the kernel's fast path carries."""

from tests.lib import lab, traffic
from tests.lib.client_case import ClientCase
from tests.lib.process import wait_until

RATE = 2000  # datagrams a second


def workers(clients):
    """Packets that the workers of these daemons have had in their hands."""
    total = 0
    for client in clients:
        stats = client.telemetry.GetStats(client.messages.GetStatsRequest())
        total += sum(w.receive_packets + w.transmit_packets for w in stats.workers)
    return total


class FastCase(ClientCase):
    TUNNELS = 8
    FLAGS = ["--datapath=user"]  # a tunnel has to ask for the fast path

    def ping(self, number, family="4", **words):
        return traffic.ping(self.a.space, lab.inner(number, family, 2), **words)

    def in_use(self, name, host=None):
        tunnel = (host or self.a).daemon.show(name)
        return tunnel.get("datapath_in_use"), tunnel.get("datapath_reason", "")

    def wait_fast(self, name):
        """After a start: the daemon carries the packets until then."""
        wait_until(lambda: self.in_use(name)[0] == "DATAPATH_BPF", what="the fast path")
        self.assert_fast(name)

    def assert_fast(self, name, host=None):
        self.assertEqual(self.in_use(name, host), ("DATAPATH_BPF", ""))

    def workers(self):
        return workers(self.clients)

    def passed(self, name):
        """Packets that the kernel of host a has left to the workers."""
        return self.a.daemon.json("stats", name)[0]["transmit_passed"]

    def flow(self, number, rate=RATE):
        """Numbered datagrams from a to b through a tunnel, and their sink."""
        target = lab.inner(number, "4", 2)
        sink = traffic.UdpSink(self.b.space, target)
        self.addCleanup(sink.close)
        source = traffic.UdpSource(self.a.space, target, sink.port, rate=rate).start()
        return source, sink

    def assert_whole(self, source, sink, at_least):
        """All datagrams have arrived, once, in order."""
        sent = source.stop()
        self.assertGreater(sent, at_least)
        sink.wait_for(sent)
        self.assertEqual(len(sink.numbers), sent, "lost or doubled")
        self.assertEqual(sink.numbers, sorted(sink.numbers), "out of order")
        self.assertEqual(sink.bad, 0)
