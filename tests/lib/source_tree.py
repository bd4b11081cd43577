"""The files of the checkout, for tests that read the source."""

import os
import subprocess

# The runfiles of a test hold a link to this file of the checkout.
_ANCHOR = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..",
                       ".clang-format")


def top():
    """Top directory of the checkout."""
    return os.path.dirname(os.path.realpath(_ANCHOR))


def files(*suffixes):
    """Paths, from the top, of the files with these endings (all files without
    any), less what git ignores."""
    listed = subprocess.run(
        ["git", "-c", "safe.directory=*", "-C", top(), "ls-files", "-z", "--cached",
         "--others", "--exclude-standard"], capture_output=True, check=False)
    if listed.returncode == 0:
        names = listed.stdout.decode().split("\0")
    else:  # an unpacked archive
        names = [os.path.relpath(os.path.join(d, f), top())
                 for d, _, fs in os.walk(top()) for f in fs
                 if not os.path.relpath(d, top()).startswith((".git", "bazel-"))]
    return sorted(n for n in names
                  if n and (not suffixes or n.endswith(suffixes)) and
                  os.path.isfile(os.path.join(top(), n)))


def read(name):
    with open(os.path.join(top(), name), encoding="utf-8", errors="replace") as f:
        return f.read()
