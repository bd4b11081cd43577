"""Every drop reason is reached by a test: one that sends a packet, or asks for the
counter of the reason, and not one that lists the names."""

import os
import re
import sys
import unittest

sys.path.insert(0, os.path.abspath(os.path.join(os.path.dirname(__file__), "..")))

from tests.lib import runner, source_tree

LIST = "encap/drop_reason.h"
# These hold the names, not the behaviour.
LISTS = ("encap/drop_reason_test.cc", "tests/drop_reasons_test.py")


def reasons():
    """(enumerator, name) of each."""
    return re.findall(r'^  X\((\w+), "(\w+)"', source_tree.read(LIST), re.M)


class DropReasonsTest(unittest.TestCase):
    def test_each_is_reached(self):
        cpp = "\n".join(source_tree.read(f) for f in source_tree.files("_test.cc")
                        if f not in LISTS)
        netns = "\n".join(source_tree.read(f) for f in source_tree.files("_test.py")
                          if f not in LISTS)
        golden = "\n".join(source_tree.read(f) for f in source_tree.files(".txt")
                           if f.startswith("tests/conformance/"))
        self.assertEqual(len(reasons()), 25)
        for enumerator, name in reasons():
            with self.subTest(reason=name):
                self.assertTrue(
                    re.search(r"\bDropReason::k%s\b" % enumerator, cpp) or
                    re.search(r"[\"']%s[\"']" % name, netns) or
                    re.search(r"^drop %s$" % name, golden, re.M),
                    "no test expects it")


if __name__ == "__main__":
    runner.main(needs_root=False)
