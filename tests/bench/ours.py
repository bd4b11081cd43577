"""tunneld as one of those that are compared: a daemon at each end."""

import json
import os
import resource

from tests.bench import machine
from tests.bench.link import INNER, OUTER
from tests.bench.peers import Peer, Unavailable
from tests.bench.results import OURS
from tests.lib import namespace, process
from tests.lib.daemon import Daemon, binary

DEVICE = "t0"
_help = None


def create_help():
    """What `tunnelctl help create` says: which words this build has."""
    global _help
    if _help is None:
        _help = process.run([binary("tunnelctl"), "help", "create"]).out
    return _help


def has_word(word, text=None):
    lines = (text if text is not None else create_help()).splitlines()
    return any(line.split()[:1] == [word] for line in lines)


class Tunneld(Peer):
    """One tunnel of ours; subclasses say which."""

    kind = OURS
    mode, options, datapath, flags = "gre", "", "user", ()
    receiver = None  # the datapath at the other end, where it is another one

    def __init__(self, cpus):
        super().__init__(cpus)
        self.daemons = []

    def set_up(self):
        if self.datapath == "bpf" and not has_word("datapath"):
            raise Unavailable("this build has no word datapath")
        for end in (0, 1):
            self.daemons.append(Daemon(self.link.spaces[end], self.flags,
                                       prefix=machine.pinned(self.cpus[end], [])))
        for end in (0, 1):
            self.create(end, DEVICE, OUTER[self.family][1 - end], INNER[end])
        for end, daemon in enumerate(self.daemons):
            if self.datapath_of(end) == "bpf":
                self.wait_for_bpf(daemon)

    def datapath_of(self, end):
        return self.receiver if end == 1 and self.receiver else self.datapath

    @staticmethod
    def wait_for_bpf(daemon):
        """A tunnel that turned to the user path is not what the row is about."""
        def shown():
            return daemon.show(DEVICE)
        try:
            process.wait_until(lambda: shown()["datapath_in_use"] == "DATAPATH_BPF", 20)
        except AssertionError:
            raise Unavailable("datapath bpf: " + shown().get("datapath_reason", "")) from None

    def create(self, end, name, remote, address=None):
        words = "create %s mode %s local %s remote %s %s" % (
            name, self.mode, OUTER[self.family][end], remote, self.options)
        if address:
            words += " address %s/24" % address
        if has_word("datapath"):  # a build without it has the user path alone
            words += " datapath " + self.datapath_of(end)
        done = self.daemons[end].ctl(words, check=False)
        if done.code != 0:
            raise Unavailable("tunnelctl: " + (done.err or done.out).strip())

    def _alive(self):
        for daemon in self.daemons:
            if daemon.child.poll() is not None:
                raise Unavailable("tunneld ended: " + daemon.log_text()[-200:])
        return super()._alive()

    def stop(self):
        for daemon in self.daemons:
            daemon.stop(timeout=20)
        super().stop()


def variants():
    """A class for each tunnel of ours that is measured."""
    rows = [
        ("gre4", "gre", 4, "", "mode gre"),
        ("ipip4", "gif", 4, "", "mode gif"),
        ("gre6", "gre", 6, "", "mode gre over IPv6"),
        ("GRE-in-UDP", "gre", 4, "transport udp", "mode gre transport udp"),
    ]
    made = []
    for name, mode, family, options, about in rows:
        made.append(_variant(name, mode, family, options, about, "user"))
    for name, mode, family, options, about in rows:
        if options:  # the kernel sends no UDP checksum
            options, about = options + " noudpcsum", about + " noudpcsum"
        made.append(_variant(name + " bpf", mode, family, options, about, "bpf"))
    made.append(type("Raw", (made[0],), {
        "name": "ours gre4 raw", "flags": ("--send_socket=raw",),
        "about": "as ours gre4, with --send_socket=raw, as it is where rules of "
                 "netfilter are"}))
    made.append(type("Trains", (made[0],), {
        "name": "ours gre4 from bpf", "datapath": "bpf", "receiver": "user",
        "about": "tunneld, mode gre, sent by the kernel, whose segments leave in trains; "
                 "received by the daemon"}))
    return made


