"""Runs the cases of a test file: one line a case, JUnit XML for Bazel.

Cases need root. Without it they are skipped with that reason, and in CI a skip
is a failure: a suite that has tested nothing must not be green.
"""

import os
import re
import sys
import time
import unittest
from xml.sax import saxutils


unittest.TestCase.maxDiff = None


class _Result(unittest.TestResult):
    def __init__(self):
        super().__init__()
        self.cases = []  # (name, seconds, kind, text)
        self._begin = 0.0
        self._kind = None

    def startTest(self, test):
        super().startTest(test)
        self._begin, self._kind = time.monotonic(), ("ok", "")

    def addError(self, test, err):
        super().addError(test, err)
        self._kind = ("FAILED", self.errors[-1][1])
        if not isinstance(test, unittest.TestCase):  # setUpClass
            self._begin = time.monotonic()
            self.stopTest(test)

    def addFailure(self, test, err):
        super().addFailure(test, err)
        self._kind = ("FAILED", self.failures[-1][1])

    def addSubTest(self, test, subtest, err):
        super().addSubTest(test, subtest, err)
        if err:
            self._kind = ("FAILED", self._exc_info_to_string(err, test))

    def addSkip(self, test, reason):
        super().addSkip(test, reason)
        self._kind = ("skipped", reason)

    def stopTest(self, test):
        seconds = time.monotonic() - self._begin
        name = re.sub(r"^.*?__main__\.", "", test.id())
        kind, text = self._kind
        self.cases.append((name, seconds, kind, text))
        print("%-7s %s (%.2f s)" % (kind, name, seconds), flush=True)
        if text:
            print("        " + text.strip().replace("\n", "\n        "), flush=True)


def _write_xml(path, suite, cases):
    rows = []
    for name, seconds, kind, text in cases:
        inner = {"ok": "", "FAILED": "<failure message=%s/>",
                 "skipped": "<skipped message=%s/>"}[kind]
        clean = re.sub(r"[^\t\n\x20-\x7e]", "?", text)
        rows.append('<testcase classname=%s name=%s time="%.3f">%s</testcase>' % (
            saxutils.quoteattr(suite), saxutils.quoteattr(name), seconds,
            inner % saxutils.quoteattr(clean) if inner else ""))
    counts = [sum(c[2] == k for c in cases) for k in ("FAILED", "skipped")]
    with open(path, "w") as f:
        f.write('<?xml version="1.0"?>\n<testsuites><testsuite name=%s tests="%d" '
                'failures="%d" skipped="%d">\n%s\n</testsuite></testsuites>\n' % (
                    saxutils.quoteattr(suite), len(cases), *counts, "\n".join(rows)))


def _cases_of(suite):
    for item in suite:
        if isinstance(item, unittest.TestSuite):
            yield from _cases_of(item)
        else:
            yield item


def main(needs_root=True):
    """Runs all cases of the calling script, or those whose name contains one of
    its arguments; exits 0 only if none failed (in CI: and none was skipped)."""
    suite = unittest.defaultTestLoader.loadTestsFromName("__main__")
    words = sys.argv[1:]
    if words:
        suite = unittest.TestSuite(
            c for c in _cases_of(suite) if any(w in c.id() for w in words))
    result = _Result()
    if needs_root and os.geteuid() != 0:
        for case in _cases_of(suite):
            result.startTest(case)
            result.addSkip(case, "needs root for network namespaces")
            result.stopTest(case)
    else:
        suite.run(result)
    name = os.path.basename(sys.argv[0])
    if os.environ.get("XML_OUTPUT_FILE"):
        _write_xml(os.environ["XML_OUTPUT_FILE"], name, result.cases)
    counts = {k: sum(c[2] == k for c in result.cases)
              for k in ("ok", "FAILED", "skipped")}
    print("%s: %d passed, %d failed, %d skipped" % (name, *counts.values()))
    in_ci = os.environ.get("CI", "").lower() in ("1", "true")
    bad = counts["FAILED"] or not result.cases or (in_ci and counts["skipped"])
    sys.exit(1 if bad else 0)
