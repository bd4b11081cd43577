"""Packets that no correct peer sends: each is dropped once, under its reason,
and nothing of it comes out of a tunnel."""

import os
import sys
import unittest

sys.path.insert(0, os.path.abspath(os.path.join(os.path.dirname(__file__), "../..")))

from tests.lib import lab, packets, rpc, runner, traffic
from tests.lib.process import wait_until

KEYED, PLAIN, NUMBERED, GIF, IPIP, NOBODY, GRE6 = range(1, 8)
NAMES = {KEYED: "keyed", PLAIN: "plain", NUMBERED: "numbered", GIF: "gif0",
         IPIP: "ipip0", GRE6: "gre6"}
COUNT = 3  # how often each packet is sent


def inner_packet(number, tos=0):
    source, target = lab.inner(number, "4", 2), lab.inner(number, "4", 1)
    return packets.ipv4(source, target, 17,
                        packets.udp(source, target, 9, 9, b"x" * 20), tos)


def outer_packet(number, protocol, payload, tos=0, source=None):
    return packets.ipv4(source or lab.outer(number, "4", 2), lab.outer(number, "4", 1),
                        protocol, payload, tos)


def gre_packet(number, protocol=0x0800, **options):
    return outer_packet(number, 47, packets.gre(protocol, inner_packet(number),
                                                **options))


class Drops(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.pair = lab.Pair(GRE6)
        for host in cls.pair.hosts:
            host.space.sysctl("net/ipv6/conf/default/disable_ipv6", 1)
        create = cls.pair.create
        create("keyed", KEYED, "gre", options="key 42", carries="4")
        create("plain", PLAIN, "gre", carries="4")
        create("numbered", NUMBERED, "gre", options="seq", carries="4")
        create("gif0", GIF, "gif", carries="4")
        create("ipip0", IPIP, "ipip", carries="4")
        create("gre6", GRE6, "gre", "6", carries="4")
        cls.sender = packets.RawSender(cls.pair.b.space)
        cls.client = rpc.Client(cls.pair.a.daemon.target)

    @classmethod
    def tearDownClass(cls):
        cls.client.close()
        cls.sender.close()
        cls.pair.close()

    def counts(self):
        """({reason: drops of all tunnels and of none}, packets received)."""
        reply = self.client.telemetry.GetStats(
            self.client.messages.GetStatsRequest(), timeout=60)
        total = {}
        for drops in [reply.unmatched_drops] + [t.receive_drops for t in reply.tunnels]:
            for reason, count in drops.items():
                total[reason] = total.get(reason, 0) + count
        return total, sum(t.receive_packets for t in reply.tunnels)

    def expect(self, reason, *sent, each=COUNT, received=0):
        """Sends the packets, each `each` times; exactly that many drops of this
        reason, none of any other."""
        before, packets_before = self.counts()
        for packet in sent:
            for _ in range(each):
                self.sender.send(packet)
        wanted = dict(before)
        wanted[reason] = wanted.get(reason, 0) + len(sent) * each - received
        try:
            wait_until(lambda: self.counts()[0] == wanted)
        except AssertionError:
            self.assertEqual(self.counts()[0], wanted)
        self.assertEqual(self.counts()[1], packets_before + received)

    def test_wrong_gre_checksum(self):
        self.expect("bad_gre_checksum", gre_packet(PLAIN, wrong_checksum=True),
                    gre_packet(KEYED, key=42, wrong_checksum=True))

    def test_right_gre_checksum_that_nobody_asked_for_is_accepted(self):
        before = self.counts()[1]
        self.sender.send(gre_packet(PLAIN, with_checksum=True))
        wait_until(lambda: self.counts()[1] == before + 1)

    def test_key_missing(self):
        self.expect("key_missing", gre_packet(KEYED))

    def test_key_unexpected(self):
        self.expect("key_unexpected", gre_packet(PLAIN, key=42),
                    gre_packet(PLAIN, key=0))

    def test_key_mismatch(self):
        self.expect("key_mismatch", gre_packet(KEYED, key=43), gre_packet(KEYED, key=0))

    def test_version_of_pptp(self):
        self.expect("bad_version", gre_packet(PLAIN, flags=1))

    def test_source_route(self):
        self.expect("unsupported_flags", gre_packet(PLAIN, flags=0x4000))

    def test_unknown_payload(self):
        self.expect("unknown_protocol", gre_packet(PLAIN, protocol=0x9999),
                    gre_packet(PLAIN, protocol=0x6558))

    def test_old_sequence_numbers(self):
        self.expect("out_of_order", gre_packet(NUMBERED, sequence=1000), received=1)
        self.expect("out_of_order", gre_packet(NUMBERED, sequence=999),
                    gre_packet(NUMBERED, sequence=1), gre_packet(NUMBERED))

    def test_congestion_mark_on_a_packet_that_cannot_bear_it(self):
        self.expect("ecn_illegal", outer_packet(GIF, 4, inner_packet(GIF), tos=3))

    def test_wrong_source(self):
        self.expect("wrong_source",
                    outer_packet(PLAIN, 47, packets.gre(0x0800, inner_packet(PLAIN)),
                                 source=lab.outer(NOBODY, "4", 2)),
                    outer_packet(GIF, 4, inner_packet(GIF),
                                 source=lab.outer(NOBODY, "4", 2)))

    def test_no_tunnel(self):
        self.expect("no_tunnel", gre_packet(NOBODY),
                    outer_packet(NOBODY, 4, inner_packet(NOBODY)))

    def test_inner_header_cut_short(self):
        self.expect("truncated", outer_packet(GIF, 4, inner_packet(GIF)[:12]),
                    outer_packet(PLAIN, 47, packets.gre(0x0800, b"")),
                    outer_packet(PLAIN, 47, b"\x20\x00"))

    def test_damaged_outer_header(self):
        packet = bytearray(gre_packet(PLAIN))
        packet[10] ^= 1  # header checksum
        before, received = self.counts()
        mac = self.pair.a.space.mac(lab.LINK)
        for _ in range(COUNT):
            self.sender.send_as_is(bytes(packet), lab.LINK, mac)
        wanted = dict(before)
        wanted["bad_outer_checksum"] = wanted.get("bad_outer_checksum", 0) + COUNT
        wait_until(lambda: self.counts() == (wanted, received), what="drops are counted")

    def test_over_ipv6(self):
        def over6(payload):
            return packets.ipv6(lab.outer(GRE6, "6", 2), lab.outer(GRE6, "6", 1), 47,
                                payload)
        inner = inner_packet(GRE6)
        self.expect("bad_gre_checksum",
                    over6(packets.gre(0x0800, inner, wrong_checksum=True)))
        self.expect("key_unexpected", over6(packets.gre(0x0800, inner, key=1)))
        self.expect("unsupported_flags", over6(packets.gre(0x0800, inner,
                                                           flags=0x4000)))

    def test_tunnels_still_work(self):
        for number, name in NAMES.items():
            if number == NUMBERED:  # its peer is a thousand numbers behind
                continue
            target = lab.inner(number, "4", 1)
            self.assertEqual(traffic.ping(self.pair.b.space, target), 3, name)


if __name__ == "__main__":
    runner.main()
