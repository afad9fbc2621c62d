"""What every benchmark with peers does: options, rounds in rotating order, and the result of them all."""

import argparse
import contextlib
import os
import pathlib
import random
import signal
import sys
import tempfile
import time

import report
from loopback import ROOT, Failure, Processes, binaries

HERE = pathlib.Path(__file__).resolve().parent


class Subject:
    """A server to be measured."""

    def __init__(self, title, measure, preparation_seconds=180):
        """`measure` takes processes, a folder, the options and a seed, and gives report.figures.

        `preparation_seconds` are more than starting and filling may take, beside the time that is measured.
        """
        self.title, self.measure, self.preparation_seconds = title, measure, preparation_seconds


@contextlib.contextmanager
def _time_limit(seconds, what):
    """Ends what takes longer with a Failure that says where it stood still."""

    def expired(_, frame):
        # The innermost of our own functions: those of the library below it say little.
        while frame.f_back and pathlib.Path(frame.f_code.co_filename).parent not in (HERE, ROOT / "Scripts"):
            frame = frame.f_back
        place = f"{pathlib.Path(frame.f_code.co_filename).name}:{frame.f_lineno}, {frame.f_code.co_name}"
        words = " ".join(str(frame.f_locals[name]) for name in ("words", "url", "what") if name in frame.f_locals)
        raise Failure(f"{what} was not done after {seconds} s; it was in {place} {words}".rstrip())

    signal.signal(signal.SIGALRM, expired)
    signal.alarm(seconds)
    try:
        yield
    finally:
        signal.alarm(0)


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
            subject, seed = subjects[name], random.Random(f"{options.seed}/{number}/{name}").getrandbits(32)
            limit = subject.preparation_seconds + 4 * (options.seconds + options.warm_up)
            # Within the processes' context: a Failure tells the ends of their logs, and none is left behind.
            with tempfile.TemporaryDirectory(prefix=f"{name}-", dir=base) as folder, Processes() as processes:
                with _time_limit(limit, f"round {number + 1}: {subject.title}"):
                    figures = subject.measure(processes, pathlib.Path(folder), options, seed)
            figures["raw"]["seed"] = seed
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
    head["load_average_after"] = os.getloadavg()
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
