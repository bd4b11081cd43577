"""The SPIN models of the configuration: each search ends without an error, and each
seeded fault is found as what it is.

MODELS=nightly takes two data-path CPUs and a fourth client as well: minutes, 2 GB.
"""

import concurrent.futures
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
import unittest

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.abspath(os.path.join(HERE, "..", "..")))

from tests.lib import runner

NIGHTLY = os.environ.get("MODELS", "") == "nightly"
MEMORY_MB = 6000 if NIGHTLY else 1000
SEARCH_SECONDS = 1800 if NIGHTLY else 240  # a machine that has much else to do
DEPTH = "20000000" if NIGHTLY else "3000000"

# Model -> fault -> the property that the checker has to find broken.
FAULTS = {
    "rewire": {
        "no_grace_period": "no_use_after_free",
        "pause_without_wait": "no_output_after_pause",
        "publish_before_pause": "numbers_go_on",
        "detach_skipped": "no_input_after_detach",
        "disestablish_without_wait": "queue_is_alive",
        "reclaim_without_grace": "no_use_after_free",
        "numbers_not_carried": "numbers_go_on",
        "section_ends_early": "no_output_after_pause",
        "resume_without_unpark": "nobody_left_parked",
        "resume_forgets_pause": "no_output_after_pause",
        "variant_edited_in_place": "no_torn_pair",
    },
    "config": {
        "check_own_tunnel_only": "unique_pair",
        "check_before_lock": "unique_pair",
        "no_rollback": "exact_rollback",
        "rollback_overwrites_cause": "cause_is_reported",
        "key_not_given_back": "exact_rollback",
        "store_after_steps": "store_before_traffic",
        "store_one_by_one": "store_all_or_nothing",
        "swap_one_by_one": "unique_pair",
    },
    "lock": {
        "interrupted_waiter_proceeds": "one_holder",
        "lock_lost_on_cancel": "lock_is_never_lost",
        "fifo_broken": "first_come_first_served",
        "interrupt_past_commit": "ended_changes_nothing",
    },
    "grace": {
        "enter_relaxed": "no_use_after_free",
        "publish_relaxed": "no_use_after_free",
        "leave_relaxed": "no_use_after_free",
    },
    "publish": {"snapshot_relaxed": "complete_value_before_pointer"},
    "ring": {
        "ring_push_relaxed": "items_in_order",
        "ring_pop_relaxed": "items_in_order",
        "ring_resize_relaxed": "items_in_order",
        "ring_resize_early": "items_in_order",
    },
    "mpsc": {
        "mpsc_publish_relaxed": "items_in_order",
        "mpsc_free_relaxed": "items_in_order",
        "mpsc_seal_missed": "nothing_left_behind",
    },
    "handoff": {
        "handoff_done_relaxed": "endpoint_is_alive",
        "handoff_not_awaited": "endpoint_is_alive",
        "handoff_unsettled": "flow_in_order",
    },
    "wake": {
        "wake_ring_first": "no_lost_wake_up",
        "wake_look_first": "no_lost_wake_up",
    },
}
# Faults of the models that the code has no switch for: see README.md.
MODEL_ALONE = {"enter_relaxed", "publish_relaxed", "wait_for_even"}
# Two data-path CPUs, or one client more.
LARGE = {"rewire": ["-DNW=2"], "lock": ["-DNC=4"]}

TRUNCATED = re.compile(r"Search not completed|max search depth too small|"
                       r"out of memory|hash table.*full|max_depth")
UNREACHED = re.compile(r'^\s+\S+\.pml:\d+, state \d+, "(.*)"$', re.M)


