"""The barrier table of docs/concurrency.md, held against the source."""

import os
import re
import sys
import unittest

sys.path.insert(0, os.path.abspath(os.path.join(os.path.dirname(__file__), "..", "..")))

from tests.lib import runner, source_tree

DOCUMENT = "docs/concurrency.md"
LABEL = re.compile(r"\[([A-Z][0-9])\]")
ORDER = re.compile(r"memory_order_(acquire|release|acq_rel|seq_cst|consume)\b")
FENCE = re.compile(r"\batomic_(thread|signal)_fence\b")
# A label stands this many lines above the access at most.
REACH = 8


def table_labels():
    rows = re.findall(r"^\| ([A-Z][0-9]) \|", source_tree.read(DOCUMENT), re.M)
    return rows


def sources():
    return [f for f in source_tree.files(".h", ".cc")
            if f.startswith("tunnel/") and not f.endswith(("_test.cc", "_benchmark.cc"))]


class Labels(unittest.TestCase):
    def test_the_table_names_each_label_once(self):
        labels = table_labels()
        self.assertGreaterEqual(len(labels), 5)
        self.assertEqual(len(labels), len(set(labels)))

    def test_each_label_of_the_table_stands_at_two_or_more_places(self):
        places = {label: [] for label in table_labels()}
        for name in sources():
            for number, line in enumerate(source_tree.read(name).split("\n"), 1):
                for label in LABEL.findall(line):
                    places.setdefault(label, []).append("%s:%d" % (name, number))
        few = {k: v for k, v in places.items() if len(v) < 2}
        self.assertEqual(few, {}, "a barrier has two sides")
        unknown = sorted(set(places) - set(table_labels()))
        self.assertEqual(unknown, [], "labels without a row in " + DOCUMENT)

    def test_each_ordered_access_has_a_label_near_it(self):
        bare = []
        for name in sources():
            lines = source_tree.read(name).split("\n")
            for i, line in enumerate(lines):
                if ORDER.search(line.split("//")[0]) and not any(
                        LABEL.search(l) for l in lines[max(0, i - REACH):i + 2]):
                    bare.append("%s:%d: %s" % (name, i + 1, line.strip()))
        self.assertEqual(bare, [])

    def test_no_atomic_access_leaves_its_order_out(self):
        # .load() and .store(x) without an order are seq_cst by accident.
        bare = []
        for name in sources():
            for number, line in enumerate(source_tree.read(name).split("\n"), 1):
                if re.search(r"\.load\(\)|\.store\([^(),]*\)", line.split("//")[0]):
                    bare.append("%s:%d: %s" % (name, number, line.strip()))
        self.assertEqual(bare, [])

    def test_no_fence(self):
        # ThreadSanitizer does not see fences.
        self.assertEqual([f for f in sources() if FENCE.search(source_tree.read(f))], [])


if __name__ == "__main__":
    runner.main(needs_root=False)
