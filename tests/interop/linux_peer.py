"""An unmodified Linux kernel as the other end of a tunnel.

User-mode Linux runs Debian's kernel as one process, ready in about 3 s, with its
own ipip, sit, gre, gretap, ip6tnl, ip6gre and ip6gretap. Its eth0 is the far end
of a TAP device in a namespace. All programs of this machine run inside it.
"""

import os
import shutil
import signal
import tempfile

from tests.lib import process

KERNEL = "/usr/bin/linux.uml"
_HERE = os.path.dirname(os.path.abspath(__file__))


class LinuxPeer:
    """A booted peer whose eth0 is joined to the new TAP device `tap` in `space`.

    Frames are finished at both ends: no offload, every checksum filled in.
    """

    def __init__(self, space, tap="peer0", memory_mb=256, timeout=60):
        self._space = space
        self._jobs = 0
        # Short and without spaces: it stands on the kernel's command line.
        self.directory = tempfile.mkdtemp(prefix="peer-", dir=process.temp_dir())
        self._control = os.path.join(self.directory, "ctl")
        os.makedirs(os.path.join(self._control, "job"))
        self._write_guest_files()
        space.ip("tuntap add dev %s mode tap vnet_hdr" % tap)
        space.ip("link set %s up" % tap)
        self._port = os.path.join(self.directory, "port")
        os.mkfifo(self._port)
        # Read-write, so that neither end ever sees an end of file.
        self._port_fd = os.open(self._port, os.O_RDWR)
        process.at_end(self.stop)
        self._child = self._boot(tap, memory_mb)
        process.wait_until(self._is_ready, timeout, "the peer has booted")
        # The driver in the guest asks the TAP for offloads when it opens it.
        space.run(["ethtool", "-K", tap, "tx", "off", "tso", "off", "gso", "off",
                   "sg", "off"], check=False)
        with open(os.path.join(self._control, "ready")) as ready:
            self.release = ready.read().strip()

    def _write_guest_files(self):
        for name in ("guest_init.sh", "guest_agent.sh"):
            shutil.copyfile(os.path.join(_HERE, name),
                            os.path.join(self._control, name))
        self._init = os.path.join(self._control, "init")
        with open(self._init, "w") as f:
            f.write("#!/bin/bash\nexec /bin/bash %s/guest_init.sh %s\n" %
                    (self._control, self._control))
        os.chmod(self._init, 0o755)

    def _boot(self, tap, memory_mb):
        self.console = os.path.join(self.directory, "console.log")
        null = os.open(os.devnull, os.O_WRONLY)
        argv = [KERNEL, "mem=%dM" % memory_mb, "root=/dev/root", "rootfstype=hostfs",
                "rootflags=/", "ro", "init=" + self._init, "umid=peer",
                "uml_dir=%s/" % self.directory, "con=null", "con0=null,fd:1",
                "ssl=null", "ssl0=fd:%d,fd:%d" % (self._port_fd, null),
                "vec0:transport=tap,ifname=%s,depth=128,gro=1,"
                "mac=02:00:5e:00:53:01" % tap]
        # The memory of the guest is a file below TMPDIR.
        env = dict(os.environ, TMPDIR=_memory_directory(memory_mb))
        child = self._space.spawn(
            argv, env=env, stdin=-3, stdout=open(self.console, "w"), stderr=-2,
            pass_fds=(self._port_fd, null), start_new_session=True)
        os.close(null)
        return child

    def _is_ready(self):
        if self._child.poll() is not None:
            with open(self.console, errors="replace") as console:
                raise AssertionError("the peer died:\n" + console.read()[-2000:])
        return os.path.exists(os.path.join(self._control, "ready"))

    def _order(self, line):
        os.write(self._port_fd, (line + "\n").encode())

    def share(self, path):
        """Copies a file to where the peer sees it; its path in there."""
        shutil.copy(path, self._control)
        return "/ctl/" + os.path.basename(path)

    def start(self, script, timeout=600):
        """Starts shell commands in the peer and does not wait; the job's files."""
        self._jobs += 1
        job = os.path.join(self._control, "job", str(self._jobs))
        with open(job + ".sh", "w") as f:
            f.write(script + "\n")
        self._order("r %d %d" % (self._jobs, timeout))
        return job

    def run(self, script, check=True, timeout=30):
        """Runs shell commands in the peer: a process.Result."""
        job = self.start(script, timeout)
        process.wait_until(lambda: os.path.exists(job + ".rc") or
                           self._child.poll() is not None,
                           timeout + 10, "the peer runs: " + script, 0.005)
        if not os.path.exists(job + ".rc"):
            raise AssertionError("the peer died while it ran: " + script)
        parts = []
        for suffix in (".rc", ".out", ".err"):
            with open(job + suffix, errors="replace") as f:
                parts.append(f.read())
        result = process.Result(["peer:", script], int(parts[0]), *parts[1:])
        if check and result.code != 0:
            raise process.CommandError(str(result))
        return result

    def stop(self):
        """Powers it off and ends what is left of its session."""
        if self._port_fd is None:
            return
        if self._child.poll() is None:
            self._order("q")
            try:
                self._child.wait(3)
            except Exception:
                self._child.kill()
                self._child.wait()
        os.close(self._port_fd)
        self._port_fd = None
        for pid in _session_members(self._child.pid, self.directory):
            os.kill(pid, signal.SIGKILL)


def _memory_directory(memory_mb):
    free = os.statvfs("/dev/shm")
    enough = free.f_bavail * free.f_frsize > (memory_mb + 64) << 20
    return "/dev/shm" if enough else "/tmp"


def _session_members(session, directory):
    """Pids of a session whose command line names `directory`: the processes of
    the guest outlive a kernel that was killed, and a pid may be used again."""
    found = []
    for pid in filter(str.isdigit, os.listdir("/proc")):
        try:
            with open("/proc/%s/stat" % pid) as f:
                fields = f.read().rsplit(")", 1)[1].split()
            with open("/proc/%s/cmdline" % pid, "rb") as f:
                command = f.read()
        except OSError:
            continue
        if int(fields[3]) == session and directory.encode() in command:
            found.append(int(pid))
    return found
