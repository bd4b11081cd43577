"""What outlives the daemon: an orderly end, a kill, a reboot of nothing but the
daemon. Devices, addresses and routes stay and are taken over; what belongs to
others is left alone; what can not be brought back is said."""

import os
import signal
import sys
import unittest

sys.path.insert(0, os.path.abspath(os.path.join(os.path.dirname(__file__), "../..")))

from tests.lib import crash, lab, process, runner, traffic
from tests.lib.daemon import Daemon
from tests.lib.process import wait_until

ADDRESSES = "local 198.18.1.1 remote 198.18.1.2"


class Restart(unittest.TestCase):
    def setUp(self):
        self.pair = lab.Pair(4)
        self.a, self.b = self.pair.hosts
        self.links = self.a.space.links()

    def tearDown(self):
        self.pair.close()

    def remake(self):
        """Stops host a's daemon and starts it again with an empty log."""
        self.assertEqual(self.a.daemon.stop(), 0)
        open(self.a.daemon.log, "w").close()
        self.a.daemon.start()

    def routes(self):
        """All of them; "linkdown" only says that nobody holds the device now."""
        return [self.a.space.ip("-%s route show" % f).out.replace(" linkdown", "")
                for f in "46"]

    def test_an_orderly_restart_changes_nothing(self):
        for number, mode in ((1, "gre"), (2, "gif"), (3, "gretap")):
            self.pair.create("t%d" % number, number, mode, options="mtu 1300")
        a = self.a
        a.space.ip("addr add 10.99.0.1/32 dev t1")
        a.space.ip("route add 10.50.0.0/16 dev t1")
        a.space.ip("-6 route add fd50::/16 dev t2")
        a.daemon.ctl("pause t3")
        before, routes = crash.State(a.daemon), self.routes()
        self.assertEqual(a.daemon.stop(), 0, a.daemon.log_text())
        self.assertEqual(a.space.links(), self.links + ["t1", "t2", "t3"])
        self.assertEqual(self.routes(), routes)
        a.daemon.start()
        after = crash.State(a.daemon)
        self.assertTrue(after.same(before), "%s\n%s" % (before, after))
        self.assertEqual(self.routes(), routes)
        self.assertIn("adopted=3 made_again=0 failed=0", a.daemon.log_text())
        self.assertEqual(a.daemon.show("t3")["oper_state"], "OPER_PAUSED")
        a.daemon.ctl("resume t3")
        for number in (1, 2, 3):
            for family in "46":
                self.assertEqual(traffic.ping(
                    a.space, lab.inner(number, family, 2)), 3, (number, family))
        # Our addresses are known as ours, the one of others is left alone.
        a.daemon.ctl("set t1 address 10.77.1.9/24")
        links = crash.State(a.daemon).links
        self.assertEqual(links["t1"][2], ["10.77.1.9/24", "10.99.0.1/32"])
        a.daemon.delete_all()
        self.assertEqual(a.space.links(), self.links)

    def test_without_a_state_directory_tunnels_end_with_the_daemon(self):
        daemon = Daemon(self.a.space, flags=["--state_dir="])
        daemon.ctl("create t mode gre %s" % ADDRESSES)
        self.assertEqual(daemon.stop(), 0)
        self.assertEqual(self.a.space.links(), self.links)
        daemon.start()
        self.assertEqual(daemon.json("list"), [])
        daemon.stop()

    def test_a_device_that_went_is_made_again_and_one_of_others_is_not_touched(self):
        daemon, space = self.a.daemon, self.a.space
        for number, name in enumerate(("gone", "taken", "veth", "tap", "fine")):
            daemon.ctl("create %s mode gre %s key %d address 10.1.%d.1/24" % (
                name, ADDRESSES, number, number))
        index = daemon.show("fine")["ifindex"]
        self.assertEqual(daemon.stop(), 0)
        for name in ("gone", "taken", "veth", "tap"):
            space.ip("link del " + name)
        # The same name: a device that could be ours, of another kind, of another mode.
        space.ip("tuntap add taken mode tun multi_queue vnet_hdr")
        space.ip("link add veth type veth peer name veth2")
        space.ip("tuntap add tap mode tap")
        links = space.ip("-d -o link show").out
        daemon.start()
        self.assertIn("adopted=1 made_again=1 failed=3", daemon.log_text())
        rows = {r["name"]: r for r in daemon.json("list")}
        self.assertEqual(rows["fine"]["ifindex"], index)
        self.assertEqual([n for n, r in sorted(rows.items())
                          if r["oper_state"] == "OPER_FAILED"], ["taken", "tap", "veth"])
        for name in ("taken", "veth", "tap"):
            self.assertIn(name, rows[name]["oper_reason"])
            self.assertIn("ifindex", rows[name]["oper_reason"])

        def others(text):
            return [l for l in text.splitlines()
                    if l.split(": ")[1].split("@")[0] in ("taken", "veth", "veth2", "tap")]

        self.assertEqual(others(space.ip("-d -o link show").out), others(links))
        # They may be given up; their devices stay.
        daemon.ctl("delete taken veth tap")
        self.assertEqual(others(space.ip("-d -o link show").out), others(links))
        self.assertEqual(daemon.show("gone")["oper_state"], "OPER_UP")

    def test_two_daemons_on_one_state_directory(self):
        second = process.run(self.a.daemon.command(), check=False, timeout=60)
        self.assertEqual(second.code, 1)
        self.assertIn("another tunneld uses " + self.a.daemon.directory, second.err)

    def test_a_damaged_store_starts_with_what_is_sound(self):
        a = self.a
        self.pair.create("t1", 1, "gre")
        for number in range(40):
            a.daemon.ctl("create x%d mode gre %s key %d label note=%s" % (
                number, ADDRESSES, number, "x" * 200))
        self.assertEqual(a.daemon.stop(), 0)
        path = os.path.join(a.daemon.directory, "state", "tunneld.db")
        with open(path, "r+b") as store:
            data = store.read()
            place = data.index(b"x17", 8192)
            store.seek(place + 20)
            store.write(bytes([data[place + 20] ^ 0xff]))
        a.daemon.start()
        names = {t["name"] for t in a.daemon.json("list")}
        log = a.daemon.log_text()
        self.assertIn("stored configuration is damaged", log)
        self.assertIn(path + ".damaged-1", log)
        self.assertIn("t1", names)
        self.assertGreater(len(names), 30)
        for number in range(40):
            if "x%d" % number not in names:
                self.assertIn('"x%d" is damaged' % number, log)
        self.assertEqual(traffic.ping(a.space, lab.inner(1, "4", 2)), 3)
        self.remake()
        self.assertEqual({t["name"] for t in a.daemon.json("list")}, names)
        self.assertIn("was damaged before", a.daemon.log_text())

    def test_a_full_disk_refuses_changes_and_nothing_else(self):
        daemon = Daemon(self.a.space, prefix=["prlimit", "--fsize=65536:unlimited"])
        self.addCleanup(daemon.stop)
        made = 0
        while True:
            done = daemon.ctl("create", "f%d" % made, "mode", "gre", *ADDRESSES.split(),
                              "key", made, "label", "note=" + "x" * 200, check=False)
            if done.code != 0:
                break
            made += 1
        self.assertIn("File too large", done.err)
        self.assertIn("raise the limit", done.err)
        before = crash.State(daemon)
        self.assertEqual(before.faults(), [])
        self.assertEqual(len(before.specs), made)
        process.run(["prlimit", "--pid", daemon.child.pid, "--fsize=unlimited:unlimited"])
        daemon.ctl("create again mode gre %s key 9999" % ADDRESSES)
        daemon.stop(signal.SIGKILL)
        daemon.prefix = []
        daemon.start()
        self.assertEqual(len(daemon.json("list")), made + 1)
        daemon.delete_all()


    def test_a_change_that_the_disk_refused_does_not_come_back(self):
        daemon = self.a.daemon
        daemon.ctl("create t mode gre %s" % ADDRESSES)
        tracer = crash.Strace(daemon, ["fdatasync"], when=1, action="error=EIO")
        refused = daemon.ctl("create u mode gre %s key 1" % ADDRESSES, check=False)
        tracer.stop()
        self.assertEqual(refused.code, 1)
        self.assertIn("Input/output error", refused.err)
        self.assertNotIn("u", self.a.space.links())
        daemon.stop(signal.SIGKILL)
        daemon.start()
        self.assertEqual(daemon.ctl("list -o name").out.split(), ["t"])
        daemon.ctl("create u mode gre %s key 1" % ADDRESSES)


