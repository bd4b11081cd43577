"""The results as Markdown."""

import re

from tests.bench import goals
from tests.bench.results import METRICS

# (heading, mode, metric); modes that were not measured are left out.
COLUMNS = [
    ("TCP 1, off", "off", "tcp1"), ("gro", "gro", "tcp1"), ("default", "default", "tcp1"),
    ("TCP 4, off", "off", "tcp4"), ("gro", "gro", "tcp4"), ("default", "default", "tcp4"),
    ("64 B kpps", "off", "pps64"), ("1400 B kpps", "off", "pps1400"),
    ("RTT p50 us", "off", "rtt_p50"), ("p99", "off", "rtt_p99"),
    ("CPU s/Gbit", "off", "cpu"),
]
BEGIN, END = "<!-- results begin -->", "<!-- results end -->"


def _number(value, digits):
    return "%.*f" % (digits, value)


def _ratio(value):
    return "-" if value is None else "%.2f" % value if value < 10 else "%.0f" % value


def cell(results, peer, mode, metric):
    """"2.61 (0.42; 2.4)": figure, multiple of VXLAN, multiple of the best peer."""
    value = results.best(peer["name"], mode, metric)
    if value is None:
        return "-"
    text = _number(value, METRICS[metric][2])
    return "%s (%s; %s)" % (text, _ratio(results.to_kernel(peer["name"], mode, metric)),
                            _ratio(results.to_user(peer["name"], mode, metric)))


def _table(head, rows):
    lines = ["| " + " | ".join(head) + " |", "|" + "--|" + "--:|" * (len(head) - 1)]
    return lines + ["| " + " | ".join(row) + " |" for row in rows]


def figures(results):
    """The table of all peers."""
    columns = [c for c in COLUMNS if any(
        results.best(p["name"], c[1], c[2]) is not None for p in results.measured())]
    if not columns:
        return ["Nothing was measured."]
    rows = [[p["name"]] + [cell(results, p, mode, metric) for _, mode, metric in columns]
            for p in results.measured()]
    return _table(["tunnel"] + [c[0] for c in columns], rows)


def _growth(results):
    lines = []
    if results.growth:
        first = results.growth[0]["gbps"]
        lines += ["", "Goodput of one tunnel (ours gre4, TCP 1, off) among others:", ""]
        lines += _table(["tunnels", "Gbit/s", "of the first row"],
                        [["{:,}".format(g["tunnels"]), _number(g["gbps"], 2),
                          _ratio(g["gbps"] / first)] for g in results.growth])
    if results.workers:
        lines += ["", "Workers of each daemon (ours gre4, off):", ""]
        lines += _table(["workers", "CPUs of both sides", "TCP 1 Gbit/s", "TCP 4 Gbit/s"],
                        [[str(w["workers"]), " and ".join(w["cpus"]), _number(w["tcp1"], 2), _number(w["tcp4"], 2)]
                         for w in results.workers])
    if results.rewire:
        r = results.rewire
        lines += ["", "While another tunnel of the sending daemon is rewired %.0f times a "
                  "second (ours gre4, TCP 1, off): %.2f Gbit/s, %.3f of the %.2f when it is "
                  "quiet. While a tunnel of a third daemon is, which takes the same CPU time "
                  "and shares nothing else: %.2f Gbit/s, %.3f." % (
                      r["per_second"], r["gbps"], r["ratio"], r["quiet"], r["stranger"],
                      r["stranger_ratio"])]
    return lines


def _goals(results):
    rows = []
    for row in goals.rows(results):
        bar = "<= " if row["less_is_better"] else ">= "
        rows.append([row["name"], "not measured" if row["value"] is None else
                     "%.2f" % row["value"], bar + "%g" % row["floor"],
                     bar + "%g" % row["goal"], row["verdict"] or "-"])
    return ["", "### Floors and goals", ""] + _table(
        ["ratio", "came to", "floor", "goal", "reached"], rows)


def _notes(results, meta):
    machine, settings = meta["machine"], meta["settings"]
    lines = ["", "### How each was set up", ""]
    lines += ["- %s: %s." % (p["name"], p["about"]) for p in results.peers]
    lines += ["", "Packages: %s." % ", ".join(
        "%s %s" % item for item in sorted(machine["packages"].items()))]
    lines += ["", "### Not measured", ""]
    lines += ["- %s: %s" % (row["what"], row["reason"])
              for row in results.not_measured] or ["Nothing is missing."]
    once = ""
    if settings["full_rounds"] < settings["rounds"]:
        once = " (TCP 4 and 1400 B: of %d)" % settings["full_rounds"]
    return lines, (
        "%s, commit %s, Linux %s, %s, %d CPUs. Best of %d%s, TCP runs of %g s. Command: "
        "`%s`" % (settings["date"], settings["commit"], machine["kernel"], machine["cpu"],
                  machine["cpus"], settings["rounds"], once, settings["seconds"],
                  settings["command"]))


def markdown(results, meta, plot=None):
    """The whole text: table, flags, plot, growth, goals, notes."""
    notes, headline = _notes(results, meta)
    lines = [headline, "",
             "Each cell: figure (multiple of kernel VXLAN over the same outer family; multiple "
             "of the best other user-space program). TCP in Gbit/s of payload.", ""]
    lines += figures(results)
    for flag in results.flags():
        lines += ["", "**Flagged:** " + flag + "."]
    if plot:
        lines += ["", "![The same figures as bars](%s)" % plot]
    return "\n".join(lines + _growth(results) + _goals(results) + notes) + "\n"


def replace_between_markers(page, text):
    """`page` with `text` between its markers."""
    if page.count(BEGIN) != 1 or page.count(END) != 1:
        raise ValueError("the page needs %s and %s once each" % (BEGIN, END))
    pattern = re.escape(BEGIN) + ".*" + re.escape(END)
    return re.sub(pattern, lambda _: "%s\n%s%s" % (BEGIN, text, END), page, flags=re.S)
