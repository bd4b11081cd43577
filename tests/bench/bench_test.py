"""What tools/bench makes of figures: ratios, flags, table, chart, plan."""

import contextlib
import io
import json
import os
import sys
import tempfile
import unittest
from xml.etree import ElementTree

sys.path.insert(0, os.path.abspath(os.path.join(os.path.dirname(__file__), "..", "..")))

from tests.bench import (command, goals, link, machine, measure, ours, plan, plot, report,
                         session)
from tests.bench.results import CEILING, KERNEL, OURS, USER, Results
from tests.lib import runner

META = {"machine": {"kernel": "6.1", "cpu": "a CPU", "cpus": 2,
                    "packages": {"iperf3": "3.12"}},
        "settings": {"date": "2020-01-01", "commit": "abc", "rounds": 3, "full_rounds": 1,
                     "seconds": 1, "command": "sudo tools/bench", "interrupted": False}}


def example():
    """Plain 10, VXLAN 8, ours 4 and 5, user-space peers 1 and 2 Gbit/s."""
    results = Results([{"name": n, "kind": k, "family": f, "about": "about " + n}
                       for n, k, f in (("plain", CEILING, 4), ("vxlan", KERNEL, 4),
                                       ("vxlan6", KERNEL, 6), ("ours gre4", OURS, 4),
                                       ("ours gre6", OURS, 6), ("slow", USER, 4),
                                       ("fast", USER, 4), ("absent", USER, 4))])
    for name, gbps, rtt in (("plain", 10, 20), ("vxlan", 8, 25), ("vxlan6", 5, 30),
                            ("ours gre4", 4, 50), ("ours gre6", 4, 60), ("slow", 1, 80),
                            ("fast", 2, 90)):
        for lost in (1, 0, 2):  # tenths of it, round by round
            results.add(name, "off", "tcp1", gbps * (1 - lost / 10))
            results.add(name, "off", "rtt_p50", rtt * (1 + lost / 10))
    results.miss("absent", "apt-get:\nno such package")
    return results


class ResultsTest(unittest.TestCase):
    def test_the_best_round_counts(self):
        self.assertEqual(example().best("fast", "off", "tcp1"), 2)
        self.assertEqual(example().best("fast", "off", "rtt_p50"), 90)
        self.assertIsNone(example().best("absent", "off", "tcp1"))
        self.assertIsNone(example().best("fast", "gro", "tcp1"))

    def test_ratios(self):
        results = example()
        self.assertAlmostEqual(results.to_kernel("ours gre4", "off", "tcp1"), 0.5)
        self.assertAlmostEqual(results.to_kernel("ours gre6", "off", "tcp1"), 0.8)
        self.assertAlmostEqual(results.to_user("ours gre4", "off", "tcp1"), 2)
        self.assertAlmostEqual(results.to_user("ours gre4", "off", "rtt_p50"), 50 / 80)
        self.assertIsNone(results.to_kernel("ours gre4", "gro", "tcp1"))

    def test_an_unknown_metric_is_refused(self):
        with self.assertRaises(KeyError):
            example().add("fast", "off", "speed", 1)

    def test_what_cannot_be_is_flagged(self):
        results = example()
        self.assertEqual(results.flags(), [])
        results.add("ours gre4", "default", "tcp1", 40)  # super-packets may cross there
        results.add_frame("ours gre4", "default", 40000)
        results.add_frame("ours gre4", "off", 1514)
        self.assertEqual(results.flags(), [])
        results.add("ours gre4", "off", "tcp1", 10.1)
        results.add_frame("ours gre4", "gro", 1515)
        results.judge_machine(busy_before=50, stolen=0)
        flags = "\n".join(results.flags())
        self.assertEqual(len(results.flags()), 3)
        for words in ("ours gre4, tcp1, off: 1.01 times plain veth", "frames of 1515",
                      "50 % busy"):
            self.assertIn(words, flags)

    def test_json_round_trip(self):
        results = example()
        results.growth = [{"tunnels": 1, "gbps": 4.0}]
        results.judge_machine(0, 7)
        results.add_frame("ours gre4", "off", 1515)
        data = json.loads(json.dumps(results.to_json()))
        again = Results.from_json(data)
        self.assertEqual(again.to_json(), data)
        self.assertEqual(again.flags(), results.flags())
        row = next(r for r in data["figures"] if r["peer"] == "ours gre4")
        self.assertEqual((row["unit"], row["to_vxlan"]), ("Gbit/s", 0.5))


