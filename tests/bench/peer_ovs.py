"""Open vSwitch with its datapath in user space (netdev), a GRE port at each end."""

import os
import shutil

from tests.bench.link import NAME, OUTER
from tests.bench.peers import Peer, Unavailable
from tests.lib import process

_SCHEMA = "/usr/share/openvswitch/vswitch.ovsschema"


class OvsGre(Peer):
    """Bridge br-phy has the underlay device and its address, br-int the GRE port."""

    name, package = "OVS netdev GRE", "openvswitch-switch"
    about = "userspace datapath on AF_PACKET, one GRE port, MTU 1450"

    def set_up(self):
        if not shutil.which("ovs-vswitchd"):
            raise Unavailable("ovs-vswitchd is not installed")
        for end in (0, 1):
            self._start_switch(end)
        for end in (0, 1):
            self._configure(end)

    def _environment(self, end):
        directory = os.path.join(process.temp_dir(), "ovs%d" % end)
        os.makedirs(directory, exist_ok=True)
        return dict(os.environ, OVS_RUNDIR=directory, OVS_LOGDIR=directory,
                    OVS_DBDIR=directory)

    def _start_switch(self, end):
        environment = self._environment(end)
        directory = environment["OVS_RUNDIR"]
        database = os.path.join(directory, "conf.db")
        process.run(["ovsdb-tool", "create", database, _SCHEMA])
        self.spawn(end, ["ovsdb-server", database, "--remote=punix:%s/db.sock" % directory,
                         "--unixctl=%s/db.ctl" % directory], environment)
        process.wait_until(lambda: os.path.exists(directory + "/db.sock"), 20,
                           "ovsdb-server listens")
        self._vsctl(end, "--no-wait", "init")
        self.spawn(end, ["ovs-vswitchd", "unix:%s/db.sock" % directory,
                         "--unixctl=%s/vswitchd.ctl" % directory], environment)

    def _vsctl(self, end, *words):
        directory = self._environment(end)["OVS_RUNDIR"]
        self.link.spaces[end].run(
            ["ovs-vsctl", "--timeout=20", "--db=unix:%s/db.sock" % directory, *words],
            env=self._environment(end))

    def _configure(self, end):
        space = self.link.spaces[end]
        space.ip("addr flush dev " + NAME)
        self._vsctl(end, "add-br", "br-phy", "--", "set", "bridge", "br-phy",
                    "datapath_type=netdev", "--", "add-port", "br-phy", NAME)
        space.ip("addr add %s/24 dev br-phy" % OUTER[4][end])
        space.ip("link set br-phy up")
        self._vsctl(end, "add-br", "br-int", "--", "set", "bridge", "br-int",
                    "datapath_type=netdev", "--", "add-port", "br-int", "gre0", "--",
                    "set", "interface", "gre0", "type=gre",
                    "options:local_ip=" + OUTER[4][end],
                    "options:remote_ip=" + OUTER[4][1 - end])
        self.set_address(end, "br-int", 1450)
