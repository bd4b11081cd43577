"""kill -9 at every system call that a change makes: afterwards the configuration is
the one before the change or the one after it, never a mix, with its devices and
without any other; what was acknowledged is there."""

import json
import os
import signal
import subprocess
import sys
import unittest

sys.path.insert(0, os.path.abspath(os.path.join(os.path.dirname(__file__), "../..")))

from tests.lib import crash, namespace, process, runner
from tests.lib.daemon import Daemon

LOCAL, REMOTE = "198.18.1.1", "198.18.1.2"


def tunnel(name, key, **more):
    return dict({"name": name, "mode": "GRE", "local": LOCAL, "remote": REMOTE,
                 "key": key, "addresses": ["10.77.%d.1/24" % key]}, **more)


BEFORE = [tunnel("a", 1), tunnel("b", 2), tunnel("c", 3, mtu=1300)]
# One of each: changed, made, deleted, and two that swap their keys.
APPLIED = [tunnel("a", 2), tunnel("b", 1), tunnel("d", 4, txqueuelen=77)]


class Crash(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.space = namespace.Namespace("crash")
        cls.space.ip("link add u0 type veth peer name u1")
        cls.space.ip("addr add %s/24 dev u0" % LOCAL)
        for link in ("u0", "u1"):
            cls.space.sysctl("net/ipv6/conf/%s/disable_ipv6" % link, 1)
            cls.space.ip("link set %s up" % link)
        cls.daemon = Daemon(cls.space)
        cls.files = {}
        for name, tunnels in (("before", BEFORE), ("applied", APPLIED)):
            cls.files[name] = os.path.join(cls.daemon.directory, name + ".json")
            with open(cls.files[name], "w") as f:
                json.dump(tunnels, f)

    @classmethod
    def tearDownClass(cls):
        cls.daemon.stop()
        cls.space.delete()

    def reset(self):
        """Back to the configuration that each change begins with."""
        self.daemon.ctl("apply", "-f", self.files["before"], "--prune")
        state = crash.State(self.daemon)
        self.assertEqual(state.faults(), [])
        return state

    def check(self, where, acknowledged, before, after):
        """The state that the restarted daemon has; True: that after the change."""
        state = crash.State(self.daemon)
        self.assertEqual(state.faults(), [], where)
        if not acknowledged and state.same(before):
            return False
        self.assertTrue(state.alike(after), "%s: neither before nor after\n%s" % (
            where, state))
        for name, index in before.indices.items():
            if name in after.indices and before.specs.get(name) == after.specs.get(name):
                self.assertEqual(state.indices[name], index, where)
        return True

    def call(self, *words):
        """Exit code of tunnelctl; it is not left to wait for another daemon."""
        client = self.daemon.spawn_ctl(*words, stdout=subprocess.DEVNULL,
                                       stderr=subprocess.DEVNULL)
        process.wait_until(
            lambda: client.poll() is not None or self.daemon.child.poll() is not None,
            what="tunnelctl or tunneld ends")
        try:
            return client.wait(0.3)  # a reply that has come is acted on at once
        except subprocess.TimeoutExpired:
            client.kill()
            return client.wait()

    def kill_at_each_call(self, *words):
        before = self.reset()
        tracer = crash.Strace(self.daemon)
        self.daemon.ctl(*words)
        after = crash.State(self.daemon)
        tracer.stop()
        self.assertFalse(after.alike(before))
        hit = 0
        outcomes = {False: 0, True: 0}
        counts = tracer.counts()
        for call in crash.CALLS:
            when = 1
            while call in counts:
                before = self.reset()
                tracer = crash.Strace(self.daemon, [call], when)
                code = self.call(*words)
                try:
                    self.daemon.child.wait(0.5 if code == 0 else 10)
                except Exception:  # it was not hit
                    self.assertEqual(code, 0)
                    tracer.stop()
                    break
                self.assertEqual(self.daemon.child.returncode, -signal.SIGKILL)
                tracer.stop()
                self.daemon.start()
                where = "%s number %d of %s" % (call, when, " ".join(map(str, words)))
                outcomes[self.check(where, code == 0, before, after)] += 1
                hit, when = hit + 1, when + 1
        print("        %d points: %s; %d before, %d after" % (
            hit, ", ".join("%s %d" % c for c in sorted(counts.items())),
            outcomes[False], outcomes[True]))
        # It was killed on both sides of the commit.
        self.assertGreater(outcomes[False], 2)
        self.assertGreater(outcomes[True], 2)

    def test_create(self):
        self.kill_at_each_call(
            "create", "n", "mode", "gre", "local", LOCAL, "remote", REMOTE, "key", 9,
            "address", "10.77.9.1/24", "mtu", 1280)

    def test_update(self):
        self.kill_at_each_call("set", "a", "key", "7", "mtu", "1400", "address",
                               "10.77.1.7/24", "txqueuelen", "50")

    def test_delete(self):
        self.kill_at_each_call("delete", "b")

    def test_apply(self):
        self.kill_at_each_call("apply", "-f", self.files["applied"], "--prune")


if __name__ == "__main__":
    runner.main()
