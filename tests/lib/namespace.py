"""Network namespaces and links between them.

Names carry the pid of the test (tdt-PID-NAME). They are deleted at its end,
and the first namespace of a run sweeps away those of tests that were killed.
"""

import contextlib
import ctypes
import os
import re
import signal

from tests.lib import process

_CLONE_NEWNET = 0x40000000
_PREFIX = "tdt"
_libc = ctypes.CDLL(None, use_errno=True)
_swept = False


def _setns(fd):
    if _libc.setns(fd, _CLONE_NEWNET) != 0:
        raise OSError(ctypes.get_errno(), "setns")


def sweep_stale():
    """Deletes the namespaces of tests that no longer run, with their processes."""
    for line in process.run(["ip", "netns", "list"]).out.splitlines():
        match = re.match(r"(%s-(\d+)-\S+)" % _PREFIX, line)
        if not match or os.path.exists("/proc/" + match.group(2)):
            continue
        pids = process.run(["ip", "netns", "pids", match.group(1)], check=False)
        for pid in pids.out.split():
            with contextlib.suppress(ProcessLookupError):
                os.kill(int(pid), signal.SIGKILL)
        process.run(["ip", "netns", "del", match.group(1)], check=False)


class Namespace:
    """A network namespace with loopback up and IPv6 without address detection."""

    def __init__(self, name):
        global _swept
        if not _swept:
            _swept = True
            sweep_stale()
            process.sweep_stale()
        self.short_name = name
        self.name = "%s-%d-%s" % (_PREFIX, os.getpid(), name)
        process.run(["ip", "netns", "add", self.name])
        process.at_end(self.delete)
        self._fd = os.open("/run/netns/" + self.name, os.O_RDONLY | os.O_CLOEXEC)
        for scope in ("all", "default"):
            self.sysctl("net/ipv6/conf/%s/accept_dad" % scope, 0)
            self.sysctl("net/ipv6/conf/%s/accept_ra" % scope, 0)
        self.sysctl("net/ipv4/ping_group_range", "0 2147483647")
        # Error messages must be seen, not rationed.
        self.sysctl("net/ipv4/icmp_ratelimit", 0)
        self.ip("link set lo up")

    def delete(self):
        if self._fd is None:
            return
        os.close(self._fd)
        self._fd = None
        process.run(["ip", "netns", "del", self.name], check=False)

    @contextlib.contextmanager
    def entered(self):
        """The calling thread is in this namespace: sockets and children made
        here stay in it."""
        home = os.open("/proc/thread-self/ns/net", os.O_RDONLY | os.O_CLOEXEC)
        try:
            _setns(self._fd)
            yield
        finally:
            _setns(home)
            os.close(home)

    def ip(self, command, check=True):
        """Runs `ip COMMAND` in this namespace."""
        return process.run(["ip", "-n", self.name] + command.split(), check=check)

    def batch(self, lines):
        """Many `ip` commands in one process."""
        process.run(["ip", "-n", self.name, "-batch", "-"],
                    stdin="\n".join(lines) + "\n")

    def run(self, argv, **options):
        """Runs a command here (/sys stays that of the host)."""
        with self.entered():
            return process.run(argv, **options)

    def spawn(self, argv, **options):
        with self.entered():
            return process.spawn(argv, **options)

    def sysctl(self, path, value=None):
        """Writes, or reads when no value is given, /proc/sys/PATH."""
        with self.entered():
            with open("/proc/sys/" + path, "r" if value is None else "w") as f:
                return f.read().strip() if value is None else f.write(str(value))

    def snmp(self, group, field):
        """A counter of /proc/net/snmp: snmp("Icmp", "OutDestUnreachs")."""
        with self.entered():
            with open("/proc/thread-self/net/snmp") as f:
                rows = [l.split() for l in f if l.startswith(group + ":")]
        return int(rows[1][rows[0].index(field)])

    def snmp6(self, field):
        """A counter of /proc/net/snmp6; 0 when the kernel does not list it."""
        with self.entered():
            with open("/proc/thread-self/net/snmp6") as f:
                rows = dict(l.split() for l in f)
        return int(rows.get(field, 0))

    def links(self):
        """Names of the interfaces here."""
        with self.entered():
            with open("/proc/thread-self/net/dev") as f:
                return [l.split(":")[0].strip() for l in f.readlines()[2:]]

    def sent(self, name):
        """Packets that an interface has sent."""
        with self.entered():
            with open("/proc/thread-self/net/dev") as f:
                rows = dict(l.split(":") for l in f.readlines()[2:])
        return int({k.strip(): v for k, v in rows.items()}[name].split()[9])

    def mac(self, name):
        """Ethernet address of an interface."""
        return self.ip("-br link show dev " + name).out.split()[2]

    def ifindex(self, name):
        """Index of an interface, None when it does not exist."""
        out = self.ip("-o link show dev " + name, check=False)
        return int(out.out.split(":")[0]) if out.code == 0 else None


def connect(one, name_one, other, name_other, offload=False, mtu=1500):
    """A veth pair, up. Without offload each packet crosses it finished and alone."""
    one.ip("link add %s mtu %d type veth peer name %s mtu %d netns %s" %
           (name_one, mtu, name_other, mtu, other.name))
    for space, name in ((one, name_one), (other, name_other)):
        if not offload:
            disable_offload(space, name)
        space.ip("link set %s up" % name)


def disable_offload(space, name):
    space.run(["ethtool", "-K", name] + sum(
        ([f, "off"] for f in ("tx", "tso", "gso", "gro", "sg",
                              "tx-udp-segmentation", "tx-gre-segmentation",
                              "tx-ipxip4-segmentation",
                              "tx-udp_tnl-segmentation")), []), check=False)
