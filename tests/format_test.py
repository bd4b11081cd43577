"""Every source file is as clang-format leaves it, and every text file is clean."""

import os
import re
import subprocess
import sys
import unittest

sys.path.insert(0, os.path.abspath(os.path.join(os.path.dirname(__file__), "..")))

from tests.lib import runner, source_tree

CLANG_FORMAT = "clang-format-14"
UNFINISHED = re.compile(r"\b(TO" r"DO|FIX" r"ME|XX" r"X)\b")
BINARY = (".pcap", ".bin", ".png")


class Format(unittest.TestCase):
    def test_clang_format(self):
        names = source_tree.files(".h", ".cc")
        self.assertTrue(names)
        done = subprocess.run([CLANG_FORMAT, "--dry-run", "-Werror", *names],
                              cwd=source_tree.top(), capture_output=True, text=True)
        faults = sorted(set(re.findall(r"^(\S+?:\d+):\d+: error", done.stderr, re.M)))
        self.assertEqual(faults, [])
        self.assertEqual(done.returncode, 0, done.stderr[-2000:])


class Text(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.names = [n for n in source_tree.files()
                     if not n.endswith(BINARY) and "/corpus/" not in n]

    def none(self, pattern, names):
        faults = ["%s:%d" % (n, i) for n in names
                  for i, line in enumerate(source_tree.read(n).split("\n"), 1)
                  if pattern.search(line)]
        self.assertEqual(faults, [])

    def test_nothing_is_marked_unfinished(self):
        self.none(UNFINISHED, self.names)

    def test_no_space_at_the_end_of_a_line(self):
        self.none(re.compile(r"[ \t]+$"), self.names)

    def test_no_tab(self):
        self.none(re.compile("\t"), [n for n in self.names if n.endswith(
            (".h", ".cc", ".py", ".sh", ".bzl", "BUILD", ".proto", ".md"))])

    def test_each_file_ends_with_one_newline(self):
        faults = [n for n in self.names for t in [source_tree.read(n)]
                  if t and (not t.endswith("\n") or t.endswith("\n\n"))]
        self.assertEqual(faults, [])


if __name__ == "__main__":
    runner.main(needs_root=False)
