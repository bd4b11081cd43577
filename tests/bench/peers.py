"""What ours is compared with: each peer makes a tunnel between two namespaces.

Configured for as little work as each one allows: no encryption where it can be
left out, the largest MTU that needs no fragments on a link of 1,500 bytes.
"""

import os
import re
import shutil
import time

from tests.bench import machine
from tests.bench.link import INNER, OUTER, Link
from tests.bench.results import CEILING, KERNEL, USER
from tests.lib import process

_IPERF_PORT = 5201


class Unavailable(Exception):
    """This peer cannot be measured here, and why."""


class Peer:
    """A way from namespace a to the address `target` in namespace b.

    `cpus` are the command-line forms of the CPUs of both sides. start() raises
    Unavailable, or anything else, when it does not come to work.
    """

    name = ""
    kind = USER
    family = 4
    package = None  # that apt has to have installed
    about = ""
    target = INNER[1]

    def __init__(self, cpus):
        self.cpus = cpus
        self.link = None
        self.children = []

    def start(self):
        """Makes namespaces and tunnel, and waits until a packet gets through."""
        self.link = Link(re.sub(r"\W", "", self.name)[:20])
        self.set_up()
        self.wait_for_ping()
        self.spawn(1, ["iperf3", "-s"])
        process.wait_until(self._server_listens, 20, "iperf3 listens")

    def set_up(self):
        raise NotImplementedError

    def spawn(self, end, argv, env=None):
        """Starts a program at one end, on the CPU of that end; its output is kept
        for an error message."""
        path = os.path.join(process.temp_dir(), "%s-%d-%d.log" % (
            self.name.replace(" ", ""), end, len(self.children)))
        with open(path, "w") as log:
            child = self.link.spaces[end].spawn(
                machine.pinned(self.cpus[end], argv), stdin=-3, stdout=log, stderr=-2,
                env=env)
        child.log = path
        self.children.append(child)
        return child

    def set_address(self, end, device, mtu=None):
        """Inner address, MTU and state of the device of a tunnel."""
        space = self.link.spaces[end]
        if mtu:
            space.ip("link set %s mtu %d" % (device, mtu))
        space.ip("addr add %s/24 dev %s" % (INNER[end], device), check=False)
        space.ip("link set %s up" % device)

    def wait_for_device(self, end, device):
        process.wait_until(lambda: self._alive() and device in self.link.spaces[end].links(),
                           20, "%s has made %s" % (self.name, device))

    def wait_for_ping(self, seconds=20):
        until = time.monotonic() + seconds
        while self.link.a.run(["ping", "-n", "-c", "1", "-W", "1", self.target],
                              check=False).code != 0:
            self._alive()
            if time.monotonic() > until:
                raise Unavailable("no answer through the tunnel" + self.last_words())
            time.sleep(0.1)

    def _server_listens(self):
        with self.link.b.entered():
            tables = []
            for name in ("tcp", "tcp6"):
                with open("/proc/thread-self/net/" + name) as table:
                    tables.append(table.read())
        return self._alive() and re.search(r":%04X [0:]+ 0A " % _IPERF_PORT, "".join(tables))

    def _alive(self):
        for child in self.children:
            if child.poll() is not None:
                raise Unavailable("%s ended with status %d%s" % (
                    os.path.basename(child.args[3]), child.returncode, self.last_words()))
        return True

    def last_words(self):
        lines = []
        for child in self.children:
            with open(child.log, errors="replace") as log:
                lines += log.read().strip().splitlines()[-1:]
        return ": " + " / ".join(lines) if lines else ""

    def stop(self):
        for child in reversed(self.children):
            process.stop(child, timeout=5)
        if self.link:
            self.link.delete()


class Plain(Peer):
    name, kind, about = "plain veth", CEILING, "no tunnel, MTU 1500"
    target = OUTER[4][1]

    def set_up(self):
        pass


class Plain6(Plain):
    name, family, about = "plain veth, IPv6", 6, "no tunnel, IPv6, MTU 1500"
    target = OUTER[6][1]


class Vxlan(Peer):
    name, kind = "kernel VXLAN", KERNEL
    about = "vxlan device, port 4789, no learning, MTU 1450"
    mtu, words = 1450, "noudpcsum"

    def set_up(self):
        for end, space in enumerate(self.link.spaces):
            local, remote = OUTER[self.family][end], OUTER[self.family][1 - end]
            space.ip("link add vx0 type vxlan id 1 local %s remote %s dev u0 "
                     "dstport 4789 nolearning %s" % (local, remote, self.words))
            self.set_address(end, "vx0", self.mtu)


