#!/usr/bin/python3
"""Ways to send and to receive outer packets, side by side:

  sudo tests/bench/packet_io/compare.py [--rounds 3] [--seconds 1] [--no-build]

No tunnel and no daemon: its sender and its receiver alone, and in their place a
packet socket, with the queueing discipline and without, and AF_XDP in copy mode.
GRE packets cross a veth pair between two namespaces, one CPU for each. All ways
take turns; the best round of each counts. Prints Markdown. Needs a machine that
does nothing else.
"""

import argparse
import glob
import json
import os
import sys

sys.path.insert(0, os.path.abspath(os.path.join(os.path.dirname(__file__), "../../..")))

from tests.bench import command, link, machine
from tests.lib import process

TARGET = "//tests/bench/packet_io:packet_io_probe"
PROGRAM = "tests/bench/packet_io/packet_io_probe"
# (sender, receiver); the first is what the daemon does.
WAYS = (("raw", "packet"), ("packet", "packet"), ("bypass", "packet"),
        ("xdp", "packet"), ("raw", "xdp"), ("raw", "xdp-generic"), ("bypass", "xdp"),
        ("xdp", "xdp"))
RECEIVERS = ("packet", "xdp", "xdp-generic")
WORDS = {"raw": "raw socket", "packet": "packet socket",
         "bypass": "packet socket, no qdisc", "xdp": "AF_XDP",
         "xdp-generic": "AF_XDP, generic"}
SIZES = (64, 1400)
NAPI_THREADS = "/proc/[0-9]*/comm"


class Failed(Exception):
    """A way that does not work here, and why."""


class Lab:
    """The link, with the sending and the receiving end on a CPU each."""

    def __init__(self, cpus, probe, milliseconds):
        self._cpus, self._probe, self._milliseconds = cpus, probe, milliseconds
        self.link = link.Link("io")
        self.link.set_mode("off")

    def use_receiving_cpu(self):
        """GRO on, and the work of the device on the CPU that receives, as with a
        network card: a veth device does it on the CPU of the sender else, packet by
        packet, and merges nothing."""
        self.link.set_mode("gro")
        process.run(["ip", "netns", "exec", self.link.b.name, "sh", "-c",
                     "echo 1 > /sys/class/net/%s/threaded" % link.NAME])
        threads = napi_threads(link.NAME)
        if not threads:
            raise Failed("no thread for the NAPI context of " + link.NAME)
        for thread in threads:
            process.run(["taskset", "-p", "-c", self._cpus[1], thread])

    def run(self, sender, receiver, inner, size):
        """What the probe prints, decoded."""
        spaces = ["/run/netns/" + space.name for space in self.link.spaces]
        done = process.run([self._probe, *spaces, *self._cpus, link.NAME, *link.OUTER[4],
                            sender, receiver, inner, size, self._milliseconds],
                           check=False, timeout=60)
        if done.code != 0:
            raise Failed(done.err.strip() or "nothing gets through")
        return json.loads(done.out)


def napi_threads(device):
    """Kernel threads of a device's NAPI contexts, of whatever namespace."""
    found = []
    for path in glob.glob(NAPI_THREADS):
        try:
            with open(path) as comm:
                if comm.read().startswith("napi/%s-" % device):
                    found.append(path.split("/")[2])
        except OSError:  # it has ended
            continue
    return found


def best(rounds):
    """The best of several: most packets, least CPU time, all losses."""
    return {"pps": max(r["pps"] for r in rounds),
            "per_frame": max(r["per_frame"] for r in rounds),
            "lost": sum(r["lost"] for r in rounds),
            "cpu_ns": min((r["cpu_ns"] for r in rounds), key=sum)}


def measure(lab, rounds, cases):
    """{case: best} of cases (sender, receiver, inner, size), in turn."""
    found = {case: [] for case in cases}
    failures = {}
    for _ in range(rounds):
        for case in cases:
            if case in failures:
                continue
            try:
                found[case].append(lab.run(*case))
            except Failed as error:
                failures[case] = str(error)
                print("%s: %s" % (" ".join(map(str, case)), error), file=sys.stderr)
    return {case: best(runs) for case, runs in found.items()
            if runs and case not in failures}


def cells(result, base):
    """Rate and CPU time, each with its multiple of the base."""
    if result is None:
        return ["-", "-"]
    cpu = sum(result["cpu_ns"])
    return ["%.0f (%.2f)" % (result["pps"] / 1e3, result["pps"] / base["pps"]),
            "%.0f + %.0f (%.2f)" % (*result["cpu_ns"], cpu / sum(base["cpu_ns"]))]


def singles_table(results):
    """Packets that nothing merges, for each way and size."""
    lines = ["| send | receive | %s |" % " | ".join(
        "%d B: kpps | CPU ns a packet" % size for size in SIZES),
             "|---|---|%s" % ("--:|" * 2 * len(SIZES))]
    for sender, receiver in WAYS:
        row = [WORDS[sender], WORDS[receiver]]
        for size in SIZES:
            base = results.get((*WAYS[0], "udp", size))
            row += cells(base and results.get((sender, receiver, "udp", size)), base)
        lines.append("| %s |" % " | ".join(row))
    return lines


def trains_table(results):
    """TCP segments that GRO can merge, for each receiver."""
    lines = ["| receive | segments in a read | ksegments/s | CPU ns a segment | lost |",
             "|---|--:|--:|--:|--:|"]
    base = results.get(("raw", RECEIVERS[0], "tcp", 1400))
    for receiver in RECEIVERS:
        result = results.get(("raw", receiver, "tcp", 1400))
        if result and base:
            lines.append("| %s | %.1f | %s | %d |" % (
                WORDS[receiver], result["per_frame"], " | ".join(cells(result, base)),
                result["lost"]))
    return lines


def parse(argv):
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add = parser.add_argument
    add("--rounds", type=int, default=3)
    add("--seconds", type=float, default=1, help="of each run")
    add("--cpus", default="0,1", help="CPU of the sending and of the receiving end")
    add("--no-build", action="store_true",
        help="the program of $TUNNELD_BIN_DIR, else of bazel-bin")
    return parser.parse_args(argv)


def main():
    options = parse(sys.argv[1:])
    if not options.no_build:
        os.environ["TUNNELD_BIN_DIR"] = command.build([TARGET])
    lab = Lab(options.cpus.split(","), machine.built(PROGRAM),
              round(1e3 * options.seconds))
    singles = measure(lab, options.rounds,
                      [(*way, "udp", size) for size in SIZES for way in WAYS])
    print("\n".join(singles_table(singles)), end="\n\n", flush=True)
    lab.use_receiving_cpu()
    trains = measure(lab, options.rounds, [("raw", r, "tcp", 1400) for r in RECEIVERS])
    print("\n".join(trains_table(trains)))
    lab.link.delete()


if __name__ == "__main__":
    main()
