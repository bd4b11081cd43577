"""The kernel's fast path under the configuration protocol: what it carries, that
pause and detach hold there, that turning from and to the user path loses and
reorders nothing, and that it follows the underlay."""

import os
import signal
import sys
import time
import unittest

sys.path.insert(0, os.path.abspath(os.path.join(os.path.dirname(__file__), "../..")))

from tests.lib import lab, namespace, runner, traffic
from tests.lib.daemon import Daemon
from tests.lib.fast_case import RATE, FastCase
from tests.lib.process import wait_until


class FastPath(FastCase):
    MODES = [("gre", "4", "", "46"), ("gre", "4", "key 7", "46"),
             ("gre", "6", "ikey 1 okey 2", "46"), ("gif", "4", "", "46"),
             ("gif", "6", "", "46"), ("ipip", "4", "ttl 9 tos 0x10", "4"),
             ("gre", "4", "transport udp noudpcsum ikey 1 okey 2", "46"),
             ("gif", "4", "transport udp noudpcsum", "46")]

    def test_packets_pass_below_the_workers(self):
        for number, (mode, family, options, carries) in enumerate(self.MODES, 1):
            mirrored = options.replace("ikey 1 okey 2", "ikey 2 okey 1")
            self.pair.create("t%d" % number, number, mode, family,
                             options + " datapath bpf", mirrored + " datapath bpf",
                             carries)
        for number, (mode, family, options, carries) in enumerate(self.MODES, 1):
            with self.subTest(mode=mode, outer=family, options=options):
                name = "t%d" % number
                for host in self.hosts:
                    self.assert_fast(name, host)
                # The first packet of each direction turns it.
                for inner in carries:
                    self.ping(number, inner, count=1)
                before = [host.daemon.stats(name) for host in self.hosts]
                workers = self.workers()
                for inner in carries:
                    self.assertEqual(self.ping(number, inner), 3)
                self.assertEqual(self.workers(), workers)
                count, size = 3 * len(carries), 0
                for inner in carries:
                    size += 3 * (56 + (28 if inner == "4" else 48))
                for host, then in zip(self.hosts, before):
                    now = host.daemon.stats(name)
                    for way in ("receive", "transmit"):
                        for what, want in (("packets", count), ("bytes", size)):
                            key = "%s_%s" % (way, what)
                            self.assertEqual(now[key] - then[key], want, key)
                    self.assertEqual(now["drops"], {})
        traffic.tcp_transfer(self.a.space, self.b.space, lab.inner(1, "4", 2), 4 << 20)
        traffic.tcp_transfer(self.b.space, self.a.space, lab.inner(5, "6", 1), 4 << 20)

    def test_counters_only_rise_when_the_path_changes(self):
        self.pair.create("t", 1, "gre", options="datapath bpf", carries="4")
        total = 0
        for path in ("user", "bpf", "user", "bpf"):
            for host in self.hosts:
                host.daemon.ctl("set t datapath %s" % path)
            self.assertEqual(self.ping(1), 3)
            total += 3
            for host in self.hosts:
                stats = host.daemon.stats("t")
                self.assertEqual((stats["transmit_packets"], stats["receive_packets"]),
                                 (total, total))
                self.assertIn("last_receive_time", host.daemon.json("stats", "t")[0])

    def test_what_it_does_not_carry_goes_the_user_path(self):
        for number, options, why in ((1, "csum", "checksum is on"),
                                     (2, "seq", "seq is on"),
                                     (3, "mss-clamp auto", "mss-clamp is set")):
            self.pair.create("t", number, "gre", options=options + " datapath user",
                             carries="4")
            refused = self.a.daemon.ctl("set t datapath bpf", check=False)
            self.assertNotEqual(refused.code, 0)
            self.assertIn(why, refused.err)
            self.assertEqual(self.in_use("t"), ("DATAPATH_USER", "datapath is user"))
            self.assertEqual(self.ping(number), 3)
            self.pair.delete("t")

    def test_packets_that_are_too_large_are_answered_by_the_workers(self):
        self.pair.create("t", 1, "gre", options="datapath bpf mtu 1600 df on",
                         carries="4")
        self.assertEqual(self.ping(1, size=1400), 3)
        before = self.passed("t")
        self.assertEqual(self.ping(1, size=1500, df="do", wait=0.5), 0)
        drops = self.a.daemon.stats("t")["drops"]
        self.assertEqual(drops.keys(), {"too_big"})
        self.assertEqual(self.passed("t") - before, drops["too_big"])
        self.assertIn("tunnel_transmit_passed_packets_total{tunnel=\"t\"} %d\n" %
                      self.passed("t"), self.a.daemon.ctl("metrics").out)
        self.assertIn("t tx passed by bpf %d\n" % self.passed("t"),
                      self.a.daemon.ctl("stats -d").out)

    def test_from_tunnel_to_tunnel(self):
        """Host b forwards between two tunnels, both on the fast path."""
        for name, number in (("t", 1), ("u", 2)):
            self.pair.create(name, number, "gre", options="datapath bpf", carries="4")
        for number in (1, 2):
            self.assertEqual(self.ping(number), 3)
        far = "10.99.0.1"
        self.b.space.sysctl("net/ipv4/ip_forward", 1)
        self.a.space.ip("route add %s dev t" % far)
        self.b.space.ip("route add %s dev u" % far)
        workers = self.workers()
        source = traffic.UdpSource(self.a.space, far, 9)
        source.send(10)
        wait_until(lambda: self.a.daemon.stats("u")["receive_packets"] == 13,
                   what="they come back by the other tunnel")
        self.assertEqual(source.stop(), 10)
        self.assertEqual(self.b.daemon.stats("u")["transmit_packets"], 13)
        self.assertEqual(self.workers(), workers)


