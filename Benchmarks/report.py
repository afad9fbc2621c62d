"""What every benchmark tells: the machine, the commit, each run's raw figures, and ratios to a peer."""

import datetime
import hashlib
import json
import os
import pathlib
import platform
import shlex
import statistics
import subprocess
import sys
import tempfile
import time

from loopback import ROOT, Failure, binaries

HERE = pathlib.Path(__file__).resolve().parent
# What is compared of a measurement: records (or requests) per second, CPU time of the server for each, latencies.
PARTS = ("rate", "cpu_us", "p50_us", "p99_us")
NAMES = {"rate": "the rate", "cpu_us": "the CPU time", "p50_us": "the median latency", "p99_us": "the p99 latency"}


def figures(requests, seconds, cpu_seconds, p50_us, p99_us, raw):
    """One measurement; `raw` is everything that the client and the server told."""
    cpu_us = cpu_seconds / requests * 1e6
    return {"rate": requests / seconds, "cpu_us": cpu_us, "p50_us": p50_us, "p99_us": p99_us, "raw": raw}


def file_system(folder):
    """The type of the file system that a folder is on."""
    return subprocess.run(["stat", "-f", "-c", "%T", folder], capture_output=True, text=True, check=True).stdout.strip()


def require_disk(folder):
    if file_system(folder) in ("tmpfs", "ramfs"):
        raise Failure(f"{folder} is in memory, where nothing is durable; name a folder on a disk with --folder")


def fdatasync_us(folder, is_in_place=False):
    """The median time of one page's write and its fdatasync: an append, or in place, as in a write-ahead log."""
    times = []
    with tempfile.TemporaryFile(dir=folder, buffering=0) as file:
        file.write(b"x" * 4096)
        os.fsync(file.fileno())
        for _ in range(200):
            if is_in_place:
                file.seek(0)
            start = time.perf_counter()
            file.write(b"x" * 4096)
            os.fdatasync(file.fileno())
            times.append(time.perf_counter() - start)
    return round(statistics.median(times) * 1e6)


def machine(folder):
    model = "unknown"
    for line in pathlib.Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            model = line.partition(":")[2].strip()
            break
    return {
        "cpu": model,
        "cores": len(os.sched_getaffinity(0)),
        "memory_kib": os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") // 1024,
        "kernel": platform.release(),
        "file_system": file_system(folder),
        "fdatasync_us": fdatasync_us(folder),
        "fdatasync_in_place_us": fdatasync_us(folder, is_in_place=True),
        "load_average_before": os.getloadavg(),
    }


def version(command):
    """What a program says of its version, on whichever output and with whichever status."""
    result = subprocess.run([str(part) for part in command], capture_output=True, text=True)
    return ((result.stdout + result.stderr).strip().splitlines() or ["unknown"])[0]


def commit():
    """The commit that is measured, marked where files differ from it."""
    git = ["git", "-c", "safe.directory=*", "-C", str(ROOT)]
    head = subprocess.run(git + ["rev-parse", "--verify", "--quiet", "HEAD"], capture_output=True, text=True)
    if head.returncode:
        return "none"
    # Earlier results, and the document that quotes them, are no part of what is measured.
    paths = ["--", ".", ":!Benchmarks/results", ":!docs"]
    changed = subprocess.run(git + ["status", "--porcelain", *paths], capture_output=True, text=True).stdout
    return head.stdout.strip() + ("-dirty" if changed.strip() else "")


def program(path):
    """Which program was measured: it may be of another commit than the one that is checked out."""
    built_at = datetime.datetime.fromtimestamp(path.stat().st_mtime, datetime.timezone.utc)
    return {
        "sha256": hashlib.sha256(path.read_bytes()).hexdigest(),
        "built_at": built_at.isoformat(timespec="seconds"),
    }


def head(benchmark, folder, versions):
    """What is known before the first measurement."""
    return {
        "benchmark": benchmark,
        "commit": commit(),
        "started_at": datetime.datetime.now(datetime.timezone.utc).isoformat(timespec="seconds"),
        "program": program(binaries() / "contact-relay"),
        "command": shlex.join(sys.argv),
        "machine": machine(folder),
        "versions": {name: version(command) for name, command in versions.items()},
    }


