"""Two hosts, one link, a tunneld on each: what most tests stand on.

Many tunnels live side by side. Tunnel number N (1 to 60) runs between the outer
addresses 198.18.N.1 and 198.18.N.2 (fd18:N::1 and ::2), and has the inner ones
10.77.N.1 and .2 (fd77:N::1 and ::2) at its ends.
"""

import unittest

from tests.lib import namespace
from tests.lib.daemon import Daemon

LINK = "u0"


def outer(number, family, end):
    """Outer address of end 1 or 2, "4" or "6"."""
    return ("198.18.%d.%d" if family == "4" else "fd18:%d::%d") % (number, end)


def inner(number, family, end):
    return ("10.77.%d.%d" if family == "4" else "fd77:%d::%d") % (number, end)


class Host:
    """A namespace of the pair, and its daemon once started."""

    def __init__(self, name, end):
        self.space = namespace.Namespace(name)
        self.end = end
        self.daemon = None
        # No packets but those of the test: no link-local address, no solicitation.
        self.space.sysctl("net/ipv6/conf/default/addr_gen_mode", 1)
        self.space.sysctl("net/ipv6/conf/default/router_solicitations", 0)

    def add_outer(self, numbers):
        """Gives the link the outer addresses of these tunnels."""
        for family, suffix in (("4", "/24"), ("6", "/64 nodad")):
            self.space.batch(["addr add %s%s dev %s" % (
                outer(n, family, self.end), suffix, LINK) for n in numbers])


class Pair:
    """Hosts `a` and `b` with outer addresses for `count` tunnels each."""

    def __init__(self, count, offload=False, mtu=1500, flags=(), start=True):
        self.a, self.b = Host("a", 1), Host("b", 2)
        namespace.connect(self.a.space, LINK, self.b.space, LINK, offload, mtu)
        self.hosts = (self.a, self.b)
        for host in self.hosts:
            host.add_outer(range(1, count + 1))
            if start:
                host.daemon = Daemon(host.space, flags)

    def create(self, name, number, mode, family="4", options="", options_b=None,
               carries="46"):
        """The same tunnel on both hosts, with inner addresses of the families it
        carries; `options_b` replaces `options` on host b."""
        for host in self.hosts:
            words = options if host is self.a or options_b is None else options_b
            host.daemon.ctl("create %s mode %s local %s remote %s %s %s" % (
                name, mode, outer(number, family, host.end),
                outer(number, family, 3 - host.end),
                inner_words(number, carries, host.end), words))

    def merge_on_receive(self):
        """Single packets cross the link; the receiver's kernel merges what it can."""
        for host in self.hosts:
            namespace.disable_offload(host.space, LINK)
            host.space.run(["ethtool", "-K", LINK, "gro", "on"])

    def delete(self, name):
        for host in self.hosts:
            host.daemon.ctl("delete %s" % name)

    def close(self):
        """Stops the daemons and deletes the namespaces."""
        for host in self.hosts:
            if host.daemon and host.daemon.child:
                host.daemon.stop()
            host.space.delete()


class PairCase(unittest.TestCase):
    """Test cases on one pair, without a tunnel at the start of each."""

    TUNNELS = 4    # outer addresses for so many
    FLAGS = ()     # of the daemons
    QUIET = False  # exact counts: the kernel's own IPv6 says nothing on a tunnel

    @classmethod
    def setUpClass(cls):
        cls.pair = Pair(cls.TUNNELS, flags=cls.FLAGS)
        cls.a, cls.b = cls.hosts = cls.pair.hosts
        if cls.QUIET:
            for host in cls.hosts:
                host.space.sysctl("net/ipv6/conf/default/disable_ipv6", 1)

    @classmethod
    def tearDownClass(cls):
        cls.pair.close()

    def tearDown(self):
        for host in self.pair.hosts:
            host.daemon.delete_all()


def inner_words(number, carries, end):
    """The words that give a tunnel its inner addresses."""
    words = []
    if "4" in carries:
        words.append("address %s/24" % inner(number, "4", end))
    if "6" in carries:
        words.append("address %s/64" % inner(number, "6", end))
    return " ".join(words)
