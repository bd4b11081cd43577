"""Tunnels that follow the address of an interface, and a host that changes
faster than the daemon can read."""

import os
import signal
import sys
import time

sys.path.insert(0, os.path.abspath(os.path.join(os.path.dirname(__file__), "../..")))

from tests.lib import lab, namespace, runner, traffic
from tests.lib.process import wait_until

ROUTES = 10000
# By family: the addresses of host a in turn, that of host b, length, inner ones.
PLAN = {
    "4": (["203.0.113.%d" % i for i in (1, 5, 6, 7)], "203.0.113.200", 24),
    "6": (["fdee::%d" % i for i in (1, 5, 6, 7)], "fdee::200", 64),
}


class LocalDevice(lab.PairCase):
    """Host a's tunnels use whatever address its interface e0 has."""

    TUNNELS = 1

    def setUp(self):
        self.connect()

    def tearDown(self):
        super().tearDown()
        self.a.space.ip("link del e0", check=False)

    def connect(self):
        namespace.connect(self.a.space, "e0", self.b.space, "e0")
        for _, far, length in PLAN.values():
            self.b.space.ip("addr add %s/%d dev e0%s" % (
                far, length, " nodad" if ":" in far else ""))

    def address(self, verb, family, number):
        addresses, _, length = PLAN[family]
        nodad = " nodad" if family == "6" and verb == "add" else ""
        self.a.space.ip("addr %s %s/%d dev e0%s" % (
            verb, addresses[number], length, nodad))

    def create(self, name, number, family):
        addresses, far, _ = PLAN[family]
        self.a.daemon.ctl("create %s mode gre local dev:e0 remote %s key %d %s" % (
            name, far, number, lab.inner_words(number, "46", 1)))
        self.b.daemon.ctl("create %s mode gre local %s remote %s key %d %s" % (
            name, far, addresses[0], number, lab.inner_words(number, "46", 2)))

    def ping(self, number, count=3, **options):
        return traffic.ping(self.a.space, lab.inner(number, "4", 2), count, **options)

    def wait_for_local(self, name, address):
        wait_until(lambda: self.a.daemon.show(name).get("effective_local") == address
                   and self.a.daemon.show(name)["oper_state"] == "OPER_UP",
                   what="%s has %s" % (name, address))

    def wait_down(self, name, reason):
        wait_until(lambda: reason in self.a.daemon.show(name).get("oper_reason", ""),
                   what="%s: %s" % (name, reason))
        self.assertEqual(self.a.daemon.show(name)["oper_state"], "OPER_DOWN")

    def follow(self, name, number, family):
        addresses = PLAN[family][0]
        before = self.a.daemon.show(name)
        self.assertEqual(before["local"], "dev:e0")
        self.assertEqual(before["oper_reason"], "e0 has no IPv%s address" % family)
        self.assertEqual(before.get("effective_local", ""), "")
        self.address("add", family, 0)
        self.wait_for_local(name, addresses[0])
        self.assertEqual(self.ping(number), 3)

        # As DHCP does it: the old one goes, a new one comes.
        sink = traffic.UdpSink(self.b.space, lab.inner(number, "4", 2))
        source = traffic.UdpSource(self.a.space, lab.inner(number, "4", 2), sink.port,
                                   rate=300).start()
        self.address("del", family, 0)
        self.wait_down(name, "e0 has no IPv%s address" % family)
        self.address("add", family, 1)
        self.wait_for_local(name, addresses[1])
        self.b.daemon.ctl("set %s remote %s" % (name, addresses[1]))
        self.assertEqual(self.ping(number), 3)
        # Make before break: one more address changes nothing until it is the only one.
        self.address("add", family, 2)
        self.assertEqual(self.ping(number), 3)
        self.a.space.sysctl("net/ipv4/conf/e0/promote_secondaries", 1)
        self.address("del", family, 1)
        self.wait_for_local(name, addresses[2])
        self.b.daemon.ctl("set %s remote %s" % (name, addresses[2]))
        self.assertEqual(self.ping(number), 3)
        last = source.stop(more=1) - 1
        wait_until(lambda: last in sink.numbers, what="the flow goes on")
        self.assertEqual(sink.numbers, sorted(set(sink.numbers)))
        self.assertEqual(sink.bad, 0)
        sink.close()
        after = self.a.daemon.show(name)
        for field in ("etag", "generation", "ifindex", "local"):
            self.assertEqual(after[field], before[field], field)

    def test_follows_an_ipv4_address(self):
        self.create("d4", 4, "4")
        self.follow("d4", 4, "4")

    def test_follows_an_ipv6_address(self):
        self.create("d6", 6, "6")
        self.follow("d6", 6, "6")

    def test_interface_goes_and_comes_back(self):
        self.create("d4", 4, "4")
        self.address("add", "4", 0)
        self.wait_for_local("d4", PLAN["4"][0][0])
        self.a.space.ip("link del e0")
        self.wait_down("d4", "e0 has no IPv4 address")
        self.connect()
        self.address("add", "4", 0)
        self.wait_for_local("d4", PLAN["4"][0][0])
        wait_until(lambda: self.ping(4, 1, wait=0.2) == 1, what="traffic is back")

    def test_held_pair_is_waited_for(self):
        self.create("d4", 4, "4")
        addresses, far, _ = PLAN["4"]
        self.a.daemon.ctl("create holder mode gre local %s remote %s key 4" % (
            addresses[3], far))
        self.address("add", "4", 0)
        self.wait_for_local("d4", addresses[0])
        self.address("del", "4", 0)
        self.address("add", "4", 3)
        self.wait_down("d4", '"holder"')
        self.a.daemon.ctl("delete holder")
        self.wait_for_local("d4", addresses[3])
        self.b.daemon.ctl("set d4 remote " + addresses[3])
        self.assertEqual(self.ping(4), 3)


