"""Tunnels that lead into themselves, or into each other."""

import os
import sys

sys.path.insert(0, os.path.abspath(os.path.join(os.path.dirname(__file__), "../..")))

from tests.lib import lab, packets, runner, traffic
from tests.lib.process import wait_until


# The kernel itself sends now and then (neighbour discovery, group reports): a
# sum of bytes is taken again. What loops does so each time.
TRIES = 6


def bytes_sent(space, interface):
    """Bytes that the kernel has handed to an interface."""
    with space.entered():
        with open("/proc/thread-self/net/dev") as f:
            rows = dict(line.split(":") for line in f.readlines()[2:])
    return int({k.strip(): v for k, v in rows.items()}[interface].split()[8])


class Loops(lab.PairCase):
    TUNNELS = 3

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.space, cls.daemon = cls.a.space, cls.a.daemon

    def state(self, name):
        return self.daemon.show(name)["oper_state"]

    def wait_state(self, name, state):
        wait_until(lambda: self.state(name) == state, what="%s is %s" % (name, state))

    def test_route_into_the_tunnel_itself(self):
        for mode, family in (("gif", "4"), ("gre", "6")):
            self.pair.create("t", 1, mode, family, carries="4")
            remote = lab.outer(1, family, 2)
            self.assertEqual(traffic.ping(self.space, lab.inner(1, "4", 2)), 3)
            self.space.ip("-%s route add %s dev t" % (family, remote))
            self.wait_state("t", "OPER_LOOP")
            self.assertEqual(self.daemon.show("t")["oper_reason"],
                             "the route to %s leads into the tunnel itself" % remote)
            sent = int(self.daemon.stats("t")["transmit_packets"])
            for attempt in range(1, TRIES + 1):
                before = bytes_sent(self.space, lab.LINK)
                self.assertEqual(
                    traffic.ping(self.space, lab.inner(1, "4", 2), wait=0.1), 0)
                after = self.daemon.stats("t")
                self.assertEqual(after["transmit_packets"], sent)
                self.assertEqual(after["drops"], {"recursion": 3 * attempt})
                if bytes_sent(self.space, lab.LINK) == before:
                    break
            else:
                self.fail("something was sent in each of %d tries" % TRIES)
            # A change of it does not let it out either.
            self.daemon.ctl("set t ttl 9")
            self.assertEqual(self.state("t"), "OPER_LOOP")
            self.space.ip("-%s route del %s dev t" % (family, remote))
            self.wait_state("t", "OPER_UP")
            self.assertEqual(traffic.ping(self.space, lab.inner(1, "4", 2)), 3)
            self.pair.delete("t")

    def test_two_tunnels_routed_into_each_other(self):
        for transport in ("", "transport udp"):
            for name, number in (("one", 1), ("two", 2)):
                # Of its own the MTU of each would follow that of the other one,
                # down to the floor.
                self.daemon.ctl(
                    "create %s mode gre local %s remote 198.18.9.%d mtu 1400 %s %s" % (
                        name, lab.outer(number, "4", 1), number,
                        lab.inner_words(number, "4", 1), transport))
            self.space.ip("route add 198.18.9.1 dev two")
            self.space.ip("route add 198.18.9.2 dev one")
            inner = packets.ipv4(lab.inner(1, "4", 1), lab.inner(1, "4", 2), 253, b"x" * 980)
            overhead = 32 if transport else 24
            totals = []
            for _ in range(TRIES):
                totals.append(self.cross(inner))
                # What was sent, and once more in one outer header: nowhere else.
                if totals[-1] == 2 * len(inner) + overhead:
                    break
            else:
                self.fail("bytes sent in each try: %s" % totals)
            # Beyond the packet itself, less than its size twice is on any wire.
            self.assertLess(totals[-1] - len(inner), 2 * len(inner))
            self.daemon.delete_all()

    def cross(self, inner):
        """Sends one packet into the crossed tunnels; all bytes that went out."""
        devices = (lab.LINK, "one", "two")
        refused = lambda: sum(self.daemon.stats(n)["drops"].get("recursion", 0)
                              for n in ("one", "two"))
        drops = refused()
        before = sum(bytes_sent(self.space, d) for d in devices)
        sender = packets.RawSender(self.space)
        sender.send(inner)
        sender.close()
        wait_until(lambda: refused() > drops, what="the nested packet is refused")
        return sum(bytes_sent(self.space, d) for d in devices) - before


if __name__ == "__main__":
    runner.main()