def _variant(name, mode, family, options, about, datapath):
    return type("Tunneld", (Tunneld,), {
        "name": "ours " + name, "mode": mode, "family": family, "options": options,
        "datapath": datapath,
        "about": "tunneld, %s, datapath %s, MTU auto" % (about, datapath)})


class Crowd(Tunneld):
    """One tunnel that is measured, and others beside it that carry nothing."""

    name, about = "ours gre4 among others", "tunneld, mode gre"

    def set_up(self):
        _allow_files()  # of this process, and so of the daemons
        super().set_up()

    def grow(self, size):
        """Adds tunnels until there are `size`, on both ends at once."""
        if size == 1:
            return
        calls = []
        for end in (0, 1):
            path = os.path.join(process.temp_dir(), "crowd%d.toml" % end)
            with open(path, "w") as f:
                for number in range(1, size):
                    f.write('[[tunnel]]\nname = "c%d"\nmode = "gre"\nlocal = "%s"\n'
                            'remote = "198.19.%d.%d"\n' % (
                                number, OUTER[4][end], number // 250, number % 250 + 1))
            calls.append(self.daemons[end].spawn_ctl(
                "apply", "-f", path, "--wait", "600s", stdout=-3, stderr=-1))
        for call in calls:
            _, error = call.communicate(timeout=620)
            if call.returncode != 0:
                raise Unavailable("apply of %d tunnels: %s" % (
                    size, error.decode().strip()[-200:]))


def _allow_files():
    """A descriptor for each queue of a device."""
    most = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))


class Neighbour(Tunneld):
    """The measured tunnel and a second one of the same daemon, which rewire() moves
    meanwhile. A stranger beside them, in a daemon and a namespace of its own, can be
    moved as well: it costs the same CPU time and shares nothing with the tunnel."""

    name, about = "ours gre4 beside one that is rewired", "tunneld, mode gre"
    moved = "n0"

    def __init__(self, cpus):
        super().__init__(cpus)
        self._apart = None

    def set_up(self):
        super().set_up()
        self.create(0, self.moved, "198.19.0.1")
        self._apart = namespace.Namespace("stranger")
        self._apart.ip("link add u0 type veth peer name u1")
        self._apart.ip("addr add %s/24 dev u0" % OUTER[4][0])
        for link in ("u0", "u1"):
            self._apart.ip("link set %s up" % link)
        self.daemons.append(Daemon(self._apart, prefix=machine.pinned(self.cpus[0], [])))
        self.daemons[2].ctl("create %s mode gre local %s remote 198.19.0.1" % (
            self.moved, OUTER[4][0]))

    def rewire(self, per_second, stranger=False):
        return Rewirer(self.daemons[2 if stranger else 0].target, self.moved, per_second,
                       self.cpus[1])

    def stop(self):
        super().stop()
        if self._apart:
            self._apart.delete()


class Rewirer:
    """Moves the remote of a tunnel back and forth while it is entered: all six
    steps of a change each time. It runs on `cpu`: who asks for a change is not on the
    host that is measured. `rate` is then what it came to, a second."""

    def __init__(self, target, name, per_second, cpu):
        self._argv = machine.pinned(cpu, [
            machine.built("tests/bench/rewirer"), target, name, "198.19.0.1",
            "198.19.0.2", per_second])
        self._child, self.rate = None, 0.0

    def __enter__(self):
        self._child = process.spawn(self._argv, stdin=-1, stdout=-1, stderr=-1, text=True)
        return self

    def __exit__(self, *_):
        out, error = self._child.communicate(timeout=60)  # its input ends
        if self._child.returncode != 0:
            raise Unavailable(error.strip()[-200:])
        done = json.loads(out)
        self.rate = done["changes"] / done["seconds"]
