"""The command line of tools/bench."""

import argparse
import json
import os
import subprocess
import sys
import time

from tests.bench import link, machine, plan, plot, report, session
from tests.bench.measure import Meter
from tests.bench.results import Results
from tests.lib import daemon, process

_PAGE = "docs/performance.md"
_DOCS = "docs/performance"
_PROBE = "tests/bench/udp_probe"
_TARGETS = ["//ctl:tunneld", "//ctl:tunnelctl", "//tests/bench:udp_probe",
            "//tests/bench:rewirer"]


def parse(argv, text):
    """The options; SystemExit(2) for what cannot be understood."""
    parser = argparse.ArgumentParser(
        prog="tools/bench", description=text,
        formatter_class=argparse.RawDescriptionHelpFormatter)
    add = parser.add_argument
    add("--only", action="append", default=[], metavar="NAME",
        help="tunnels and sections (growth, workers, rewire) with this in the name")
    add("--modes", default=",".join(link.MODES), help="of %(default)s")
    add("--rounds", type=int, default=plan.MOST_ROUNDS)
    add("--seconds", type=int, default=3, help="of each TCP run")
    add("--growth", default="1,10,100,1000", help="numbers of tunnels")
    add("--budget", help="time for it all without the build, such as 8m")
    add("--quick", action="store_true", help="everything once and short: does it work?")
    add("--cpus", default="0,1", help="CPU of the sending and of the receiving side")
    add("--out", default="bench-results", metavar="DIR")
    add("--update-docs", "--update_docs", action="store_true",
        help="write table and plot into docs/ too")
    add("--from", dest="source", metavar="FILE",
        help="measure nothing, take the figures of a results.json")
    add("--no-install", action="store_true", help="do without what is not installed")
    add("--no-build", action="store_true",
        help="programs of $TUNNELD_BIN_DIR, else of bazel-bin")
    options = parser.parse_args(argv)
    try:
        _check(options)
    except ValueError as error:
        parser.error(str(error))
    return options


def _check(options):
    options.only = [w for words in options.only for w in words.split(",") if w]
    options.modes = options.modes.split(",")
    unknown = [m for m in options.modes if m not in link.MODES]
    if unknown or len(set(options.modes)) < len(options.modes):
        raise ValueError("--modes wants some of %s" % ",".join(link.MODES))
    options.cpus = [int(c) for c in options.cpus.split(",")]
    if len(options.cpus) != 2 or max(options.cpus) >= os.cpu_count():
        raise ValueError("--cpus wants two CPUs of this machine")
    options.growth = sorted({int(n) for n in options.growth.split(",")})
    if min(options.growth) < 1 or options.rounds < 1 or options.seconds < 1:
        raise ValueError("--growth, --rounds and --seconds begin at 1")
    options.budget = plan.parse_budget(options.budget) if options.budget else None
    if not any(session.selected(options.only)):
        raise ValueError("--only %s: there is no such tunnel" % ",".join(options.only))


def choose_plan(options, peers):
    if options.quick:
        return plan.quick(options.growth)
    if options.budget:
        return plan.fit(options.budget, peers, options.modes, options.growth)
    return plan.full(options.rounds, options.seconds, options.growth)


def build(targets):
    """Builds what is measured, optimised; its bazel-bin."""
    base = os.environ.get("TUNNELD_BAZEL_OUTPUT_BASE")
    bazel = ["bazel"] + (["--output_base=" + base] if base else [])
    options = ["--config=opt", "--symlink_prefix=/"]
    print("building (minutes the first time)", flush=True)
    subprocess.run([*bazel, "build", *options, "--noshow_progress",
                    "--ui_event_filters=-info", *targets], cwd=daemon.root(), check=True)
    return subprocess.run([*bazel, "info", *options, "bazel-bin"], cwd=daemon.root(),
                          check=True, capture_output=True, text=True).stdout.strip()


