"""Child processes that never outlive the test, and the files it makes."""

import atexit
import ctypes
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time

_PR_SET_PDEATHSIG = 1
_libc = ctypes.CDLL(None, use_errno=True)
_children = []
_cleanups = []
_temp_dir = None


class CommandError(AssertionError):
    """A command that had to succeed did not."""


class Result:
    """Exit status and both streams of a finished command."""

    def __init__(self, argv, code, out, err):
        self.argv, self.code, self.out, self.err = argv, code, out, err

    def __str__(self):
        return "%s: exit %s\nstdout: %s\nstderr: %s" % (
            " ".join(self.argv), self.code, self.out.strip(), self.err.strip())


def _die_with_parent():
    _libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)


def temp_dir():
    """A directory of this test run, removed at its end."""
    global _temp_dir
    if _temp_dir is None:
        _temp_dir = tempfile.mkdtemp(prefix="tunneld-test-%d-" % os.getpid(), dir="/tmp")
    return _temp_dir


def sweep_stale():
    """Removes the directories of test runs that were killed."""
    for name in os.listdir("/tmp"):
        match = re.match(r"tunneld-test-(\d+)-", name)
        if match and not os.path.exists("/proc/" + match.group(1)):
            shutil.rmtree(os.path.join("/tmp", name), ignore_errors=True)


def at_end(function):
    """Calls `function` when the test ends, however it ends; last in, first out."""
    _cleanups.append(function)


def run(argv, check=True, timeout=120, stdin=None, env=None):
    """Runs a command to its end. Raises CommandError when `check` and it failed."""
    argv = [str(a) for a in argv]
    done = subprocess.run(argv, capture_output=True, text=True, input=stdin,
                          timeout=timeout, env=env, preexec_fn=_die_with_parent)
    result = Result(argv, done.returncode, done.stdout, done.stderr)
    if check and result.code != 0:
        raise CommandError(str(result))
    return result


def spawn(argv, **options):
    """Starts a command that is killed with the test. Main thread only: the
    kernel ties the child's life to the thread that made it."""
    child = subprocess.Popen([str(a) for a in argv], preexec_fn=_die_with_parent,
                             **options)
    _children.append(child)
    return child


def stop(child, sig=signal.SIGTERM, timeout=30):
    """Ends one child of ours by its pid; its exit status."""
    if child.poll() is None:
        child.send_signal(sig)
        try:
            child.wait(timeout)
        except subprocess.TimeoutExpired:
            child.kill()
            child.wait()
    return child.returncode


def wait_until(condition, timeout=60.0, what="condition", step=0.01):
    """Polls until `condition()` is true and returns its value. The time is that of a
    busy machine: what must happen happens long before."""
    end = time.monotonic() + timeout
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > end:
            raise AssertionError("timed out after %g s: %s" % (timeout, what))
        time.sleep(step)


def _clean_up():
    for child in _children:
        if child.poll() is None:
            child.kill()
            child.wait()
    while _cleanups:
        try:
            _cleanups.pop()()
        except Exception as error:  # the others must still run
            print("cleanup: %s" % error, file=sys.stderr)
    if _temp_dir and not os.environ.get("TUNNELD_TEST_KEEP"):
        shutil.rmtree(_temp_dir, ignore_errors=True)


def _on_signal(number, _frame):
    sys.exit(128 + number)  # runs the atexit handlers


atexit.register(_clean_up)
for _number in (signal.SIGTERM, signal.SIGHUP, signal.SIGINT):
    signal.signal(_number, _on_signal)
