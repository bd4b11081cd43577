"""Changes under traffic: what is lost, what stays, what never leaves."""

import os
import sys
import time
import unittest

sys.path.insert(0, os.path.abspath(os.path.join(os.path.dirname(__file__), "../..")))

from tests.lib import lab, rpc, runner, traffic, wire
from tests.lib.process import wait_until

OUTER_FILTER = "ip proto 4 or ip proto 41 or ip proto 47"


class Rewire(unittest.TestCase):
    """Tunnel t (number 1) is changed, tunnel other (number 2) is not."""

    @classmethod
    def setUpClass(cls):
        cls.pair = lab.Pair(6)
        cls.a, cls.b = cls.pair.hosts

    @classmethod
    def tearDownClass(cls):
        cls.pair.close()

    def setUp(self):
        self.pair.create("t", 1, "gre", options="key 42")
        self.pair.create("other", 2, "gif")
        self.assertEqual(self.ping(), 3)

    def tearDown(self):
        for host in self.pair.hosts:
            host.daemon.delete_all()

    def ping(self, number=1, family="4", count=3, **options):
        return traffic.ping(self.a.space, lab.inner(number, family, 2), count, **options)

    def state(self):
        return self.a.daemon.show("t")["oper_state"]

    def test_packets_wait_while_paused_and_none_is_lost(self):
        sink = traffic.UdpSink(self.b.space, lab.inner(1, "4", 2))
        source = traffic.UdpSource(self.a.space, lab.inner(1, "4", 2), sink.port)
        source.send(10)
        self.assertEqual(sink.wait_for(10), 10)
        self.a.daemon.ctl("pause t")
        self.assertEqual(self.state(), "OPER_PAUSED")
        capture = wire.Capture(self.b.space, lab.LINK,
                               "ip src host " + lab.outer(1, "4", 1))
        source.send(100)
        time.sleep(0.3)
        self.assertEqual(capture.stop().frames(), [])
        self.assertEqual(len(sink.numbers), 10)
        self.a.daemon.ctl("resume t")
        self.assertEqual(sink.wait_for(110), 110)
        self.assertEqual(sink.numbers, sorted(sink.numbers))
        self.assertEqual(sink.bad, 0)
        self.assertEqual(self.state(), "OPER_UP")
        source.stop()
        sink.close()

    def test_input_goes_on_while_paused(self):
        sink = traffic.UdpSink(self.a.space, lab.inner(1, "4", 1))
        source = traffic.UdpSource(self.b.space, lab.inner(1, "4", 1), sink.port)
        self.a.daemon.ctl("pause t")
        source.send(50)
        self.assertEqual(sink.wait_for(50), 50)
        self.a.daemon.ctl("resume t")
        source.stop()
        sink.close()

    def test_pause_ends_by_itself(self):
        self.a.daemon.ctl("pause t --max 300ms")
        self.assertEqual(self.state(), "OPER_PAUSED")
        wait_until(lambda: self.state() == "OPER_UP")
        self.assertEqual(self.ping(), 3)

    def test_pause_of_a_paused_tunnel_changes_nothing(self):
        self.a.daemon.ctl("pause t")
        self.a.daemon.ctl("pause t")
        self.a.daemon.ctl("resume t")
        self.assertEqual(self.ping(), 3)

    def test_detached_tunnel_keeps_its_identity(self):
        self.a.daemon.ctl("detach t")
        self.assertEqual(self.state(), "OPER_DETACHED")
        capture = wire.Capture(self.b.space, lab.LINK,
                               "ip src host " + lab.outer(1, "4", 1))
        self.assertEqual(self.ping(count=2, wait=0.2), 0)
        self.assertEqual(capture.stop().frames(), [])
        taken = self.a.daemon.ctl(
            "create thief mode gre local %s remote %s key 42" % (
                lab.outer(1, "4", 1), lab.outer(1, "4", 2)), check=False)
        self.assertEqual(taken.code, 4, taken)
        self.a.daemon.ctl("attach t")
        self.assertEqual(self.state(), "OPER_UP")
        self.assertEqual(self.ping(), 3)

    def test_down_and_up(self):
        index = self.a.space.ifindex("t")
        self.a.daemon.ctl("down t")
        self.assertEqual(self.state(), "OPER_DOWN")
        self.assertEqual(self.ping(count=2, wait=0.2), 0)
        self.assertEqual(self.ping(2), 3)
        self.a.daemon.ctl("up t")
        self.assertEqual(self.ping(), 3)
        self.assertEqual(self.a.space.ifindex("t"), index)

    def flows(self):
        """Numbered datagrams through t and other; ((source, sink), (source, sink))."""
        made = []
        for number in (1, 2):
            target = lab.inner(number, "4", 2)
            sink = traffic.UdpSink(self.b.space, target)
            made.append((traffic.UdpSource(self.a.space, target, sink.port).start(),
                         sink))
        time.sleep(0.2)
        return made

    def finish(self, flow):
        """(sent, lost) of a flow."""
        source, sink = flow
        sent = source.stop()
        lost = sent - sink.wait_for(sent, 2)
        self.assertEqual(sink.bad, 0)
        sink.close()
        return sent, lost

    def test_move_of_one_tunnel_costs_the_other_nothing(self):
        moved, untouched = self.flows()
        before = self.a.daemon.show("t")
        addresses = self.a.space.ip("-o addr show dev t").out
        for number in (3, 4, 5, 1, 3):
            for host in self.pair.hosts:
                host.daemon.ctl("set t local %s remote %s" % (
                    lab.outer(number, "4", host.end),
                    lab.outer(number, "4", 3 - host.end)))
            time.sleep(0.1)
        sent, lost = self.finish(untouched)
        self.assertGreater(sent, 400)
        self.assertEqual(lost, 0)
        sent, lost = self.finish(moved)
        # Lost is only what was sent while the two ends differed.
        self.assertLess(lost, sent)
        after = self.a.daemon.show("t")
        self.assertEqual(after["ifindex"], before["ifindex"])
        self.assertEqual(self.a.space.ip("-o addr show dev t").out, addresses)
        self.assertEqual(self.ping(), 3)

    def test_change_that_keeps_the_identity_loses_nothing(self):
        changed, _ = flows = self.flows()
        for words in ("ttl 9", "tos 40", "ttl inherit", "df off", "ttl 64", "csum",
                      "nocsum", "tos inherit", "df on") * 3:
            self.a.daemon.ctl("set t " + words)
        for flow in flows:
            sent, lost = self.finish(flow)
            self.assertGreater(sent, 200)
            self.assertEqual(lost, 0)

    def test_creation_and_deletion_of_others_loses_nothing(self):
        flows = self.flows()
        for _ in range(5):
            self.pair.create("temp", 6, "gre", options="key 1")
            self.pair.delete("temp")
        for flow in flows:
            self.assertEqual(self.finish(flow)[1], 0)

    def test_setting_what_is_already_set_is_no_change(self):
        client = rpc.Client(self.a.daemon.target)
        tunnel = client.tunnels.GetTunnel(client.messages.GetTunnelRequest(name="t"))
        request = client.messages.UpdateTunnelRequest(tunnel=client.types.Tunnel(
            name="t", local=tunnel.local, remote=tunnel.remote, key=42))
        change = client.tunnels.UpdateTunnel(request)
        self.assertTrue(change.no_op)
        self.assertEqual(change.tunnel.generation, tunnel.generation)
        self.assertEqual(list(change.changes), [])
        request.tunnel.ttl = 9
        change = client.tunnels.UpdateTunnel(request)
        self.assertFalse(change.no_op)
        self.assertEqual([c.field for c in change.changes], ["ttl"])
        self.assertEqual(change.tunnel.generation, tunnel.generation + 1)
        client.close()

    def test_validate_only_has_no_effect(self):
        before = self.a.daemon.show("t")
        self.a.daemon.ctl("set t ttl 9 --dry-run")
        self.a.daemon.ctl("set t local %s remote %s --dry-run" % (
            lab.outer(3, "4", 1), lab.outer(3, "4", 2)))
        self.a.daemon.ctl("delete t --dry-run")
        self.assertEqual(self.a.daemon.show("t"), before)
        refused = self.a.daemon.ctl("set t local %s remote %s nokey --dry-run" % (
            lab.outer(2, "6", 1), lab.outer(2, "4", 2)), check=False)
        self.assertEqual(refused.code, 2, refused)
        self.assertEqual(self.ping(), 3)

    def test_mtu_txqueuelen_and_addresses_change_in_place(self):
        index = self.a.space.ifindex("t")
        self.a.daemon.ctl("set t mtu 1300 txqueuelen 77 address 10.99.0.1/24 "
                          "address fd99::1/64")
        link = self.a.space.ip("link show dev t").out
        self.assertIn("mtu 1300", link)
        self.assertIn("qlen 77", link)
        addresses = self.a.space.ip("-o addr show dev t").out
        self.assertIn("10.99.0.1/24", addresses)
        self.assertIn("fd99::1/64", addresses)
        self.assertNotIn(lab.inner(1, "4", 1), addresses)
        self.assertEqual(self.a.space.ifindex("t"), index)
        self.a.daemon.ctl("set t mtu auto")
        self.assertEqual(self.a.daemon.show("t")["effective_mtu"], 1500 - 28)


if __name__ == "__main__":
    runner.main()
