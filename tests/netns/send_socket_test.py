"""--send_socket: outer packets go straight to the next hop on the link, which is
followed while traffic flows, and those received are kept from the IP stack; as it is
by default, while no rule is there for them."""

import os
import sys
import time

sys.path.insert(0, os.path.abspath(os.path.join(os.path.dirname(__file__), "../..")))

from tests.lib import lab, runner, traffic, wire
from tests.lib.process import wait_until

# name, mode, outer family, options
TUNNELS = [("g4", "gre", "4", "key 7 csum seq"), ("f6", "gif", "6", ""),
           ("t4", "gretap", "4", ""), ("u4", "gre", "4", "transport udp")]


class SendCase(lab.PairCase):
    TUNNELS = len(TUNNELS)

    def setUp(self):
        for number, (name, mode, family, options) in enumerate(TUNNELS, 1):
            self.pair.create(name, number, mode, family, options)

    def next_hop(self, host, name):
        return host.daemon.show(name).get("next_hop", "")

    def next_hop_reason(self, host, name):
        return host.daemon.show(name).get("next_hop_reason", "")

    def wait_for_next_hops(self):
        """Tunnels learn them by the first packets, which the kernel sends."""
        for number, (name, *_) in enumerate(TUNNELS, 1):
            traffic.ping(self.a.space, lab.inner(number, "4", 2), 1)
            for host, other in ((self.a, self.b), (self.b, self.a)):
                want = "%s dev %s" % (other.space.mac(lab.LINK), lab.LINK)
                wait_until(lambda: self.next_hop(host, name) == want,
                           what="next hop of %s: %s" % (name, want))


