"""The comparison of sockets works: each way gets its packets through, and the table
says what was measured."""

import os
import sys
import unittest

sys.path.insert(0, os.path.abspath(os.path.join(os.path.dirname(__file__), "../../..")))

from tests.bench import machine
from tests.bench.packet_io import compare
from tests.lib import runner


def result(pps, cpu, lost=0, per_frame=1):
    return {"pps": pps, "lost": lost, "per_frame": per_frame, "cpu_ns": list(cpu)}


class Tables(unittest.TestCase):
    def test_best_of_rounds(self):
        self.assertEqual(
            compare.best([result(5e3, (9, 9), 1), result(7e3, (20, 1), 2, 3)]),
            result(7e3, (9, 9), 3, 3))

    def test_ratios_are_to_the_sockets_of_the_daemon(self):
        results = {("raw", "packet", "udp", 64): result(1e5, (3000, 1000)),
                   ("xdp", "xdp", "udp", 64): result(2e5, (1000, 1000))}
        table = "\n".join(compare.singles_table(results))
        self.assertIn("| AF_XDP | AF_XDP | 200 (2.00) | 1000 + 1000 (0.50) | - | - |", table)
        self.assertIn("| raw socket | AF_XDP | - | - | - | - |", table)

    def test_trains(self):
        results = {("raw", "packet", "tcp", 1400): result(1e5, (3000, 1000), 0, 2.5),
                   ("raw", "xdp", "tcp", 1400): result(5e4, (4000, 4000), 7)}
        table = compare.trains_table(results)
        self.assertIn("| packet socket | 2.5 | 100 (1.00) | 3000 + 1000 (1.00) | 0 |", table)
        self.assertIn("| AF_XDP | 1.0 | 50 (0.50) | 4000 + 4000 (2.00) | 7 |", table)
        self.assertEqual(len(table), 4)


class Smoke(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.lab = compare.Lab(["0", str(os.cpu_count() - 1)],
                              machine.built(compare.PROGRAM), milliseconds=10)

    @classmethod
    def tearDownClass(cls):
        cls.lab.link.delete()

    def check(self, *case):
        found = self.lab.run(*case)
        self.assertGreater(found["pps"], 0, case)
        self.assertGreaterEqual(found["per_frame"], 1, case)

    def test_each_way(self):
        for way in compare.WAYS:
            self.check(*way, "udp", compare.SIZES[way[0] == "raw"])

    def test_trains_on_the_receiving_cpu(self):
        self.lab.use_receiving_cpu()
        for receiver in compare.RECEIVERS:
            self.check("raw", receiver, "tcp", 1400)


if __name__ == "__main__":
    runner.main()
