"""The run: all peers up at once, measured in turn, round after round."""

import contextlib
import os
import time

from tests.bench import ours, peer_ovs, peers, plan
from tests.bench.measure import PAYLOADS
from tests.bench.results import Results

SECTIONS = ("growth", "workers", "rewire")
REWIRES_A_SECOND = 100
_STREAMS = {"tcp1": 1, "tcp4": 4}


def all_peers():
    return [peers.Plain, peers.Plain6, peers.Vxlan, peers.Vxlan6, *ours.variants(),
            peers.OpenVpn, peers.WireguardGo, peers.Fastd, peers.Socat, peer_ovs.OvsGre]


def selected(only):
    """(peers, sections) whose name contains one of the words; all for none."""
    def wanted(name):
        return not only or any(word.lower() in name.lower() for word in only)
    return ([p for p in all_peers() if wanted(p.name)],
            [s for s in SECTIONS if wanted(s)])


def expected(classes):
    """Those that this build can have: the plan counts no others."""
    return [c for c in classes if getattr(c, "datapath", None) != "bpf" or
            ours.has_word("datapath")]


class OutOfTime(Exception):
    """The budget is spent."""


class Session:
    """Measures `classes` by `plan`; `results` has whatever was reached."""

    def __init__(self, classes, sections, modes, plan_, meter, cpus, deadline=None):
        self._sections, self._modes, self._plan = sections, modes, plan_
        self._meter, self._deadline = meter, deadline
        self._cpus = [str(c) for c in cpus]
        self._peers = [c(self._cpus) for c in classes]
        self._up = []
        self._failures = {}
        self._begin = time.monotonic()
        self.rounds_done = 0
        self.interrupted = False
        self.results = Results([{"name": p.name, "kind": p.kind, "family": p.family,
                                 "about": p.about} for p in self._peers])

    def run(self, unavailable):
        """`unavailable`: {package: reason} of what could not be installed. Ctrl-C ends
        it with what there is."""
        try:
            self._start(unavailable)
            for number in range(1, self._plan.rounds + 1):
                self._round(number)
                self.rounds_done = number
                if number == 1:
                    self._extras()
        except OutOfTime:
            self._say("the time is over")
        except SystemExit:  # a signal
            self.interrupted = True
        finally:
            self._missing()
            for peer in self._up:
                peer.stop()
        return self.results

    def _say(self, text):
        print("%s  %s" % (plan.minutes(time.monotonic() - self._begin),
                          " ".join(text.split())), flush=True)

    def _check_time(self, cost=0.0):
        if self._deadline and time.monotonic() + cost > self._deadline:
            raise OutOfTime()

    def _start(self, unavailable):
        for peer in self._peers:
            self._check_time()
            if peer.package in unavailable:
                self.results.miss(peer.name, unavailable[peer.package])
            elif self._bring_up(peer):
                self._up.append(peer)
        self._say("%d of %d tunnels are up" % (len(self._up), len(self._peers)))

    def _bring_up(self, peer):
        try:
            peer.start()
            return True
        except Exception as error:  # one that does not work is told, not fatal
            self.results.miss(peer.name, error)
            self._say("%s does not come up: %s" % (peer.name, error))
            peer.stop()
            return False

    def _round(self, number):
        for mode in self._modes:
            self._say("round %d of %d, mode %s" % (number, self._plan.rounds, mode))
            self._each(mode, "mode", lambda peer, m=mode: peer.link.set_mode(m))
            for metric in self._metrics(mode):
                if self._plan.measures(metric, number):
                    # All peers or none: what some have more often looks better.
                    self._check_time(len(self._up) * self._plan.sweep(metric))
                    self._each(mode, metric, lambda peer, m=mode, x=metric:
                               self._measure(peer, m, x))

    def _metrics(self, mode):
        return [*_STREAMS, *PAYLOADS, "rtt"] if mode == self._modes[0] else [*_STREAMS]

    def _measure(self, peer, mode, metric):
        if metric in _STREAMS:
            self._tcp(peer, mode, metric)
        elif metric in PAYLOADS:
            self.results.add(peer.name, mode, metric, self._meter.rate(
                peer, PAYLOADS[metric], self._plan.step_ms))
        else:
            p50, p99 = self._meter.rtt(peer, self._plan.rtt_ms)
            self.results.add(peer.name, mode, "rtt_p50", p50)
            self.results.add(peer.name, mode, "rtt_p99", p99)

    def _each(self, mode, metric, action):
        """One measurement on each peer; who fails twice is left out from then on."""
        for peer in self._up:
            if self._failures.get(peer.name, 0) >= 2:
                continue
            try:
                action(peer)
            except Exception as error:
                self._failures[peer.name] = self._failures.get(peer.name, 0) + 1
                self.results.miss("%s, %s, %s" % (peer.name, metric, mode), error)
                self._say("%s, %s, %s: %s" % (peer.name, metric, mode, error))

    def _tcp(self, peer, mode, metric):
        found = self._meter.tcp(peer, _STREAMS[metric], self._plan.seconds)
        self.results.add(peer.name, mode, metric, found["gbps"])
        self.results.add_frame(peer.name, mode, found["frame"])
        if metric == "tcp1":
            self.results.add(peer.name, mode, "cpu", found["cpu"])

    def _extras(self):
        """The sections beside the table, in the first mode."""
        if not self._plan.extras:
            return
        for name, action in (("workers", self._workers), ("rewire", self._rewire),
                             ("growth", self._growth)):
            if name in self._sections:
                self._say(name)
                action()

    def _with(self, peer, action):
        """action(peer) on a peer that is up for that long; False when it failed."""
        if not self._bring_up(peer):
            return False
        try:
            peer.link.set_mode(self._modes[0])
            action(peer)
            return True
        except OutOfTime:
            raise
        except Exception as error:
            self.results.miss(peer.name, error)
            self._say("%s: %s" % (peer.name, error))
            return False
        finally:
            peer.stop()

    def _best_tcp(self, peer, streams=1):
        best = 0.0
        for _ in range(self._plan.rounds):
            self._check_time(self._plan.seconds)
            best = max(best, self._meter.tcp(peer, streams, self._plan.seconds)["gbps"])
        return best

    def _workers(self):
        for count in (1, 2):
            cpus = self._cpus if count == 1 else two_cpus_each(self._cpus, os.cpu_count())
            peer = ours.Tunneld(cpus)
            peer.name, peer.flags = "ours gre4, %d workers" % count, [
                "--workers=%d" % count]
            self._with(peer, lambda p, n=count, c=cpus: self.results.workers.append({
                "workers": n, "cpus": c, "tcp1": self._best_tcp(p),
                "tcp4": self._best_tcp(p, 4)}))

    def _rewire(self):
        self._with(ours.Neighbour(self._cpus), self._measure_rewire)

    def _measure_rewire(self, peer):
        """Quiet, rewired, and beside a stranger that is rewired, in turn; the best of
        each."""
        best, rates = {"quiet": 0.0, "gbps": 0.0, "stranger": 0.0}, []
        for _ in range(max(2, self._plan.rounds)):
            self._check_time(3 * self._plan.seconds)
            for key in best:
                with contextlib.ExitStack() as stack:
                    if key != "quiet":
                        rewirer = stack.enter_context(peer.rewire(
                            REWIRES_A_SECOND, stranger=key == "stranger"))
                    gbps = self._meter.tcp(peer, 1, self._plan.seconds)["gbps"]
                if key == "gbps":
                    rates.append(rewirer.rate)
                best[key] = max(best[key], gbps)
        self.results.rewire = {**best, "ratio": best["gbps"] / best["quiet"],
                               "stranger_ratio": best["stranger"] / best["quiet"],
                               "per_second": sum(rates) / len(rates)}

    def _growth(self):
        self._with(ours.Crowd(self._cpus), self._measure_growth)

    def _measure_growth(self, peer):
        for size in self._plan.growth:
            try:
                self._check_time(plan.growth_cost(size))
            except OutOfTime:
                break
            peer.grow(size)
            self.results.growth.append({"tunnels": size, "gbps": self._best_tcp(peer)})
            self._say("%d tunnels" % size)

    def _missing(self):
        """Names what was planned and has no figure for want of time."""
        for mode in self._modes:
            for metric in self._metrics(mode):
                key = "rtt_p50" if metric == "rtt" else metric
                names = [p.name for p in self._up
                         if not self.results.values(p.name, mode, key)
                         and p.name not in self._failures]
                if names:
                    self.results.miss("%s, %s" % (metric, mode),
                                      "no time for " + ", ".join(names))


def two_cpus_each(cpus, count):
    """CPUs of both sides for two workers: the two next ones where the machine has
    them, else both sides share both."""
    first = max(int(c) for c in cpus) + 1
    if count >= first + 2:
        return ["%s,%d" % (cpus[0], first), "%s,%d" % (cpus[1], first + 1)]
    return [",".join(cpus)] * 2
