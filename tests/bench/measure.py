"""One measurement each: TCP, rate, round trip, on a peer that is up."""

import json
import os

from tests.bench import machine
from tests.lib import process

# UDP payload: 64 bytes, and the one whose IPv4 packet has 1,400 bytes, which fits
# into every tunnel that is compared.
PAYLOADS = {"pps64": 64, "pps1400": 1372}
RTT_PAYLOAD = 64


class Failed(Exception):
    """A measurement without a result, and why."""


def parse_iperf(text):
    """(received Gbit/s, received Gbit) of `iperf3 -J`."""
    try:
        report = json.loads(text)
        if "error" in report:
            raise Failed("iperf3: " + report["error"])
        received = report["end"]["sum_received"]
        return received["bits_per_second"] / 1e9, received["bytes"] * 8 / 1e9
    except (ValueError, KeyError) as error:
        raise Failed("iperf3 says nothing that can be read (%s)" % error) from error


class Meter:
    """Takes figures between the ends of a peer. `cpus`: (cpu of a, cpu of b)."""

    def __init__(self, probe, cpus):
        self._probe, self._cpus = probe, cpus

    def tcp(self, peer, streams, seconds):
        """{"gbps", "cpu" in seconds a Gbit on both CPUs, "frame" in bytes: the mean of
        the frames that crossed the link}."""
        busy, (octets, frames) = machine.cpu_seconds(self._cpus)[0], peer.link.frames()
        argv = ["iperf3", "-c", peer.target, "-t", seconds, "-P", streams, "-C", "cubic",
                "-J", "--connect-timeout", "5000"]
        done = peer.link.a.run(machine.pinned(self._cpus[0], argv), check=False,
                               timeout=seconds + 30)
        gbps, gbit = parse_iperf(done.out)
        busy = machine.cpu_seconds(self._cpus)[0] - busy
        octets_now, frames_now = peer.link.frames()
        if gbit <= 0:
            raise Failed("iperf3: nothing arrived")
        return {"gbps": gbps, "cpu": busy / gbit,
                "frame": (octets_now - octets) / max(1, frames_now - frames)}

    def _run_probe(self, verb, peer, size, milliseconds):
        spaces = ["/run/netns/" + space.name for space in peer.link.spaces]
        done = process.run([self._probe, verb, *spaces, *self._cpus, peer.target, size,
                            milliseconds], check=False, timeout=120)
        if done.code != 0:
            raise Failed("%s %s: %s" % (os.path.basename(self._probe), verb,
                                        done.err.strip() or "nothing gets through"))
        return json.loads(done.out)

    def rate(self, peer, size, step_ms):
        """Thousands of datagrams a second of which less than 1 % is lost."""
        return self._run_probe("rate", peer, size, step_ms)["pps"] / 1e3

    def rtt(self, peer, milliseconds):
        """(p50, p99) of a ping-pong, us."""
        found = self._run_probe("rtt", peer, RTT_PAYLOAD, milliseconds)
        return found["p50_us"], found["p99_us"]