class SendSocket(SendCase):
    FLAGS = ("--send_socket=packet",)

    def sent_by_ip(self):
        """Packets that the IP layer of host a has sent, of either version."""
        return (self.a.space.snmp("Ip", "OutRequests") +
                self.a.space.snmp6("Ip6OutRequests"))

    def sent_by_tunnels(self):
        return sum(self.a.daemon.stats(name)["transmit_packets"] for name, *_ in TUNNELS)

    def test_packets_pass_by_the_ip_layer_and_are_whole(self):
        self.wait_for_next_hops()
        self.assertIn("next hop", self.a.daemon.ctl("show -d g4").out)
        capture = wire.Capture(self.b.space, lab.LINK, "ip or ip6")
        before, inner = self.sent_by_ip(), self.sent_by_tunnels()
        for number in range(1, len(TUNNELS) + 1):
            target = lab.inner(number, "4", 2)
            self.assertEqual(traffic.ping(self.a.space, target, 50), 50)
            traffic.tcp_transfer(self.a.space, self.b.space, target, 256 * 1024)
        capture.stop()
        self.assertEqual(capture.bad(), [])
        outer = len([f for f in capture.frames() if f.first("ip.src") == lab.outer(1, "4", 1)])
        self.assertGreater(outer, 200)
        # The inner packets are the host's own; the outer ones would double them.
        inner = self.sent_by_tunnels() - inner
        self.assertGreater(inner, 400)
        self.assertLess(self.sent_by_ip() - before, 1.3 * inner)

    def test_neighbour_with_another_address_is_followed_under_load(self):
        self.wait_for_next_hops()
        target = lab.inner(1, "4", 2)
        sink = traffic.UdpSink(self.b.space, target)
        source = traffic.UdpSource(self.a.space, target, sink.port, rate=500).start()
        wait_until(lambda: len(sink.numbers) > 50, what="traffic flows")
        fresh = "02:00:00:00:77:01"
        self.b.space.ip("link set %s address %s" % (lab.LINK, fresh))
        # As an address that moves announces itself.
        for number, (_, _, family, _) in enumerate(TUNNELS, 1):
            self.a.space.ip("neigh replace %s lladdr %s dev %s nud reachable" % (
                lab.outer(number, family, 2), fresh, lab.LINK))
        wait_until(lambda: self.next_hop(self.a, "g4").startswith(fresh), what="followed")
        seen = len(sink.numbers)
        wait_until(lambda: len(sink.numbers) > seen + 50, what="traffic goes on")
        last = source.stop(more=1) - 1
        wait_until(lambda: last in sink.numbers, what="the last packet")
        self.assertEqual(sink.numbers, sorted(set(sink.numbers)))
        sink.close()

    def test_rewiring_under_load_loses_nothing(self):
        self.wait_for_next_hops()
        target = lab.inner(2, "4", 2)
        sink = traffic.UdpSink(self.b.space, target)
        source = traffic.UdpSource(self.a.space, target, sink.port, rate=1000, sink=sink).start()
        wait_until(lambda: len(sink.numbers) > 100, what="traffic flows")
        for remote in (lab.outer(1, "4", 2), lab.outer(4, "4", 2)) * 5:
            self.a.daemon.ctl("set g4 remote %s" % remote)
            self.a.daemon.ctl("set f6 ttl %d" % (40 + len(sink.numbers) % 100))
        sent = source.stop(more=1)
        wait_until(lambda: len(sink.numbers) >= sent, what="all %d arrive" % sent)
        self.assertEqual(sink.numbers, list(range(sent)))
        sink.close()

    def test_link_that_goes_down_and_comes_back(self):
        self.wait_for_next_hops()
        self.a.space.sysctl("net/ipv6/conf/%s/keep_addr_on_down" % lab.LINK, 1)
        self.a.space.ip("link set %s down" % lab.LINK)
        wait_until(lambda: self.next_hop(self.a, "g4") == "", what="it is forgotten")
        self.a.space.ip("link set %s up" % lab.LINK)
        wait_until(lambda: traffic.ping(self.a.space, lab.inner(1, "4", 2), 1, wait=0.2) == 1,
                   what="traffic is back")
        wait_until(lambda: self.next_hop(self.a, "g4") != "", what="it is known again")

    def test_rules_do_not_matter(self):
        self.wait_for_next_hops()
        with Rule(self.a.space, "counter"):
            time.sleep(0.5)  # more than two looks
            self.assertNotEqual(self.next_hop(self.a, "g4"), "")
            self.assertEqual(self.next_hop_reason(self.a, "g4"), "")

    def test_raw_is_the_kernels_way(self):
        self.a.daemon.stop()
        self.a.daemon.flags = ["--send_socket=raw"]
        self.a.daemon.start()
        try:
            wait_until(lambda: traffic.ping(self.a.space, lab.inner(1, "4", 2), 1, wait=0.2) == 1,
                       what="the tunnel is back")
            self.assertEqual(self.next_hop(self.a, "g4"), "")
            self.assertNotEqual(self.next_hop(self.b, "g4"), "")
        finally:
            self.a.daemon.stop()
            self.a.daemon.flags = list(self.FLAGS)
            self.a.daemon.start()


class Rule:
    """A rule for what a host sends of protocol 47, such as "counter drop", for a time."""

    def __init__(self, space, what):
        self.space = space
        self.what = what

    def nft(self, *words):
        return self.space.run(["nft", *words]).out

    def __enter__(self):
        self.nft("add table ip watch")
        self.nft("add chain ip watch out { type filter hook output priority 0; }")
        self.nft("add rule ip watch out meta l4proto gre %s" % self.what)
        return self

    def __exit__(self, *_):
        self.nft("delete table ip watch")

    def packets(self):
        words = self.nft("list chain ip watch out").split()
        return int(words[words.index("packets") + 1])


