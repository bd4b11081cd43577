"""The library as its users get it: installed by one command, and programs built
against what is installed, with pkg-config and with CMake."""

import os
import re
import sys
import unittest

sys.path.insert(0, os.path.abspath(os.path.join(os.path.dirname(__file__), "..", "..")))

from tests.lib import process, runner, source_tree

TOP = source_tree.top()
EXAMPLES = os.path.join(TOP, "docs", "examples")
ARCHIVE = "encap/package/libencap.a"
EXPECTED = "encapsulate: none, 48 bytes\ndecapsulate: none, 20 bytes\n"


def archive():
    for place in (os.environ.get("TUNNELD_BIN_DIR", "."), "."):
        path = os.path.abspath(os.path.join(place, ARCHIVE))
        if os.path.isfile(path):
            return path
    raise FileNotFoundError(ARCHIVE + " is not built")


class Install(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.dir = process.temp_dir()
        cls.stage = os.path.join(cls.dir, "stage")
        cls.done = process.run([os.path.join(TOP, "tools/install_encap"), "--prefix",
                                "/opt/encap", "--destdir", cls.stage, "--archive",
                                archive()])
        # Moved as a whole: nothing may name the place it was installed to.
        cls.prefix = os.path.join(cls.dir, "moved")
        os.rename(os.path.join(cls.stage, "opt/encap"), cls.prefix)
        cls.env = dict(os.environ, PKG_CONFIG_PATH=os.path.join(
            cls.prefix, "lib/pkgconfig"))

    def files(self, ending):
        return sorted(os.path.join(d, f) for d, _, fs in os.walk(self.prefix)
                      for f in fs if f.endswith(ending))

    def flags(self):
        out = process.run(["pkg-config", "--cflags", "--libs", "encap"], env=self.env)
        return out.out.split()

    def run_consumer(self, path):
        self.assertEqual(process.run([path]).out, EXPECTED)

    def test_what_is_installed(self):
        names = [os.path.relpath(f, self.prefix) for f in self.files("")]
        for name in ("lib/libencap.a", "lib/pkgconfig/encap.pc",
                     "lib/cmake/encap/encapConfig.cmake", "include/encap/c/encap.h",
                     "lib/cmake/encap/encapConfigVersion.cmake",
                     "include/encap/encapsulator.h", "include/encap/wire/ipv4.h",
                     "include/encap/offload/segment.h", "include/encap/batch.h",
                     "include/encap/reassembly.h", "include/encap/endpoint_map.h"):
            self.assertIn(name, names)
        self.assertEqual([n for n in names if "test" in n], [])
        self.assertRegex(self.done.out, r"^encap \d+\.\d+\.\d+ is installed in ")
        for path in self.files(".pc") + self.files(".cmake"):
            with open(path) as f:
                text = f.read()
            self.assertNotIn(self.stage, text)
            self.assertNotIn("/opt/encap", text)
            self.assertNotRegex(text, r"@[A-Z]+@")

    def test_headers_compile_and_bring_nothing_else_of_this_tree(self):
        headers = [os.path.relpath(h, self.prefix + "/include")
                   for h in self.files(".h")]
        self.assertGreater(len(headers), 30)
        for header in headers:
            with open(os.path.join(self.prefix, "include", header)) as f:
                own = re.findall(r'^#include "([^"]+)"', f.read(), re.M)
            self.assertEqual([i for i in own if i not in headers], [], header)
        # What one header leaves out, the others bring in one of the two orders at
        # most.
        for order in (headers, headers[::-1]):
            text = "".join('#include "%s"\n' % header for header in order)
            process.run(["g++", "-std=c++20", "-Wall", "-Wextra", "-Werror",
                         "-fsyntax-only", "-I", self.prefix + "/include", "-x", "c++",
                         "-"], stdin=text, timeout=120)

    def test_c_program_by_pkg_config(self):
        path = os.path.join(self.dir, "embed_c")
        process.run(["gcc", "-std=c99", "-Wall", "-Wextra", "-Werror", "-pedantic",
                     EXAMPLES + "/embed.c", "-o", path, *self.flags()], timeout=120)
        self.run_consumer(path)

    def test_cxx_program_by_pkg_config(self):
        path = os.path.join(self.dir, "embed_cxx")
        process.run(["g++", "-std=c++20", "-Wall", "-Wextra", "-Werror",
                     EXAMPLES + "/embed.cc", "-o", path, *self.flags()], timeout=120)
        self.run_consumer(path)

    def test_cxx_program_by_cmake(self):
        build = os.path.join(self.dir, "cmake")
        process.run(["cmake", "-S", EXAMPLES + "/cmake", "-B", build,
                     "-DCMAKE_PREFIX_PATH=" + self.prefix], timeout=120)
        process.run(["cmake", "--build", build], timeout=120)
        self.run_consumer(build + "/embed")

    def test_cmake_refuses_another_major_version(self):
        source = os.path.join(self.dir, "other_major")
        os.mkdir(source)
        with open(source + "/CMakeLists.txt", "w") as f:
            f.write("cmake_minimum_required(VERSION 3.16)\nproject(p LANGUAGES NONE)\n"
                    "find_package(encap 2 REQUIRED)\n")
        done = process.run(["cmake", "-S", source, "-B", source + "/build",
                            "-DCMAKE_PREFIX_PATH=" + self.prefix], check=False,
                           timeout=120)
        self.assertNotEqual(done.code, 0)
        self.assertIn("compatible with requested version", " ".join(done.err.split()))

    def test_words_that_are_wrong(self):
        for words, message in ((["--nothing"], "--nothing is not known"),
                               (["--prefix"], "--prefix needs a value"),
                               (["--prefix", "opt"], "opt is not absolute"),
                               (["--archive", "/no"], "no archive /no")):
            done = process.run([os.path.join(TOP, "tools/install_encap"), *words],
                               check=False)
            self.assertIn(message, done.err)
            self.assertIn(done.code, (1, 2))


class Documentation(unittest.TestCase):
    """Code in docs/embedding.md is that of the examples, which are built."""

    def test_blocks_are_parts_of_examples(self):
        text = source_tree.read("docs/embedding.md")
        examples = {n: source_tree.read(n) for n in source_tree.files(
            ".c", ".cc", "CMakeLists.txt") if n.startswith("docs/examples/")}
        blocks = re.findall(r"^```(?:cpp|c|cmake)\n(.*?)^```", text, re.M | re.S)
        self.assertGreaterEqual(len(blocks), 5)
        for block in blocks:
            self.assertTrue(any(block in code for code in examples.values()),
                            "in no example:\n" + block)


if __name__ == "__main__":
    runner.main(needs_root=False)