class Overrun(lab.PairCase):
    """More events than the daemon's socket holds."""

    TUNNELS = 3

    def lost_messages(self):
        """Messages that the kernel could not give to netlink sockets here."""
        with self.a.space.entered():
            with open("/proc/thread-self/net/netlink") as f:
                return sum(int(line.split()[8]) for line in f.readlines()[1:])

    def state(self, name):
        return self.a.daemon.show(name)["oper_state"]

    def test_what_was_lost_is_looked_up(self):
        for number, name in ((1, "gone"), (2, "moved"), (3, "other")):
            self.pair.create(name, number, "gre")
        child = self.a.daemon.child
        # The child is `ip netns exec`, which has become the daemon.
        child.send_signal(signal.SIGSTOP)
        try:
            routes = ["route %s 10.%d.%d.0/24 dev lo" % (verb, 100 + i // 250, i % 250)
                      for verb in ("add", "del") for i in range(ROUTES)]
            self.a.space.batch(routes + routes[:ROUTES])
            self.a.space.ip("link del dev gone")
            self.a.space.ip("addr del %s/24 dev u0" % lab.outer(2, "4", 1))
        finally:
            child.send_signal(signal.SIGCONT)
        begin = time.monotonic()
        wait_until(lambda: self.state("gone") == "OPER_FAILED"
                   and self.state("moved") == "OPER_DOWN", what="all is noticed", step=0.005)
        took = time.monotonic() - begin
        print("        resync among %d routes: %.0f ms" % (ROUTES, took * 1000))
        self.assertGreater(self.lost_messages(), 0)
        self.assertIn("removed", self.a.daemon.show("gone")["oper_reason"])
        self.assertIn(lab.outer(2, "4", 1), self.a.daemon.show("moved")["oper_reason"])
        self.assertEqual(traffic.ping(self.a.space, lab.inner(3, "4", 2)), 3)
        # Events are followed again.
        self.a.space.ip("addr add %s/24 dev u0" % lab.outer(2, "4", 1))
        wait_until(lambda: self.state("moved") == "OPER_UP")
        self.assertEqual(traffic.ping(self.a.space, lab.inner(2, "4", 2)), 3)
        self.a.daemon.ctl("delete gone")


if __name__ == "__main__":
    runner.main()