class SendAsItIs(SendCase):
    """Without the flag: --send_socket=auto."""

    def wait_for_the_kernel(self):
        why = "chain watch/out of nftables"
        wait_until(lambda: self.next_hop_reason(self.a, "g4") == why, what=why)
        self.assertEqual(self.next_hop(self.a, "g4"), "")
        self.assertIn(", next hop by the kernel (%s)\n" % why,
                      self.a.daemon.ctl("show -d g4").out)

    def test_rule_that_drops_drops(self):
        self.wait_for_next_hops()
        target = lab.inner(1, "4", 2)
        with Rule(self.a.space, "counter drop") as rule:
            self.wait_for_the_kernel()
            self.assertEqual(traffic.ping(self.a.space, target, 5, wait=0.2), 0)
            self.assertGreaterEqual(rule.packets(), 5)
        self.wait_for_next_hops()
        self.assertEqual(traffic.ping(self.a.space, target, 5), 5)

    def test_rules_that_come_and_go_cost_no_packet(self):
        self.wait_for_next_hops()
        target = lab.inner(1, "4", 2)
        sink = traffic.UdpSink(self.b.space, target)
        source = traffic.UdpSource(self.a.space, target, sink.port, rate=1000, sink=sink).start()
        wait_until(lambda: len(sink.numbers) > 100, what="traffic flows")
        for _ in range(3):
            with Rule(self.a.space, "counter") as rule:
                self.wait_for_the_kernel()
                seen = rule.packets()
                wait_until(lambda: rule.packets() > seen + 50, what="the rule sees packets")
            wait_until(lambda: self.next_hop(self.a, "g4") != "", what="straight again")
        sent = source.stop(more=1)
        wait_until(lambda: len(sink.numbers) >= sent, what="all %d arrive" % sent)
        self.assertEqual(sink.numbers, list(range(sent)))
        sink.close()

    def stack_receives(self, number):
        """Packets that the IP stack of host b gets for each ping through a tunnel."""
        def received():
            return (self.b.space.snmp("Ip", "InReceives") +
                    self.b.space.snmp6("Ip6InReceives"))
        before = received()
        self.assertEqual(traffic.ping(self.a.space, lab.inner(number, "4", 2), 20), 20)
        return (received() - before) / 20

    def test_outer_packets_are_kept_from_the_stack_while_there_are_no_rules(self):
        self.wait_for_next_hops()
        for number, (name, *_) in enumerate(TUNNELS, 1):
            wait_until(lambda: self.stack_receives(number) < 1.5, what="inner ones alone: " + name)
        with Rule(self.b.space, "counter"):
            for number, (name, *_) in enumerate(TUNNELS, 1):
                wait_until(lambda: self.stack_receives(number) > 1.8,
                           what="outer ones too: " + name)
        wait_until(lambda: self.stack_receives(1) < 1.5, what="inner ones alone again")

    def test_tunnel_that_is_gone_leaves_its_packets_to_the_stack(self):
        self.wait_for_next_hops()
        wait_until(lambda: self.stack_receives(1) < 1.5, what="inner ones alone")
        before = self.b.space.snmp("Ip", "InReceives")
        self.b.daemon.ctl("delete g4")
        self.assertEqual(traffic.ping(self.a.space, lab.inner(1, "4", 2), 5, wait=0.2), 0)
        self.assertGreaterEqual(self.b.space.snmp("Ip", "InReceives") - before, 5)

    def test_rule_that_is_there_at_the_start_sees_every_packet(self):
        with Rule(self.a.space, "counter") as rule:
            self.a.daemon.stop()
            self.a.daemon.start()
            target = lab.inner(1, "4", 2)
            wait_until(lambda: traffic.ping(self.a.space, target, 1, wait=0.2) == 1,
                       what="the tunnel is back")
            self.wait_for_the_kernel()
            seen, sent = rule.packets(), self.a.daemon.stats("g4")["transmit_packets"]
            self.assertEqual(traffic.ping(self.a.space, target, 20), 20)
            self.assertGreaterEqual(rule.packets() - seen, 20)
            self.assertEqual(rule.packets() - seen,
                             self.a.daemon.stats("g4")["transmit_packets"] - sent)


if __name__ == "__main__":
    runner.main()
