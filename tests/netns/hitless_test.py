"""What a change costs, packet by packet: nothing on the tunnels that it does not
touch, what TunnelChange says on the one that it does, and nothing at all with
an overlap."""

import os
import sys
import time

sys.path.insert(0, os.path.abspath(os.path.join(os.path.dirname(__file__), "../..")))

from tests.lib import lab, runner, traffic
from tests.lib.client_case import ClientCase
from tests.lib.process import wait_until

RATE = 400  # datagrams a second of each flow: far below what the path carries
OVERLAP = 2.0  # seconds; both ends are changed well within half of it


class Flow:
    """Numbered datagrams through tunnel `number`, from one host to the other."""

    def __init__(self, sender, receiver, number):
        target = lab.inner(number, "4", receiver.end)
        self.sink = traffic.UdpSink(receiver.space, target)
        self.source = traffic.UdpSource(sender.space, target, self.sink.port,
                                        rate=RATE).start()
        self._open = True

    def close(self):
        """Stops; the number of datagrams sent."""
        if self._open:
            self._open = False
            self.source.stop()
            self.sink.close()
        return self.source.sent

    def finish(self, test):
        """Datagrams sent and lost; none is doubled, damaged or out of order."""
        sent = self.source.stop()
        arrived = self.sink.wait_for(sent, 2)
        self.close()
        test.assertEqual(self.source.errors, 0)
        test.assertEqual(self.sink.bad, 0)
        test.assertEqual(self.sink.numbers, sorted(set(self.sink.numbers)))
        test.assertGreater(sent, RATE / 8)
        return sent, sent - arrived


