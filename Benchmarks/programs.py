"""Finds and runs the servers and clients that benchmarks bring in from outside."""

import json
import os
import pathlib
import shlex
import shutil
import subprocess

from loopback import ROOT, Failure, clean_environment

HERE = pathlib.Path(__file__).resolve().parent


def tool(name):
    """The path of a program; servers are in sbin, which is not in everybody's PATH."""
    path = shutil.which(name, path=os.environ.get("PATH", "") + ":/usr/sbin:/sbin")
    if not path:
        raise Failure(f"{name} is not installed (make bench does that)")
    return path


def run(command, seconds):
    """The output of a client, which is killed and named by a Failure when it takes longer than that."""
    words = [str(part) for part in command]
    try:
        result = subprocess.run(words, capture_output=True, text=True, env=clean_environment(), timeout=seconds)
    except subprocess.TimeoutExpired:
        raise Failure(f"{shlex.join(words)} had not ended after {seconds} s") from None
    if result.returncode:
        raise Failure(f"{shlex.join(words)} failed: {result.stderr.strip() or result.stdout.strip()}")
    return result.stdout


def compiled(name, folder):
    """A program of this folder that is written in C, in the folder given, where it may be already."""
    program = folder / name
    if not program.exists():
        run([tool("cc"), "-O2", "-o", program, HERE / f"{name}.c"], 60)
    return program


def wrk(url, script, arguments, seconds, connections):
    """What a script of this folder printed as its RESULT, and the command, as it would be typed in the checkout."""
    command = [tool("wrk"), "-t1", f"-c{connections}", f"-d{seconds}s", "--timeout", "10s"]
    command += ["-s", HERE / script, url, "--", *arguments]
    output = run(command, seconds + 30)
    result = json.loads(next(line for line in output.splitlines() if line.startswith("RESULT "))[7:])
    if result["bad_statuses"] or result["socket_errors"]:
        raise Failure(f"not every request was answered as it must be: {result}")
    # Where the checkout lies says nothing.
    return result, shlex.join(str(part) for part in command).replace(f"{ROOT}/", "")
