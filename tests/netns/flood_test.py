"""kill -9 at random moments, under a flood through many tunnels and in the middle of
changes to them: no packet ever comes out of another tunnel, the configuration is one
of the two that were asked for, and traffic flows again at once.

TUNNELD_KILLS sets the number of kills (1000 for the long run), TUNNELD_TUNNELS that
of tunnels (10 then, to save time), TUNNELD_SEED the moments.
"""

import json
import os
import random
import signal
import socket
import statistics
import struct
import subprocess
import sys
import threading
import time
import unittest

sys.path.insert(0, os.path.abspath(os.path.join(os.path.dirname(__file__), "../..")))

from tests.lib import crash, lab, runner
from tests.lib.process import wait_until

KILLS = int(os.environ.get("TUNNELD_KILLS", "25"))
SEED = int(os.environ.get("TUNNELD_SEED", "4"))
TUNNELS = int(os.environ.get("TUNNELD_TUNNELS", "100"))
PORT = 7777
ROUND_S = 0.02  # one packet a tunnel in this time
_IP_PKTINFO, _SO_RCVBUFFORCE = 8, 33


def address(number, end):
    return "10.78.%d.%d" % (number, end)


def tunnels(end, ttl):
    return [{"name": "t%d" % n, "mode": "GRE", "local": lab.outer(1, "4", end),
             "remote": lab.outer(1, "4", 3 - end), "key": n, "ttl": ttl,
             "addresses": [address(n, end) + "/24"]} for n in range(1, TUNNELS + 1)]


class Flood:
    """A packet through each tunnel in each ROUND_S, from host a to host b, where it
    is checked that it came out of the tunnel that it went into."""

    def __init__(self, pair):
        with pair.a.space.entered():
            self._out = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        with pair.b.space.entered():
            self._in = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
            self._in.setsockopt(socket.IPPROTO_IP, _IP_PKTINFO, 1)
            self._in.setsockopt(socket.SOL_SOCKET, _SO_RCVBUFFORCE, 16 << 20)
            self._in.bind(("0.0.0.0", PORT))
            self._in.settimeout(0.1)
            self._number_of = {socket.if_nametoindex("t%d" % n): n
                               for n in range(1, TUNNELS + 1)}
        self.received, self.wrong = 0, []
        self.latest = dict.fromkeys(range(1, TUNNELS + 1), 0.0)  # sent at
        self._stop = threading.Event()
        self._threads = [threading.Thread(target=t, daemon=True)
                         for t in (self._send, self._receive)]
        for thread in self._threads:
            thread.start()

    def _send(self):
        targets = [(n, (address(n, 2), PORT)) for n in self.latest]
        while not self._stop.is_set():
            begin = time.monotonic()
            for number, target in targets:
                try:
                    self._out.sendto(struct.pack("!Id", number, time.monotonic()), target)
                except OSError:
                    pass  # nobody holds the device
            time.sleep(max(0.0, ROUND_S - (time.monotonic() - begin)))

    def _receive(self):
        while not self._stop.is_set():
            try:
                data, extra, _, _ = self._in.recvmsg(64, 256)
            except TimeoutError:
                continue
            number, sent = struct.unpack("!Id", data)
            index = struct.unpack("=i", extra[0][2][:4])[0]
            self.received += 1
            if self._number_of.get(index) != number:
                self.wrong.append((number, index))
            else:
                self.latest[number] = sent

    def await_all_after(self, moment, timeout=60):
        """Until a packet that was sent after `moment` has come through each tunnel;
        seconds from then to now."""
        wait_until(lambda: min(self.latest.values()) > moment, timeout,
                   "traffic in all tunnels", step=0.002)
        return time.monotonic() - moment

    def stop(self):
        self._stop.set()
        for thread in self._threads:
            thread.join()
        self._out.close()
        self._in.close()


class KillUnderFlood(unittest.TestCase):
    def setUp(self):
        self.pair = lab.Pair(1)
        self.a = self.pair.a
        self.files = {}
        for host in self.pair.hosts:
            for ttl in (11, 22):
                path = os.path.join(self.a.daemon.directory,
                                    "%d-%d.json" % (host.end, ttl))
                self.files[host.end, ttl] = path
                with open(path, "w") as f:
                    json.dump(tunnels(host.end, ttl), f)
            host.daemon.ctl("apply", "-f", self.files[host.end, 11])

    def tearDown(self):
        self.pair.close()

    def kill_once(self, dice, ttl):
        """Kills host a's daemon at a random moment of a change of all tunnels; the
        TTL that they have afterwards."""
        daemon = self.a.daemon
        change = daemon.spawn_ctl("apply", "-f", self.files[1, ttl],
                                  stdout=-3, stderr=-3)
        time.sleep(dice.uniform(0, 1.5 * self.apply_s))
        daemon.stop(signal.SIGKILL)
        try:
            acknowledged = change.wait(0.1) == 0
        except subprocess.TimeoutExpired:  # it would ask the next daemon again
            change.kill()
            change.wait()
            acknowledged = False
        begin = time.monotonic()
        daemon.launch()
        self.times.append(self.flood.await_all_after(begin))
        wait_until(daemon._answers, what="tunneld answers")
        state = crash.State(daemon)
        self.assertEqual(state.faults(), [])
        self.assertEqual(state.indices, self.indices)
        ttls = {spec["ttl"] for spec in state.specs.values()}
        self.assertEqual(len(ttls), 1, "half of a change: %s" % state)
        self.assertEqual(len(state.specs), TUNNELS)
        if acknowledged:
            self.assertEqual(ttls, {ttl})
        return ttls.pop()

    def test_kills(self):
        dice = random.Random(SEED)
        self.indices = crash.State(self.a.daemon).indices
        self.times = []
        begin = time.monotonic()
        self.a.daemon.ctl("apply", "-f", self.files[1, 22])
        self.a.daemon.ctl("apply", "-f", self.files[1, 11])
        self.apply_s = (time.monotonic() - begin) / 2
        self.flood = Flood(self.pair)
        ttl, changed = 11, 0
        try:
            self.flood.await_all_after(time.monotonic())
            for kill in range(1, KILLS + 1):
                now = self.kill_once(dice, 33 - ttl)
                changed += now != ttl
                ttl = now
                if kill % 50 == 0:
                    print("        %d kills, %d behind the commit, %d packets, %d wrong" % (
                        kill, changed, self.flood.received, len(self.flood.wrong)),
                        flush=True)
        finally:
            self.flood.stop()
        self.times.sort()
        print("        %d kills, %d of them behind the commit; %d packets, %d in a wrong "
              "tunnel" % (KILLS, changed, self.flood.received, len(self.flood.wrong)))
        print("        start to traffic in all of %d tunnels: median %.0f ms, p99 %.0f ms, "
              "worst %.0f ms; apply to all %.0f ms" % (
                  TUNNELS, 1e3 * statistics.median(self.times),
                  1e3 * self.times[len(self.times) * 99 // 100], 1e3 * self.times[-1],
                  1e3 * self.apply_s))
        self.assertEqual(self.flood.wrong, [])
        self.assertGreater(self.flood.received, KILLS * TUNNELS)
        self.assertGreater(changed, 0)
        self.assertLess(changed, KILLS)
        # The goal is 200 ms with optimised programs on an idle machine; here it is held
        # against the time of a change of all tunnels.
        self.assertLess(statistics.median(self.times), 20 * self.apply_s)


if __name__ == "__main__":
    runner.main()
