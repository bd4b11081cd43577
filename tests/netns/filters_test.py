"""Who may send into a tunnel: allowed inner sources, a remote that is any host,
and sources that no host has. Each refusal is counted once, under its reason."""

import os
import sys

sys.path.insert(0, os.path.abspath(os.path.join(os.path.dirname(__file__), "../..")))

from tests.lib import lab, packets, process, runner, traffic

COUNT = 3  # how often each packet is sent
_PROTOCOL = {"4": 4, "6": 41}
_ANY = 2  # the number of the tunnels that have no remote
_NOBODY = {"4": "10.200.0.1", "6": "fd99::1"}  # so that nothing answers


def inner_packet(family, source, target):
    data = packets.udp(source, target, 9, 9, b"x" * 20)
    make = {"4": packets.ipv4, "6": packets.ipv6}[family]
    return make(source, target, 17, data)


class Filters(lab.PairCase):
    TUNNELS, QUIET = 3, True

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.sender = packets.RawSender(cls.b.space)

    @classmethod
    def tearDownClass(cls):
        cls.sender.close()
        super().tearDownClass()

    def send(self, packet):
        for _ in range(COUNT):
            self.sender.send(packet)

    def outer(self, outer, inner, payload, source=None, number=1):
        make = {"4": packets.ipv4, "6": packets.ipv6}[outer]
        return make(source or lab.outer(number, outer, 2), lab.outer(number, outer, 1),
                    _PROTOCOL[inner], payload)

    def expect(self, name, received, drops):
        """Exactly so many packets received and dropped since the start."""
        def seen():
            stats = self.a.daemon.stats(name)
            return stats["receive_packets"], stats["drops"]
        try:
            process.wait_until(lambda: seen() == (received, drops))
        except AssertionError:
            self.assertEqual(seen(), (received, drops))

    def test_inner_sources(self):
        """Prefixes of both families; the longest one that covers is as good as
        any other, and an empty list allows all."""
        self.a.daemon.ctl(
            "create g mode gif local %s remote %s address 10.77.1.1/24 "
            "allowed-ips 10.77.1.0/25 allowed-ips 10.77.1.200/32 "
            "allowed-ips fd77:1::/64" % (lab.outer(1, "4", 1), lab.outer(1, "4", 2)))
        received = dropped = 0
        for source, allowed in (
                ("10.77.1.2", True), ("10.77.1.127", True), ("10.77.1.128", False),
                ("10.77.1.200", True), ("10.77.1.201", False), ("10.9.9.9", False),
                ("fd77:1::2", True), ("fd77:1:0:1::2", False), ("fe80::2", False)):
            family = "6" if ":" in source else "4"
            self.send(self.outer("4", family, inner_packet(
                family, source, _NOBODY[family])))
            received, dropped = ((received + COUNT, dropped) if allowed else
                                 (received, dropped + COUNT))
            self.expect("g", received, {"wrong_source": dropped} if dropped else {})
        shown = self.a.daemon.show("g")
        self.assertEqual(shown["allowed_ips"],
                         ["10.77.1.0/25", "10.77.1.200/32", "fd77:1::/64"])
        # Another list, and none, in place.
        packet = self.outer("4", "4", inner_packet("4", "10.9.9.9", _NOBODY["4"]))
        for words in ("allowed-ips 10.9.0.0/16", "noallowed-ips"):
            self.a.daemon.ctl("set g " + words)
            self.send(packet)
            received += COUNT
            self.expect("g", received, {"wrong_source": dropped})

    def test_any_remote(self):
        """It receives from every host what no tunnel with that very remote takes,
        and transmits nothing."""
        for outer, any_words in (("4", "mode gre key 7"), ("6", "mode gre key 7")):
            local = lab.outer(1, outer, 1)
            self.a.daemon.ctl("create any local %s remote any address 10.77.2.1/24 %s" % (
                local, any_words))
            shown = self.a.daemon.show("any")
            self.assertEqual(shown["remote"], "any")
            self.assertEqual(shown["oper_state"], "OPER_UP", shown)
            self.assertIn("receive-only", shown["oper_reason"])
            self.a.daemon.ctl("create exact mode gre key 7 local %s remote %s" % (
                local, lab.outer(1, outer, 2)))
            make = {"4": packets.ipv4, "6": packets.ipv6}[outer]
            payload = packets.gre(0x0800, inner_packet("4", "10.77.2.2", _NOBODY["4"]),
                                  key=7)
            for number, name in ((1, "exact"), (2, "any"), (3, "any")):
                self.send(make(lab.outer(number, outer, 2), local, 47, payload))
                self.expect(name, COUNT * max(1, number - 1), {})
            self.expect("exact", COUNT, {})
            again = self.a.daemon.ctl(
                "create again mode gre key 7 local %s remote any" % local, check=False)
            self.assertEqual(again.code, 4, again)
            self.assertIn('"any"', again.err)
            self.assertEqual(traffic.ping(self.a.space, "10.77.2.2", 3, wait=0.1), 0)
            self.expect("any", 2 * COUNT, {"no_route": 3})
            self.a.daemon.ctl("delete exact any")

    def test_outer_sources_that_no_host_has(self):
        """RFC 1812 5.3.7, RFC 4213 3.6."""
        martians = {"4": ("127.0.0.1", "224.0.0.5", "255.255.255.255", "240.0.0.1",
                          "0.0.0.0"),
                    "6": ("::1", "ff02::1", "::")}
        for outer, sources in martians.items():
            self.a.daemon.ctl("create any mode gif local %s remote any" %
                              lab.outer(_ANY, outer, 1))
            payload = inner_packet("4", "10.77.2.2", _NOBODY["4"])
            mac = self.a.space.mac(lab.LINK)
            for sent, source in enumerate(sources, 1):
                packet = self.outer(outer, "4", payload, source, _ANY)
                for _ in range(COUNT):  # the kernel would not route some of them
                    self.sender.send_as_is(packet, lab.LINK, mac)
                self.expect("any", 0, {"martian_source": COUNT * sent})
            self.send(self.outer(outer, "4", payload, number=_ANY))
            self.expect("any", COUNT, {"martian_source": COUNT * len(sources)})
            self.a.daemon.ctl("delete any")

    def test_any_remote_in_udp(self):
        self.a.daemon.ctl("create any mode gif transport udp port 6000 local %s "
                          "remote any address 10.77.2.1/24" % lab.outer(1, "4", 1))
        self.b.daemon.ctl("create t mode gif transport udp port 6000 local %s "
                          "remote %s address 10.77.2.2/24" % (
                              lab.outer(3, "4", 2), lab.outer(1, "4", 1)))
        self.assertEqual(traffic.ping(self.b.space, "10.77.2.1", 3, wait=0.1), 0)
        # Received, and answered into a tunnel that transmits nothing.
        self.expect("any", 3, {"no_route": 3})


if __name__ == "__main__":
    runner.main()
