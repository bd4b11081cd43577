"""Figures by peer, mode and metric: the best of them, ratios, and what is wrong."""

from tests.bench.link import MTU

CEILING, KERNEL, OURS, USER = "ceiling", "kernel", "ours", "user"

# metric: (unit, more is better, shown with this many digits)
METRICS = {
    "tcp1": ("Gbit/s", True, 2), "tcp4": ("Gbit/s", True, 2),
    "pps64": ("kpps", True, 0), "pps1400": ("kpps", True, 0),
    "rtt_p50": ("us", False, 0), "rtt_p99": ("us", False, 0),
    "cpu": ("s/Gbit", False, 3),
}
ETHERNET = 14
MOST_BUSY, MOST_STOLEN = 10, 5  # percent


class Results:
    """`peers` are rows {"name", "kind", "family", "about"} in the order of the table."""

    def __init__(self, peers=()):
        self.peers = [dict(p) for p in peers]
        self._values = {}
        self.frames = {}
        self.not_measured = []
        self.growth = []
        self.workers = []
        self.rewire = None
        self.disturbed = []  # sentences about the machine

    def add(self, peer, mode, metric, value):
        if metric not in METRICS:
            raise KeyError(metric)
        self._values.setdefault((peer, mode, metric), []).append(value)

    def add_frame(self, peer, mode, size):
        """The mean frame of a run; the largest is kept."""
        self.frames[peer, mode] = max(size, self.frames.get((peer, mode), 0))

    def miss(self, what, reason):
        row = {"what": what, "reason": " ".join(str(reason).split())}
        if row not in self.not_measured:
            self.not_measured.append(row)

    def values(self, peer, mode, metric):
        return self._values.get((peer, mode, metric), [])

    def best(self, peer, mode, metric):
        """The best of all rounds, None when there is none."""
        values = self.values(peer, mode, metric)
        if not values:
            return None
        return max(values) if METRICS[metric][1] else min(values)

    def modes(self):
        return {mode for _, mode, _ in self._values}

    def measured(self):
        """The peers that have a figure, in order."""
        names = {peer for peer, _, _ in self._values}
        return [p for p in self.peers if p["name"] in names]

    def _of_kind(self, kind, family=None):
        return [p["name"] for p in self.measured()
                if p["kind"] == kind and family in (None, p["family"])]

    def _best_of(self, names, mode, metric):
        found = [b for b in (self.best(n, mode, metric) for n in names) if b is not None]
        if not found:
            return None
        return max(found) if METRICS[metric][1] else min(found)

    def family(self, name):
        return next((p["family"] for p in self.peers if p["name"] == name), None)

    def to_kernel(self, name, mode, metric):
        """The figure as a multiple of kernel VXLAN's over the same outer family."""
        return ratio(self.best(name, mode, metric), self._best_of(
            self._of_kind(KERNEL, self.family(name)), mode, metric))

    def to_user(self, name, mode, metric):
        """The figure as a multiple of the best of the other programs in user space,
        each metric by itself."""
        return ratio(self.best(name, mode, metric),
                     self._best_of(self._of_kind(USER), mode, metric))

    def flags(self):
        """What cannot be: sentences, none when all is well."""
        return self.disturbed + self._above_ceiling() + self._large_frames()

    def judge_machine(self, busy_before, stolen):
        """Notes what makes the figures doubtful: percent of the CPUs' time."""
        if busy_before > MOST_BUSY:
            self.disturbed.append("the machine was %.0f %% busy with other things before "
                                  "the run" % busy_before)
        if stolen > MOST_STOLEN:
            self.disturbed.append("the host took %.0f %% of the CPUs' time during the run" %
                                  stolen)

    def _above_ceiling(self):
        found = []
        for metric in ("tcp1", "tcp4"):
            for peer in self.measured():
                ceiling = self._best_of(self._of_kind(CEILING, peer["family"]), "off",
                                        metric)
                above = ratio(self.best(peer["name"], "off", metric), ceiling)
                if peer["kind"] != CEILING and above and above > 1:
                    found.append("%s, %s, off: %.2f times plain veth, which cannot be: "
                                 "noise or a measuring error" % (peer["name"], metric, above))
        return found

    def _large_frames(self):
        return ["%s, %s: frames of %.0f bytes crossed a link with MTU %d: measuring error" % (
            peer, mode, size, MTU)
                for (peer, mode), size in sorted(self.frames.items())
                if mode in ("off", "gro") and size > MTU + ETHERNET]

    def to_json(self):
        """All of it as plain values."""
        rows = [{"peer": p, "mode": mode, "metric": m, "unit": METRICS[m][0],
                 "values": v, "best": self.best(p, mode, m),
                 "to_vxlan": self.to_kernel(p, mode, m),
                 "to_best_user": self.to_user(p, mode, m)}
                for (p, mode, m), v in self._values.items()]
        return {"peers": self.peers, "figures": rows, "growth": self.growth,
                "workers": self.workers, "rewire": self.rewire,
                "frames": [{"peer": p, "mode": m, "bytes": s}
                           for (p, m), s in sorted(self.frames.items())],
                "not_measured": self.not_measured, "disturbed": self.disturbed,
                "flags": self.flags()}

    @classmethod
    def from_json(cls, data):
        results = cls(data["peers"])
        for row in data["figures"]:
            for value in row["values"]:
                results.add(row["peer"], row["mode"], row["metric"], value)
        for row in data["frames"]:
            results.add_frame(row["peer"], row["mode"], row["bytes"])
        results.not_measured = data["not_measured"]
        results.growth, results.workers = data["growth"], data["workers"]
        results.rewire, results.disturbed = data["rewire"], data["disturbed"]
        return results


def ratio(value, base):
    return value / base if value is not None and base else None
