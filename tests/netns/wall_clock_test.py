"""The wall clock jumps by a day, forth and back: nothing waits longer or shorter.

The daemon runs with a library that shifts what it reads from the wall clock; the
real one, which belongs to the whole machine, is left alone. A wait that counts on the
wall clock would end at once, or a day late.
"""

import os
import struct
import sys
import time
import unittest

sys.path.insert(0, os.path.abspath(os.path.join(os.path.dirname(__file__), "../..")))

from tests.lib import daemon, lab, process, runner, traffic

DAY = 24 * 3600
PAUSE, CONFIRM = 4, 5  # seconds
# How late something may come on a busy machine.
LATE = 60

SHIFT = r"""
#define _GNU_SOURCE
#include <dlfcn.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/time.h>
#include <time.h>

/* Seconds, in a file that the test writes. */
static volatile long long *offset;

__attribute__((constructor)) static void open_offset(void) {
  int fd = open(getenv("CLOCK_SHIFT_FILE"), O_RDONLY | O_CLOEXEC);
  offset = mmap(0, 8, PROT_READ, MAP_SHARED, fd, 0);
}

int clock_gettime(clockid_t clock, struct timespec *now) {
  static int (*real)(clockid_t, struct timespec *);
  if (!real) real = (int (*)(clockid_t, struct timespec *))dlsym(RTLD_NEXT, "clock_gettime");
  int result = real(clock, now);
  if (offset && (clock == CLOCK_REALTIME || clock == CLOCK_REALTIME_COARSE))
    now->tv_sec += *offset;
  return result;
}
int gettimeofday(struct timeval *restrict now, void *restrict zone) {
  struct timespec t;
  clock_gettime(CLOCK_REALTIME, &t);
  now->tv_sec = t.tv_sec;
  now->tv_usec = t.tv_nsec / 1000;
  return 0;
}
time_t time(time_t *out) {
  struct timespec t;
  clock_gettime(CLOCK_REALTIME, &t);
  if (out) *out = t.tv_sec;
  return t.tv_sec;
}
"""


class WallClock(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        directory = process.temp_dir()
        source = os.path.join(directory, "shift.c")
        library = os.path.join(directory, "shift.so")
        cls.offset = os.path.join(directory, "shift.offset")
        with open(source, "w") as f:
            f.write(SHIFT)
        process.run(["gcc", "-O1", "-shared", "-fPIC", "-o", library, source, "-ldl"])
        cls.jump(0)
        cls.pair = lab.Pair(3, start=False)
        for host in cls.pair.hosts:
            host.space.sysctl("net/ipv6/conf/default/disable_ipv6", 1)
            host.daemon = daemon.Daemon(host.space, prefix=[
                "env", "LD_PRELOAD=" + library, "CLOCK_SHIFT_FILE=" + cls.offset])
        cls.a = cls.pair.a
        for number in (1, 2, 3):
            cls.pair.create("t%d" % number, number, "gre", carries="4")

    @classmethod
    def tearDownClass(cls):
        cls.pair.close()

    @classmethod
    def jump(cls, seconds):
        with open(cls.offset, "r+b" if os.path.exists(cls.offset) else "wb") as f:
            f.write(struct.pack("q", seconds))

    def until(self, condition, start, earliest, what):
        """Awaits the condition, which must come true between `earliest` and LATE
        seconds after that from `start`."""
        process.wait_until(condition, earliest + LATE - (time.monotonic() - start), what)
        self.assertGreaterEqual(time.monotonic() - start, earliest, what)

    def shown_time(self):
        return self.a.daemon.json("stats", "t3")[0]["last_receive_time"]

    def test_timers_end_in_their_time(self):
        for first, second in ((DAY, -DAY), (-DAY, DAY)):
            with self.subTest(first=first):
                self.jump(0)
                start = time.monotonic()
                self.a.daemon.ctl("pause", "t1", "--max", "%ds" % PAUSE)
                wanted = self.a.daemon.ctl("show t2 -o toml").out.replace(
                    lab.outer(2, "4", 2), lab.outer(2, "4", 9))
                path = os.path.join(process.temp_dir(), "t2.toml")
                with open(path, "w") as f:
                    f.write(wanted)
                applied = time.monotonic()
                self.a.daemon.ctl("apply", "-f", path, "--confirm", "%ds" % CONFIRM)
                self.jump(first)
                self.assertEqual(traffic.ping(self.a.space, lab.inner(3, "4", 2), 20), 20)
                # The daemon did read the shifted clock, and nothing has ended by it.
                self.assertIn(time.strftime("%Y-%m-%d", time.gmtime(time.time() + first)),
                              self.shown_time())
                self.assertTrue(self.a.daemon.show("t1").get("paused"))
                self.assertEqual(self.a.daemon.show("t2")["remote"],
                                 lab.outer(2, "4", 9))
                self.jump(second)
                self.until(lambda: not self.a.daemon.show("t1").get("paused"),
                           start, PAUSE, "the pause ends")
                self.until(lambda: self.a.daemon.show("t2")["remote"] ==
                           lab.outer(2, "4", 2), applied, CONFIRM, "the way back")
                self.jump(0)

    def test_the_daemon_ends_in_its_time(self):
        host = self.pair.b
        self.jump(DAY)
        host.daemon.ctl("set t3 ttl 9")
        self.jump(-DAY)
        self.assertEqual(host.daemon.stop(), 0)  # else it is killed
        self.jump(0)
        host.daemon.start()


if __name__ == "__main__":
    runner.main()
