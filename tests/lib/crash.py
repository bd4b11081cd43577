"""Kills a daemon at a chosen system call of a change, and says what is left.

strace counts calls for each thread on its own, so point N of a call is where the
first thread makes it for the N-th time after strace has attached.
"""

import collections
import json
import os
import re

from tests.lib import process

# What a change does to the outside: the store, devices, links, other threads and
# the client.
CALLS = ("pwrite64", "fdatasync", "fsync", "ftruncate", "rename", "unlink", "ioctl",
         "sendmsg", "write")
_STATUS = ("oper_state", "oper_reason", "ifindex", "effective_mtu", "mtu_reason",
           "overhead", "generation", "create_time", "update_time", "etag",
           "effective_local", "overlap_until", "datapath_in_use", "datapath_reason",
           "kernel_steering", "next_hop", "next_hop_reason")


class State:
    """Tunnels as the daemon tells them and links as the kernel has them."""

    def __init__(self, daemon):
        rows = daemon.json("list")
        self.specs = {r["name"]: {k: v for k, v in r.items() if k not in _STATUS}
                      for r in rows}
        self.created = {r["name"]: r["create_time"] for r in rows}
        self.generations = {r["name"]: int(r["generation"]) for r in rows}
        self.told = {r["name"]: r.get("ifindex") for r in rows}
        self.failed = [r["name"] for r in rows if r["oper_state"] == "OPER_FAILED"]
        self.links, self.indices = {}, {}
        for link in json.loads(daemon.space.run(["ip", "-j", "addr", "show"]).out):
            if link["ifname"] == "lo":
                continue
            addresses = sorted("%s/%d" % (a["local"], a["prefixlen"])
                               for a in link["addr_info"] if a["scope"] != "link")
            self.links[link["ifname"]] = (
                link["mtu"], "UP" in link["flags"], addresses)
            self.indices[link["ifname"]] = link["ifindex"]

    def faults(self):
        """What is not right with it by itself: a tunnel with the device of another,
        or a device without a tunnel."""
        found = ["%s: told ifindex %s, is %s" % (n, i, self.indices.get(n))
                 for n, i in self.told.items() if i != self.indices.get(n)]
        return found + ["%s: failed" % n for n in self.failed]

    def same(self, other):
        """Everything is as in `other`, generations and indices too."""
        return (self.specs == other.specs and self.links == other.links and
                self.generations == other.generations and
                self.created == other.created and self.indices == other.indices)

    def alike(self, other):
        """The configuration and the links are those of `other`; the devices may be
        others."""
        return self.specs == other.specs and self.links == other.links

    def __str__(self):
        return json.dumps([self.specs, self.links, self.indices, self.generations],
                          indent=1, sort_keys=True)


def _attached(pid):
    for task in os.listdir("/proc/%d/task" % pid):
        with open("/proc/%d/task/%s/status" % (pid, task)) as f:
            if re.search(r"^TracerPid:\s*0$", f.read(), re.M):
                return False
    return True


class Strace:
    """strace on a running daemon: counts its calls, or kills it at one of them (or
    lets that one fail: action "error=EIO")."""

    def __init__(self, daemon, calls=CALLS, when=None, action="signal=SIGKILL"):
        self.pid = daemon.child.pid
        self.log = os.path.join(daemon.directory, "strace")
        inject = [] if when is None else [
            "--inject=%s:%s:when=%d" % (",".join(calls), action, when)]
        self.child = process.spawn(
            ["strace", "-f", "-qq", "-o", self.log, "-e", "trace=" + ",".join(calls),
             *inject, "-p", self.pid])
        process.wait_until(lambda: _attached(self.pid), what="strace attached")

    def stop(self):
        process.stop(self.child)

    def counts(self):
        """{call: the most that one thread has made}."""
        counter = collections.Counter()
        with open(self.log, errors="replace") as log:
            for line in log:
                match = re.match(r"(\d+)\s+(\w+)\(", line)
                if match:
                    counter[match.groups()] += 1
        result = {}
        for (_, call), count in counter.items():
            result[call] = max(result.get(call, 0), count)
        return result
