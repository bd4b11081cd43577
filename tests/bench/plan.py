"""How long and how often to measure within a budget of time."""

import math
import re
from dataclasses import dataclass

MOST_ROUNDS, MOST_SECONDS = 3, 5
# Seconds that are spent beside the traffic itself: programs that start, connections.
PER_RUN, _PER_PEER, _PER_MODE = 0.25, 1.0, 0.1
# A rate search takes about so many steps.
_STEPS = 15
# To make so many tunnels on both ends and to take them away.
GROWTH_COST = {1: 2, 10: 2, 100: 8, 1000: 120}
# What rounds beyond `full_rounds` measure again.
CORE = ("tcp1", "pps64", "rtt")


@dataclass
class Plan:
    rounds: int
    full_rounds: int   # the first of them, which measure everything
    seconds: int       # of each TCP run
    step_ms: int       # of each step of a rate search
    rtt_ms: int
    growth: tuple      # numbers of tunnels
    extras: bool       # workers, rewiring

    def measures(self, metric, round_number):
        return round_number <= self.full_rounds or metric in CORE

    def sweep(self, metric):
        """Seconds that a metric takes for one peer, about."""
        if metric.startswith("tcp"):
            return self.seconds + PER_RUN
        if metric.startswith("pps"):
            return _STEPS * (self.step_ms / 1e3 + 0.01) + 0.1
        return self.rtt_ms / 1e3 + 0.1

    def cost(self, peers, modes):
        """Seconds that all of it takes, about."""
        total = peers * _PER_PEER
        for number in range(1, self.rounds + 1):
            total += len(modes) * peers * _PER_MODE
            for metric in ("tcp1", "tcp4", "pps64", "pps1400", "rtt"):
                if self.measures(metric, number):
                    times = len(modes) if metric.startswith("tcp") else 1
                    total += peers * times * self.sweep(metric)
        run = self.seconds + PER_RUN
        total += sum(growth_cost(n) + self.rounds * run for n in self.growth)
        if self.extras:
            total += 7 + (4 * self.rounds + 3 * max(2, self.rounds)) * run
        return total


def growth_cost(tunnels):
    """Seconds for tunnels of any number, between the known ones by proportion."""
    for known, cost in sorted(GROWTH_COST.items()):
        if tunnels <= known:
            return cost
    return GROWTH_COST[1000] * tunnels / 1000


def parse_budget(text):
    """Seconds of "90", "90s", "8m", "1h"; None for no budget."""
    match = re.fullmatch(r"(\d+(?:\.\d+)?)([smh]?)", text)
    if not match or float(match.group(1)) <= 0:
        raise ValueError("wanted a time such as 90s or 8m, got %r" % text)
    return float(match.group(1)) * {"": 1, "s": 1, "m": 60, "h": 3600}[match.group(2)]


def quick(growth):
    """A smoke run: everything once, as short as it goes."""
    return Plan(1, 1, 1, 40, 100, tuple(n for n in growth if n <= 10), True)


def full(rounds, seconds, growth):
    return Plan(rounds, rounds, seconds, 150, 500, tuple(growth), True)


def fit(budget, peers, modes, growth):
    """The best plan that fits: one round of everything, then more rounds of the core,
    more tunnels, more rounds of everything, longer runs. What fits in no way is cut
    off by the clock of the run."""
    some, many = (tuple(n for n in growth if n <= most) for most in (10, 100))
    steps = [Plan(1, 1, 1, 60, 200, (), False), Plan(1, 1, 1, 80, 300, some, True),
             Plan(2, 1, 1, 80, 300, some, True), Plan(2, 1, 1, 80, 300, many, True),
             Plan(MOST_ROUNDS, 1, 1, 80, 300, many, True),
             Plan(MOST_ROUNDS, 2, 1, 80, 300, many, True),
             Plan(MOST_ROUNDS, MOST_ROUNDS, 1, 100, 300, many, True)]
    steps += [Plan(MOST_ROUNDS, MOST_ROUNDS, s, 150, 500, tuple(growth), True)
              for s in range(1, MOST_SECONDS + 1)]
    fitting = [p for p in steps if p.cost(peers, modes) <= budget]
    return fitting[-1] if fitting else steps[0]


def minutes(seconds):
    return "%d:%02d" % (seconds // 60, math.floor(seconds % 60))
