"""GRE keys: two directions, key 0 beside no key, strangers refused."""

import os
import sys
import unittest

sys.path.insert(0, os.path.abspath(os.path.join(os.path.dirname(__file__), "../..")))

from tests.lib import daemon, lab, namespace, runner, traffic, wire


class Keys(lab.PairCase):
    TUNNELS, QUIET = 8, True

    def create(self, name, pair_number, inner_number, options, options_b=None):
        """Like Pair.create, with inner addresses apart from the outer ones."""
        for host in self.pair.hosts:
            words = options if host is self.pair.a or options_b is None else options_b
            host.daemon.ctl("create %s mode gre local %s remote %s %s %s" % (
                name, lab.outer(pair_number, "4", host.end),
                lab.outer(pair_number, "4", 3 - host.end),
                lab.inner_words(inner_number, "4", host.end), words))

    def ping(self, inner_number, count=3, **options):
        return traffic.ping(self.pair.a.space, lab.inner(inner_number, "4", 2),
                            count, **options)

    def test_each_direction_has_its_own_key(self):
        self.create("g", 1, 1, "ikey 1 okey 2", "ikey 2 okey 1")
        capture = wire.Capture(self.pair.b.space, lab.LINK, "ip proto 47")
        self.assertEqual(self.ping(1), 3)
        frames = capture.stop().frames()
        keys = {(f.first("ip.src"), f.number("gre.key")) for f in frames}
        self.assertEqual(keys, {(lab.outer(1, "4", 1), 2), (lab.outer(1, "4", 2), 1)})
        shown = self.pair.a.daemon.show("g")
        self.assertEqual((shown["input_key"], shown["output_key"]), (1, 2))

    def test_key_in_one_direction_only(self):
        self.create("g", 1, 1, "okey 7", "ikey 7")
        capture = wire.Capture(self.pair.b.space, lab.LINK, "ip proto 47")
        self.assertEqual(self.ping(1), 3)
        keys = {(f.first("ip.src"), f.number("gre.key"))
                for f in capture.stop().frames()}
        self.assertEqual(keys, {(lab.outer(1, "4", 1), 7),
                                (lab.outer(1, "4", 2), None)})

    def test_key_zero_and_no_key_between_one_pair(self):
        options = {"none": "", "zero": "key 0", "seven": "key 7", "max": "key 4294967295"}
        for number, (name, words) in enumerate(options.items(), 1):
            self.create(name, 1, number, words)
        for number, name in enumerate(options, 1):
            self.assertEqual(self.ping(number, number), number, name)
        for number, name in enumerate(options, 1):
            for host in self.pair.hosts:
                stats = host.daemon.stats(name)
                self.assertEqual(stats["receive_packets"], number, name)
                self.assertEqual(stats["transmit_packets"], number, name)
                self.assertEqual(stats["drops"], {}, name)
        # Present and 0 is shown, absent is not.
        self.assertEqual(self.pair.a.daemon.show("zero")["key"], 0)
        self.assertNotIn("key", self.pair.a.daemon.show("none"))

    def test_other_key_does_not_pass(self):
        for options, options_b in (("key 5", "key 6"), ("key 5", ""), ("", "key 0"),
                                   ("key 0", "")):
            self.create("g", 2, 2, options, options_b)
            self.assertEqual(self.ping(2, 2, wait=0.2), 0, (options, options_b))
            self.assertEqual(self.pair.b.daemon.stats("g")["receive_packets"], 0)
            self.pair.delete("g")

    def test_key_changes_on_both_ends(self):
        self.create("g", 3, 3, "key 42")
        index = self.pair.a.space.ifindex("g")
        self.assertEqual(self.ping(3), 3)
        for key in ("key 43", "key 0", "nokey", "key 42"):
            self.pair.a.daemon.ctl("set g " + key)
            self.assertEqual(self.ping(3, 1, wait=0.2), 0, key)
            self.pair.b.daemon.ctl("set g " + key)
            self.assertEqual(self.ping(3), 3, key)
        self.assertEqual(self.pair.a.space.ifindex("g"), index)

    def test_same_key_twice_is_refused_by_name(self):
        self.create("first", 4, 4, "key 9")
        result = self.pair.a.daemon.ctl(
            "create second mode gre local %s remote %s key 9" % (
                lab.outer(4, "4", 1), lab.outer(4, "4", 2)), check=False)
        self.assertEqual(result.code, 4, result)
        self.assertIn("first", result.err)
        self.assertEqual(self.ping(4), 3)
        self.assertNotIn("second", self.pair.a.space.links())


class ManyHosts(unittest.TestCase):
    """A third host with the same inner addresses does not disturb the two."""

    def test_packets_of_another_source_are_refused(self):
        pair = lab.Pair(2)
        other = namespace.Namespace("c")
        namespace.connect(pair.a.space, "u1", other, lab.LINK)
        pair.a.space.ip("addr add 198.18.200.1/24 dev u1")
        other.ip("addr add 198.18.200.3/24 dev u0")
        other.ip("route add 198.18.1.0/24 via 198.18.200.1")
        pair.create("g", 1, "gre", options="key 1")
        stranger = daemon.Daemon(other)
        stranger.ctl("create g mode gre local 198.18.200.3 remote %s key 1 "
                     "address 10.77.1.2/24" % lab.outer(1, "4", 1))
        self.assertEqual(traffic.ping(other, lab.inner(1, "4", 1), 2, wait=0.2), 0)
        self.assertEqual(traffic.ping(pair.b.space, lab.inner(1, "4", 1), 2), 2)
        stranger.stop()
        pair.close()


if __name__ == "__main__":
    runner.main()
