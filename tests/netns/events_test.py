"""What happens around a tunnel: its addresses, links and devices come and go."""

import os
import sys
import time

sys.path.insert(0, os.path.abspath(os.path.join(os.path.dirname(__file__), "../..")))

from tests.lib import lab, runner, traffic, wire
from tests.lib.process import wait_until

TUNNELS = "ip proto 4 or ip proto 41 or ip proto 47 or ip6 proto 4 or ip6 proto 41"


class Events(lab.PairCase):
    def setUp(self):
        self.pair.create("t", 1, "gre")
        self.pair.create("t6", 2, "gif", "6")
        self.pair.create("other", 3, "gif")

    def ping(self, number, count=3, **options):
        return traffic.ping(self.a.space, lab.inner(number, "4", 2), count, **options)

    def wait_for_state(self, name, state):
        wait_until(lambda: self.a.daemon.show(name)["oper_state"] == state,
                   what="%s is %s" % (name, state))

    def lose_address(self, name, number, family, suffix):
        address = lab.outer(number, family, 1) + suffix
        self.assertEqual(self.ping(number), 3)
        self.a.space.ip("addr del %s dev %s" % (address, lab.LINK))
        self.wait_for_state(name, "OPER_DOWN")
        self.assertIn(lab.outer(number, family, 1),
                      self.a.daemon.show(name)["oper_reason"])
        capture = wire.Capture(self.b.space, lab.LINK, TUNNELS)
        self.assertEqual(self.ping(number, 3, wait=0.2), 0)
        # Not with the lost address, and not with any other.
        self.assertEqual(capture.stop().frames(), [])
        self.assertEqual(self.ping(3), 3)
        nodad = " nodad" if family == "6" else ""
        self.a.space.ip("addr add %s dev %s%s" % (address, lab.LINK, nodad))
        self.wait_for_state(name, "OPER_UP")
        self.assertEqual(self.a.daemon.show(name).get("oper_reason", ""), "")
        self.assertEqual(self.ping(number), 3)

    def test_local_ipv4_address_goes_and_comes_back(self):
        self.lose_address("t", 1, "4", "/24")

    def test_local_ipv6_address_goes_and_comes_back(self):
        self.lose_address("t6", 2, "6", "/64")

    def test_tunnel_made_before_its_address_waits_for_it(self):
        self.a.daemon.ctl("create early mode gre local 198.18.99.1 remote 198.18.99.2")
        shown = self.a.daemon.show("early")
        self.assertEqual(shown["oper_state"], "OPER_DOWN")
        self.assertIn("198.18.99.1", shown["oper_reason"])
        self.a.space.ip("addr add 198.18.99.1/24 dev u0")
        self.wait_for_state("early", "OPER_UP")
        self.a.space.ip("addr del 198.18.99.1/24 dev u0")
        self.wait_for_state("early", "OPER_DOWN")

    def test_underlay_link_goes_down_and_up(self):
        for _ in range(3):
            self.a.space.ip("link set u0 down")
            self.assertEqual(self.ping(1, 2, wait=0.1), 0)
            self.a.space.ip("link set u0 up")
            wait_until(lambda: self.ping(1, 1, wait=0.2) == 1, what="traffic is back")
        # The kernel took the IPv6 addresses away with the link.
        for number in range(1, 5):
            self.a.space.ip("addr replace %s/64 dev u0 nodad" %
                            lab.outer(number, "6", 1))
        wait_until(lambda: self.ping(2, 1, wait=0.2) == 1, what="over IPv6 as well")

    def test_deleted_device_fails_its_tunnel_alone(self):
        flow = traffic.UdpSink(self.b.space, lab.inner(3, "4", 2))
        source = traffic.UdpSource(self.a.space, lab.inner(3, "4", 2), flow.port)
        source.start()
        self.a.space.ip("link del dev t")
        self.wait_for_state("t", "OPER_FAILED")
        self.assertTrue(self.a.daemon.show("t")["oper_reason"])
        sent = source.stop()
        self.assertEqual(flow.wait_for(sent), sent)
        flow.close()
        self.assertEqual(self.ping(2), 3)
        # The daemon still serves: the failed one goes, a new one takes its place.
        self.a.daemon.ctl("delete t")
        self.a.daemon.ctl("create t mode gre local %s remote %s %s" % (
            lab.outer(1, "4", 1), lab.outer(1, "4", 2), lab.inner_words(1, "46", 1)))
        self.assertEqual(self.ping(1), 3)

    def test_device_set_down_by_somebody_else(self):
        self.a.space.ip("link set dev t down")
        self.assertEqual(traffic.ping(self.b.space, lab.inner(1, "4", 1), 2, wait=0.2), 0)
        self.assertEqual(self.ping(3), 3)
        self.a.space.ip("link set dev t up")
        self.assertEqual(traffic.ping(self.b.space, lab.inner(1, "4", 1)), 3)

    def test_daemon_rests_without_traffic(self):
        self.a.space.ip("link set u0 down")
        begin = cpu_seconds(self.a.daemon.child.pid)
        time.sleep(1)
        used = cpu_seconds(self.a.daemon.child.pid) - begin
        self.a.space.ip("link set u0 up")
        self.assertLess(used, 0.1)
        for number in range(1, 5):
            self.a.space.ip("addr replace %s/64 dev u0 nodad" %
                            lab.outer(number, "6", 1))


def cpu_seconds(pid):
    with open("/proc/%d/stat" % pid) as f:
        fields = f.read().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


if __name__ == "__main__":
    runner.main()
