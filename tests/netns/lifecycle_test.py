"""Start, stop, kill: nobody is left waiting, and nothing is left behind but the
devices of tunnels (durability_test.py has what comes of these)."""

import os
import random
import signal
import socket
import subprocess
import sys
import time
import unittest

sys.path.insert(0, os.path.abspath(os.path.join(os.path.dirname(__file__), "../..")))

from tests.lib import lab, namespace, process, rpc, runner, traffic
from tests.lib.daemon import Daemon
from tests.lib.process import wait_until


def processes_in(space):
    return process.run(["ip", "netns", "pids", space.name]).out.split()


class Lifecycle(unittest.TestCase):
    def setUp(self):
        self.pair = lab.Pair(4, start=False)
        self.a, self.b = self.pair.hosts
        self.links = self.a.space.links()

    def tearDown(self):
        self.pair.close()

    def start(self, *hosts):
        for host in hosts:
            host.daemon = Daemon(host.space)

    def test_reports_ready_to_the_service_manager(self):
        daemon = Daemon(self.a.space, start=False)
        path = os.path.join(daemon.directory, "notify")
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as notify:
            notify.bind(path)
            notify.settimeout(60)
            daemon.launch(env=dict(os.environ, NOTIFY_SOCKET=path))
            self.assertIn(b"READY=1", notify.recv(4096))
            # Ready means that the socket answers now.
            self.assertEqual(daemon.ctl("list").code, 0)
            self.assertEqual(daemon.stop(), 0)

    def test_sigterm_under_traffic(self):
        self.start(self.a, self.b)
        for number, mode in ((1, "gre"), (2, "gif"), (3, "gretap")):
            self.pair.create("t%d" % number, number, mode)
            self.assertEqual(
                traffic.ping(self.a.space, lab.inner(number, "4", 2)), 3)
        target = lab.inner(1, "4", 2)
        sink = traffic.UdpSink(self.b.space, target)
        source = traffic.UdpSource(self.a.space, target, sink.port, rate=3000).start()
        watcher = self.a.daemon.spawn_ctl("watch", stdout=subprocess.DEVNULL,
                                          stderr=subprocess.DEVNULL)
        time.sleep(0.5)
        code = self.a.daemon.stop(signal.SIGTERM)  # else it is killed
        self.assertEqual(code, 0, self.a.daemon.log_text())
        source.stop()
        sink.close()
        # The client was told: unreachable, not a hang.
        self.assertEqual(watcher.wait(60), 69)
        self.assertEqual(self.a.space.links(), self.links + ["t1", "t2", "t3"])
        self.assertEqual(processes_in(self.a.space), [])
        self.assertFalse(os.path.exists(self.a.daemon.socket))
        self.assertEqual(self.a.daemon.ctl("list", check=False).code, 69)

    def test_sigint_is_a_clean_end_too(self):
        self.start(self.a)
        self.assertEqual(self.a.daemon.stop(signal.SIGINT), 0)

    def test_second_daemon_on_one_socket_or_state_is_refused(self):
        self.start(self.a)
        self.a.daemon.ctl("create t mode gre local 198.18.1.1 remote 198.18.1.2")
        other_state = os.path.join(self.a.daemon.directory, "other")
        for extra, shared in (["--state_dir=" + other_state], self.a.daemon.socket), (
                [], self.a.daemon.directory):
            second = process.run(self.a.daemon.command() + extra, check=False,
                                 timeout=60)
            self.assertNotEqual(second.code, 0)
            self.assertIn(shared, second.err)
        self.assertEqual(self.a.daemon.ctl("list -o name").out.split(), ["t"])

    def test_starts_again_after_a_kill(self):
        self.start(self.a)
        self.a.daemon.ctl("create t mode gre local 198.18.1.1 remote 198.18.1.2")
        self.a.daemon.stop(signal.SIGKILL)
        self.a.daemon.start()  # over the socket file of the dead one
        self.assertEqual(self.a.daemon.show("t")["oper_state"], "OPER_UP")
        self.a.daemon.ctl("delete t")
        self.assertEqual(self.a.space.links(), self.links)

    def test_bad_flags(self):
        for flag in ("--no_such_flag", "--workers=-1", "--workers=many",
                     "--listen=bogus", "--log_format=xml"):
            daemon = Daemon(self.a.space, flags=[flag], start=False)
            result = process.run(daemon.command(), check=False, timeout=60)
            self.assertNotEqual(result.code, 0, flag)
            self.assertTrue(result.err.strip(), flag)

    def test_killed_tunnelctl_leaves_nothing_behind(self):
        self.start(self.a)
        daemon = self.a.daemon
        dice = random.Random(20160)
        for attempt in range(40):
            words = ["create", "k%d" % attempt, "mode", "gre", "local", "198.18.1.1",
                     "remote", "198.18.1.2", "key", attempt]
            child = daemon.spawn_ctl(*words, stdout=subprocess.DEVNULL,
                                     stderr=subprocess.DEVNULL)
            time.sleep(dice.uniform(0, 0.05))
            child.kill()
            child.wait()
        watchers = [daemon.spawn_ctl("watch", stdout=subprocess.DEVNULL)
                    for _ in range(5)]
        time.sleep(0.3)
        for watcher in watchers:
            watcher.kill()
            watcher.wait()
        client = rpc.Client(daemon.target)
        lock = lambda: client.config.GetConfigLock(
            client.messages.GetConfigLockRequest(), timeout=60)
        wait_until(lambda: not lock().HasField("holder") and not lock().waiters,
                   what="the lock is free")
        client.close()
        # Each tunnel is there with its device, or not at all.
        names = daemon.ctl("list -o name").out.split()
        wait_until(lambda: sorted(self.a.space.links()) == sorted(self.links + names))
        for tunnel in daemon.json("list"):
            self.assertEqual(tunnel["oper_state"], "OPER_UP")
        daemon.delete_all()
        self.assertEqual(self.a.space.links(), self.links)
        daemon.ctl("create last mode gre local 198.18.1.1 remote 198.18.1.2")

    def test_no_descriptor_or_device_leaks(self):
        self.start(self.a)
        pid = self.a.daemon.child.pid

        def rounds(count):
            for _ in range(count):
                self.a.daemon.ctl("create t mode gif local 198.18.1.1 "
                                  "remote 198.18.1.2 address 10.1.1.1/24")
                self.a.daemon.ctl("create u mode gif local 198.18.1.1 "
                                  "remote 198.18.1.2", check=False)
                self.a.daemon.ctl("set t local 198.18.2.1 remote 198.18.2.2")
                self.a.daemon.ctl("delete t")
            return len(os.listdir("/proc/%d/fd" % pid))

        first = rounds(5)
        # Connections that have just ended may still be counted.
        self.assertLess(rounds(20), first + 5)
        self.assertEqual(self.a.space.links(), self.links)

    def test_interrupted_tunnelctl_says_so(self):
        self.start(self.a)
        watcher = self.a.daemon.spawn_ctl("watch", stdout=subprocess.PIPE,
                                          stderr=subprocess.PIPE)
        watcher.stdout.readline()
        watcher.send_signal(signal.SIGINT)
        self.assertEqual(watcher.wait(60), 130)


class TwoDaemons(unittest.TestCase):
    def test_each_namespace_has_a_daemon_of_its_own(self):
        one, two = (Daemon(namespace.Namespace(n)) for n in ("one", "two"))
        for daemon in (one, two):
            daemon.ctl("create t mode gre local 198.18.1.1 remote 198.18.1.2")
        one.ctl("delete t")
        self.assertNotIn("t", one.space.links())
        self.assertIn("t", two.space.links())
        self.assertEqual((one.stop(), two.stop()), (0, 0))


if __name__ == "__main__":
    runner.main()