class Protocol(FastCase):
    WORDS, FIELDS = "", ""  # of both tunnels: for tunnelctl, in a file

    def setUp(self):
        self.pair.create("t", 1, "gre", options="key 42 datapath bpf" + self.WORDS,
                         carries="4")
        self.pair.create("other", 2, "gre", options="datapath bpf" + self.WORDS,
                         carries="4")
        for number in (1, 2):
            self.assertEqual(self.ping(number), 3)

    def test_nothing_leaves_after_pause_and_nothing_is_lost(self):
        source, sink = self.flow(1, rate=400)
        for _ in range(5):
            time.sleep(0.1)
            self.a.daemon.ctl("pause t")
            sent = self.a.daemon.stats("t")["transmit_packets"]
            time.sleep(0.1)
            self.assertEqual(self.a.daemon.stats("t")["transmit_packets"], sent)
            self.a.daemon.ctl("resume t")
        time.sleep(0.1)
        self.assert_fast("t")
        self.assert_whole(source, sink, 200)
        self.assertGreater(self.a.daemon.stats("t")["transmit_packets"], 200)

    def test_nothing_comes_in_after_detach(self):
        source, _ = self.flow(1)
        self.addCleanup(source.stop)
        time.sleep(0.1)
        for _ in range(3):
            self.b.daemon.ctl("detach t")
            self.assertEqual(self.in_use("t", self.b),
                             ("DATAPATH_USER", "detached by an operator"))
            count = self.b.daemon.stats("t")["receive_packets"]
            time.sleep(0.1)
            self.assertEqual(self.b.daemon.stats("t")["receive_packets"], count)
            self.b.daemon.ctl("attach t")
            wait_until(lambda c=count: self.b.daemon.stats("t")["receive_packets"] > c,
                       what="packets come in again")
            self.assert_fast("t", self.b)

    def test_the_path_changes_under_traffic(self):
        """Either end, both ways, without a packet lost, doubled or overtaken."""
        source, sink = self.flow(1)
        for _ in range(6):
            for host in self.hosts:
                for path in ("user", "bpf"):
                    host.daemon.ctl("set t datapath %s" % path)
                    time.sleep(0.05)
        self.assert_fast("t")
        workers = self.workers()
        time.sleep(0.1)
        self.assertEqual(self.workers(), workers, "it has turned")
        self.assert_whole(source, sink, RATE)

    def test_a_change_costs_the_other_tunnel_nothing(self):
        source, sink = self.flow(2)
        for end, host in enumerate(self.hosts, 1):
            host.daemon.ctl("set t local %s remote %s" % (
                lab.outer(3, "4", end), lab.outer(3, "4", 3 - end)))
            host.daemon.ctl("set t key 43")
            host.daemon.ctl("set t ttl 9")
        self.assertEqual(self.ping(1), 3)
        self.assert_fast("t")
        self.assert_whole(source, sink, RATE / 10)

    def test_an_overlap_loses_nothing(self):
        source, sink = self.flow(1, rate=400)
        for host in self.hosts:
            host.daemon.ctl("set t key 43 --overlap 1500ms")
        for host in self.hosts:
            wait_until(lambda h=host: "overlap_until" not in h.daemon.show("t"),
                       what="the overlap ends")
        self.assert_fast("t")
        self.assert_whole(source, sink, 400)

    def test_tunnels_swap_their_pairs(self):
        path = os.path.join(self.a.daemon.directory, "swap.toml")
        with open(path, "w") as swap:
            for name, number, key in (("t", 2, ""), ("other", 1, "key = 42\n")):
                swap.write('[[tunnel]]\nname = "%s"\nmode = "gre"\nlocal = "%s"\nremote = "%s"\n'
                           'datapath = "bpf"\naddress = ["%s/24"]\n%s%s' % (
                               name, lab.outer(number, "4", 1), lab.outer(number, "4", 2),
                               lab.inner(number, "4", 1), key, self.FIELDS))
        self.a.daemon.ctl("apply", "-f", path)
        for number in (1, 2):
            self.assertEqual(self.ping(number), 3)
        self.assert_fast("t")
        self.assert_fast("other")


