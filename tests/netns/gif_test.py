"""The cases of NetBSD's t_gif: two routers with a LAN behind each, joined by gif."""

import os
import sys
import time
import unittest

sys.path.insert(0, os.path.abspath(os.path.join(os.path.dirname(__file__), "../..")))

from tests.lib import lab, namespace, rpc, runner, traffic, wire
from tests.lib.process import wait_until

COMBINATIONS = [(i, o) for i in "46" for o in "46"]  # inner, outer
PREFIX = {"4": "/24", "6": "/64"}


def lan(side, family, host):
    """Address in the LAN behind router 1 or 2; host 1 is the router."""
    return ("10.1.%d.%d" if family == "4" else "fd01:%d::%d") % (side, host)


def lan_net(side, family):
    return "10.1.%d.0/24" % side if family == "4" else "fd01:%d::/64" % side


def handled(stats):
    return stats["transmit_packets"] + sum(stats["drops"].values())


class Gif(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.pair = lab.Pair(6)
        cls.hosts = []
        for router in cls.pair.hosts:
            host = namespace.Namespace("lan%d" % router.end)
            namespace.connect(router.space, "lan", host, "eth0")
            for family in "46":
                suffix = PREFIX[family] + (" nodad" if family == "6" else "")
                router.space.ip("addr add %s%s dev lan" % (
                    lan(router.end, family, 1), suffix))
                host.ip("addr add %s%s dev eth0" % (lan(router.end, family, 2), suffix))
                host.ip("-%s route add default via %s" % (
                    family, lan(router.end, family, 1)))
            # A forwarder solicits neighbours from its link-local address.
            router.space.sysctl("net/ipv6/conf/lan/addr_gen_mode", 0)
            router.space.sysctl("net/ipv4/ip_forward", 1)
            router.space.sysctl("net/ipv6/conf/all/forwarding", 1)
            cls.hosts.append(host)

    @classmethod
    def tearDownClass(cls):
        cls.pair.close()

    def tearDown(self):
        for router in self.pair.hosts:
            router.daemon.delete_all()

    def create(self, outer, inner, number=1):
        self.pair.create("gif0", number, "gif", outer)
        for router in self.pair.hosts:
            router.space.ip("-%s route add %s dev gif0" % (
                inner, lan_net(3 - router.end, inner)))

    def ping_lans(self, inner, **options):
        """Replies to one ping each way between hosts of the two LANs."""
        return [traffic.ping(self.hosts[s], lan(2 - s, inner, 2), 2, **options)
                for s in (0, 1)]

    def test_create_destroy(self):
        space, daemon = self.pair.a.space, self.pair.a.daemon
        links = space.links()
        for _ in range(3):
            daemon.ctl("create gif0 mode gif local 198.18.1.1 remote 198.18.1.2")
            self.assertIn("gif0", space.links())
            daemon.ctl("delete gif0")
            self.assertEqual(space.links(), links)
        self.assertEqual(daemon.json("list"), [])

    def basic(self, inner, outer):
        self.create(outer, inner)
        self.assertEqual(self.ping_lans(inner), [2, 2])
        traffic.tcp_transfer(*self.hosts, lan(2, inner, 2))
        self.pair.delete("gif0")
        self.assertEqual(self.ping_lans(inner, wait=0.2), [0, 0])

    def ioctl(self, inner, outer):
        self.create(outer, inner)
        a, b = (h.daemon for h in self.pair.hosts)
        self.assertEqual(self.ping_lans(inner), [2, 2])
        dummy = (lab.outer(2, outer, 1), lab.outer(2, outer, 2))
        a.ctl("create gif1 mode gif local %s remote %s" % dummy)
        before = a.show("gif0")
        move = "set gif0 local %s remote %s" % dummy
        refused = a.ctl(move, check=False)
        self.assertEqual(refused.code, 4, refused)
        self.assertIn("gif1", refused.err)
        self.assertEqual(a.show("gif0")["etag"], before["etag"])
        self.assertEqual(a.show("gif0")["local"], before["local"])
        self.assertEqual(self.ping_lans(inner), [2, 2])
        a.ctl("delete gif1")
        a.ctl(move)
        b.ctl("set gif0 local %s remote %s" % (dummy[1], dummy[0]))
        self.assertEqual(a.show("gif0")["remote"], dummy[1])
        self.assertEqual(a.show("gif0")["ifindex"], before["ifindex"])
        self.assertEqual(self.ping_lans(inner), [2, 2])

    def test_refusal_carries_the_holder(self):
        self.create("4", "4")
        client = rpc.Client(self.pair.a.daemon.target)
        request = client.messages.CreateTunnelRequest(tunnel=client.types.Tunnel(
            name="gif9", mode=client.types.GIF, local=lab.outer(1, "4", 1),
            remote=lab.outer(1, "4", 2)))
        code, info, _ = client.failure(client.tunnels.CreateTunnel, request)
        client.close()
        self.assertEqual((code, info.reason, info.domain),
                         ("ALREADY_EXISTS", "ENDPOINT_PAIR_IN_USE", "tunneld"))
        self.assertEqual(info.metadata["tunnel"], "gif0")
        self.assertEqual(info.metadata["local"], lab.outer(1, "4", 1))
        self.assertEqual(info.metadata["remote"], lab.outer(1, "4", 2))

    def nested(self, family):
        """gif1 over gif0 and gif2 over gif1, as t_gif's recursive cases have it."""
        self.pair.create("gif0", 1, "gif", family)
        for level in (1, 2):
            for router in self.pair.hosts:
                ends = [lab.inner(level, family, e)
                        for e in (router.end, 3 - router.end)]
                router.daemon.ctl("create gif%d mode gif local %s remote %s %s" % (
                    level, *ends, lab.inner_words(level + 1, "46", router.end)))
        capture = wire.Capture(self.pair.b.space, lab.LINK)
        for inner in "46":
            traffic.ping(self.pair.a.space, lab.inner(3, inner, 2), 3, wait=0.3)
        frames = capture.stop().frames()
        self.assertLess(len(frames), 40)
        self.assertEqual(capture.bad(), [])
        # The innermost tunnel has not broken the outermost one.
        self.assertEqual(traffic.ping(self.pair.a.space, lab.inner(1, family, 2)), 3)

    def own_loop(self, family):
        """The route to the remote end leads into the tunnel itself."""
        space, daemon = self.pair.a.space, self.pair.a.daemon
        self.pair.create("gif0", 1, "gif", family)
        remote = lab.outer(1, family, 2) + {"4": "/32", "6": "/128"}[family]
        space.ip("-%s route add %s dev gif0" % (family, remote))
        capture = wire.Capture(self.pair.b.space, lab.LINK)
        traffic.ping(space, lab.inner(1, "4", 2), 5, wait=0.3)
        # The five have not become many, and have come to rest.
        first = handled(daemon.stats("gif0"))
        time.sleep(0.5)
        self.assertLess(first, 60)
        self.assertLess(handled(daemon.stats("gif0")) - first, 5)
        self.assertLess(len(capture.stop().frames()), 60)
        space.ip("-%s route del %s dev gif0" % (family, remote))
        wait_until(lambda: traffic.ping(space, lab.inner(1, "4", 2)) == 3)

    def test_nested_gif_over_ipv4_does_not_loop(self):
        self.nested("4")

    def test_nested_gif_over_ipv6_does_not_loop(self):
        self.nested("6")

    def test_route_into_itself_over_ipv4_does_not_loop(self):
        self.own_loop("4")

    def test_route_into_itself_over_ipv6_does_not_loop(self):
        self.own_loop("6")


def _add_cases():
    for inner, outer in COMBINATIONS:
        for kind in ("basic", "ioctl"):
            setattr(Gif, "test_%s_ipv%soveripv%s" % (kind, inner, outer),
                    lambda self, k=kind, i=inner, o=outer: getattr(self, k)(i, o))


_add_cases()

if __name__ == "__main__":
    runner.main()
