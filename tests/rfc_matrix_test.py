"""docs/rfc_matrix.md: every test that it names exists, and every clause has a test
or a reason."""

import os
import re
import sys
import unittest

sys.path.insert(0, os.path.abspath(os.path.join(os.path.dirname(__file__), "..")))

from tests.lib import runner, source_tree

PAGE = "docs/rfc_matrix.md"
RFCS = {1191, 2003, 2473, 2784, 2890, 3378, 4213, 4459, 6040, 6438, 7676, 8086, 8201}
VERDICT = re.compile(r"(yes|part|no|outside)\b")
CPP_CASE = re.compile(r"^(?:TEST|TEST_F|TEST_P|TYPED_TEST|RC_GTEST_PROP)\(\s*(\w+),\s*(\w+)",
                      re.M)


def rows(text):
    """(section, cells) of each row of its tables."""
    section = ""
    for line in text.splitlines():
        if line.startswith("## "):
            section = line[3:]
        elif line.startswith("|") and not line.startswith(("|---", "| clause |")):
            yield section, [c.strip() for c in re.split(r"(?<!\\)\|", line)[1:-1]]


def gtest_cases():
    """Suite.Case of all C++ tests, and Suite.* of each suite."""
    cases = set()
    for name in source_tree.files(".cc"):
        for suite, case in CPP_CASE.findall(source_tree.read(name)):
            cases |= {"%s.%s" % (suite, case), suite + ".*"}
    return cases


def netns_cases():
    """"x_test.py Class.case" of all tests in namespaces."""
    cases = set()
    for name in source_tree.files("_test.py"):
        if not name.startswith("tests/netns/"):
            continue
        suite = ""
        for kind, word in re.findall(r"^(class |    def )(\w+)", source_tree.read(name), re.M):
            if kind == "class ":
                suite = word
            elif word.startswith("test_"):
                cases.add("%s %s.%s" % (os.path.basename(name), suite, word))
    return cases


def golden(cell):
    """"rfcN/MM" of each golden case that a cell names."""
    for group in re.findall(r"golden ((?:rfc\d+/)?\d+(?:(?:, | to )(?:rfc\d+/)?\d+)*)", cell):
        rfc, last = "", 0
        for joint, new_rfc, number in re.findall(r"(, | to |)(?:(rfc\d+)/)?(\d+)", group):
            rfc = new_rfc or rfc
            first = last + 1 if joint == " to " else int(number)
            last = int(number)
            for case in range(first, last + 1):
                yield "%s/%02d" % (rfc, case)


class RfcMatrixTest(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.rows = list(rows(source_tree.read(PAGE)))

    def test_has_a_section_for_each_rfc(self):
        sections = {int(n) for section, _ in self.rows
                    for n in re.findall(r"^RFC (\d+)", section)}
        self.assertEqual(RFCS - sections, set())

    def test_every_clause_has_a_verdict_and_a_test_or_a_reason(self):
        self.assertGreater(len(self.rows), 100)
        for section, cells in self.rows:
            with self.subTest(section=section, row=cells[0]):
                self.assertEqual(len(cells), 3)
                _, done, shown = cells
                self.assertRegex(done, VERDICT)
                if shown:
                    self.assertTrue("`" in shown or list(golden(shown)), "names no test")
                elif not re.match(r"(no|outside): \S+ \S+ \S+", done):
                    self.fail("neither a test nor a reason")

    def test_every_named_test_exists(self):
        known = gtest_cases() | netns_cases()
        self.assertGreater(len(known), 500)
        named = 0
        for section, cells in self.rows:
            for name in re.findall(r"`([^`]+)`", cells[-1]):
                named += 1
                with self.subTest(section=section, row=cells[0]):
                    self.assertTrue(name in known, "there is no test %s" % name)
        self.assertGreater(named, 50)

    def test_every_named_golden_case_exists(self):
        known = {"%s/%s" % (os.path.basename(os.path.dirname(f)), os.path.basename(f)[:2])
                 for f in source_tree.files(".txt") if f.startswith("tests/conformance/rfc")}
        self.assertGreater(len(known), 50)
        for section, cells in self.rows:
            for case in golden(cells[-1]):
                with self.subTest(section=section, row=cells[0]):
                    self.assertTrue(case in known, "there is no case %s" % case)

    def test_reads_its_own_notation(self):
        self.assertEqual(list(golden("golden rfc1/01, 03 to 05, rfc2/07; `A.B`")),
                         ["rfc1/01", "rfc1/03", "rfc1/04", "rfc1/05", "rfc2/07"])
        self.assertEqual(list(golden("`A.B`")), [])


if __name__ == "__main__":
    runner.main(needs_root=False)