class ConfigFile(unittest.TestCase):
    def setUp(self):
        self.space = lab.Host("config", 1).space
        self.space.ip("link add u0 type veth peer name u1")
        self.space.ip("addr add 198.18.1.1/24 dev u0")
        self.space.ip("link set u0 up")
        self.daemon = Daemon(self.space, start=False)
        self.path = os.path.join(self.daemon.directory, "tunneld.toml")
        self.daemon.flags.append("--config=" + self.path)

    def tearDown(self):
        if self.daemon.child:
            self.daemon.stop()
        self.space.delete()

    def write(self, *tunnels, head=""):
        with open(self.path, "w") as f:
            f.write(head)
            for name, key, more in tunnels:
                f.write('[[tunnel]]\nname = "%s"\nmode = "gre"\nlocal = "198.18.1.1"\n'
                        'remote = "198.18.1.2"\nkey = %d\n%s\n' % (name, key, more))

    def names(self):
        return sorted(self.daemon.ctl("list -o name").out.split())

    def reload(self, words):
        """SIGHUP, and the log line that it leads to."""
        begin = len(self.daemon.log_text())
        self.daemon.child.send_signal(signal.SIGHUP)
        wait_until(lambda: words in self.daemon.log_text()[begin:], what=words)
        return self.daemon.log_text()[begin:]

    def test_is_applied_at_the_start_and_at_sighup(self):
        self.write(("one", 1, ""), ("two", 2, ""))
        self.daemon.start()
        self.assertEqual(self.names(), ["one", "two"])
        self.daemon.ctl("create other mode gre %s key 9" % ADDRESSES)
        index = self.daemon.show("two")["ifindex"]
        self.write(("two", 3, "ttl = 9"), ("three", 2, ""))
        self.reload("configuration file applied")
        self.assertEqual(self.names(), ["one", "other", "three", "two"])
        self.assertEqual(self.daemon.show("two")["ttl"], 9)
        self.assertEqual(self.daemon.show("two")["ifindex"], index)
        # A file with faults changes nothing, and each is told with its place.
        self.write(("two", 3, 'ttl = 10\nremotee = "x"'), ("four", 4, "mtu = 1"))
        log = self.reload("nothing changed")
        self.assertIn("%s:8:1: " % self.path, log)
        self.assertIn("remotee", log)
        self.assertIn("%s:15:" % self.path, log)
        self.write(("four", 9, ""))  # the pair of "other"
        self.assertIn("other", self.reload("nothing changed"))
        self.assertEqual(self.names(), ["one", "other", "three", "two"])
        self.assertEqual(self.daemon.show("two")["ttl"], 9)
        self.write(("two", 3, ""), head="prune = true\n")
        self.reload("configuration file applied")
        self.assertEqual(self.names(), ["two"])
        self.assertEqual(self.daemon.show("two")["ifindex"], index)

    def test_a_bad_file_ends_the_start_and_touches_nothing(self):
        self.write(("one", 1, ""))
        self.daemon.start()
        before = crash.State(self.daemon)
        self.daemon.stop()
        links = self.space.ip("-o addr show").out
        self.write(("one", 1, "ttl = 300"))
        for text in (None, "prune = \n", '[[tunnel]]\nname = "x"\n'):
            if text is not None:
                with open(self.path, "w") as f:
                    f.write(text)
            result = process.run(self.daemon.command(), check=False, timeout=60)
            self.assertEqual(result.code, 78, str(result))
            self.assertRegex(result.err, r"(?m)^%s:\d+:\d+: " % self.path)
            self.assertEqual(self.space.ip("-o addr show").out, links)
        os.unlink(self.path)
        missing = process.run(self.daemon.command(), check=False, timeout=60)
        self.assertEqual(missing.code, 78)
        self.assertIn(self.path, missing.err)
        self.write()
        self.daemon.start()
        self.assertTrue(crash.State(self.daemon).same(before))


if __name__ == "__main__":
    runner.main()