def medians(rounds):
    return {
        name: {part: statistics.median(run[part] for run in runs) for part in PARTS} for name, runs in rounds.items()
    }


class Peer:
    """What a benchmark's subjects are compared with in the same round."""

    def __init__(self, title, of):
        """`of` names the subject that is the peer: of all, or a dictionary that tells it for each."""
        self.title, self._of = title, of

    def subject(self, name):
        return self._of if isinstance(self._of, str) else self._of[name]


def ratios(rounds, peer):
    """Each subject's figures to the peer's in the same round: the median of the rounds."""
    return {
        name: {
            part: statistics.median(mine[part] / its[part] for mine, its in zip(runs, rounds[peer.subject(name)]))
            for part in PARTS
        }
        for name, runs in rounds.items()
    }


def table(titles, middle, relative, peers, unit):
    """The result as Markdown; `relative` has the ratios to each peer, by the peer's title."""
    times = [f"× {peer.title}" for peer in peers]
    columns = [f"{unit}s/s", *times, f"CPU µs/{unit}", *times, "p50 ms", "p99 ms", *times]
    lines = ["| | " + " | ".join(columns) + " |", "|---|" + "---:|" * len(columns)]
    for name, title in titles.items():
        mine = middle[name]
        to = lambda part: [f"{relative[peer.title][name][part]:.2f}" for peer in peers]
        cells = [f"{mine['rate']:.0f}", *to("rate"), f"{mine['cpu_us']:.1f}", *to("cpu_us")]
        cells += [f"{mine['p50_us'] / 1000:.2f}", f"{mine['p99_us'] / 1000:.2f}", *to("p99_us")]
        lines.append(f"| {title} | " + " | ".join(cells) + " |")
    return lines


def beyond_thresholds(benchmark, titles, rounds, relative, peer):
    """What is not as Benchmarks/thresholds.json demands, a sentence each: of the ratios to the first peer, and under
    `absolute` of the medians of the figures themselves."""
    for name, bounds in json.loads((HERE / "thresholds.json").read_text())[benchmark].items():
        absolute = bounds.get("absolute", {})
        checks = [(part, bounds[part], relative[name][part], f" × {peer.title}") for part in bounds if part in PARTS]
        median = lambda part: statistics.median(run[part] for run in rounds[name])
        checks += [(part, absolute[part], median(part), "") for part in absolute]
        for part, bound, figure, unit in checks:
            if "at_least" in bound and figure < bound["at_least"]:
                limit = f"at least {bound['at_least']}"
            elif "at_most" in bound and figure > bound["at_most"]:
                limit = f"at most {bound['at_most']}"
            else:
                continue
            yield f"{titles[name]}: {NAMES.get(part, part)} is {figure:.2f}{unit}, and must be {limit}"


def finish(name, benchmark, head, rounds, titles, peers, unit):
    """Writes results/NAME.json, prints the table, and gives the exit status: 1 when a ratio is beyond its threshold."""
    middle, relative = medians(rounds), {peer.title: ratios(rounds, peer) for peer in peers}
    lines = table(titles, middle, relative, peers, unit)
    beyond = list(beyond_thresholds(benchmark, titles, rounds, relative[peers[0].title], peers[0]))
    whole = head | {"medians": middle, "ratios": relative, "beyond_thresholds": beyond, "table": lines, "runs": rounds}
    results = HERE / "results" / f"{name}.json"
    results.parent.mkdir(exist_ok=True)
    results.write_text(json.dumps(whole, indent=1, ensure_ascii=False) + "\n")
    print("\n".join(lines))
    print(f"\nmedians of {head['rounds']} rounds of {head['seconds']} s; written to {results.relative_to(ROOT)}")
    for line in beyond:
        print(f"bench: {line}")
    if not beyond:
        print("bench: all ratios are within Benchmarks/thresholds.json")
    return 1 if beyond else 0