class Vxlan6(Vxlan):
    name, family, mtu = "kernel VXLAN, IPv6", 6, 1430
    about = "the same over IPv6, UDP checksum of zero, MTU 1430"
    words = "udp6zerocsumtx udp6zerocsumrx"


class OpenVpn(Peer):
    name, package = "OpenVPN", "openvpn"
    about = "tun, UDP, cipher none, auth none, no TLS, static peers, MTU 1450"

    def set_up(self):
        for end in (0, 1):
            self.spawn(end, [
                "openvpn", "--dev", "tun0", "--dev-type", "tun", "--proto", "udp",
                "--local", OUTER[4][end], "--remote", OUTER[4][1 - end], "--cipher",
                "none", "--auth", "none", "--tun-mtu", "1450", "--mssfix", "0",
                "--ifconfig", INNER[end], INNER[1 - end], "--disable-dco",
                "--sndbuf", "1048576", "--rcvbuf", "1048576", "--txqueuelen", "1000"])
        for end in (0, 1):
            self.wait_for_device(end, "tun0")


class WireguardGo(Peer):
    name, package = "wireguard-go", "wireguard-go"
    about = "ChaCha20-Poly1305, which it cannot leave out; MTU 1420"

    def set_up(self):
        if not shutil.which("wg"):
            raise Unavailable("wg of wireguard-tools is not installed")
        devices = ["wg%d%s" % (os.getpid(), end) for end in "ab"]
        secrets = [process.run(["wg", "genkey"]).out.strip() for _ in devices]
        public = [process.run(["wg", "pubkey"], stdin=s + "\n").out.strip() for s in secrets]
        environment = dict(os.environ, WG_PROCESS_FOREGROUND="1")
        for end, device in enumerate(devices):
            process.at_end(lambda path="/run/wireguard/%s.sock" % device:
                           os.path.exists(path) and os.unlink(path))
            self.spawn(end, ["wireguard-go", "-f", device], environment)
        for end, device in enumerate(devices):
            self.wait_for_device(end, device)
            path = os.path.join(process.temp_dir(), device + ".conf")
            with open(path, "w") as conf:
                conf.write("[Interface]\nPrivateKey = %s\nListenPort = 51820\n[Peer]\n"
                           "PublicKey = %s\nAllowedIPs = 10.77.0.0/24\n"
                           "Endpoint = %s:51820\n" % (
                               secrets[end], public[1 - end], OUTER[4][1 - end]))
            self.link.spaces[end].run(["wg", "setconf", device, path])
            self.set_address(end, device, 1420)


class Fastd(Peer):
    name, package = "fastd", "fastd"
    about = "tun, method null, MTU 1440"

    def set_up(self):
        if not shutil.which("fastd"):
            raise Unavailable("fastd is not installed")
        secrets, public = [], []
        for _ in (0, 1):
            secrets.append(process.run(["fastd", "--machine-readable",
                                        "--generate-key"]).out.strip())
            shown = process.run(["fastd", "--machine-readable", "--show-key", "-c", "-"],
                                stdin='secret "%s";\n' % secrets[-1])
            public.append(shown.out.strip())
        for end in (0, 1):
            path = os.path.join(process.temp_dir(), "fastd%d.conf" % end)
            with open(path, "w") as conf:
                conf.write('mode tun;\ninterface "fd0";\nmethod "null";\nmtu 1440;\n'
                           'bind %s:10000;\nsecret "%s";\n'
                           'peer "other" { key "%s"; remote %s:10000; }\n' % (
                               OUTER[4][end], secrets[end], public[1 - end],
                               OUTER[4][1 - end]))
            self.spawn(end, ["fastd", "--log-level", "warn", "-c", path])
        for end in (0, 1):
            self.wait_for_device(end, "fd0")
            self.set_address(end, "fd0")


class Socat(Peer):
    name, package = "socat", "socat"
    about = "TUN and a raw socket of protocol 4, so IPIP, MTU 1480"

    def set_up(self):
        for end in (0, 1):
            self.spawn(end, [
                "socat", "-b", "65536",
                "TUN:%s/24,tun-name=so0,tun-type=tun,iff-no-pi,iff-up" % INNER[end],
                "IP4-DATAGRAM:%s:4,bind=%s,rcvbuf=1048576" % (
                    OUTER[4][1 - end], OUTER[4][end])])
        for end in (0, 1):
            self.wait_for_device(end, "so0")
            self.set_address(end, "so0", 1480)