class ProtocolInUdp(Protocol):
    WORDS = " transport udp noudpcsum"
    FIELDS = 'transport = "udp"\nnoudpcsum = true\n'


class Surroundings(FastCase):
    def setUp(self):
        self.pair.create("t", 1, "gre", options="datapath bpf", carries="4")
        self.assertEqual(self.ping(1), 3)
        self.assert_fast("t")

    def wait_for(self, path, why=""):
        wait_until(lambda: self.in_use("t") == (path, why),
                   what="%s %s, not %s" % (path, why, self.in_use("t")))

    def test_the_route_goes_and_comes(self):
        prefix = lab.outer(1, "4", 0) + "/24"
        self.a.space.ip("route del %s dev %s" % (prefix, lab.LINK))
        self.wait_for("DATAPATH_USER", "no route to the remote")
        self.a.space.ip("route add %s dev %s" % (prefix, lab.LINK))
        self.wait_for("DATAPATH_BPF")
        self.assertEqual(self.ping(1), 3)

    def test_a_rule_of_policy_routing_is_followed(self):
        namespace.connect(self.a.space, "v0", self.b.space, "v0")
        self.addCleanup(self.a.space.ip, "link del v0")
        for host in self.hosts:
            host.space.ip("addr add 10.50.0.%d/24 dev v0" % host.end)
        remote = lab.outer(1, "4", 2)
        self.a.space.ip("route add %s via 10.50.0.2 dev v0 table 100" % remote)
        self.a.daemon.ctl("set t ttl 9")  # the route itself has been looked at
        rule = "to %s lookup 100 pref 100" % remote

        def leaves_by_the_other_link():
            before = self.a.space.sent("v0")
            self.assertEqual(self.ping(1), 3)
            return self.a.space.sent("v0") - before >= 3
        self.a.space.ip("rule add " + rule)
        wait_until(leaves_by_the_other_link, what="the rule is followed")
        self.wait_for("DATAPATH_BPF")
        self.a.space.ip("rule del " + rule)
        wait_until(lambda: not leaves_by_the_other_link(), what="and its end")

    def test_the_mtu_of_the_route_counts(self):
        prefix = lab.outer(1, "4", 0) + "/24"
        self.a.daemon.ctl("set t mtu 1476 df on")
        self.assertEqual(self.ping(1, size=1440), 3)
        self.a.space.ip("route change %s dev %s mtu 1400" % (prefix, lab.LINK))
        wait_until(lambda: self.ping(1, size=1440, count=1, wait=0.2) == 0,
                   what="what is too large is no longer sent")
        self.assertIn("too_big", self.a.daemon.stats("t")["drops"])
        self.assertEqual(self.ping(1, size=1300), 3)
        self.a.space.ip("route change %s dev %s" % (prefix, lab.LINK))
        wait_until(lambda: self.ping(1, size=1440, count=1, wait=0.5) == 1,
                   what="and is sent again")

    def test_ipsec_policies_are_not_passed_by(self):
        words = "dir out src 203.0.113.1 dst 203.0.113.2"
        self.a.space.ip("xfrm policy add %s tmpl proto esp" % words)
        self.addCleanup(self.a.space.ip, "xfrm policy flush", check=False)
        self.wait_for("DATAPATH_USER", "IPsec policies are in force")
        self.assertEqual(self.ping(1), 3)
        self.a.space.ip("xfrm policy delete %s" % words)
        self.wait_for("DATAPATH_BPF")

    def test_the_local_address_goes(self):
        address = "%s/24" % lab.outer(1, "4", 1)
        self.a.space.ip("addr del %s dev %s" % (address, lab.LINK))
        wait_until(lambda: self.in_use("t")[0] == "DATAPATH_USER", what="it stops")
        self.a.space.ip("addr add %s dev %s" % (address, lab.LINK))
        self.wait_for("DATAPATH_BPF")
        self.assertEqual(self.ping(1), 3)

    def test_a_removed_device_fails_its_tunnel_alone(self):
        self.pair.create("other", 2, "gre", options="datapath bpf", carries="4")
        self.a.space.ip("link del dev t")
        wait_until(lambda: self.a.daemon.show("t")["oper_state"] == "OPER_FAILED",
                   what="the tunnel fails")
        self.assertEqual(self.in_use("t"), ("DATAPATH_USER", "it has no device"))
        self.assertGreaterEqual(self.a.daemon.stats("t")["transmit_packets"], 3)
        self.assertEqual(self.ping(2), 3)
        self.a.daemon.ctl("delete t")
        self.pair.create("u", 3, "gre", options="datapath bpf", carries="4")
        self.assertEqual(self.ping(3), 3)

    def test_a_killed_daemon_takes_its_devices_over(self):
        self.a.daemon.stop(signal.SIGKILL)
        self.a.daemon.start()
        self.wait_fast("t")
        self.assertEqual(self.ping(1), 3)
        workers = self.clients[1].telemetry.GetStats(
            self.clients[1].messages.GetStatsRequest()).workers
        self.assertEqual(self.ping(1), 3)
        self.assertEqual(list(self.clients[1].telemetry.GetStats(
            self.clients[1].messages.GetStatsRequest()).workers), list(workers))

    def test_nothing_stays_when_the_daemon_ends(self):
        """What the peer sends reaches no program: the kernel's own stack sees it."""
        before = self.a.space.snmp("Ip", "InReceives")
        self.assertEqual(self.a.daemon.stop(), 0)
        try:
            source = traffic.UdpSource(self.b.space, lab.inner(1, "4", 1), 9)
            source.send(20)
            wait_until(lambda: self.a.space.snmp("Ip", "InReceives") >= before + 20,
                       what="the outer packets pass the hooks")
            source.stop()
        finally:
            self.a.daemon.start()
        self.wait_fast("t")
        self.assertEqual(self.ping(1), 3)


