"""Two namespaces and the veth pair that joins them, in one of three modes.

off      every segmentation and receive offload off: what crosses is at most 1,500
         bytes long, checksums included by the sender's stack as the device says
gro      the same, with GRO on at the receiver
default  as the kernel makes it: super-packets of up to 64 KB cross
"""

import re

from tests.lib import namespace

NAME = "u0"
MTU = 1500
MODES = ("off", "gro", "default")
OUTER = {4: ("198.18.0.1", "198.18.0.2"), 6: ("fd18::1", "fd18::2")}
INNER = ("10.77.0.1", "10.77.0.2")
_RECEIVE = ("generic-receive-offload", "large-receive-offload", "rx-gro-list",
            "rx-udp-gro-forwarding", "rx-gro-hw")


class ModeError(Exception):
    """The device does not do what the mode asks for."""


def parse_features(text):
    """{feature: on} of `ethtool -k`, less those that cannot be changed."""
    features = {}
    for name, state, fixed in re.findall(r"^\s*([\w-]+): (on|off)( \[fixed\])?", text, re.M):
        if not fixed:
            features[name] = state == "on"
    return features


def is_offload(feature):
    """True for what makes or takes packets that are larger than the MTU."""
    return (feature in _RECEIVE or feature == "generic-segmentation-offload" or
            feature == "tcp-segmentation-offload" or feature == "tx-gso-list" or
            re.fullmatch(r"tx-.*segmentation", feature) is not None)


def features_of_mode(initial, mode, receiver):
    """What the offloads among `initial` have to be in `mode`."""
    wanted = {f: on if mode == "default" else False
              for f, on in initial.items() if is_offload(f)}
    if mode == "gro" and receiver:
        wanted["generic-receive-offload"] = True
    return wanted


class Link:
    """Namespaces `a` and `b` with the outer addresses of both families."""

    def __init__(self, label):
        self.a = namespace.Namespace(label + "-a")
        self.b = namespace.Namespace(label + "-b")
        self.spaces = (self.a, self.b)
        self.mode = None
        namespace.connect(self.a, NAME, self.b, NAME, offload=True, mtu=MTU)
        for end, space in enumerate(self.spaces):
            space.ip("addr add %s/24 dev %s" % (OUTER[4][end], NAME))
            space.ip("addr add %s/64 dev %s nodad" % (OUTER[6][end], NAME))
        self._initial = [self.features(space) for space in self.spaces]

    def features(self, space):
        return parse_features(space.run(["ethtool", "-k", NAME]).out)

    def set_mode(self, mode):
        """Switches both ends and checks that they are so."""
        if mode == self.mode:
            return
        for end, space in enumerate(self.spaces):
            wanted = features_of_mode(self._initial[end], mode, receiver=end == 1)
            words = [w for f, on in wanted.items() for w in (f, "on" if on else "off")]
            space.run(["ethtool", "-K", NAME, *words], check=False)
            now = self.features(space)
            wrong = sorted(f for f, on in wanted.items() if now[f] != on)
            if wrong:
                raise ModeError("mode %s: ethtool leaves %s" % (mode, ", ".join(wrong)))
        self.mode = mode

    def frames(self):
        """(bytes, frames) that `a` has sent on the veth."""
        with self.a.entered():
            with open("/proc/thread-self/net/dev") as table:
                for line in table:
                    name, _, counts = line.partition(":")
                    if name.strip() == NAME:
                        fields = counts.split()
                        return int(fields[8]), int(fields[9])
        raise ModeError("no device " + NAME)

    def delete(self):
        for space in self.spaces:
            space.delete()