def _prepare(options):
    """Installs and builds: {package: reason} of what cannot be had."""
    failed = {}
    if not options.no_install:
        subprocess.run([os.path.join(daemon.root(), "tools/install_deps"), "build",
                        "bench"], check=True)
        failed = machine.install(machine.PEERS)
    if not options.no_build:
        os.environ["TUNNELD_BIN_DIR"] = build(_TARGETS)
    return failed


def _commit():
    done = process.run(["git", "-c", "safe.directory=*", "-C", daemon.root(), "describe",
                        "--always", "--dirty"], check=False)
    return done.out.strip() or "unknown"


def measure(options):
    """Runs all that was asked for: (Results, meta)."""
    failed = _prepare(options)
    classes, sections = session.selected(options.only)
    count = len(session.expected(classes))
    chosen = choose_plan(options, count)
    cost = chosen.cost(count, options.modes)
    print("%d tunnels, %d rounds, TCP runs of %d s: about %s min" % (
        count, chosen.rounds, chosen.seconds, plan.minutes(cost)), flush=True)
    meta = {"machine": machine.describe(), "settings": {
        "date": time.strftime("%Y-%m-%d"), "commit": _commit(), "seconds": chosen.seconds,
        "modes": options.modes, "cpus": options.cpus, "step_ms": chosen.step_ms,
        "command": " ".join(["sudo tools/bench", *sys.argv[1:]])}}
    watch = machine.Watch(options.cpus)
    time.sleep(1)
    busy, _ = watch.shares()
    deadline = time.monotonic() + options.budget if options.budget else None
    run = session.Session(classes, sections, options.modes, chosen,
                          Meter(machine.built(_PROBE), options.cpus), options.cpus, deadline)
    results = run.run(failed)
    results.judge_machine(busy, watch.shares()[1])
    meta["settings"]["rounds"] = run.rounds_done
    meta["settings"]["full_rounds"] = min(chosen.full_rounds, run.rounds_done)
    meta["settings"]["interrupted"] = run.interrupted
    for size in options.growth:
        if "growth" in sections and size not in [g["tunnels"] for g in results.growth]:
            results.miss("%d tunnels" % size, "not within this run")
    return results, meta


def write(directory, results, meta, plot_name="results.svg"):
    """results.json, results.md and results.svg; the Markdown."""
    os.makedirs(directory, exist_ok=True)
    picture = plot.svg(results)
    text = report.markdown(results, meta, plot_name if picture else None)
    files = {"results.md": text, "results.json": json.dumps(
        {**meta, **results.to_json()}, indent=1) + "\n"}
    if picture:
        files["results.svg"] = picture
    for name, content in files.items():
        with open(os.path.join(directory, name), "w") as f:
            f.write(content)
    return text


def update_docs(root, results, meta):
    """Puts table and plot into the documentation below `root`."""
    directory = os.path.join(root, _DOCS)
    text = write(directory, results, meta, "performance/results.svg")
    os.unlink(os.path.join(directory, "results.md"))
    page = os.path.join(root, _PAGE)
    with open(page) as f:
        old = f.read()
    with open(page, "w") as f:
        f.write(report.replace_between_markers(old, text))


def main(text):
    options = parse(sys.argv[1:], text)
    if options.source:
        with open(options.source) as f:
            data = json.load(f)
        results = Results.from_json(data)
        meta = {"machine": data["machine"], "settings": data["settings"]}
    else:
        if os.geteuid() != 0:
            raise SystemExit("tools/bench needs root for network namespaces")
        results, meta = measure(options)
    print("\n" + write(options.out, results, meta))
    if meta["settings"]["interrupted"]:
        raise SystemExit("interrupted: %s has what there is" % options.out)
    if options.update_docs:
        update_docs(daemon.root(), results, meta)
        print("docs/performance.md is updated")
    for flag in results.flags():
        print("FLAGGED: " + flag, file=sys.stderr)
