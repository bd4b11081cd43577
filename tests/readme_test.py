"""What README.md and docs/ show is what the tree has: files, programs, examples."""

import os
import re
import sys
import unittest

sys.path.insert(0, os.path.abspath(os.path.join(os.path.dirname(__file__), "..")))

from tests.lib import runner, source_tree


def blocks(text, language):
    return re.findall(r"```%s\n(.*?)```" % language, text, re.S)


class ReadmeTest(unittest.TestCase):
    def test_links_lead_somewhere(self):
        for page in [f for f in source_tree.files(".md") if not f.startswith("tests/")]:
            here = os.path.dirname(page)
            for link in re.findall(r"\]\(([^)#:]+)\)", source_tree.read(page)):
                target = os.path.normpath(os.path.join(here, link))
                with self.subTest(page=page, link=link):
                    self.assertTrue(os.path.exists(os.path.join(source_tree.top(), target)))

    def test_programs_can_be_run(self):
        programs = re.findall(r"sudo (tools/\w+)", source_tree.read("README.md"))
        self.assertIn("tools/demo", programs)
        self.assertIn("tools/test", programs)
        for program in programs:
            self.assertTrue(os.access(os.path.join(source_tree.top(), program), os.X_OK), program)

    def test_code_is_that_of_the_examples(self):
        readme = source_tree.read("README.md")
        for language, example in (("cpp", "docs/examples/embed.cc"),
                                  ("python", "docs/examples/list_tunnels.py")):
            source = [line.strip() for line in source_tree.read(example).splitlines()]
            shown = "".join(blocks(readme, language)).splitlines()
            self.assertTrue(shown)
            for line in shown:
                self.assertIn(line.strip(), source)

    def test_fits_on_one_screen(self):
        self.assertLess(len(source_tree.read("README.md").splitlines()), 100)


if __name__ == "__main__":
    runner.main(needs_root=False)