class Search:
    """One run of spin, gcc and pan."""

    def __init__(self, model, defines=(), safety=True, small=False):
        self.model, self.defines = model, list(defines)
        self.safety, self.small = safety, small
        self.output, self.seconds = "", 0.0

    def __str__(self):
        return " ".join([self.model] + self.defines)

    def run(self):
        begin = time.monotonic()
        with tempfile.TemporaryDirectory(prefix="models-") as directory:
            for name in os.listdir(HERE):
                if name.endswith((".pml", ".h")):
                    shutil.copy(os.path.join(HERE, name), directory)
            self._step(directory, ["spin", "-a", *self.defines, self.model + ".pml"], 60)
            kind = ["-DSAFETY"] if self.safety else ["-DNFAIR=3"]
            level = ["-O1"] if self.small else ["-O2", "-DCOLLAPSE"]
            self._step(directory, ["gcc", "-w", *level, *kind, "-DMEMLIM=%d" % MEMORY_MB,
                                   "-o", "pan", "pan.c"], 120)
            options = [] if self.safety else ["-a", "-f"]
            self.output = self._step(directory, ["./pan", "-m" + DEPTH, *options],
                                     SEARCH_SECONDS)
        self.seconds = time.monotonic() - begin
        return self

    def _step(self, directory, command, seconds):
        done = subprocess.run(command, cwd=directory, stdout=subprocess.PIPE,
                              stderr=subprocess.STDOUT, text=True, timeout=seconds)
        # pan exits 0 also when it has found errors.
        if done.returncode != 0 or "Error:" in done.stdout:
            raise AssertionError("%s: %s:\n%s" % (self, command[0], done.stdout[-2000:]))
        return done.stdout

    def errors(self):
        found = re.search(r"errors: (\d+)", self.output)
        assert found, "%s: no result:\n%s" % (self, self.output[-2000:])
        return int(found.group(1))

    def states(self):
        return int(float(re.search(r"([\d.e+]+) states, stored", self.output).group(1)))

    def broken(self):
        """The text of the assertion that failed, or of what else was found."""
        found = re.search(r"^pan:1: (.*)$", self.output, re.M)
        return found.group(1) if found else ""


def property_of(text):
    """The name in `assertion violated ((condition)||name) (at depth n)`."""
    found = re.search(r"assertion violated .*\|\|(\w+)\)", text)
    return found.group(1) if found else text


def run_all(searches):
    with concurrent.futures.ThreadPoolExecutor(2) as pool:
        return list(pool.map(Search.run, searches))


class Models(unittest.TestCase):
    def check_complete(self, search):
        self.assertEqual(search.errors(), 0, "%s: %s" % (search, search.broken()))
        self.assertIsNone(TRUNCATED.search(search.output), search.output[-2000:])
        print("        %-28s %9d states, %.1f s" % (search, search.states(), search.seconds),
              flush=True)

    def test_each_property_holds_in_every_state(self):
        searches = [Search(model) for model in FAULTS]
        if NIGHTLY:
            searches += [Search(m, defines) for m, defines in LARGE.items()]
        for search in run_all(searches):
            with self.subTest(str(search)):
                self.check_complete(search)
                # A statement that no run reaches is a property that says nothing.
                idle = [s for s in UNREACHED.findall(search.output) if s != "-end-"]
                self.assertEqual(idle, [], "never reached")

    def test_waiting_ends(self):
        for search in run_all([Search("pause_live", safety=False),
                               Search("lock", ["-DLIVENESS"], safety=False)]):
            with self.subTest(str(search)):
                self.check_complete(search)

    def test_each_seeded_fault_is_found_as_what_it_is(self):
        wanted = [(model, fault, name) for model, faults in FAULTS.items()
                  for fault, name in faults.items()]
        self.assertGreaterEqual(len(wanted), 12)
        searches = run_all([Search(model, ["-D" + fault.upper()], small=True)
                            for model, fault, _ in wanted])
        for search, (_, _, name) in zip(searches, wanted):
            with self.subTest(str(search)):
                self.assertGreater(search.errors(), 0, "not found")
                self.assertEqual(property_of(search.broken()), name)

    def test_a_wait_that_may_never_end_is_found(self):
        search = Search("pause_live", ["-DWAIT_FOR_EVEN"], safety=False, small=True).run()
        self.assertGreater(search.errors(), 0)
        self.assertIn("acceptance cycle", search.broken())

    def test_models_code_and_documents_have_the_same_faults(self):
        ours = {fault for faults in FAULTS.values() for fault in faults}
        root = os.path.join(HERE, "..", "..")
        with open(os.path.join(root, "tunnel", "base", "fault.h")) as f:
            code = set(re.findall(r'return "(\w+)";', f.read())) - {"none"}
        self.assertEqual(sorted(ours - MODEL_ALONE), sorted(code))
        self.assertGreaterEqual(len(code), 12)
        with open(os.path.join(HERE, "README.md")) as f:
            readme = f.read()
        for word in sorted(ours | MODEL_ALONE | {"%s.pml" % m for m in FAULTS}):
            self.assertIn("`%s`" % word, readme)
        switches = set()
        for model in list(FAULTS) + ["pause_live"]:
            with open(os.path.join(HERE, model + ".pml")) as f:
                switches |= {s.lower() for s in
                             re.findall(r"^#\s*ifn?def (\w+)", f.read(), re.M)}
        self.assertEqual(sorted(switches - {"nw", "nc", "liveness"}),
                         sorted(ours | MODEL_ALONE))


if __name__ == "__main__":
    runner.main(needs_root=False)