class Hitless(ClientCase):
    """Tunnel t (number 1) is changed, tunnel other (number 2) is not."""

    def setUp(self):
        # IPv4 alone: no packet but those that are counted.
        self.pair.create("t", 1, "gre", options="key 42", carries="4")
        self.pair.create("other", 2, "gre", carries="4")
        for number in (1, 2):
            self.assertEqual(traffic.ping(self.hosts[0].space,
                                          lab.inner(number, "4", 2)), 3)
        self.changes = []
        self.before = self.drops()
        self.flows = {number: self.start(number) for number in (1, 2)}
        time.sleep(0.3)

    def start(self, number):
        """A flow each way through a tunnel; ended with the test at the latest."""
        flows = [Flow(a, b, number) for a, b in (self.hosts, self.hosts[::-1])]
        for flow in flows:
            self.addCleanup(flow.close)
        return flows

    def drops(self):
        """(of tunnel t, of no tunnel), both ends together."""
        own = unmatched = 0
        for client in self.clients:
            stats = client.telemetry.GetStats(client.messages.GetStatsRequest())
            unmatched += sum(stats.unmatched_drops.values())
            for tunnel in stats.tunnels:
                if tunnel.name == "t":
                    own += sum(tunnel.receive_drops.values())
                    own += sum(tunnel.transmit_drops.values())
        return own, unmatched

    def change(self, end, overlap=None, **fields):
        """Updates tunnel t of host `end` (0 or 1)."""
        client = self.clients[end]
        request = client.messages.UpdateTunnelRequest(
            tunnel=client.types.Tunnel(name="t", **fields))
        if overlap:
            request.options.overlap.FromMicroseconds(int(overlap * 1e6))
        change = client.tunnels.UpdateTunnel(request, timeout=60)
        self.assertFalse(change.no_op)
        self.changes.append(change)
        return change

    def change_both(self, overlap=None, gap=0.03, **fields):
        """The same at both ends, one after the other; `local` and `remote` are
        numbers of pairs of outer addresses."""
        for end in (0, 1):
            words = dict(fields)
            if "pair" in words:
                number = words.pop("pair")
                words["local"] = lab.outer(number, "4", end + 1)
                words["remote"] = lab.outer(number, "4", 2 - end)
            self.change(end, overlap, **words)
            time.sleep(gap)

    def wait_for_end_of_overlap(self):
        for client in self.clients:
            wait_until(lambda: not client.tunnels.GetTunnel(
                client.messages.GetTunnelRequest(name="t")).HasField("overlap_until"),
                OVERLAP + 10, "the overlap ends")

    def finish(self):
        """Packets of t that were lost; the other tunnel has lost none, and each lost
        one is accounted for."""
        time.sleep(0.1)
        lost = {number: sum(flow.finish(self)[1] for flow in flows)
                for number, flows in self.flows.items()}
        self.assertEqual(lost[2], 0, "lost on the tunnel that was not touched")
        own, unmatched = [now - then for now, then in zip(self.drops(), self.before)]
        reported = sum(change.timing.packets_dropped for change in self.changes)
        print("        lost %d: %d reported by the changes, %d at the far end" % (
            lost[1], reported, unmatched))
        # What is above `own` the kernel has dropped in front of the device.
        self.assertLessEqual(own, reported, "drops of t outside of its changes")
        # What one end sends while the other has another identity meets no tunnel.
        self.assertEqual(lost[1], reported + unmatched)
        return lost[1]

    def test_new_key_at_both_ends(self):
        for key in (43, 44, 45):
            self.change_both(key=key)
            time.sleep(0.1)
        self.finish()

    def test_new_key_with_overlap_loses_nothing(self):
        for key in (43, 44):
            self.change_both(OVERLAP, key=key)
            self.wait_for_end_of_overlap()
        self.assertEqual(self.finish(), 0)

    def test_moved_endpoint(self):
        for pair in (3, 4, 1):
            self.change_both(pair=pair)
            time.sleep(0.1)
        self.finish()

    def test_moved_endpoint_with_overlap_loses_nothing(self):
        index = self.hosts[0].space.ifindex("t")
        for pair in (3, 4):
            self.change_both(OVERLAP, pair=pair)
            self.wait_for_end_of_overlap()
        self.assertEqual(self.finish(), 0)
        self.assertEqual(self.hosts[0].space.ifindex("t"), index)

    def test_sequence_numbers_go_on_over_an_overlap(self):
        for flows in self.flows.values():
            for flow in flows:
                flow.finish(self)
        self.change_both(sequence=True)
        self.changes.clear()
        self.before = self.drops()
        self.flows = {number: self.start(number) for number in (1, 2)}
        time.sleep(0.3)
        self.change_both(OVERLAP, key=77)
        self.wait_for_end_of_overlap()
        self.assertEqual(self.finish(), 0)

    def test_what_keeps_the_identity_loses_nothing(self):
        for round_number in range(3):
            for fields in ({"ttl": 9 + round_number}, {"tos": 40 + 4 * round_number},
                           {"mtu": 1400 + round_number}):
                for end in (0, 1):
                    self.change(end, **fields)
        self.assertEqual(self.finish(), 0)

    def test_resized_device_queue_loses_what_it_reports(self):
        # The kernel takes the queueing discipline off the interface for a moment and
        # drops what is sent meanwhile; the interface counts it since Linux 6.11.
        for length in (700, 100, 1000, 200, 900, 600):
            self.change(0, txqueuelen=length)
            time.sleep(0.02)
        words = self.hosts[0].space.ip("link show dev t").out.split()
        self.assertEqual(words[words.index("qlen") + 1], "600")
        for flow in self.flows[2]:
            self.assertEqual(flow.finish(self)[1], 0)
        lost = sum(flow.finish(self)[1] for flow in self.flows[1])
        reported = sum(change.timing.packets_dropped for change in self.changes)
        print("        lost %d, %d reported by the changes" % (lost, reported))
        if kernel_release() >= (6, 11):
            self.assertEqual(lost, reported)
        self.assertEqual(self.drops(), self.before)

    def test_more_and_fewer_queues_lose_nothing(self):
        for queues in (1, 2, 1, 200, 1, 2):
            for end in (0, 1):
                self.change(end, queues=queues)
            time.sleep(0.05)
        self.assertEqual(self.finish(), 0)

    def test_deleted_device_fails_alone_under_load(self):
        host = self.hosts[0]
        host.space.ip("link del dev t")
        wait_until(lambda: host.daemon.show("t")["oper_state"] == "OPER_FAILED")
        time.sleep(0.2)
        for flow in self.flows[1]:
            flow.close()
        for flow in self.flows[2]:
            self.assertEqual(flow.finish(self)[1], 0)
        # The daemon rests: nothing spins on the queues that have gone.
        begin = cpu_seconds(host.daemon.child.pid)
        time.sleep(1)
        self.assertLess(cpu_seconds(host.daemon.child.pid) - begin, 0.3)

    def test_device_deleted_while_paused_does_not_spin(self):
        host = self.hosts[0]
        host.daemon.ctl("pause t")
        time.sleep(0.1)  # packets wait, the queues are parked
        host.space.ip("link del dev t")
        wait_until(lambda: host.daemon.show("t")["oper_state"] == "OPER_FAILED")
        for flow in self.flows[1]:
            flow.close()
        for flow in self.flows[2]:
            self.assertEqual(flow.finish(self)[1], 0)
        begin = cpu_seconds(host.daemon.child.pid)
        time.sleep(1)
        self.assertLess(cpu_seconds(host.daemon.child.pid) - begin, 0.3)


def kernel_release():
    return tuple(int(word) for word in os.uname().release.split(".")[:2])


def cpu_seconds(pid):
    with open("/proc/%d/stat" % pid) as f:
        fields = f.read().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


if __name__ == "__main__":
    runner.main()