class ReportTest(unittest.TestCase):
    def test_table(self):
        lines = report.figures(example())
        self.assertEqual(lines[0], "| tunnel | TCP 1, off | RTT p50 us |")
        self.assertIn("| ours gre4 | 4.00 (0.50; 2.00) | 50 (2.00; 0.62) |", lines)
        self.assertFalse([l for l in lines if "absent" in l])

    def test_nothing_measured(self):
        results = Results([{"name": "plain", "kind": CEILING, "family": 4, "about": ""}])
        self.assertEqual(report.figures(results), ["Nothing was measured."])
        self.assertIsNone(plot.svg(results))

    def test_all_of_it_is_told(self):
        results = example()
        results.add("ours gre4", "off", "tcp1", 11)
        results.growth = [{"tunnels": 1, "gbps": 4.0}, {"tunnels": 1000, "gbps": 3.0}]
        results.workers = [{"workers": 2, "cpus": ["0,1", "0,1"], "tcp1": 4, "tcp4": 5}]
        results.rewire = {"quiet": 4, "gbps": 3.9, "ratio": 0.975, "per_second": 99.6,
                          "stranger": 3.92, "stranger_ratio": 0.98}
        text = report.markdown(results, META, "some.svg")
        for words in ("**Flagged:** ours gre4, tcp1, off", "](some.svg)",
                      "| 1,000 | 3.00 | 0.75 |", "| 2 | 0,1 and 0,1 | 4.00 | 5.00 |",
                      "rewired 100 times", "0.975 of the 4.00", "3.92 Gbit/s, 0.980.",
                      "- fast: about fast.",
                      "- absent: apt-get: no such package", "iperf3 3.12", "commit abc",
                      "Best of 3 (TCP 4 and 1400 B: of 1)",
                      "| goodput while another tunnel is rewired / quiet | 0.97 | >= 0.95 | "
                      ">= 0.99 | floor |"):
            self.assertIn(words, text)

    def test_page_between_markers(self):
        page = "head\n%s\nold\n%s\ntail\n" % (report.BEGIN, report.END)
        new = report.replace_between_markers(page, "a \\1 b\n")
        self.assertEqual(new, "head\n%s\na \\1 b\n%s\ntail\n" % (report.BEGIN, report.END))
        with self.assertRaises(ValueError):
            report.replace_between_markers("no markers", "text")

    def test_documentation_is_written_from_a_file(self):
        with tempfile.TemporaryDirectory() as top:
            os.makedirs(top + "/docs")
            with open(top + "/docs/performance.md", "w") as page:
                page.write("head\n%s\n%s\n" % (report.BEGIN, report.END))
            command.update_docs(top, example(), META)
            with open(top + "/docs/performance.md") as page:
                text = page.read()
            self.assertIn("| ours gre4 | 4.00", text)
            self.assertIn("](performance/results.svg)", text)
            self.assertEqual(sorted(os.listdir(top + "/docs/performance")),
                             ["results.json", "results.svg"])
            for name in ("performance/results.json", "performance/results.svg",
                         "performance.md"):  # as tests/format_test.py wants it
                with open(os.path.join(top, "docs", name)) as written:
                    text = written.read()
                self.assertFalse([l for l in text.split("\n") if l != l.rstrip()], name)
                self.assertRegex(text, r"[^\n]\n\Z")

    def test_page_of_this_tree_has_its_markers(self):
        path = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "docs",
                            "performance.md")
        with open(path) as page:
            self.assertIn("x\n" + report.END,
                          report.replace_between_markers(page.read(), "x\n"))


class GoalsTest(unittest.TestCase):
    def test_verdicts(self):
        results = example()
        verdicts = {r["name"]: r["verdict"] for r in goals.rows(results)}
        self.assertEqual(verdicts["ours gre4 / VXLAN, TCP, off"], "floor")
        self.assertEqual(verdicts["ours gre4 / best user-space peer, TCP, off"], "missed")
        self.assertEqual(verdicts["ours gre4 / VXLAN, RTT p50"], "floor")
        self.assertIsNone(verdicts["ours GRE-in-UDP / VXLAN, TCP, off"])
        results.add("ours gre4", "off", "tcp1", 5)
        results.add("ours gre4", "off", "rtt_p50", 37)
        verdicts = {r["name"]: r["verdict"] for r in goals.rows(results)}
        self.assertEqual(verdicts["ours gre4 / VXLAN, TCP, off"], "goal")
        self.assertEqual(verdicts["ours gre4 / VXLAN, RTT p50"], "goal")

    def test_names_are_those_of_what_is_measured(self):
        names = {p.name for p in session.all_peers()}
        for row in goals.rows(Results()):
            peer = row["name"].split(" / ")[0].split(",")[0]
            self.assertTrue(peer in names or peer.startswith("goodput"), peer)


class PlotTest(unittest.TestCase):
    def test_bars_are_in_proportion(self):
        results = example()
        results.peers[5]["name"] = "a<b & c"
        results.add("a<b & c", "off", "tcp1", 1)
        root = ElementTree.fromstring(plot.svg(results))
        texts = [t.text for t in root.iter("{http://www.w3.org/2000/svg}text")]
        self.assertIn("a<b & c", texts)
        self.assertEqual(plot.bars(results, "off", "tcp1")[1], ("vxlan", KERNEL, 8))
        widths = [float(r.get("width"))
                  for r in root.iter("{http://www.w3.org/2000/svg}rect") if r.get("x")]
        self.assertAlmostEqual(widths[1] / widths[0], 0.8, delta=0.01)