class Capability(unittest.TestCase):
    """A daemon that may not load programs."""

    def test_auto_falls_back_and_bpf_is_refused(self):
        space = namespace.Namespace("nobpf")
        space.ip("link add u0 type veth peer name u1")
        for name in ("u0", "u1"):
            space.ip("link set %s up" % name)
        space.ip("addr add 198.18.1.1/24 dev u0")
        for missing in ("bpf", "perfmon"):
            with self.subTest(missing=missing):
                self.try_without(space, missing)

    def try_without(self, space, missing):
        drop = ["setpriv", "--bounding-set=-%s,-sys_admin" % missing]
        daemon = Daemon(space, ["--datapath=auto"], prefix=drop)
        try:
            ends = "local 198.18.1.1 remote 198.18.1.2"
            daemon.ctl("create t mode gre %s" % ends)
            tunnel = daemon.show("t")
            self.assertEqual(tunnel["datapath_in_use"], "DATAPATH_USER")
            self.assertIn("CAP_BPF", tunnel["datapath_reason"])
            for words in ("set t datapath bpf",
                          "create u mode gre %s key 1 datapath bpf" % ends):
                refused = daemon.ctl(words, check=False)
                self.assertNotEqual(refused.code, 0)
                self.assertIn("CAP_BPF", refused.err)
            self.assertEqual([t["name"] for t in daemon.json("list")], ["t"])
            self.assertEqual(daemon.show("t")["datapath"], "DATAPATH_AUTO")
            daemon.ctl("delete t")
        finally:
            daemon.stop()


if __name__ == "__main__":
    runner.main()
