"""Seeded faults are not in programs that are built without them."""

import os
import re
import subprocess
import sys
import unittest

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.abspath(os.path.join(HERE, "..", ".."))
sys.path.insert(0, ROOT)

from tests.lib import runner

PROGRAM = os.path.join(HERE, "torture_test")


def symbols():
    done = subprocess.run(["nm", "--demangle", PROGRAM], stdout=subprocess.PIPE, text=True,
                          check=True)
    return done.stdout


class NoFaults(unittest.TestCase):
    def test_no_code(self):
        found = symbols()
        self.assertIn("tunnel::Qsbr::Wait()", found)  # the names are readable
        for name in ("FaultActive", "CheckTooEarly", "StoreOneByOne", "EditInPlace",
                     "PublishTooEarly"):
            self.assertNotIn("::%s(" % name, found)

    def test_no_name_of_a_fault(self):
        with open(os.path.join(ROOT, "tunnel", "base", "fault.h")) as f:
            names = set(re.findall(r'return "(\w+)";', f.read())) - {"none"}
        self.assertGreaterEqual(len(names), 12)
        with open(PROGRAM, "rb") as f:
            program = f.read()
        self.assertEqual([n for n in sorted(names | {"TUNNELD_FAULT"})
                          if n.encode() in program], [])


if __name__ == "__main__":
    runner.main(needs_root=False)
