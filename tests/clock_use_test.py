"""No wait, deadline or timer of the daemon reads the wall clock.

The wall clock is only shown to people. Each place that reads it is listed here with
what it is shown as; a new one has to be thought about.
"""

import os
import re
import sys
import unittest

sys.path.insert(0, os.path.abspath(os.path.join(os.path.dirname(__file__), "..")))

from tests.lib import runner, source_tree

WALL_CLOCK = re.compile(
    r"system_clock|absl::Now\(|CLOCK_REALTIME|gettimeofday|\btime\((nullptr|NULL|0)\)|"
    r"GPR_CLOCK_REALTIME|GetCurrentTimeNanos")
# Waits of libraries that count on the wall clock, whatever is asked of them.
WALL_CLOCK_WAIT = re.compile(
    r"(Await|Wait|LockWhen)With(Timeout|Deadline)|WaitForNotificationWith|"
    r"pthread_(cond|mutex)_timed|sem_timedwait|std::timed_mutex")
SHOWN = {
    "tunnel/base/clock.h": "RealtimeCoarseNs: last_receive_time",
    "tunnel/base/log.cc": "time of a log line",
    "tunnel/tunnel_manager.cc": "read_time of counters",
    "tunnel/manager_impl.cc": "update_time",
    "tunnel/manager_verbs.cc": "update_time",
    "tunnel/manager_transaction.cc": "create_time and update_time",
    "tunnel/manager_apply.cc": "deadline of what awaits confirmation, also for a restart",
    "tunnel/manager_restore.cc": "what is left of that deadline after a restart",
    "tunnel/manager_overlap.cc": "overlap_until",
    "tunnel/manager_confirm.cc": "deadline of what awaits confirmation",
}


class ClockUse(unittest.TestCase):
    def sources(self):
        for path in source_tree.files():
            if re.match(r"(encap|tunnel|ctl)/", path) and re.search(r"\.(cc|h)$", path):
                # The client takes its deadlines from the command line, for one call.
                if not re.search(r"_test\.cc$|_benchmark\.cc$|^ctl/cli/", path):
                    yield path

    def test_wall_clock_is_read_only_where_it_is_shown(self):
        readers = {p for p in self.sources() if WALL_CLOCK.search(source_tree.read(p))}
        self.assertEqual(readers - set(SHOWN), set())
        self.assertGreater(len(readers), 3)

    def test_no_wait_counts_on_it(self):
        for path in self.sources():
            found = WALL_CLOCK_WAIT.search(source_tree.read(path))
            self.assertIsNone(found, path)


if __name__ == "__main__":
    runner.main()
