"""The machine: CPU time, what it is, and which programs it has."""

import contextlib
import glob
import os
import re
import time

from tests.lib import daemon, process

PEERS = ("openvpn", "wireguard-go", "wireguard-tools", "fastd", "socat",
         "openvswitch-switch")
_POLICY = "/usr/sbin/policy-rc.d"
_TICK = os.sysconf("SC_CLK_TCK")


def built(program):
    """Path of a program that was built before: below $TUNNELD_BIN_DIR, else in the
    runfiles or in bazel-bin."""
    places = [os.environ.get("TUNNELD_BIN_DIR"), daemon.root(),
              os.path.join(daemon.root(), "bazel-bin")]
    for path in [os.path.join(top, program) for top in places if top]:
        if os.path.isfile(path) and os.access(path, os.X_OK):
            return path
    raise SystemExit("%s is not built" % program)


def parse_stat(text, cpus):
    """(busy, stolen) seconds of these CPUs, from /proc/stat. Busy are user, nice,
    system, irq and softirq; what the host took is stolen."""
    busy = stolen = 0
    for line in text.splitlines():
        match = re.match(r"cpu(\d+) (.*)", line)
        if match and int(match.group(1)) in cpus:
            user, nice, system, _, _, irq, softirq, steal = map(
                int, match.group(2).split()[:8])
            busy += user + nice + system + irq + softirq
            stolen += steal
    return busy / _TICK, stolen / _TICK


def cpu_seconds(cpus):
    with open("/proc/stat") as stat:
        return parse_stat(stat.read(), cpus)


class Watch:
    """Share of the time of these CPUs, in percent, that was busy or stolen since."""

    def __init__(self, cpus):
        self._cpus = cpus
        self._begin, self._stat = time.monotonic(), cpu_seconds(cpus)

    def shares(self):
        took = (time.monotonic() - self._begin) * len(self._cpus)
        return [100 * (now - then) / took
                for now, then in zip(cpu_seconds(self._cpus), self._stat)]


def pinned(cpu, argv):
    """The command line that runs on one CPU, or on several ("0,1")."""
    return ["taskset", "-c", str(cpu), *argv]


def versions():
    """{package: version} of what is installed."""
    result = process.run(["dpkg-query", "-W", "-f", "${Package} ${Version} ${Status}\n",
                          "iperf3", "iproute2", *PEERS], check=False)
    rows = [line.split() for line in result.out.splitlines()]
    return {r[0]: r[1] for r in rows if r[-1] == "installed"}


def install(packages):
    """Installs what is missing, each by itself: {package: reason} of what cannot be."""
    missing = [p for p in packages if p not in versions()]
    if not missing:
        return {}
    print("installing: %s" % " ".join(missing), flush=True)
    process.run(["apt-get", "update"], check=False, timeout=300)
    failed = {}
    with _services_stay_down():
        for package in missing:
            done = process.run(
                ["apt-get", "install", "-y", "--no-install-recommends",
                 "-o", "DPkg::Lock::Timeout=300", package], check=False, timeout=600,
                env=dict(os.environ, DEBIAN_FRONTEND="noninteractive"))
            if done.code != 0:
                lines = (done.err or done.out).strip().splitlines()
                failed[package] = "apt-get: " + (lines[-1] if lines else "failed")
    return failed


@contextlib.contextmanager
def _services_stay_down():
    """Packages that are installed meanwhile start no service: bench runs its own."""
    if os.path.exists(_POLICY):
        yield
        return
    with open(_POLICY, "w") as script:
        script.write("#!/bin/sh\nexit 101\n")
    os.chmod(_POLICY, 0o755)
    try:
        yield
    finally:
        os.unlink(_POLICY)


def describe():
    """What a reader of the figures wants to know of the machine."""
    with open("/proc/cpuinfo") as info:
        model = re.search(r"^model name\s*:\s*(.*)$", info.read(), re.M)
    return {"kernel": re.match(r"[\d.]+", os.uname().release).group(), "cpu": model.group(1) if model else "unknown",
            "cpus": os.cpu_count(), "mitigations": _mitigations(), "packages": versions()}


def _mitigations():
    """The faults of the CPU that the kernel works around."""
    found = []
    for path in sorted(glob.glob("/sys/devices/system/cpu/vulnerabilities/*")):
        with open(path) as f:
            if f.read().startswith("Mitigation"):
                found.append(os.path.basename(path))
    return found
