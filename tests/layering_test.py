"""The floors of the house, held against the #include lines, and the sizes of files
and functions.

Floors, lowest first; an include never points up:
  1 encap, tunnel/base, proto    2 sync, tun, underlay, netlink, bpf    3 stats
  4 endpoint    5 path, events    6 rewire    7 the manager    8 ctl
"""

import os
import re
import sys
import unittest

sys.path.insert(0, os.path.abspath(os.path.join(os.path.dirname(__file__), "..")))

from tests.lib import runner, source_tree

FLOORS = {
    "encap": 1, "tunnel/base": 1, "proto": 1,
    "tunnel/sync": 2, "tunnel/tun": 2, "tunnel/underlay": 2, "tunnel/netlink": 2, "tunnel/bpf": 2,
    "tunnel/stats": 3, "tunnel/endpoint": 4, "tunnel/path": 5, "tunnel/events": 5,
    "tunnel/rewire": 6, "tunnel": 7, "ctl": 8,
}
# Files beside the manager that are values or interfaces of a lower floor.
FILE_FLOORS = {"tunnel/platform.h": 3, "tunnel/tunnel_types.h": 5,
               "tunnel/events.h": 5, "tunnel/events.cc": 5}
# All of tunnel/ that ctl may include: the manager with the values that go in and
# out of it, and the words for errors and log lines.
DOORS = re.compile(r"tunnel/(tunnel_manager|tunnel_types|config_store|platform|platform_linux|"
                   r"linux_platform|endpoint/endpoint_config|endpoint/capture_types|stats/stats_snapshot|"
                   r"base/\w+)\.h$")
MAX_FILE, MAX_FUNCTION = 400, 40
TEST_FILE = re.compile(r"(_test|_benchmark|_fuzzer)\.cc$|^(tests|docs)/|/testing/|/fake_|_fake\.")


def room_of(path):
    parts = path.split("/")
    two = "/".join(parts[:2])
    return two if two in FLOORS else parts[0]


def floor_of(path):
    return FILE_FLOORS.get(path, FLOORS.get(room_of(path)))


def includes(path):
    text = source_tree.read(path)
    return re.findall(r'^#include ["<]([^">]+)[">]', text, re.M)


def functions(text):
    """(first line, lines of the body) of each function that begins in the first
    column, as clang-format leaves it. A body that is one switch is a table."""
    lines = text.split("\n")
    start = None
    for number, line in enumerate(lines, 1):
        if re.match(r"[A-Za-z_~\[]", line) and not line.endswith((";", ":")):
            if start is None:
                start = number
        if line in ("}", "};", "}  // namespace") or line.startswith("}  //"):
            if start and is_function(lines[start - 1:number]):
                body = [i for i in range(start - 1, number) if lines[i].endswith("{")]
                if body and not is_switch(lines[body[0] + 1:number]):
                    yield start, number - body[0] - 2
            start = None
        elif line.startswith("#") or not line or line.endswith(";") and line[:1] != " ":
            if start and "{" not in "".join(lines[start - 1:number]):
                start = None
        elif re.match(r"(namespace|extern \"C\")", line):
            start = None


def is_function(lines):
    head = "".join(lines).split("{")[0]
    return "(" in head and not re.match(
        r"\s*(class|struct|enum|union|namespace|inline constexpr|constexpr \w+ k|"
        r"const \w+ k)\b", head) and "=" not in head.split("(")[0]


def is_switch(body):
    rest = [l for l in body if l.startswith("  ") and not l.startswith("  using ")]
    return bool(rest) and rest[0].startswith("  switch (")


class Layering(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.sources = [f for f in source_tree.files(".h", ".cc")
                       if not TEST_FILE.search(f)]
        cls.ours = [(f, i) for f in cls.sources for i in includes(f)]

    def none(self, faults):
        self.assertEqual(["%s includes %s" % f for f in faults], [])

    def test_there_is_something_to_check(self):
        rooms = {room_of(f) for f in self.sources}
        self.assertLessEqual({"encap", "ctl", "tunnel", "tunnel/path",
                              "tunnel/rewire", "tunnel/sync"}, rooms)
        unknown = [f for f in self.sources if floor_of(f) is None]
        self.assertEqual(unknown, [], "files in no room of the house")

    def test_no_include_points_up(self):
        self.none((f, i) for f, i in self.ours
                  if floor_of(i) and floor_of(i) > floor_of(f))

    def test_no_circle_between_rooms(self):
        arrows = {}
        for f, i in self.ours:
            if floor_of(i) and f not in FILE_FLOORS and i not in FILE_FLOORS:
                arrows.setdefault(room_of(f), set()).add(room_of(i))
        done = set()

        def visit(room, way):
            self.assertNotIn(room, way, " -> ".join(way + [room]))
            if room not in done:
                for other in sorted(arrows.get(room, set()) - {room}):
                    visit(other, way + [room])
                done.add(room)

        for room in sorted(arrows):
            visit(room, [])

    def test_encap_includes_nothing_of_ours(self):
        self.none((f, i) for f, i in self.ours if f.startswith("encap/") and
                  re.match(r"(tunnel|ctl|proto|grpc|grpcpp|google)/", i))

    def test_tunnel_knows_neither_proto_nor_grpc(self):
        self.none((f, i) for f, i in self.ours if f.startswith("tunnel/") and
                  re.match(r"(proto|grpc|grpcpp|google|ctl)/", i))

    def test_path_knows_no_configuration(self):
        self.none((f, i) for f, i in self.ours if f.startswith("tunnel/path/") and
                  re.match(r"tunnel/(sync/config_lock|netlink/|rewire/)", i))

    def test_ctl_uses_the_door(self):
        self.none((f, i) for f, i in self.ours if f.startswith("ctl/") and
                  i.startswith("tunnel/") and not DOORS.match(i))

    def test_packet_functions_need_the_standard_library_alone(self):
        self.none((f, i) for f, i in self.ours if f.startswith("encap/") and
                  i.startswith("absl/"))


class Sizes(unittest.TestCase):
    def test_files(self):
        long = ["%s: %d lines" % (f, n) for f in source_tree.files(
            ".h", ".cc", ".py", ".bzl", ".sh", ".proto")
                for n in [source_tree.read(f).count("\n")] if n > MAX_FILE]
        self.assertEqual(long, [])

    def test_functions(self):
        long = ["%s:%d: %d lines" % (f, line, length)
                for f in source_tree.files(".cc", ".h") if not TEST_FILE.search(f)
                for line, length in functions(source_tree.read(f))
                if length > MAX_FUNCTION]
        self.assertEqual(long, [])

    def test_headers_guard_themselves(self):
        for name in source_tree.files(".h"):
            guard = re.sub(r"[/.]", "_", name).upper() + "_"
            text = source_tree.read(name)
            self.assertIn("#ifndef %s\n#define %s\n" % (guard, guard), text, name)


if __name__ == "__main__":
    runner.main(needs_root=False)
