"""What every benchmark with peers does: options, rounds in rotating order, and the result of them all."""

import argparse
import pathlib
import random
import sys
import tempfile
import time

import report
from loopback import ROOT, Failure, Processes, binaries


class Subject:
    """A server to be measured."""

    def __init__(self, title, measure):
        """`measure` takes processes, a folder, the options and a seed, and gives report.figures."""
        self.title, self.measure = title, measure


def _options(benchmark, description, seed_help):
    parser = argparse.ArgumentParser(description=description.split("\n\n")[0])
    parser.add_argument("--rounds", type=int, default=5, help="measurements of each server (5)")
    parser.add_argument("--seconds", type=int, default=10, help="length of a measurement (10)")
    parser.add_argument("--warm-up", type=int, default=1, help="seconds before each measurement that do not count (1)")
    parser.add_argument("--seed", type=int, default=1, help=f"{seed_help} (1)")
    parser.add_argument("--name", default=benchmark, help=f"of the file in Benchmarks/results ({benchmark})")
    parser.add_argument("--folder", default=ROOT / "var", help="on the disk to measure (./var)")
    given = parser.parse_args()
    if given.rounds < 1 or given.seconds < 1 or given.warm_up < 1:
        parser.error("rounds, seconds and warm-up are at least 1")
    return given


def _measure(options, base, subjects):
    """The figures of all rounds by subject."""
    rounds = {name: [] for name in subjects}
    names = list(subjects)
    width = max(len(subject.title) for subject in subjects.values())
    for number in range(options.rounds):
        for name in names[number % len(names) :] + names[: number % len(names)]:
            with tempfile.TemporaryDirectory(prefix=f"{name}-", dir=base) as folder, Processes() as processes:
                seed = random.Random(f"{options.seed}/{number}/{name}").getrandbits(32)
                figures = subjects[name].measure(processes, pathlib.Path(folder), options, seed)
            rounds[name].append(figures)
            print(
                f"round {number + 1}: {subjects[name].title:<{width}} {figures['rate']:9.0f}/s "
                f"{figures['cpu_us']:7.1f} µs CPU  p99 {figures['p99_us'] / 1000:6.2f} ms",
                file=sys.stderr,
            )
    return rounds


def _run(benchmark, description, seed_help, subjects, peers, unit, facts, versions):
    given = _options(benchmark, description, seed_help)
    folder = pathlib.Path(given.folder).resolve()
    folder.mkdir(parents=True, exist_ok=True)
    report.require_disk(folder)
    head = report.head(benchmark, folder, {"contact-relay": [binaries() / "contact-relay", "--version"]} | versions())
    head |= {"seed": given.seed, "rounds": given.rounds, "seconds": given.seconds} | facts
    start = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="benchmark-", dir=folder) as base:
        rounds = _measure(given, base, subjects)
    head["duration_seconds"] = round(time.monotonic() - start)
    titles = {name: subject.title for name, subject in subjects.items()}
    return report.finish(given.name, benchmark, head, rounds, titles, peers, unit)


def run(benchmark, description, seed_help, subjects, peers, unit, facts, versions):
    """Measures all subjects, tells the result, and ends the program with the status that follows from it.

    The thresholds are for the ratios to the first of `peers`; `unit` is what is counted; `facts` are more for the head
    of the result; `versions` gives the commands that tell the versions of what was brought in from outside.
    """
    try:
        sys.exit(_run(benchmark, description, seed_help, subjects, peers, unit, facts, versions))
    except Failure as failure:
        sys.exit(f"bench: {failure}")
    except KeyboardInterrupt:
        sys.exit("bench: stopped")
