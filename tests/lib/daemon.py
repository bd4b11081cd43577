"""tunneld in a namespace, and tunnelctl that talks to it."""

import json
import os
import signal
import socket

from tests.lib import process

_PROGRAMS = {"tunneld": "ctl/tunneld", "tunnelctl": "ctl/cli/tunnelctl"}
_ROOT = os.path.abspath(os.path.join(os.path.dirname(__file__), "..", ".."))


def root():
    """Top of the workspace, or of its runfiles under Bazel."""
    return _ROOT


def binary(name):
    """Path of a built program: below $TUNNELD_BIN_DIR (a bazel-bin), in the
    runfiles, or in bazel-bin."""
    places = [_ROOT, os.path.join(_ROOT, "bazel-bin")]
    if os.environ.get("TUNNELD_BIN_DIR"):
        places.insert(0, os.environ["TUNNELD_BIN_DIR"])
    for place in places:
        path = os.path.join(place, _PROGRAMS[name])
        if os.path.isfile(path) and os.access(path, os.X_OK):
            return path
    raise FileNotFoundError("%s is not built: bazel build //ctl:%s" % (name, name))


def datapath():
    """What carries the packets of tunnels that do not say it: $TUNNELD_DATAPATH, or
    the daemon itself, which the tests are about that do not speak of it (what a
    daemon does that is not told is `auto`)."""
    return os.environ.get("TUNNELD_DATAPATH", "user")


class Daemon:
    """A running tunneld. `prefix` stands in front of its command line, the words of
    $TUNNELD_FLAGS before `flags`."""

    _count = 0

    def __init__(self, space, flags=(), prefix=(), start=True):
        Daemon._count += 1
        self.space = space
        self.directory = os.path.join(process.temp_dir(), "d%d-%s" % (
            Daemon._count, space.short_name))
        os.makedirs(os.path.join(self.directory, "state"))
        os.chmod(process.temp_dir(), 0o755)
        self.socket = os.path.join(self.directory, "tunneld.sock")
        self.target = "unix:" + self.socket
        self.log = os.path.join(self.directory, "log")
        self.flags, self.prefix = list(flags), list(prefix)
        self.child = None
        if start:
            self.start()

    def command(self):
        return ["ip", "netns", "exec", self.space.name, *self.prefix,
                binary("tunneld"), "--listen=" + self.target,
                "--state_dir=" + os.path.join(self.directory, "state"),
                "--datapath=" + datapath(), *os.environ.get("TUNNELD_FLAGS", "").split(),
                *self.flags]

    def launch(self, env=None):
        """Starts the process without waiting for anything."""
        self.child = process.spawn(self.command(), stdin=-3, env=env,
                                   stdout=open(self.log, "a"), stderr=-2)
        return self

    def start(self):
        """Starts it and waits until its socket answers."""
        self.launch()
        process.wait_until(self._answers, what="tunneld answers")
        return self

    def _answers(self):
        if self.child.poll() is not None:
            raise AssertionError("tunneld exited with %s:\n%s" % (
                self.child.returncode, self.log_text()))
        with socket.socket(socket.AF_UNIX) as probe:
            try:
                probe.connect(self.socket)
            except OSError:
                return False
        return self.ctl("list", check=False).code == 0

    def log_text(self):
        with open(self.log, errors="replace") as log:
            return log.read()

    def stop(self, sig=signal.SIGTERM, timeout=30):
        return process.stop(self.child, sig, timeout)

    def ctl_argv(self, *words):
        return [binary("tunnelctl"), "--target", self.target, *map(str, words)]

    def ctl(self, *words, check=True, timeout=120):
        """Runs tunnelctl; words with spaces are split where there is only one."""
        if len(words) == 1:
            words = words[0].split()
        return process.run(self.ctl_argv(*words), check=check, timeout=timeout)

    def spawn_ctl(self, *words, **options):
        return process.spawn(self.ctl_argv(*words), **options)

    def json(self, *words):
        """A read command with --json, decoded."""
        if len(words) == 1:
            words = words[0].split()
        return json.loads(self.ctl(*words, "--json").out)

    def show(self, name):
        """The Tunnel object of one tunnel."""
        return self.json("show", name)[0]

    def stats(self, name):
        """Counters of one tunnel as numbers: receive_packets, transmit_packets,
        receive_bytes, transmit_bytes and drops, a dictionary by reason."""
        row = self.json("stats", name)[0]
        result = {k: int(row.get(k, 0)) for k in (
            "receive_packets", "receive_bytes", "transmit_packets", "transmit_bytes")}
        drops = {}
        for group in ("receive_drops", "transmit_drops"):
            for reason, count in row.get(group, {}).items():
                drops[reason] = drops.get(reason, 0) + int(count)
        result["drops"] = {k: v for k, v in drops.items() if v}
        return result

    def delete_all(self):
        names = self.ctl("list", "-o", "name").out.split()
        if names:
            self.ctl("delete", *names)