class PlanTest(unittest.TestCase):
    def test_budget(self):
        self.assertEqual([plan.parse_budget(t) for t in ("90", "90s", "8m", "1.5h")],
                         [90, 90, 480, 5400])
        for text in ("", "m", "-1", "0", "8 m", "8d"):
            with self.assertRaises(ValueError, msg=text):
                plan.parse_budget(text)

    def test_more_time_is_used_and_kept_to(self):
        last = 0
        for budget in (240, 480, 900, 3600):
            chosen = plan.fit(budget, 17, link.MODES, [1, 10, 100, 1000])
            cost = chosen.cost(17, link.MODES)
            self.assertLessEqual(cost, budget)
            self.assertGreater(cost, last)
            last = cost
        self.assertEqual((chosen.full_rounds, chosen.growth), (3, (1, 10, 100, 1000)))

    def test_what_is_too_little_still_has_a_plan(self):
        chosen = plan.fit(1, 17, link.MODES, [1, 10])
        self.assertEqual((chosen.rounds, chosen.extras, chosen.growth), (1, False, ()))

    def test_later_rounds_may_be_shorter(self):
        chosen = plan.Plan(3, 1, 1, 80, 300, (), False)
        self.assertTrue(chosen.measures("tcp4", 1))
        self.assertFalse(chosen.measures("tcp4", 2))
        self.assertTrue(chosen.measures("tcp1", 3))


class ParseTest(unittest.TestCase):
    def test_proc_stat(self):
        stat = ("cpu  9 9 9 9 9 9 9 9 0 0\ncpu0 100 20 30 9999 50 6 44 7 0 0\n"
                "cpu1 1 0 0 0 0 0 0 0 0 0\ncpu10 500 0 0 0 0 0 0 0 0 0\nintr 5\n")
        tick = os.sysconf("SC_CLK_TCK")
        self.assertEqual(machine.parse_stat(stat, (0, 1)), (201 / tick, 7 / tick))

    def test_iperf(self):
        text = json.dumps({"end": {"sum_received": {"bits_per_second": 2.5e9,
                                                    "bytes": 312500000}}})
        self.assertEqual(measure.parse_iperf(text), (2.5, 2.5))
        for bad in ("", "{}", '{"error": "unable to connect"}'):
            with self.assertRaises(measure.Failed):
                measure.parse_iperf(bad)

    def test_offloads(self):
        shown = ("Features for u0:\nrx-checksumming: on\ntcp-segmentation-offload: on\n"
                 "\ttx-tcp-segmentation: on\n\ttx-tcp-ecn-segmentation: off\n"
                 "\ttx-udp_tnl-csum-segmentation: on\ntx-gso-list: on\n"
                 "large-receive-offload: off [fixed]\ngeneric-receive-offload: off\n"
                 "tx-vlan-offload: on\n")
        features = link.parse_features(shown)
        self.assertNotIn("large-receive-offload", features)
        off = link.features_of_mode(features, "off", receiver=True)
        self.assertEqual(set(off.values()), {False})
        self.assertLessEqual({"tx-tcp-segmentation", "tx-udp_tnl-csum-segmentation",
                              "tx-gso-list", "tcp-segmentation-offload"}, set(off))
        self.assertFalse({"rx-checksumming", "tx-vlan-offload"} & set(off))
        for receiver in (False, True):
            gro = link.features_of_mode(features, "gro", receiver)
            self.assertEqual(gro.pop("generic-receive-offload"), receiver)
            self.assertEqual(set(gro.values()), {False})
        default = link.features_of_mode(features, "default", receiver=True)
        self.assertEqual(default, {f: features[f] for f in off})

    def test_words_of_a_build(self):
        text = "Words:\n  mode gif|gre   what\n                  datapath in a text\n  key K  k\n"
        self.assertTrue(ours.has_word("key", text))
        self.assertFalse(ours.has_word("path", text))

    def test_cpus_for_two_workers(self):
        self.assertEqual(session.two_cpus_each(["0", "1"], 2), ["0,1", "0,1"])
        self.assertEqual(session.two_cpus_each(["0", "1"], 4), ["0,2", "1,3"])


class CommandTest(unittest.TestCase):
    def test_selection(self):
        peers, sections = session.selected([])
        self.assertEqual(sections, list(session.SECTIONS))
        self.assertEqual(len({p.name for p in peers}), len(session.all_peers()))
        peers, sections = session.selected(["vxlan", "growth"])
        self.assertEqual({p.kind for p in peers}, {KERNEL})
        self.assertEqual(sections, ["growth"])

    def test_options(self):
        options = command.parse(["--only", "gre4,fastd", "--modes", "gro", "--budget", "2m",
                                 "--update_docs"], "text")
        self.assertEqual((options.only, options.modes, options.budget),
                         (["gre4", "fastd"], ["gro"], 120))
        self.assertTrue(options.update_docs)
        for wrong in (["--modes", "fast"], ["--modes", "off,off"], ["--budget", "long"],
                      ["--only", "nothing"], ["--growth", "0"], ["--cpus", "0"],
                      ["--rounds", "0"]):
            with contextlib.redirect_stderr(io.StringIO()), self.assertRaises(
                    SystemExit, msg=wrong):
                command.parse(wrong, "text")


if __name__ == "__main__":
    runner.main(needs_root=False)
